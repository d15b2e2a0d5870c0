"""The data: a School on one store, the statements that Vallum runs on it, and tokens for its teacher."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final, final

from sqlalchemy import insert
from sqlalchemy.orm import Session

from benchmarks.school_app import PLAN, api
from school.models import Student
from school.seed import fill
from vallum.declare.app import API
from vallum.serve.create import create_database
from vallum.serve.database import command_database, dialect_of
from vallum.serve.files import DATABASE_FILE
from vallum.store import principals
from vallum.store.ports import Row, Statement
from vallum.store.postgres_address import parse
from vallum.testing import Client

CALLER: Final = "teacher-17"
LIST: Final = "/students"
ITEM: Final = "/students/401"
"""A student of that teacher's class."""
STATEMENTS_FILE: Final = "statements.json"
TOKEN_SECONDS: Final = 900

FOREIGN_CLASS: Final = 1
"""Not that teacher's."""
SPARSE: Final = range(20_001, 30_001, 2)
"""Further students, in the foreign class: of the numbers between them none exists. `parts/visibility.py` asks for both."""


@final
@dataclasses.dataclass(frozen=True, slots=True)
class School:
    """A data directory that can be served.

    Attributes:
        database: URL of the PostgreSQL database; None for SQLite.
        statements: path → (SQL, arguments), as Vallum runs them for the teacher.
    """

    data: Path
    database: str | None
    statements: dict[str, tuple[str, list[Any]]]

    @property
    def file(self) -> Path:
        """SQLite's."""
        return self.data / DATABASE_FILE

    def token(self, origin: str) -> str:
        """An access token of the teacher for the service at `origin`."""
        return token(api, CALLER, self.data, self.database, origin)


@final
class Recorder:
    """A database that notes the statement it is asked for last."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.last = Statement("", ())

    async def read(self, statement: Statement) -> list[Row]:
        """Run it."""
        self.last = statement
        rows: list[Row] = await self._database.read(statement)
        return rows


def school(data: Path, database: str | None) -> School:
    """Make it, and write down what Vallum runs there."""
    address = None if database is None else parse(database)
    create_database(api, data, now=time.time(), seeders=(fill, _sparse), address=address)
    with command_database(address, data) as opened:
        opened.write(principals.alter(CALLER, dialect_of(address), plan=PLAN))
    statements = {}
    with recording(api, CALLER, data, database) as (client, recorder):
        for path in (LIST, ITEM):
            if client.get(path).status_code != 200:
                raise SystemExit(f"{CALLER} cannot read {path}")
            statements[path] = (recorder.last.text, list(recorder.last.arguments))
    (data / STATEMENTS_FILE).write_text(json.dumps(statements))
    return School(data, database, statements)


@contextmanager
def recording(api: API, caller: str, data: Path, database: str | None) -> Iterator[tuple[Client, Recorder]]:
    """A client in this process, and what notes its statements."""
    with Client(api, as_=caller, data=data, database=database) as client:
        recorder = Recorder(client.service.database)
        reads: Any = recorder  # nothing else is asked of it here
        pipeline = client.service.pipeline
        execution = dataclasses.replace(pipeline.execution, database=reads)
        client.service.pipeline = dataclasses.replace(pipeline, execution=execution)
        yield client, recorder


def token(api: API, caller: str, data: Path, database: str | None, origin: str) -> str:
    """An access token for the service at `origin`, which is another address than a test client's."""
    with Client(api, as_=caller, data=data, database=database) as client:
        issued = client.service.keyring.issue(caller, issuer=origin, audience=origin, lifetime_seconds=TOKEN_SECONDS)
        found: str = client._running.run(issued)  # noqa: SLF001  # the event loop of the client's service
    return found


def _sparse(db: Session) -> None:
    rows = [
        {"id": number, "name": "Ada Berg", "born": date(2015, 1, 1), "classroom_id": FOREIGN_CLASS} for number in SPARSE
    ]
    db.execute(insert(Student), rows)
