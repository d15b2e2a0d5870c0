"""The JSON of a row, and of what is included in it, is built once: it is what a page costs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests import stores
from vallum import API, READ, allow
from vallum.serve.files import DATABASE_FILE
from vallum.store.ports import Statement
from vallum.store.sqlite_functions import add_functions
from vallum.testing import Client

SHELVES: Final = 3
PAPERS: Final = 10
"""On each shelf."""


class Base(DeclarativeBase):
    """The tables of these tests."""


class Shelf(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(Text)
    papers: Mapped[list[Paper]] = relationship(back_populates="shelf")


class Paper(Base):
    __tablename__ = "papers"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id"), index=True)
    size: Mapped[int]
    shelf: Mapped[Shelf] = relationship(back_populates="papers")


api: Final = API("Papers", roles=["reader"])
api.accounts.add("rita", roles=["reader"])
api.resource(Shelf, allow("reader", READ))
api.resource(Paper, allow("reader", READ))


def seed(db: Session) -> None:
    """As many papers on each shelf."""
    db.add_all([Shelf(id=n, label="s") for n in range(SHELVES)])
    db.flush()
    db.add_all([Paper(id=n, shelf_id=n % SHELVES, size=n) for n in range(SHELVES * PAPERS)])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    data = tmp_path_factory.mktemp("papers") / "data"
    stores.create(api, data, seed=seed, store=store)
    return data


@pytest.fixture
def asked(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Client, list[Statement]]]:
    """A client, and the statements that its requests read by."""
    seen: list[Statement] = []
    with stores.client(api, "rita", filled) as client:
        store = type(client.service.database)
        read = store.read

        async def noted(database: Any, statement: Statement) -> Any:
            seen.append(statement)
            return await read(database, statement)

        monkeypatch.setattr(store, "read", noted)
        yield client, seen


READS: Final = [
    ("/shelves", SHELVES, 0),
    ("/shelves?include=papers", SHELVES, SHELVES),
    ("/papers?include=shelf&limit=4", 5, 5),
    ("/shelves/1?include=papers", 1, 1),
]
"""An address, the rows that are read (of a page one more), and the rows that something is included in."""


@pytest.mark.stores("sqlite")  # where functions can be replaced by ones that count
@pytest.mark.parametrize(("path", "rows", "pages"), READS)
def test_each_object_is_made_once(
    filled: Path, asked: tuple[Client, list[Statement]], path: str, rows: int, pages: int
) -> None:
    """Of a list of wide rows, of a list or an item with what is included: no row is put into JSON a second time."""
    client, seen = asked
    assert client.get(path).status_code == 200
    made: list[str] = []

    def counted(*pairs: Any) -> str:
        made.append(json.dumps(dict(zip(pairs[::2], pairs[1::2], strict=True)), separators=(",", ":")))
        return made[-1]

    with closing(sqlite3.connect(filled / DATABASE_FILE)) as connection:
        add_functions(connection)
        connection.create_function("json_object", -1, counted)
        connection.execute(*seen[-1]).fetchall()
    assert len(made) == rows + pages * (PAPERS if "=papers" in path else 1)


@pytest.mark.stores("postgresql")  # whose plan says what it did how often
@pytest.mark.parametrize(("path", "rows", "pages"), READS)
def test_a_subquery_stands_in_one_place(
    filled: Path, asked: tuple[Client, list[Statement]], path: str, rows: int, pages: int
) -> None:
    """PostgreSQL writes one into each place that names it: what is included would be read anew in each of them."""
    client, seen = asked
    assert client.get(path).status_code == 200
    text, arguments = seen[-1]
    [(told,)] = stores.rows(filled, f"EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) {text}", *arguments)
    found = list(_loops(json.loads(told)[0]["Plan"]))
    included = "papers" if "=papers" in path else "shelves"
    assert sum(loops for name, loops in found if name == included) == pages or not pages
    objects = rows + pages * (PAPERS if included == "papers" else 1)
    assert sum(loops for name, loops in found if name.startswith("(row_to_json(")) == objects


def _loops(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The tables that are read, and what a subquery without one makes; each with how often."""
    if "Relation Name" in plan:
        yield plan["Relation Name"], plan["Actual Loops"]
    elif plan["Node Type"] == "Result":
        yield plan["Output"][0], plan["Actual Loops"]
    for below in plan.get("Plans", ()):
        yield from _loops(below)
