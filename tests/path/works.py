"""Rooms, desks and what is in them: an API made for writing, and for handlers that write.

Who there is: `cleo` and `carl` are clerks of their own rooms, `bert` is the boss, `vera` only looks, `beth` creates and
reads nothing, `mo` moves things out of sight.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    String,
    UniqueConstraint,
    and_,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from vallum import API, CREATE, DELETE, READ, UPDATE, Plan, allow, deny, me, now

MADE: Final = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
CHANGED: Final = datetime(2026, 6, 1, 8, 30, tzinfo=UTC)


def made() -> datetime:
    """A default that Python gives."""
    return MADE


def changed() -> datetime:
    """What Python gives at each change."""
    return CHANGED


class Base(DeclarativeBase):
    """All tables."""


class Room(Base):
    """Of one owner."""

    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    owner: Mapped[str] = mapped_column(String(20), index=True)
    seats: Mapped[int] = mapped_column(default=5)
    code: Mapped[str | None] = mapped_column(String(20), unique=True)

    desks: Mapped[list[Desk]] = relationship(back_populates="room")


class Desk(Base):
    """In a room, perhaps beside another one; with a default of each kind."""

    __tablename__ = "desks"
    __table_args__ = (
        UniqueConstraint("room_id", "number"),
        UniqueConstraint("name", "region"),
        CheckConstraint("weight > low", name="order"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"), index=True)
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("desks.id"), index=True)
    name: Mapped[str | None] = mapped_column(String(20))
    number: Mapped[int | None]
    weight: Mapped[int] = mapped_column(default=10)
    low: Mapped[int] = mapped_column(server_default=text("3"))
    region: Mapped[str] = mapped_column(String(10), default="north")
    made: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=made)
    changed: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), onupdate=changed)
    length: Mapped[int] = mapped_column(default=func.length("four"))
    height: Mapped[int | None] = mapped_column(CheckConstraint("height BETWEEN 60 AND 120", name="height"))
    depth: Mapped[int | None] = mapped_column(CheckConstraint("depth % 10 = 0", name="depth"))
    author: Mapped[str] = mapped_column(String(20))
    written: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    doc: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    room: Mapped[Room] = relationship(back_populates="desks")
    lamps: Mapped[list[Lamp]] = relationship()


class Drawer(Base):
    """Goes with its desk, if whoever removes the desk may remove it."""

    __tablename__ = "drawers"

    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("desks.id", ondelete="CASCADE"), index=True)
    locked: Mapped[bool] = mapped_column(default=False)

    desk: Mapped[Desk] = relationship()


class Label(Base):
    """Goes with its desk, as the desk's cascade says."""

    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("desks.id", ondelete="CASCADE"), index=True)


class Lamp(Base):
    """Keeps its desk."""

    __tablename__ = "lamps"

    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("desks.id"), index=True)


class Slot(Base):
    """A composite key of a number and a word."""

    __tablename__ = "slots"

    day: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(String(10), primary_key=True)
    note: Mapped[str | None] = mapped_column(String(20))


