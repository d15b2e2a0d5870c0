"""Vallum's own tables through its versions. The application's tables are its own affair after `db create`.

A step is a function of a SQLAlchemy connection, run in one transaction with the new version number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, MetaData, insert, inspect, select, text, update
from sqlalchemy.orm import Session

from vallum.store.errors import StoreError
from vallum.store.guards import guard
from vallum.store.ports import Script, WithSession
from vallum.store.schema import CLIENT_TABLES, METADATA, api_key, audit, audit_segment, idempotency, mark, meta, nonce

VERSION: Final = 7
"""Of the tables in `schema`."""

Step = Callable[[Connection], None]


def _audit_api_key(connection: Connection) -> None:
    connection.execute(text(f"ALTER TABLE {audit.name} ADD COLUMN api_key TEXT"))


def _chained_audit(connection: Connection) -> None:
    """Segments, and an audit whose rows retention may remove."""
    audit_segment.create(connection)
    guard(audit, connection)


def _clients(connection: Connection) -> None:
    for table in CLIENT_TABLES:
        table.create(connection)


STEPS: Final[Mapping[int, Step]] = {
    1: api_key.create,
    2: idempotency.create,
    3: _audit_api_key,
    4: _chained_audit,
    5: _clients,
    6: partial(METADATA.create_all, tables=[mark, nonce]),
}
"""From version n to n + 1, by n. The step that changes a table for the first time writes the former shape out here."""

_SCHEMA: Final = "schema"


def version() -> Script[int | None]:
    """The version in the database; None when Vallum's tables are not there."""

    def ask(session: Session) -> int | None:
        if not inspect(session.connection()).has_table(meta.name):
            return None
        return int(session.execute(select(meta.c.value).where(meta.c.key == _SCHEMA)).scalar_one())

    found: int | None = yield WithSession(ask)
    return found


def check(found: int | None, place: str, present: int = VERSION) -> None:
    """Refuse to serve a database of another version.

    Raises:
        StoreError: `schema-missing`, `schema-old`, `schema-new`.
    """
    if found is None:
        raise StoreError("schema-missing", place, "Make Vallum's tables with `vallum db create`.")
    if found < present:
        raise StoreError("schema-old", place, "Run `vallum db migrate`.")
    if found > present:
        raise StoreError("schema-new", place, f"A newer Vallum wrote it (schema {found}): use that one.")


def create(application: Iterable[MetaData] = ()) -> Callable[[], Script[None]]:
    """Make Vallum's tables and those of the application.

    Raises:
        StoreError: `schema-exists`.
    """
    metadatas = (METADATA, *application)

    def make(session: Session) -> None:
        connection = session.connection()
        if inspect(connection).has_table(meta.name):
            raise StoreError("schema-exists", meta.name, "Use another place, or `vallum db migrate`.")
        for metadata in metadatas:
            metadata.create_all(connection)
        connection.execute(insert(meta).values(key=_SCHEMA, value=str(VERSION)))

    def script() -> Script[None]:
        yield WithSession(make)

    return script


def migrate(steps: Mapping[int, Step] = STEPS, present: int = VERSION) -> Callable[[], Script[tuple[int, int]]]:
    """Bring Vallum's tables to the present version; returns the version before and after.

    Raises:
        StoreError: `schema-missing`, `schema-new`; nothing is changed then.
    """

    def script() -> Script[tuple[int, int]]:
        found = yield from version()
        if found is None or found > present:
            check(found, meta.name, present)
        before = int(found or 0)
        for number in range(before, present):
            yield WithSession(_stepping(steps[number], number + 1))
        return before, present

    return script


def _stepping(step: Step, reached: int) -> Callable[[Any], None]:
    def work(session: Session) -> None:
        step(session.connection())
        session.execute(update(meta).where(meta.c.key == _SCHEMA).values(value=str(reached)))

    return work
