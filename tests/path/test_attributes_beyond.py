"""Attributes that a column cannot hold: they are equal to nothing, and no request of such an account fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, ColumnElement, Numeric, SmallInteger, case, func, literal
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests import stores
from vallum import API, CREATE, READ, allow, deny, me


class Base(DeclarativeBase):
    """The tables of these tests."""


class Pupil(Base):
    """Compared with the caller in each width."""

    __tablename__ = "pupils"

    id: Mapped[int] = mapped_column(primary_key=True)
    school: Mapped[int] = mapped_column(index=True)
    level: Mapped[int] = mapped_column(SmallInteger)
    number: Mapped[int] = mapped_column(BigInteger)
    score: Mapped[int] = mapped_column(Numeric(10, 2))
    name: Mapped[str]


class Desk(Base):
    """Of the caller's school, whoever makes it."""

    __tablename__ = "desks"

    id: Mapped[int] = mapped_column(primary_key=True)
    school: Mapped[int] = mapped_column(index=True)


class Seat(Base):
    """Of a number that is worked out from the caller's."""

    __tablename__ = "seats"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, index=True)


n, school, level = me.attr["n"], Pupil.school, Pupil.level
FORMS: dict[str, ColumnElement[bool]] = {
    "first": n == school,
    "smaller": n < school,
    "distinct": n.is_distinct_from(school),
    "among": n.in_([school, level, 5]),
    "not-among": n.not_in([school, level]),
    "between": n.between(school, level),
    "sum": school == n - 1,
    "twice": n == me.attr["n"],
    "coalesce": func.coalesce(school, n) == n,
    "nullif": func.nullif(n, level).is_(None),
    "chosen": case((school == 7, level), else_=n) == level,
    "in-a-part": func.substr(Pupil.name, me.attr["part"], me.attr["part"]) == "A",
    "text": me.attr["text"] == Pupil.name,
    "bool": me.attr["yes"] == literal(True),
}
"""Conditions whose caller's value no column stands before, to say its type."""
SET: dict[str, ColumnElement[Any]] = {"coalesced": func.coalesce(n, 0), "summed": n + 0}
ROLES = ("school", "level", "number", "score", "listed", "above", "barred")
ATTRIBUTES = {"part": 1, "text": "Ann", "yes": True}
api = API(
    "Test", roles=[*ROLES, *FORMS, *SET], attributes={"n": int, **{name: type(of) for name, of in ATTRIBUTES.items()}}
)
api.resource(
    Pupil,
    allow("school", READ, where=Pupil.school == me.attr["n"]),
    allow("level", READ, where=Pupil.level == me.attr["n"]),
    allow("number", READ, where=Pupil.number == me.attr["n"]),
    allow("score", READ, where=Pupil.score == me.attr["n"]),
    allow("listed", READ, where=Pupil.school.in_([me.attr["n"], 5])),
    allow("above", READ, where=Pupil.school.between(1, me.attr["n"])),
    allow("barred", READ),
    deny("barred", READ, where=Pupil.school < me.attr["n"]),
    *(allow(form, READ, where=where) for form, where in FORMS.items()),
)
api.resource(
    Desk,
    allow(ROLES, READ | CREATE, where=Desk.school == me.attr["n"], fields=["id"]),
    allow(ROLES, CREATE, fields=["id"], set={Desk.school: me.attr["n"]}),
    path="/desks",
)
api.resource(
    Seat,
    *(allow(role, CREATE, fields=["id"], set={Seat.number: value}) for role, value in SET.items()),
    *(allow(role, READ, where=Seat.number == me.attr["n"]) for role in SET),
    path="/seats",
)
for role in (*ROLES, *FORMS, *SET):
    api.accounts.add(role, roles=[role], attributes={"n": 1})


def seed(db: Session) -> None:
    """One pupil."""
    db.add(Pupil(id=1, school=1, level=1, number=1, score=1, name="Ann"))


@pytest.fixture(scope="module")
def made(store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("beyond") / "data"
    stores.create(api, data, seed, store=store)
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return stores.copied(made, tmp_path / "data")


def give(data: Path, number: object) -> None:
    """As another program, or an earlier version, may have stored it."""
    text = json.dumps({"n": number, **ATTRIBUTES})
    stores.rows(data, "UPDATE vallum_principal SET attributes = ?, epoch = epoch + 1 RETURNING 1", text)


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 99999999999, 2**63 - 1, 2**63, -(2**63) - 1, 10**40])
def test_an_attribute_that_a_column_cannot_hold_matches_nothing(data: Path, number: int) -> None:
    """Whichever column it stands beside; what is compared by size still is, within 64 bits; nothing is a 500."""
    give(data, number)
    for role in ROLES:
        with stores.client(api, role, data) as client:
            answer = client.get("/pupils")
            seen = [pupil["id"] for pupil in answer.json().get("items", [])]
            expected = {"above": 1 < number < 2**63, "barred": -(2**63) <= number <= 1}.get(role, False)
            assert seen == [1] * expected, role
            assert answer.status_code == (200 if -(2**63) <= number < 2**63 or role == "barred" else 403)
            assert client.get("/pupils/1").status_code in ((200,) if expected else (403, 404))
            assert client.post("/desks", json={"id": 1}).status_code in (201, 403, 409, 422)


@pytest.mark.parametrize("value", [1.0, 1.5, 1e40, None, [], [1], {}, {"n": 1}])
def test_what_is_no_attribute_at_all_counts_as_not_given(data: Path, value: object) -> None:
    """The account is as one without it: nobody is kept waiting, no allow holds, a deny applies."""
    give(data, value)
    for role in ROLES:
        with stores.client(api, role, data) as client:
            answer = client.get("/pupils")
            assert answer.status_code == (200 if role == "barred" else 403), role
            assert not answer.json().get("items")
            assert client.get("/pupils/1").status_code == (404 if role == "barred" else 403)
            assert client.post("/desks", json={"id": 1}).status_code == 403


@pytest.mark.parametrize("number", [1, 2, 2**31, -(2**31) - 1, 2**63 - 1])
def test_a_number_is_one_of_64_bits_wherever_it_stands(data: Path, number: int) -> None:
    """Before the column, in a list, a sum or a function: it has the type that is declared, not that of what is beside it."""
    give(data, number)
    held = {"in-a-part", "text", "bool", "twice"}
    held |= {"first", "among", "between", "coalesce", "nullif", "chosen"} if number == 1 else {"distinct", "not-among"}
    held |= {"sum"} if number == 2 else {"smaller"} if number < 1 else set()
    for form in FORMS:
        with stores.client(api, form, data) as client:
            answer = client.get("/pupils")
            assert answer.status_code == 200, form
            assert [pupil["id"] for pupil in answer.json()["items"]] == [1] * (form in held), form
            assert client.get("/pupils/1").status_code == (200 if form in held else 404), form


@pytest.mark.parametrize("number", [1, 2**31, 2**63 - 1])
def test_a_number_that_is_worked_out_is_written_whole(data: Path, number: int) -> None:
    """By `set=`, which may say more than the attribute alone."""
    give(data, number)
    for role in SET:
        with stores.client(api, role, data) as client:
            answer = client.post("/seats", json={"id": len(role)})
            assert (answer.status_code, answer.json()["number"]) == (201, number), role
