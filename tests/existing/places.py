"""The trading house in a database of its own, as another program has left it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine
from tests.existing.app import HERE

from tests import stores
from vallum.serve.engine import postgres_engine
from vallum.serve.files import DATABASE_FILE
from vallum.store.postgres_address import parse

T = TypeVar("T")


def make(data: Path, store: str, more: str = "") -> None:
    """The other program's database, and a data directory with nothing in it but the way there.

    Args:
        more: SQL, after that of the file.
    """
    data.mkdir(mode=0o700, parents=True)
    text = (HERE / f"{store}.sql").read_text(encoding="utf-8") + more
    if store == stores.SQLITE:
        path = data / DATABASE_FILE
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(text)
        path.chmod(0o600)
        return
    name = stores.server().database()
    stores.server().script(name, text)
    (data / stores.URL_FILE).write_text(stores.server().url(name))


def reflected(data: Path, work: Callable[[Connection], T]) -> T:
    """What `work` reads from the database."""
    url = stores.database_of(data)
    if url is None:
        with create_engine(f"sqlite:///{data / DATABASE_FILE}").connect() as connection:
            return work(connection)

    async def read() -> T:
        async with postgres_engine(parse(url)).connect() as connection:
            return await connection.run_sync(work)

    return asyncio.run(read())
