"""Conditions as a policy says them: complete in itself, without parameters.

A subquery of a rule sees every row of another table, whoever asks. Under row-level security it would see what the caller
may see there. So it reads a view that belongs to the tables' owner, in a schema that the caller cannot name.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any, Final

from sqlalchemy import BindParameter, Table
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Dialect

from vallum.declare.errors import DeclarationError
from vallum.declare.policy import ME_ATTRIBUTE, ME_ID, ME_ROLES
from vallum.declare.policy import NOW as NOW_NAME
from vallum.declare.policy import TODAY as TODAY_NAME
from vallum.row_security.identity import ID, NOW, ROLES, SCHEMA, TODAY, attribute
from vallum.store.sql import Param, Sql, quoted
from vallum.store.sql_dialects import SUBQUERY, PostgresMarking

NEW: Final = "vallum_new"
"""The alias of the row as a statement writes it, wherever a check needs it in a subquery."""


def view_of(table: Table) -> str:
    """The view of all rows."""
    return f"{SCHEMA}.{quoted(_full_name(table), 'postgresql')}"


def own(table: Table) -> str:
    """The name of a policy's own table inside the policy."""
    return quoted(table.name, "postgresql")


def other(table: Table, mine: Table) -> str:
    """The name of a table inside a policy of `mine`: never that of `mine`, or its rows would be compared with themselves."""
    name = _full_name(table)
    return quoted(name if name != mine.name else f".{name}", "postgresql")


def _full_name(table: Table) -> str:
    return table.name if table.schema is None else f"{table.schema}.{table.name}"


class _Policies(PostgresMarking):
    """Reads other tables through the views, and the caller from the settings."""

    def visit_table(self, table: Any, **options: Any) -> str:  # type: ignore[override]  # it takes what it is given
        written = super().visit_table(table, **{**options, "ambiguous_table_name_map": None})
        if not options.get("asfrom") or len(self.stack) < SUBQUERY:
            return written
        # What was written is not used: it was asked for because it tells of a rule that reads its own table in vain.
        source = self._rows_of(table)
        return source if options.get("enclosing_alias") is not None else f"{source} AS {self._name_of(table)}"

    def visit_alias(self, alias: Any, *_: Any, **options: Any) -> str:
        written = str(super().visit_alias(alias, **options))  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        if self.vallum_table is not None and written.endswith(f" AS {own(self.vallum_table)}"):
            mend = "Inside a policy, an alias of the table's own name hides it: choose another."
            raise DeclarationError("rls-alias", self.vallum_table.key, mend)
        return written

    def visit_column(self, column: Any, *_: Any, **options: Any) -> str:
        # A table of a schema would get another name, for fear of one without a schema.
        written = str(super().visit_column(column, **{**options, "ambiguous_table_name_map": None}))
        if not isinstance(column.table, Table) or not written.startswith(bare := f"{own(column.table)}."):
            return written
        return f"{self._name_of(column.table)}.{written.removeprefix(bare)}"

    def _name_of(self, table: Table) -> str:
        mine = self.vallum_table
        return own(table) if mine is None or table == mine else other(table, mine)

    def visit_bindparam(self, bindparam: BindParameter[Any], *_: Any, **__: Any) -> str:
        return ROLES if bindparam.key == ME_ROLES else super().visit_bindparam(bindparam)

    def _rows_of(self, table: Table) -> str:
        return view_of(table)


class _PoliciesAfter(_Policies):
    """The same for a row that is about to be written: its own table has that row in place of the one of its key."""

    def _rows_of(self, table: Table) -> str:
        if table != self.vallum_table:
            return view_of(table)
        keys = [quoted(column.name, "postgresql") for column in table.primary_key]
        other = ", ".join(f"vallum_old.{key}" for key in keys)
        new = ", ".join(f"{NEW}.{key}" for key in keys)
        old = f"SELECT vallum_old.* FROM {view_of(table)} AS vallum_old WHERE ({other}) IS DISTINCT FROM ({new})"
        return f"({old} UNION ALL SELECT {NEW}.*)"


def _dialect(compiler: type[_Policies]) -> Dialect:
    kind = type(
        "_PolicyDialect", (PGDialect_asyncpg,), {"statement_compiler": compiler, "supports_statement_cache": True}
    )
    found: Any = kind(paramstyle="named")
    # Inside a policy its table has no schema, and other tables get their names from _name_of.
    found.identifier_preparer.schema_for_object = lambda _: None
    return found  # type: ignore[no-any-return]  # SQLAlchemy's own constructor


BEFORE: Final = _dialect(_Policies)
"""Rows as they are when the statement begins."""
AFTER: Final = _dialect(_PoliciesAfter)
"""As the row will be; only inside a query that has it under the alias `NEW`."""


def text_of(fragment: Sql) -> str:
    """A fragment as SQL text: the caller's values from the settings, constants written out.

    Raises:
        DeclarationError: a constant of a type that has no form as text.
    """
    return "".join([part if isinstance(part, str) else _value(part) for part in fragment.parts])


def _value(param: Param) -> str:
    if param.name is None:
        return literal(param.value) + param.cast
    if param.name.startswith(ME_ATTRIBUTE):
        return attribute(param.name.removeprefix(ME_ATTRIBUTE)) + param.cast
    return {ME_ID: ID, NOW_NAME: NOW, TODAY_NAME: TODAY}[param.name] + param.cast


def literal(value: Any) -> str:
    """A constant of a rule, written out.

    Raises:
        DeclarationError: `rls-constant`.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return quoted_text(value)
        case int() | float() | decimal.Decimal():
            # In quotes, so that a sign does not bind to what is behind it.
            return str(value) if isinstance(value, int) and value >= 0 else f"'{value}'"
        case datetime.date() | datetime.time() | uuid.UUID():
            return f"'{value}'"
        case datetime.timedelta():
            return f"'{value.days} days {value.seconds} seconds {value.microseconds} microseconds'"
        case bytes():
            return f"E'\\\\x{value.hex()}'"
        case _:
            raise DeclarationError("rls-constant", repr(value), "A policy cannot hold a constant of this type.")


def quoted_text(value: str) -> str:
    """A text constant, whatever it holds; the server's way of reading backslashes does not matter."""
    escaped = value.replace("'", "''")
    return f"'{escaped}'" if "\\" not in escaped else "E'" + escaped.replace("\\", "\\\\") + "'"
