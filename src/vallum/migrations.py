"""The application's own tables: the whole of an Alembic environment (`migrations/env.py`).

    from app import Base
    from vallum.migrations import run

    run(Base.metadata)

Needs Alembic (the extra `migrations`). Vallum's own tables have `vallum db migrate`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from alembic import context
from alembic.runtime.migration import MigrationInfo
from alembic.util import CommandError, msg
from sqlalchemy import URL, Connection, MetaData, create_engine, event, text
from sqlalchemy.pool import NullPool

from vallum.declare.dialect import DialectName
from vallum.errors import OperatorError
from vallum.serve.alone import alone
from vallum.serve.database import address_of, dialect_of
from vallum.serve.engine import postgres_engine
from vallum.serve.files import database_file
from vallum.serve.settings import load
from vallum.store.errors import StoreError
from vallum.store.postgres_address import Address
from vallum.store.sqlite_file import check_file

OURS: Final = "vallum_"
_LOCK: Final = text("SELECT pg_advisory_lock(-1171286580971793758)")
"""Of the session, so that a migration may end its transaction (`autocommit_block`); not that of `store.migrations`."""


def run(metadata: MetaData) -> None:
    """Do what the command `alembic` asks for, on the database of Vallum's settings.

    Vallum's own tables are left out of every comparison. On SQLite all steps are one transaction, no server may run
    meanwhile, and no reference may be broken in the end; on PostgreSQL two of these wait for each other.

    Raises:
        CommandError: the database cannot be used, or is being served (SQLite). Alembic tells this kind in a line, and any
            other with a traceback.
    """
    try:
        _run_on_settings(metadata)
    except OperatorError as error:
        raise CommandError(f"{error.identifier} ({error.place}): {error.mend}") from error


def _run_on_settings(metadata: MetaData) -> None:
    settings = load()
    if context.is_offline_mode():
        _run_offline(metadata, dialect_of(settings.database))
        return
    address = address_of(settings)
    if address is not None:
        asyncio.run(_run_on_postgresql(metadata, address))
        return
    path = database_file(settings.data, dev=settings.dev)
    with alone(settings.data):
        _run_on_sqlite(metadata, path)


def _run_on_sqlite(metadata: MetaData, path: Path) -> None:
    check_file(path)
    # Foreign keys stay unchecked until the end: a table is changed by making it anew, and the old one is dropped.
    engine = create_engine(URL.create("sqlite", database=str(path.resolve())), poolclass=NullPool)
    event.listen(engine, "connect", _without_autocommit)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection, connection.begin():
        _run(connection, metadata)
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            mend = "Rows of it would refer to rows that are gone; nothing is changed. Mend them in the migration."
            raise StoreError("migration-references", str(broken[0][0]), mend)


def _without_autocommit(connection: Any, _: object) -> None:
    """Python's sqlite3 would commit before each change of a table."""
    connection.isolation_level = None


async def _run_on_postgresql(metadata: MetaData, address: Address) -> None:
    async with postgres_engine(address).connect() as connection:
        await connection.execute(_LOCK)
        await connection.commit()
        await connection.run_sync(_run, metadata)


def _run(connection: Connection, metadata: MetaData) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=_is_the_application_s,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        on_version_apply=_told,
    )
    with context.begin_transaction():
        context.run_migrations()


def _told(ctx: object, step: MigrationInfo, heads: object, run_args: object) -> None:  # noqa: ARG001  # Alembic's
    """What is done, in Alembic's words; its own log is set up by the environment that this one replaces."""
    word = "stamp" if step.is_stamp else "upgrade" if step.is_upgrade else "downgrade"
    source, target = (", ".join(found) for found in (step.source_revision_ids, step.destination_revision_ids))
    msg(f"Running {word} {source} -> {target}", **context.config.messaging_opts)


def _run_offline(metadata: MetaData, dialect: DialectName) -> None:
    """Write the SQL instead."""
    context.configure(dialect_name=dialect, target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def _is_the_application_s(name: str | None, kind: str, _: object) -> bool:
    return not (kind == "table" and (name or "").startswith(OURS))
