"""`python -m benchmarks.bare DATA PORT [DATABASE]` serves the School's pages as a handler that checks nothing.

It looks the path up, runs the statement that Vallum runs there, with the same arguments, and sends the rows. It is on the
same granian options and TLS as Vallum.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

import asyncpg
from granian import Granian

from benchmarks.filled import STATEMENTS_FILE
from benchmarks.served import settings_of
from vallum import defaults
from vallum.serve import run
from vallum.serve.files import DATABASE_FILE

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Statements = Mapping[str, tuple[str, list[Any]]]
"""Path → (SQL, arguments) whose first row is a header and whose other rows begin with JSON."""


class Bare(ABC):
    """An ASGI application that answers from the database and asks nobody."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            await receive()
            await self.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
        rows = await self.rows(*self._statements[scope["path"]])
        body = f'{{"items":[{",".join([row[0] for row in rows[1:11]])}]}}'.encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    @abstractmethod
    async def start(self) -> None:
        """Connect."""

    @abstractmethod
    async def stop(self) -> None:
        """Disconnect."""

    @abstractmethod
    async def rows(self, text: str, arguments: list[Any]) -> Sequence[Any]:
        """Of one statement."""


@final
class BareSqlite(Bare):
    """One connection, read inline."""

    def __init__(self, path: Path, statements: Statements) -> None:
        super().__init__(statements)
        self._path = path

    async def start(self) -> None:
        """Connect."""
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._cursor = self._connection.cursor()

    async def stop(self) -> None:
        """Disconnect."""
        self._connection.close()

    async def rows(self, text: str, arguments: list[Any]) -> Sequence[Any]:
        """Of one statement."""
        return self._cursor.execute(text, arguments).fetchall()


@final
class BarePostgres(Bare):
    """asyncpg's own pool, as large as Vallum's and, like it, without the reset after each use, which is slower."""

    def __init__(self, url: str, statements: Statements) -> None:
        super().__init__(statements)
        self._url = url

    async def start(self) -> None:
        """Connect."""
        size = defaults.POSTGRES_CONNECTIONS
        self._pool = await asyncpg.create_pool(
            self._url, min_size=size, max_size=size, reset=_nothing, server_settings={"jit": "off"}
        )

    async def stop(self) -> None:
        """Disconnect."""
        await self._pool.close()

    async def rows(self, text: str, arguments: list[Any]) -> Sequence[Any]:
        """Of one statement; asyncpg prepares it once a connection."""
        found: Sequence[Any] = await self._pool.fetch(text, *arguments)
        return found


async def _nothing(_: Any) -> None:
    """In place of asyncpg's reset."""


def main() -> None:
    """Until SIGTERM."""
    folder, port, *database = sys.argv[1:]
    data = Path(folder)
    statements = json.loads((data / STATEMENTS_FILE).read_text())
    make = partial(BarePostgres, *database) if database else partial(BareSqlite, data / DATABASE_FILE)
    settings = settings_of("benchmarks.school_app:api", data, int(port), None)
    server: Any = Granian(**run.options(settings, run.tls_files(settings, time.time())))
    server.serve(target_loader=partial(make, statements), wrap_loader=False)


if __name__ == "__main__":
    main()
