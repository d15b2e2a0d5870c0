"""Constraints that an existing database checks at the commit: they refuse as those do that it checks with the statement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import ForeignKey, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Call, allow
from vallum.testing import Answer, Client


class Base(DeclarativeBase):
    """All tables."""


class Place(Base):
    """In a row of places."""

    __tablename__ = "places"

    id: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(unique=True)


class Box(Base):
    """Stands at a place; the model does not say that the database has more such columns."""

    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    place_id: Mapped[int] = mapped_column(ForeignKey("places.id"))


EVERYTHING = CREATE | READ | UPDATE | DELETE
api = API("Store", roles=["keeper"])
api.resource(Place, allow("keeper", EVERYTHING), bulk=10)
api.resource(Box, allow("keeper", EVERYTHING))
api.accounts.add("kim", roles=["keeper"])


@api.action(Place, "swap", allow("keeper"))
def swap(call: Call, place: Place) -> Place:
    """With the place behind it, in two statements: between them both have one position."""
    other = call.db.query(Place).filter_by(position=place.position + 1).one()
    place.position, other.position = other.position, place.position
    call.db.flush()
    return place


@api.action(Place, "follow", allow("keeper"))
def follow(call: Call, place: Place) -> Place:
    """Takes a position that is taken."""
    place.position += 1
    return place


@api.action(Place, "reorder", allow("keeper"))
def reorder(call: Call, place: Place) -> None:
    """Has constraints wait that do not by themselves; by the place itself all go on, or end up at one position."""
    db = call.unrestricted("reorder")
    db.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    for number in (1, 2, 3):
        db.execute(update(Place).where(Place.id == number).values(position=number % 3 + 1 if place.id == 1 else 1))


@api.action(Place, "clear", allow("keeper"))
def clear(call: Call, place: Place) -> None:
    """Away with it, whatever stands there."""
    call.db.delete(place)


def seed(db: Session) -> None:
    """Three places, and a box at the first."""
    db.add_all(Place(id=n, position=n) for n in (1, 2, 3))
    db.flush()
    db.add(Box(id=1, place_id=1))


DEFERRED = (
    "ALTER TABLE places DROP CONSTRAINT places_position_key",
    "ALTER TABLE places ADD CONSTRAINT places_position_key UNIQUE (position) DEFERRABLE INITIALLY DEFERRED",
    "ALTER TABLE boxes ALTER CONSTRAINT boxes_place_id_fkey DEFERRABLE INITIALLY DEFERRED",
)
DEFERRABLE = tuple(line.replace("INITIALLY DEFERRED", "INITIALLY IMMEDIATE") for line in DEFERRED)
KINDS = {"deferred": DEFERRED, "deferrable": DEFERRABLE, "at once": ()}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("store") / "data"
    stores.create(api, data, seed=seed, store=stores.POSTGRESQL)
    return data


@pytest.fixture(params=KINDS)
def kim(request: pytest.FixtureRequest, filled: Path, tmp_path: Path) -> Iterator[Client]:
    """Who calls, on a database of each kind."""
    data = stores.copied(filled, tmp_path / "data")
    for line in KINDS[request.param]:
        stores.rows(data, line)
    with stores.client(api, "kim", data) as client:
        yield client


def code(answer: Answer) -> tuple[int, str]:
    """How it was refused."""
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def test_a_value_that_is_taken(kim: Client) -> None:
    """Created or changed, alone, with a key that makes it a script, and in a bulk, which names its element."""
    assert code(kim.post("/places", json={"position": 2})) == (409, "conflict")
    assert code(kim.post("/places", json={"position": 2}, headers={"idempotency-key": "k"})) == (409, "conflict")
    tag = kim.get("/places/1").headers["etag"]
    assert code(kim.patch("/places/1", json={"position": 2}, headers={"if-match": tag})) == (409, "conflict")
    refused = kim.post("/places", json=[{"position": 8}, {"position": 2}, {"position": 9}])
    assert code(refused) == (409, "conflict")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/1/position"]
    assert kim.get("/places").json()["items"] == [{"id": n, "position": n} for n in (1, 2, 3)]


def test_a_row_that_others_refer_to(kim: Client) -> None:
    """Is not removed."""
    assert code(kim.delete("/places/1")) == (409, "in_use")
    assert kim.delete("/places/3").status_code == 204


def test_what_a_handler_leaves_behind(kim: Client) -> None:
    """Is checked at its end, and is a conflict."""
    assert code(kim.post("/places/1/follow")) == (409, "conflict")
    assert code(kim.post("/places/1/clear")) == (409, "action_conflict")
    assert kim.post("/places/3/follow").status_code == 200


def test_a_handler_on_its_way(kim: Client, request: pytest.FixtureRequest) -> None:
    """What is made right before its end is what such a constraint is for."""
    deferred = request.node.callspec.params["kim"] == "deferred"
    assert kim.post("/places/1/swap").status_code == (200 if deferred else 409)
    assert [p["position"] for p in kim.get("/places").json()["items"]] == ([2, 1, 3] if deferred else [1, 2, 3])


def test_a_handler_that_has_constraints_wait(kim: Client, request: pytest.FixtureRequest) -> None:
    """What it leaves behind is checked at its end as well."""
    waits = request.node.callspec.params["kim"] != "at once"
    assert code(kim.post("/places/2/reorder")) == (409, "conflict")
    assert kim.post("/places/1/reorder").status_code == (204 if waits else 409)
    assert [p["position"] for p in kim.get("/places").json()["items"]] == ([2, 3, 1] if waits else [1, 2, 3])
