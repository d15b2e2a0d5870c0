"""The two servers that are compared. Each is a process of its own, on the same granian options, TLS and file.

`python served.py vallum DATA PORT` serves the School with every check on and the log written.
`python served.py bare DATA PORT` serves the same pages as a handler that checks nothing: it looks the path up, runs
the statement that Vallum runs there, with the same arguments, and sends the rows.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from granian import Granian

from vallum import Plan
from vallum.declare.app import API
from vallum.serve import run
from vallum.serve.files import DATABASE_FILE
from vallum.serve.settings import Settings, load

SCHOOL: Final = Path(__file__).resolve().parent.parent / "examples" / "school"
PLAN: Final = "bench"
UNREACHED: Final = 999_999_999
"""Of the plan: counted and compared at every request, never met."""
ADDRESS_UNREACHED: Final = 500_000
"""Requests a second of one network address, likewise."""
STATEMENTS_FILE: Final = "statements.json"

Message = Mapping[str, Any]


def school() -> API:
    """The School, with one more plan."""
    sys.path.insert(0, str(SCHOOL))
    from school import api  # noqa: PLC0415  # an example is not installed

    found: API = api
    found.plans = {**found.plans, PLAN: Plan(burst=f"{UNREACHED}/s", hour=UNREACHED, day=UNREACHED)}
    return found


api: Final = school()


def settings_of(data: Path, port: int) -> Settings:
    """Of both servers."""
    return load(
        {
            "app": "served:api",
            "data": data,
            "dev": True,
            "port": port,
            "ops_port": 0,
            "log_format": "json",
            "address_per_second": ADDRESS_UNREACHED,
            "address_burst": ADDRESS_UNREACHED,
        }
    )


@final
class Bare:
    """An ASGI application that answers from the database and asks nobody.

    Args:
        statements: path → (SQL, arguments) whose first row is a header and whose other rows begin with JSON.
    """

    def __init__(self, path: Path, statements: Mapping[str, tuple[str, list[Any]]]) -> None:
        self._path = path
        self._statements = statements

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        text, arguments = self._statements[scope["path"]]
        rows = self._cursor.execute(text, arguments).fetchall()
        body = f'{{"items":[{",".join([row[0] for row in rows[1:11]])}]}}'.encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await receive()
        connection = sqlite3.connect(self._path, isolation_level=None)
        self._cursor = connection.cursor()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        connection.close()
        await send({"type": "lifespan.shutdown.complete"})


def serve_bare(settings: Settings) -> None:
    """Until SIGTERM."""
    statements = json.loads((settings.data / STATEMENTS_FILE).read_text())
    server: Any = Granian(**run.options(settings, run.tls_files(settings, time.time())))
    server.serve(target_loader=partial(Bare, settings.data / DATABASE_FILE, statements), wrap_loader=False)


def main() -> None:
    """Serve what the first argument names."""
    _, which, data, port = sys.argv
    settings = settings_of(Path(data), int(port))
    if which == "bare":
        serve_bare(settings)
    else:
        run.serve(settings, lambda: None)


if __name__ == "__main__":
    main()
