"""`include` of rows with long texts: a page ends by its bytes, as a list does, and nothing is read for what is cut away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import ForeignKey, Integer, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests import stores
from vallum import API, READ, Plan, allow
from vallum.declare.width import may_exceed_page
from vallum.defaults import MAX_WIDE_INCLUDES, PAGE_BYTES
from vallum.store.ports import WIDE, Statement
from vallum.testing import Client

LONG: Final = PAGE_BYTES // 8
"""Bytes of a long text: as much as can be stored through the API."""
PAPERS: Final = 12


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(Text)
    papers: Mapped[list[Paper]] = relationship(back_populates="shelf")


class Paper(Base):
    __tablename__ = "papers"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id"), index=True)
    public: Mapped[bool]
    body: Mapped[str] = mapped_column(Text)
    shelf: Mapped[Shelf] = relationship(back_populates="papers")


api: Final = API("Papers", roles=["reader", "glancer"], plans={"default": Plan(burst="100000/s")})
api.accounts.add("rita", roles=["reader"])
api.accounts.add("gil", roles=["glancer"])
api.resource(Shelf, allow("reader", READ), allow("glancer", READ))
api.resource(
    Paper,
    allow("reader", READ),
    allow("glancer", READ, fields=["id", "shelf_id", "public"]),
    allow("glancer", READ, where=Paper.public.is_(True)),
)


def seed(db: Session) -> None:
    """Two shelves, all of whose papers are long."""
    db.add_all([Shelf(id=n, label="s" * LONG) for n in (1, 2)])
    db.flush()
    for number in range(2 * PAPERS):
        body = "p" * (LONG if number else 1)
        db.add(Paper(id=number + 1, shelf_id=number // PAPERS + 1, public=number % PAPERS == 2, body=body))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    data = tmp_path_factory.mktemp("papers") / "data"
    stores.create(api, data, seed=seed, store=store)
    return data


@pytest.fixture(scope="module")
def rita(filled: Path) -> Iterator[Client]:
    with stores.client(api, "rita", filled) as client:
        yield client


def got(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[:300]
    return answer.json()


def test_an_included_page_ends_where_its_bytes_do(rita: Client) -> None:
    """Before it has more than 4 MiB; the pages that follow have each row once, whole."""
    seen, sizes, address = [], [], "/shelves/1?include=papers"
    while address is not None:
        page = got(rita, address)["papers"]
        sizes.append(len(page["items"]))
        assert len(json.dumps(page["items"])) < PAGE_BYTES + PAPERS * 100
        seen += [(row["id"], len(row["body"])) for row in page["items"]]
        address = page["next"]
    assert sizes == [8, 4]
    assert seen == [(n + 1, LONG if n else 1) for n in range(PAPERS)]


def test_pages_of_one_answer_share_its_bytes(rita: Client) -> None:
    """There may be ten of papers in the papers: each has a tenth, and one row at least."""
    answer = rita.get("/shelves/1?include=papers.shelf.papers")
    papers = answer.json()["papers"]["items"]
    assert [len(row["shelf"]["papers"]["items"]) for row in papers] == [1] * 8
    assert all(row["shelf"]["papers"]["next"] for row in papers)
    assert len(answer.content) < 3.1 * PAGE_BYTES


def test_pages_inside_a_list_share_by_its_limit(rita: Client) -> None:
    """A list of two may have a list behind it, so its rows have a third each: three rows of half a megabyte, or two."""
    (first, second) = got(rita, "/shelves?include=papers&limit=2")["items"]
    assert [len(row["papers"]["items"]) for row in (first, second)] == [3, 2]
    assert next(row["id"] for row in got(rita, second["papers"]["next"])["papers"]["items"]) == PAPERS + 3


def test_what_is_hidden_ends_no_page(filled: Path) -> None:
    """A page goes by what its caller sees of it: the lengths of hidden texts are not told by it."""
    with stores.client(api, "gil", filled) as gil:
        page = got(gil, "/shelves?include=papers&limit=2")["items"][0]["papers"]
    assert [row["body"] and len(row["body"]) for row in page["items"]] == [None] * 2 + [LONG] + [None] * 7
    assert page["next"] is not None


def test_places_of_long_texts_are_bounded(rita: Client) -> None:
    """Each may hold a megabyte, whatever the share: more than so many are refused before anything is read."""
    limit = MAX_WIDE_INCLUDES // 11
    assert rita.get(f"/shelves?include=papers.shelf&limit={limit}&fields=id").status_code == 200
    (fault,) = rita.get(f"/shelves?include=papers.shelf&limit={limit + 1}").json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("#query/include", "too_many")
    assert f"{MAX_WIDE_INCLUDES} places, and here in {11 * (limit + 1)}" in fault["detail"]


@pytest.mark.parametrize(
    ("path", "wide"),
    [("/shelves/1?include=papers", True), ("/shelves?include=papers&limit=1", True), ("/shelves/1", False)],
)
def test_such_a_read_says_so(filled: Path, monkeypatch: pytest.MonkeyPatch, path: str, wide: bool) -> None:
    """By a name in its statement, so that SQLite does not begin it on the event loop."""
    asked: list[str] = []
    with stores.client(api, "rita", filled) as client:
        store = type(client.service.database)
        read = store.read

        async def noted(database: Any, statement: Statement) -> Any:
            asked.append(statement.text)
            return await read(database, statement)

        monkeypatch.setattr(store, "read", noted)
        got(client, path)
    assert (WIDE in asked[-1]) is wide


class Own(DeclarativeBase):
    """Tables whose rows are wide by their many columns, none of which is long."""


class Sensor(Own):
    __tablename__ = "sensors"

    id: Mapped[int] = mapped_column(primary_key=True)
    readings: Mapped[list[Reading]] = relationship()


NUMBERS: Final = {f"a_name_that_is_rather_long_for_a_column_{n:03}": mapped_column(Integer) for n in range(217)}


class Reading(Own):
    __tablename__ = "readings"

    id: Mapped[int] = mapped_column(primary_key=True)
    sensor_id: Mapped[int] = mapped_column(ForeignKey("sensors.id"), index=True)
    locals().update(NUMBERS)


@pytest.mark.stores("sqlite", "postgresql")
def test_rows_of_very_many_short_columns_are_included(tmp_path: Path, store: str) -> None:
    """They may be wide, and there is no column whose length would be asked for."""
    sensors = API("Sensors", roles=["reader"])
    sensors.accounts.add("rita", roles=["reader"])
    sensors.resource(Sensor, allow("reader", READ))
    assert may_exceed_page(sensors.resource(Reading, allow("reader", READ)), NUMBERS)

    def filled(db: Session) -> None:
        db.add(Sensor(id=1))
        db.flush()
        db.add_all([Reading(id=n, sensor_id=1, **dict.fromkeys(NUMBERS, n)) for n in range(12)])

    stores.create(sensors, tmp_path / "data", filled, store=store)
    with stores.client(sensors, "rita", tmp_path / "data") as client:
        page = got(client, "/sensors/1?include=readings")["readings"]
        assert [row["id"] for row in page["items"]] == [*range(10)]
        assert [row["id"] for row in got(client, page["next"])["readings"]["items"]] == [10, 11]
