"""What row-level security lets a caller see and write, asked of a real PostgreSQL.

The policies are there inside one transaction, which is undone in the end; so is each write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, final

import asyncpg
from sqlalchemy import Column

from vallum.authorise.evaluator import CallerValues
from vallum.declare.app import API
from vallum.declare.resource import Resource
from vallum.row_security import identity as settings
from vallum.row_security.install import installation
from vallum.store.sql import cast, converter, quoted, table_sql

ROLE: Final = "vallum_test_reader"
MAKE_ROLE: Final = f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN CREATE ROLE {ROLE} LOGIN; END IF; END $$"
Row = Mapping[str, Any]
Key = tuple[Any, ...]


@final
class Native:
    """An API's policies on a connection, for one caller at a time. Rows are by column key, with Python values."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def become(self, caller: CallerValues | None) -> None:
        """Ask for this caller from now on; None for nobody, which is less than a caller without credential."""
        await self.connection.execute(f"RESET ROLE; SET LOCAL ROLE {ROLE}")
        if caller is None:
            await self.connection.execute(f"RESET {settings.ME_ROLES_SETTING}")
        else:
            said = settings.identity(caller.id, caller.roles, caller.attributes)
            await self.connection.fetch(said.text, *said.arguments)

    async def seen(self, resource: Resource) -> set[Key]:
        """The keys of the rows that SELECT shows."""
        keys = ", ".join(_name(column) for column in resource.table.primary_key)
        return {tuple(row) for row in await self.connection.fetch(f"SELECT {keys} FROM {_table(resource)}")}

    async def creates(self, resource: Resource, row: Row) -> bool | None:
        """Whether INSERT lets the row in; None when a constraint said no."""
        columns = [column for column in resource.table.columns if column.key in row]
        values = [row[column.key] for column in columns]
        names = ", ".join(_name(column) for column in columns)
        marks = ", ".join(f"${n}{cast(column.type, 'postgresql')}" for n, column in enumerate(columns, 1))
        return await self._written(f"INSERT INTO {_table(resource)} ({names}) VALUES ({marks})", columns, values)

    async def changes(self, resource: Resource, key: Row, values: Row) -> bool | None:
        """Whether UPDATE of one row does it. PostgreSQL itself asks that the row can be seen afterwards."""
        set_ = [column for column in resource.table.columns if column.key in values]
        assigned = ", ".join(
            f"{_name(column)} = ${n}{cast(column.type, 'postgresql')}" for n, column in enumerate(set_, 1)
        )
        given = [values[column.key] for column in set_]
        where, keys, found = _where(resource, key, len(set_))
        text = f"UPDATE {_table(resource)} SET {assigned} WHERE {where}"
        return await self._written(text, [*set_, *keys], [*given, *found])

    async def removes(self, resource: Resource, key: Row) -> bool | None:
        """Whether DELETE of one row does it."""
        where, keys, found = _where(resource, key, 0)
        return await self._written(f"DELETE FROM {_table(resource)} WHERE {where}", keys, found)

    async def _written(self, text: str, columns: Iterable[Column[Any]], values: Iterable[Any]) -> bool | None:
        arguments = [driver_value(column, value) for column, value in zip(columns, values, strict=True)]
        attempt = self.connection.transaction()
        await attempt.start()
        try:
            return bool((await self.connection.execute(text, *arguments)).split()[-1] == "1")
        except asyncpg.InsufficientPrivilegeError:
            return False
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
            return None
        finally:
            await attempt.rollback()


@asynccontextmanager
async def native(connection: Any, api: API, now: datetime | None = None) -> AsyncIterator[Native]:
    """The policies of `api` on a connection of the tables' owner.

    Args:
        now: what the rules take for the present; PostgreSQL's own when it is None.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL client_min_messages = warning")
        for statement in installation(api, ROLE).statements:
            try:
                await connection.execute(_at(statement, now))
            except asyncpg.PostgresError as error:
                error.add_note(statement)
                raise
        # The policies alone: a column that no rule grants could not be named, and so not be tried.
        for resource in api.resources.values():
            await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {_table(resource)} TO {ROLE}")
        yield Native(connection)
    finally:
        await transaction.rollback()


def key_of(resource: Resource, row: Row) -> Key:
    """A row's key as :meth:`Native.seen` gives it."""
    return tuple(driver_value(column, row[column.key]) for column in resource.table.primary_key)


def driver_value(column: Column[Any], value: Any) -> Any:
    """As asyncpg takes it."""
    convert = converter(column.type, "postgresql")
    return value if convert is None or value is None else convert(value)


def _at(statement: str, now: datetime | None) -> str:
    if now is None:
        return statement
    instant, day = f"TIMESTAMPTZ '{now.isoformat()}'", f"DATE '{now.date()}'"
    return statement.replace(settings.NOW, instant).replace(settings.TODAY, day)


def _where(resource: Resource, key: Row, after: int) -> tuple[str, list[Column[Any]], list[Any]]:
    columns = list(resource.table.primary_key)
    terms = [f"{_name(column)} = ${n}{cast(column.type, 'postgresql')}" for n, column in enumerate(columns, after + 1)]
    return " AND ".join(terms), columns, [key[column.key] for column in columns]


def _table(resource: Resource) -> str:
    return table_sql(resource.table, "postgresql")


def _name(column: Column[Any]) -> str:
    return quoted(column.name, "postgresql")