class Visit(Base):
    """Refers to a composite key; stays in the table when it is deleted."""

    __tablename__ = "visits"
    __table_args__ = (ForeignKeyConstraint(["day", "part"], ["slots.day", "slots.part"]),)

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[int | None]
    part: Mapped[str | None] = mapped_column(String(10))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Notice(Base):
    """What hangs in a room; who may approve it depends on the room."""

    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(primary_key=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"), index=True)
    text: Mapped[str] = mapped_column(String(20), default="")
    approved: Mapped[bool]
    author: Mapped[str] = mapped_column(String(20))

    room: Mapped[Room] = relationship()


api: Final = API(
    "Works",
    roles=["clerk", "boss", "viewer", "blind", "mover"],
    plans={"default": Plan(burst="100000/s"), "anonymous": Plan(burst="100000/s")},
)

own = Room.owner == me.id
in_own = Desk.room.has(own)
FREE: Final = ["room_id", "parent_id", "name", "number", "weight", "low", "height", "depth", "doc"]

api.resource(
    Room,
    allow("clerk", READ, where=own, fields=["id", "name", "owner", "seats"]),
    allow("clerk", CREATE, where=Room.seats <= 10, fields=["name", "seats"], set={Room.owner: me.id}),
    allow("clerk", UPDATE, where=and_(own, Room.seats <= 10), fields=["name", "seats"]),
    allow("clerk", UPDATE, where=and_(own, Room.seats >= 100), fields=["name", "seats"]),
    allow("viewer", READ),
    allow("blind", CREATE, fields=["name", "owner", "code"]),
    allow("mover", READ, where=Room.seats < 50),
    allow("mover", UPDATE, fields=["seats"]),
    allow("boss", CREATE | READ | UPDATE | DELETE),
    filters=["name", "seats"],
    bulk=20,
    sorts=["seats"],
)

api.resource(
    Desk,
    allow("clerk", READ, where=in_own, fields=["id", *FREE, "made", "changed", "length", "author", "written"]),
    allow("clerk", CREATE, where=in_own, fields=FREE, set={Desk.author: me.id, Desk.written: now}),
    allow("clerk", UPDATE, where=in_own, fields=FREE),
    allow("clerk", DELETE, where=in_own),
    deny("clerk", UPDATE, where=Desk.weight > 90, fields=["number"]),
    allow("boss", CREATE | READ | UPDATE | DELETE),
    cascade=[Label],
    bulk=20,
)

api.resource(
    Drawer,
    allow("clerk", READ),
    allow("clerk", DELETE, where=Drawer.locked.is_(False)),
    allow("boss", CREATE | READ | UPDATE | DELETE),
)
api.resource(Lamp, allow("boss", READ | DELETE))
api.resource(Label, allow("boss", READ))
api.resource(
    Slot,
    allow("clerk", READ, where=Slot.day < 5),
    allow("boss", CREATE | READ | UPDATE | DELETE),
    bulk=20,
)
api.resource(
    Visit,
    allow(["clerk", "boss"], CREATE | READ | UPDATE | DELETE),
    soft_delete=Visit.deleted_at,
    bulk=20,
)

api.resource(
    Notice,
    allow(["clerk", "boss"], READ),
    allow(
        "clerk",
        CREATE,
        where=Notice.room.has(Room.seats >= 100),
        fields=["room_id"],
        set={Notice.author: me.id, Notice.approved: True},
    ),
    allow(
        "boss",
        CREATE,
        where=Notice.author == "boss",
        fields=["room_id", "text"],
        set={Notice.author: "boss", Notice.approved: False},
    ),
    deny("boss", CREATE, where=Notice.text == "no"),
    bulk=20,
)

api.accounts.add("cora", roles=["clerk", "boss"])
for name, role in (
    ("cleo", "clerk"),
    ("carl", "clerk"),
    ("bert", "boss"),
    ("vera", "viewer"),
    ("beth", "blind"),
    ("mo", "mover"),
):
    api.accounts.add(name, roles=[role])


def number(n: int) -> uuid.UUID:
    """The same key in each run."""
    return uuid.UUID(int=n)


def seed(db: Session) -> None:
    """Three rooms of Cleo's, one of Carl's; desks whose name says what stands in them."""
    db.add_all(
        [
            Room(id=1, name="North", owner="cleo", seats=5, code="n"),
            Room(id=2, name="South", owner="cleo", seats=20),
            Room(id=3, name="East", owner="carl", seats=5, code="e"),
            Room(id=4, name="West", owner="cleo", seats=100),
        ]
    )
    db.flush()
    for n, (name, room) in enumerate(
        [("empty", 1), ("open", 1), ("locked", 1), ("labelled", 1), ("lit", 1), ("parent", 1), ("carls", 3)], 1
    ):
        db.add(Desk(id=number(n), room_id=room, name=name, number=n, author="cleo"))
    db.flush()
    db.add(Desk(id=number(8), room_id=1, parent_id=number(6), name="child", number=8, author="cleo"))
    db.add_all([Drawer(id=1, desk_id=number(2)), Drawer(id=2, desk_id=number(3)), Label(id=1, desk_id=number(4))])
    db.add_all([Drawer(id=3, desk_id=number(3), locked=True), Lamp(id=1, desk_id=number(5))])
    db.add_all([Slot(day=1, part="a,b/c"), Slot(day=2, part="é"), Slot(day=9, part="x")])
    db.flush()
    db.add_all([Visit(id=1, day=1, part="a,b/c"), Visit(id=2)])
