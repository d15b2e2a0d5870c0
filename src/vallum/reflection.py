"""Models of a database that is there already: SQLAlchemy reads its tables over Vallum's own connection.

`connected(lambda connection: Base.prepare(autoload_with=connection, **options))`, with a Base of `automap_base()` and
`options = {"generate_relationship": related, "name_for_scalar_relationship": named}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, ForeignKeyConstraint, create_engine, text
from sqlalchemy.ext.automap import generate_relationship
from sqlalchemy.pool import NullPool

from vallum.serve.database import address_of
from vallum.serve.engine import postgres_engine
from vallum.serve.files import DATABASE_FILE
from vallum.serve.settings import of_command
from vallum.store.errors import StoreError
from vallum.store.postgres_address import Address

T = TypeVar("T")

_READS: Final = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"


def connected(work: Callable[[Connection], T]) -> T:
    """Call `work` with a connection to the database of Vallum's settings (of the running command, or as a command
    without flags would find them), and return what it returns. Nothing can be written over it.

    Raises:
        SettingsError, StoreError: there is no database, or it cannot be used.
    """
    settings = of_command()
    address = address_of(settings)
    if address is None:
        return _on_sqlite(settings.data / DATABASE_FILE, work)
    # In a thread of its own: an application may be imported where an event loop is running.
    with ThreadPoolExecutor(1, thread_name_prefix="vallum-reflection") as thread:
        return thread.submit(asyncio.run, _on_postgresql(address, work)).result()


def related(*arguments: Any, **options: Any) -> Any:
    """For `generate_relationship` of automap: its relationships without the cascades that the ORM alone carries out, which
    Vallum refuses (`model-cascade`). What the database does by ON DELETE stays.
    """
    kept = {name: value for name, value in options.items() if name not in {"cascade", "passive_deletes"}}
    return generate_relationship(*arguments, **kept)


def named(_base: type[Any], _local: type[Any], referred: type[Any], constraint: ForeignKeyConstraint) -> str:
    """For `name_for_scalar_relationship` of automap: the name of the table that is referred to, as automap has it, with a `_`
    behind it where a column has that name (`artist INTEGER REFERENCES artist`: `Album.artist_` is the row, `Album.artist` its key).
    """
    name = referred.__name__.lower()
    taken = constraint.table.columns.keys()
    while name in taken:
        name += "_"
    return name


def _on_sqlite(path: Path, work: Callable[[Connection], T]) -> T:
    if not path.is_file():
        raise StoreError("database-missing", str(path), "Put the existing database there, for its owner alone.")
    readable = {"mode": "ro", "uri": "true"}
    engine = create_engine(URL.create("sqlite", database=path.resolve().as_uri(), query=readable), poolclass=NullPool)
    with engine.connect() as connection:
        return work(connection)


async def _on_postgresql(address: Address, work: Callable[[Connection], T]) -> T:
    async with postgres_engine(address).connect() as connection:
        await connection.execute(text(_READS))
        await connection.commit()
        return await connection.run_sync(work)
