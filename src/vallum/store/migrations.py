"""Vallum's own tables through its versions. The application's tables are its own affair after `db create`.

A step is a function of a SQLAlchemy connection, run in one transaction with the new version number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, MetaData, insert, text, update
from sqlalchemy.orm import Session

from vallum.declare.dialect import DialectName
from vallum.store.errors import StoreError
from vallum.store.guards import guard
from vallum.store.ports import Script, Statement, WithSession
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


_THERE: Final[Mapping[DialectName, Statement]] = {
    "sqlite": Statement(f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{meta.name}'", ()),
    "postgresql": Statement(f"SELECT 1 WHERE to_regclass('{meta.name}') IS NOT NULL", ()),
}
_VERSION: Final = Statement(f"SELECT value FROM {meta.name} WHERE key = '{_SCHEMA}'", ())
_LOCK: Final = Statement("SELECT pg_advisory_xact_lock(-1171286580971793759)", ())
"""Of no other program: the first bytes of SHA-256 of `vallum`."""


def version(dialect: DialectName) -> Callable[[], Script[int | None]]:
    """The version in the database; None when Vallum's tables are not there."""

    def script() -> Script[int | None]:
        if not (yield _THERE[dialect]):
            return None
        rows = yield _VERSION
        return int(rows[0][0])

    return script


def _alone(dialect: DialectName) -> Script[None]:
    """Two nodes that begin at once make or migrate the tables once: the second waits, and finds them done."""
    if dialect == "postgresql":  # a writer of SQLite is alone
        yield _LOCK


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


def create(dialect: DialectName, application: Iterable[MetaData] = ()) -> Callable[[], Script[None]]:
    """Make Vallum's tables and those of the application.

    Raises:
        StoreError: `schema-exists`.
    """
    metadatas = (METADATA, *application)

    def make(session: Session) -> None:
        connection = session.connection()
        for metadata in metadatas:
            metadata.create_all(connection)
        connection.execute(insert(meta).values(key=_SCHEMA, value=str(VERSION)))

    def script() -> Script[None]:
        yield from _alone(dialect)
        if (yield _THERE[dialect]):
            raise StoreError("schema-exists", meta.name, "Use another place, or `vallum db migrate`.")
        yield WithSession(make)

    return script


def migrate(
    dialect: DialectName, steps: Mapping[int, Step] = STEPS, present: int = VERSION
) -> Callable[[], Script[tuple[int, int]]]:
    """Bring Vallum's tables to the present version; returns the version before and after.

    Raises:
        StoreError: `schema-missing`, `schema-new`; nothing is changed then.
    """

    def script() -> Script[tuple[int, int]]:
        yield from _alone(dialect)
        found = yield from version(dialect)()
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
