"""Row-level security on small tables: a column of every type, and rules that must not add up."""

from __future__ import annotations

import enum
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from sqlalchemy import JSON, BigInteger, DateTime, Enum, Interval, Numeric, Text, and_, exists, not_, select
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column
from tests.path.small import NOON
from tests.under_policies import Caller, made

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, allow, me


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "r\\'d"


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    flag: Mapped[bool]
    big: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    ratio: Mapped[float]
    text: Mapped[str] = mapped_column(Text)
    blob: Mapped[bytes]
    day: Mapped[date]
    hour: Mapped[time]
    local: Mapped[datetime]
    instant: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    span: Mapped[timedelta] = mapped_column(Interval)
    ident: Mapped[uuid.UUID]
    colour: Mapped[Colour] = mapped_column(Enum(Colour, name="colour"))
    document: Mapped[Any] = mapped_column(JSON)


VALUES: Final[dict[str, Any]] = {
    "flag": False,
    "big": -(2**63),
    "price": Decimal("-1.50"),
    "ratio": -1.5e300,
    "text": "\\'; DROP TABLE things; --\n$1 :x %(y)s é",
    "blob": b"\\'\x00\xff",
    "day": date(2, 2, 28),
    "hour": time(23, 59, 59, 999999),
    "local": datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001  # without a zone
    "instant": datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=-5))),
    "span": timedelta(days=-3, seconds=1, microseconds=-7),
    "ident": uuid.UUID(int=7),
    "colour": Colour.RED,
}


def test_every_column_is_held_to_its_type(tmp_path: Path) -> None:
    """Constants of each type in a rule are written into the policy, signs, quotes and backslashes among them."""
    other = API("Things", roles=["all", "none"])
    equal = and_(*(getattr(Thing, name) == value for name, value in VALUES.items()))
    other.resource(
        Thing,
        allow("all", READ | CREATE | DELETE, where=equal),
        allow("all", UPDATE, where=equal, fields=["document"]),
        allow("none", READ, where=not_(equal)),
    )
    for role in other.roles:
        other.accounts.add(role, roles=[role])
    rows = [Thing(id=1, **VALUES, document={}), Thing(id=2, **{**VALUES, "big": 1}, document=[])]
    found = made(other, tmp_path / "data", lambda db: db.add_all(rows), lambda: NOON)
    count = "SELECT id FROM things"
    assert found.asked(found.caller("all"), count) == [[(1,)]]
    assert found.asked(found.caller("none"), count) == [[(2,)]]
    changed = "UPDATE things SET document = '[1]' RETURNING id"
    assert found.asked(found.caller("all"), changed, "DELETE FROM things RETURNING id") == [[(1,)], [(1,)]]


class Page(Base):
    """A page that is handed on."""

    __tablename__ = "pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str | None]
    editor: Mapped[str | None]
    text: Mapped[str | None]
    note: Mapped[str | None]


HANDED: Final = ["owner", "editor"]


def test_two_rules_do_not_add_up(tmp_path: Path) -> None:
    """To a change that neither allows, to a field that the one of them that holds does not grant, or to a reading without
    what the rule compares with.
    """
    pages = API("Pages", roles=["author", "guest", "blind"])
    pages.resource(
        Page,
        allow("author", READ),
        allow("author", UPDATE, where=Page.owner == me.id, fields=[*HANDED, "text"]),
        allow("author", UPDATE, where=Page.editor == me.id, fields=[*HANDED, "note"]),
        allow("blind", UPDATE, fields=["text"]),
        allow("guest", READ, where=Page.owner.is_not_distinct_from(me.id)),
    )
    found = made(pages, tmp_path / "data", lambda db: db.add_all([Page(id=1, owner="ann"), Page(id=2)]), lambda: NOON)
    ann: Caller = ("ann", ["author"], {})

    def done(values: str) -> bool:
        try:
            return found.asked(ann, f"UPDATE pages SET {values} WHERE id = 1 RETURNING id") == [[(1,)]]
        except asyncpg.InsufficientPrivilegeError:
            return False

    assert not done("owner = 'bob', editor = 'ann'")
    assert not done("owner = 'bob'")
    assert not done("note = 'x'")
    assert not done("text = 'x', note = 'x'")
    assert done("text = 'x', note = NULL")
    assert done("editor = 'ann'")
    assert not done("owner = 'bob', text = 'y'")
    assert done("owner = 'bob', note = 'y'")
    assert not done("text = 'z'")
    found.asked(("bob", ["blind"], {}), "UPDATE pages SET text = 'unseen'")
    assert found.asked(ann, "SELECT id FROM pages WHERE text = 'unseen'") == [[]]
    guests: list[Caller] = [(None, ["guest"], {}), ("bob", ["guest"], {}), ("ann", ["guest"], {})]
    assert [found.asked(guest, "SELECT id FROM pages") for guest in guests] == [[[]], [[(1,)]], [[]]]


def test_a_new_row_has_what_its_rule_grants(tmp_path: Path) -> None:
    """What only another's rule gives stays empty; a rule that reads its own table finds the new row there, as in the API."""
    other = aliased(Page)
    pages = API("Pages", roles=["author", "editor"], fresh="off")
    itself = exists(select(other.id).where(other.id == Page.id, other.owner == me.id))
    pages.resource(
        Page,
        allow(["author", "editor"], READ),
        allow("author", CREATE, where=itself, fields=["owner", "text"]),
        allow("editor", CREATE, fields=["owner", "note"]),
    )
    pages.accounts.add("ann", roles=["author"])
    found = made(pages, tmp_path / "data", lambda _: None, lambda: NOON)
    ann: Caller = ("ann", ["author"], {})
    new = "INSERT INTO pages (owner, text, note) VALUES ('ann', 'x', %s) RETURNING text"
    assert found.asked(ann, new % "NULL") == [[("x",)]]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        found.asked(ann, new % "'y'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        found.asked(ann, "INSERT INTO pages (owner, text) VALUES ('bob', 'x')")
    with stores.client(pages, "ann", found.data) as client:
        assert client.post("/pages", json={"owner": "ann", "text": "x"}).status_code == 201
        assert client.post("/pages", json={"owner": "bob", "text": "x"}).status_code == 403
