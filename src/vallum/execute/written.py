"""The columns that a write gives values to: the body's, the server's, and the model's own defaults."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.sql.base import SchemaEventTarget
from sqlalchemy.sql.schema import CallableColumnDefault, ColumnElementColumnDefault, ScalarElementColumnDefault

from vallum.authorise.rights import Grant
from vallum.declare.dialect import DialectName
from vallum.declare.policy import ME_ATTRIBUTE
from vallum.declare.resource import Resource
from vallum.execute.shape import column_name, value_param
from vallum.store.sql import Sql, sql, value_sql

NEW: Final = "new_"
"""Request values of the body: `new_<field>`."""
MADE: Final = "made_"
"""Values of Python-side defaults: `made_<field>`."""

Assignment = tuple[str, Sql]
"""(column name in SQL, its value)."""


def body_assignments(resource: Resource, names: Sequence[str], dialect: DialectName) -> list[Assignment]:
    """The client's fields."""
    return [
        (column_name(resource.fields[n], dialect), sql(value_param(resource.fields[n], f"{NEW}{n}", dialect)))
        for n in names
    ]


def written_by(grants: Sequence[Grant]) -> dict[str, Grant]:
    """Which grant's `set=` gives a field its value: the first that names it."""
    found: dict[str, Grant] = {}
    for grant in grants:
        for name in grant.written:
            found.setdefault(name, grant)
    return found


def writing(grants: Sequence[Grant], body: Collection[str]) -> list[Grant]:
    """The grants whose `set=` writes into a row whose client gives the fields of `body`."""
    return [grant for name, grant in written_by(grants).items() if name not in body]


def new_row(
    resource: Resource, grants: Sequence[Grant], names: Sequence[str], dialect: DialectName
) -> tuple[list[Assignment], tuple[str, ...]]:
    """What an INSERT gives to its columns, and the names of those that :func:`made_values` makes."""
    written = {name: grant.written[name] for name, grant in written_by(grants).items()}
    given = body_assignments(resource, names, dialect) + server_assignments(resource, written, names, dialect)
    defaults, made = default_assignments(resource, [column for column, _ in given], dialect, update=False)
    return [*given, *defaults], made


def changed_row(
    resource: Resource, names: Sequence[str], dialect: DialectName
) -> tuple[list[Assignment], tuple[str, ...]]:
    """The same of an UPDATE."""
    given = body_assignments(resource, names, dialect)
    defaults, made = default_assignments(resource, [column for column, _ in given], dialect, update=True)
    return [*given, *defaults], made


def server_assignments(
    resource: Resource, written: Mapping[str, Sql], names: Sequence[str], dialect: DialectName
) -> list[Assignment]:
    """What the rules' `set=` writes into fields that the body does not have, and the tenant."""
    found = [
        (column_name(resource.fields[name], dialect), value) for name, value in written.items() if name not in names
    ]
    if resource.tenant is not None:
        column, attribute = resource.tenant
        field = resource.fields[column]
        found.append((column_name(field, dialect), sql(value_param(field, ME_ATTRIBUTE + attribute, dialect))))
    return found


def default_assignments(
    resource: Resource, taken: Sequence[str], dialect: DialectName, *, update: bool
) -> tuple[list[Assignment], tuple[str, ...]]:
    """The model's `default=` (or `onupdate=`) of columns that nobody else writes; the second part names those made by
    a Python function, whose values :func:`made_values` gives at each request.
    """
    found: list[Assignment] = []
    made: list[str] = []
    for name, field in resource.fields.items():
        default: SchemaEventTarget | None = None
        if field.column is not None:
            default = field.column.onupdate if update else field.column.default
        if default is None or field.column is None or column_name(field, dialect) in taken:
            continue
        if isinstance(default, ColumnElementColumnDefault):
            found.append((column_name(field, dialect), value_sql(default.arg, dialect)))
        elif isinstance(default, (CallableColumnDefault, ScalarElementColumnDefault)):
            found.append((column_name(field, dialect), sql(value_param(field, f"{MADE}{name}", dialect))))
            made.append(name)
    return found, tuple(made)


def made_values(resource: Resource, names: Sequence[str], *, update: bool) -> dict[str, Any]:
    """Call the Python-side defaults."""
    values: dict[str, Any] = {}
    for name in names:
        column = resource.fields[name].column
        default = None if column is None else (column.onupdate if update else column.default)
        if isinstance(default, CallableColumnDefault):
            # SQLAlchemy wraps every function to take its context; checks refuse those that really use it.
            values[f"{MADE}{name}"] = default.arg(None)  # type: ignore[arg-type]
        elif isinstance(default, ScalarElementColumnDefault):
            values[f"{MADE}{name}"] = default.arg
    return values
