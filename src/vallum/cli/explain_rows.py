"""The rows that `vallum explain` looks at: the one that is asked about by its key, others when a rule names their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from sqlalchemy import Column, Table, select, types
from sqlalchemy.engine import Dialect

from vallum import defaults
from vallum.authorise.evaluator_select import Row
from vallum.authorise.evaluator_values import UnsupportedExpression
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.execute.frame import key_values
from vallum.execute.shape import key_condition
from vallum.store.ports import CommandDatabase, Statement
from vallum.store.sql import DIALECTS, render, sql
from vallum.validate.columns import parse_text

FLOAT8: Final = 701
NUMERIC: Final = 1700
"""Types of PostgreSQL (pg_type.h), which SQLAlchemy wants to know of numbers only."""


@final
class Rows(Sequence[Row]):
    """All rows of a table, read when a rule looks at them.

    Raises:
        UnsupportedExpression: `table-too-large` where there are more than `defaults.EXPLAINED_ROWS`: a condition on them is
            answered "unknown" instead of with the memory of a machine that may be serving.
    """

    def __init__(self, database: CommandDatabase, table: Table) -> None:
        self._database = database
        self._table = table
        self._read: list[Row] | None = None

    def __getitem__(self, index: Any) -> Any:
        return self._rows()[index]

    def __len__(self) -> int:
        return len(self._rows())

    def _rows(self) -> list[Row]:
        if self._read is None:
            most = defaults.EXPLAINED_ROWS
            text = f"{_select(self._table, self._database.dialect)} LIMIT {most + 1}"
            found = self._database.read(Statement(text, ()))
            if len(found) > most:
                raise UnsupportedExpression("table-too-large", f"{self._table.name} has more than {most:,} rows")
            self._read = _read(found, self._table, self._database.dialect)
        return self._read


def tables_of(api: API, database: CommandDatabase) -> Mapping[Table, Rows]:
    """Every table that a rule can name."""
    metadatas = {id(resource.table.metadata): resource.table.metadata for resource in api.resources.values()}
    return {table: Rows(database, table) for metadata in metadatas.values() for table in metadata.tables.values()}


def row_of(resource: Resource, keys: Sequence[str], database: CommandDatabase) -> Row | None:
    """The row with the key that stands in a path; None where there is none, or none can have it."""
    dialect = database.dialect
    try:
        key = [parse_text(resource.fields[name], text, "eq") for name, text in zip(resource.key, keys, strict=True)]
    except ValueError:
        return None
    statement = render(sql(f"{_select(resource.table, dialect)} WHERE ", key_condition(resource, dialect)), dialect)
    found = database.read(statement.bind(key_values(resource, tuple(key), dialect)))
    return next(iter(_read(found, resource.table, dialect)), None)


def _select(table: Table, dialect: DialectName) -> str:
    return str(select(table).compile(dialect=DIALECTS[dialect]))


def _read(found: Sequence[Sequence[Any]], table: Table, dialect: DialectName) -> list[Row]:
    """With the ORM's values by column key."""
    columns = list(table.columns)
    readers = [_reader(column, DIALECTS[dialect]) for column in columns]
    return [
        {column.key: read(value) for column, read, value in zip(columns, readers, row, strict=True)} for row in found
    ]


def _reader(column: Column[Any], dialect: Dialect) -> Any:
    """From the driver's value to the ORM's."""
    type_ = column.type
    oid = FLOAT8 if isinstance(type_, types.Float) else NUMERIC if isinstance(type_, types.Numeric) else None
    return type_.dialect_impl(dialect).result_processor(dialect, oid) or (lambda value: value)
