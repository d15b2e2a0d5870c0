"""What a column of a new row has when nobody gives it a value, as far as that can be foreseen."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Column, DefaultClause, types
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from vallum.declare.resource import Field, Resource
from vallum.row_security.words import literal, quoted_text
from vallum.store.codec import to_driver
from vallum.store.sql import DIALECTS, cast

_VALUE: Final = r"'(?:[^'\\]|'')*'|[-+]?\d+(?:\.\d+)?|TRUE|FALSE|NULL|CURRENT_TIMESTAMP|CURRENT_DATE|now\(\)"
"""The last three are the same in a whole transaction, so that a policy finds what the default wrote."""
_TYPE: Final = r'[\w." ]+(?:\(\d+(?:, ?\d+)?\))?[\w ]*(?:\[\])*'
_FORESEEN: Final = re.compile(rf"(?:{_VALUE})(?:::{_TYPE})?", re.IGNORECASE)


def default_of(resource: Resource, field: Field) -> str | None:
    """The default as SQL that can be compared with the column; None when it cannot be foreseen: the tenant (its rule says
    what it is), what the database counts up, and what a function makes, in Python or there.
    """
    column = field.column
    if column is None or (resource.tenant is not None and field.name == resource.tenant[0]):
        return None
    made = column.default
    if isinstance(made, ScalarElementColumnDefault):
        convert = to_driver(field, "postgresql")
        return _typed(field, literal(made.arg if convert is None else convert(made.arg)))
    if made is None and isinstance(column.server_default, DefaultClause):
        text = _as_created(column, column.server_default)
        return None if text is None else _typed(field, text)
    return None if field.generated else "NULL"


def comparable(column: Column[Any], text: str) -> str:
    """JSON has no equality of its own, JSONB does, whatever the order of keys."""
    return f"({text})::JSONB" if isinstance(column.type, types.JSON) else text


def _typed(field: Field, text: str) -> str:
    return text + ("::JSONB" if isinstance(field.type, types.JSON) else cast(field.type, "postgresql"))


def _as_created(column: Column[Any], default: DefaultClause) -> str | None:
    """The default as `CREATE TABLE` would have it; of a reflected column, as the catalogue has it."""
    if isinstance(default.arg, str):
        return quoted_text(default.arg)
    dialect = DIALECTS["postgresql"]
    text = str(dialect.ddl_compiler(dialect, None).get_column_default_string(column))  # type: ignore[arg-type]  # of no statement
    return f"({text})" if _FORESEEN.fullmatch(_bare(text)) else None


def _bare(text: str) -> str:
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    return text
