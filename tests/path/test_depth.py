"""A page far down a list is read like the first one, and a caller's rows are found wherever in the table they lie: counted
in what the database does, since time is the benchmark's.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, final

import pytest
from sqlalchemy import ForeignKey, Index, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests import stores
from vallum import API, READ, Plan, allow, me
from vallum.serve.files import DATABASE_FILE
from vallum.store.ports import Row, Statement
from vallum.testing import Client

ROWS: Final = 8_000
PAGES: Final = 40
"""Of a hundred rows, ahead of the one that is looked at."""
DAYS: Final = 4_000
GOAL: Final = 1.2
"""Times the work of page 1."""
BOOKS: Final = 200
LINES: Final = 40
"""Of each book, one book after the other."""


class Base(DeclarativeBase):
    pass


class Entry(Base):
    __tablename__ = "entries"
    __table_args__ = (
        Index("ix_entries_owner_id", "owner", "id"),
        Index("ix_entries_owner_day", "owner", "day", "id"),
        Index("ix_entries_owner_kind", "owner", "kind", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    day: Mapped[date]
    kind: Mapped[str]


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)


class Line(Base):
    __tablename__ = "lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"), index=True)
    text: Mapped[str]
    book: Mapped[Book] = relationship()


api: Final = API("Journal", roles=["reader"], plans={"default": Plan(burst="100000/s")})
for name in ("rita", "first", "last"):
    api.accounts.add(name, roles=["reader"])
api.resource(Entry, allow("reader", READ, where=Entry.owner == me.id), sorts=["day", "kind"])
api.resource(Line, allow("reader", READ, where=Line.book.has(Book.owner == me.id)))


@final
class Recorder:
    """A database that notes the statement it is asked for last."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.last = Statement("", ())

    async def read(self, statement: Statement) -> list[Row]:
        self.last = statement
        rows: list[Row] = await self._database.read(statement)
        return rows


def fill(db: Session) -> None:
    """Nine entries in ten are Rita's; two share a day, and all share their kind. The last book's lines are the last."""
    rows = [
        {
            "id": number,
            "owner": "sven" if number % 10 == 0 else "rita",
            "kind": "note",
            "day": date(2024, 1, 1) + timedelta(number * 7919 % DAYS),
        }
        for number in range(1, ROWS + 1)
    ]
    db.execute(insert(Entry), rows)
    owners = {1: "first", BOOKS: "last"}
    db.execute(insert(Book), [{"id": n, "owner": owners.get(n, f"owner-{n}")} for n in range(1, BOOKS + 1)])
    lines = [
        {"id": n * 1_000 + line, "book_id": n, "text": "a line"} for n in range(1, BOOKS + 1) for line in range(LINES)
    ]
    db.execute(insert(Line), lines)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    data = tmp_path_factory.mktemp("journal") / "data"
    stores.create(api, data, seed=fill, store=store)
    return data


@pytest.fixture
def recorded(journal: Path) -> Iterator[tuple[Client, Recorder]]:
    with recording(journal, "rita") as found:
        yield found


@contextmanager
def recording(journal: Path, caller: str) -> Iterator[tuple[Client, Recorder]]:
    with stores.client(api, caller, journal) as client:
        recorder = Recorder(client.service.database)
        reads: Any = recorder  # nothing else is asked of it here
        pipeline = client.service.pipeline
        execution = dataclasses.replace(pipeline.execution, database=reads)
        client.service.pipeline = dataclasses.replace(pipeline, execution=execution)
        yield client, recorder


def work(data: Path, statement: Statement) -> int:
    """Instructions of SQLite's virtual machine, or blocks that PostgreSQL looked at."""
    if stores.database_of(data) is not None:
        ((plan,),) = stores.rows(
            data, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}", *statement.arguments
        )
        found: int = (
            json.loads(plan)[0]["Plan"]["Shared Hit Blocks"] + json.loads(plan)[0]["Plan"]["Shared Read Blocks"]
        )
        return found
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with closing(sqlite3.connect(data / DATABASE_FILE)) as connection:
        connection.set_progress_handler(step, 1)
        connection.execute(statement.text, statement.arguments).fetchall()
    return steps


def first_and_far(recorded: tuple[Client, Recorder], data: Path, sort: str) -> tuple[int, int]:
    """The work of page 1, and that of the page behind 4,000 rows."""
    client, recorder = recorded
    assert client.get(f"/entries?limit=10{sort}").status_code == 200
    first = work(data, recorder.last)
    after = ""
    seen: set[int] = set()
    for _ in range(PAGES):
        page = client.get(f"/entries?limit=100{sort}{after}").json()
        seen.update(row["id"] for row in page["items"])
        after = f"&after={page['next']}"
    assert len(seen) == PAGES * 100
    assert len(client.get(f"/entries?limit=10{sort}{after}").json()["items"]) == 10
    return first, work(data, recorder.last)


@pytest.mark.stores("sqlite", "postgresql")
@pytest.mark.parametrize("sort", ["", "&sort=day", "&sort=-day"], ids=["key", "day", "day-downwards"])
def test_a_page_far_down_costs_the_database_what_page_1_costs(
    recorded: tuple[Client, Recorder], journal: Path, sort: str
) -> None:
    """By key and by a column with an index, in both directions, it is at most 1.2 times the work."""
    first, far = first_and_far(recorded, journal, sort)
    assert 0 < far <= first * GOAL


@pytest.mark.stores("sqlite", "postgresql")
def test_among_equal_values_only_postgresql_finds_the_place_at_once(
    recorded: tuple[Client, Recorder], journal: Path, store: str
) -> None:
    """SQLite passes over the equal ones ahead of the cursor, as docs/limitations.md says."""
    first, far = first_and_far(recorded, journal, "&sort=kind")
    assert (far <= first * GOAL) == (store == stores.POSTGRESQL)


@pytest.mark.stores("sqlite", "postgresql")
@pytest.mark.parametrize("limit", [1, 10, 25])
def test_a_callers_rows_are_found_wherever_they_lie(journal: Path, limit: int) -> None:
    """By the index that serves the rule, and not along the key past the rows of all others."""
    done = {}
    for caller in ("first", "last"):
        with recording(journal, caller) as (client, recorder):
            assert len(client.get(f"/lines?limit={limit}").json()["items"]) == limit
            done[caller] = work(journal, recorder.last)
    assert 0 < done["last"] <= done["first"] * GOAL
