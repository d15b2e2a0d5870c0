"""One table with a column of each type, so that what a value means is tried on all of them.

Who there is: `rosa` and `rolf` read, `paul` reads parts, `wim` writes, `adam` reads everything.
"""

from __future__ import annotations

import asyncio
import enum
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Enum,
    Float,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from vallum import API, CREATE, READ, UPDATE, Call, Plan, allow
from vallum.pipeline import answer
from vallum.testing import Answer, Client, Headers
from vallum.testing.wire import freshness, scope_of


class Base(DeclarativeBase):
    """One table."""


class Colour(enum.Enum):
    """Stored by name."""

    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class State(enum.Enum):
    """Stored by value."""

    OPEN = "open"
    SHUT = "shut"
    LOST = "lost"


class Thing(Base):
    """A column of each type; all may be NULL."""

    __tablename__ = "things"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None] = mapped_column(String(40))
    prose: Mapped[str | None] = mapped_column(Text)
    whole: Mapped[int | None]
    small: Mapped[int | None] = mapped_column(SmallInteger)
    big: Mapped[int | None] = mapped_column(BigInteger)
    ratio: Mapped[float | None] = mapped_column(Float)
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    flag: Mapped[bool | None]
    day: Mapped[date | None]
    instant: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    local: Mapped[datetime | None]
    hour: Mapped[time | None]
    span: Mapped[timedelta | None]
    ident: Mapped[uuid.UUID | None]
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour, native_enum=False, length=10))
    state: Mapped[State | None] = mapped_column(
        Enum(State, values_callable=lambda members: [m.value for m in members], native_enum=False, length=10)
    )
    word: Mapped[str | None] = mapped_column(Enum("ash", "beech", "cedar", native_enum=False, length=10))
    blob: Mapped[bytes | None] = mapped_column(LargeBinary(20))
    doc: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    secret: Mapped[str | None] = mapped_column(String(40))


VISIBLE: Final = [column.key for column in Thing.__table__.columns if column.key != "secret"]
FILTERED: Final = [name for name in VISIBLE if name != "id"]

api: Final = API(
    "Things",
    roles=["reader", "part", "writer", "admin"],
    plans={"default": Plan(burst="100000/s"), "anonymous": Plan(burst="100000/s")},
)

api.resource(
    Thing,
    allow("reader", READ, fields=VISIBLE),
    allow("part", READ, where=Thing.flag.is_(True), fields=["id", "text", "whole"]),
    allow("part", READ, where=Thing.whole > 1, fields=["id", "text", "price"]),
    allow("writer", CREATE | READ, fields=VISIBLE),
    allow("writer", UPDATE, fields=FILTERED),
    allow("admin", READ),
    filters=[*FILTERED, "secret"],
    sorts=[name for name in FILTERED if name not in {"doc", "blob"}] + ["secret"],
    bulk=50,
)


class Parcel(Base):
    """What has as many fields as somebody needs for a short list of faults."""

    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(5))
    weight: Mapped[int]
    colour: Mapped[Colour] = mapped_column(Enum(Colour, native_enum=False, length=10))
    secret: Mapped[str | None] = mapped_column(String(40))


api.resource(
    Parcel,
    allow("reader", READ, fields=["id", "name"]),
    allow("writer", CREATE | READ, fields=["id", "name", "weight", "colour"]),
    allow("writer", UPDATE, fields=["name", "weight", "colour"]),
    allow("admin", READ),
    filters=["name"],
    max_body_bytes=200,
)


@api.action(Parcel, "send", allow("writer"))
def send_parcel(call: Call, parcel: Parcel) -> Parcel:
    """Takes no body."""
    return parcel


@api.post("/ping", allow("writer"))
def ping(call: Call) -> dict[str, bool]:
    """Takes no body."""
    return {"pong": True}


for name, role in (("rosa", "reader"), ("rolf", "reader"), ("paul", "part"), ("wim", "writer"), ("adam", "admin")):
    api.accounts.add(name, roles=[role])

ROWS: Final[Sequence[Mapping[str, Any]]] = (
    {
        "id": 1,
        "text": "Ähre, b\\c",
        "prose": "one two",
        "whole": -5,
        "small": -32768,
        "big": -(2**63),
        "ratio": -0.1,
        "price": Decimal("-1.50"),
        "flag": True,
        "day": date(1899, 12, 31),
        "instant": datetime(2026, 1, 1, 0, 0, tzinfo=UTC),
        "local": datetime(2026, 1, 1, 0, 0, 0, 1),  # noqa: DTZ001  # a column without a zone
        "hour": time(0, 0),
        "span": timedelta(days=-1, microseconds=1),
        "ident": uuid.UUID(int=1),
        "colour": Colour.RED,
        "state": State.OPEN,
        "word": "ash",
        "blob": b"\x00\x01",
        "doc": {"a": {"b": 1, "c": [1, 2]}, "d": None},
        "secret": "s1",
    },
    {
        "id": 2,
        "text": "Zebra",
        "prose": "two",
        "whole": 0,
        "small": 0,
        "big": 0,
        "ratio": 0.3,
        "price": Decimal("0.10"),
        "flag": False,
        "day": date(2026, 2, 28),
        "instant": datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC),
        "local": datetime(2026, 6, 1, 12, 0),  # noqa: DTZ001
        "hour": time(12, 30, 0, 1),
        "span": timedelta(0),
        "ident": uuid.UUID(int=2**127),
        "colour": Colour.BLUE,
        "state": State.SHUT,
        "word": "beech",
        "blob": b"",
        "doc": {},
        "secret": "s2",
    },
    {
        "id": 3,
        "text": "zebra",
        "prose": "one",
        "whole": 7,
        "small": 32767,
        "big": 2**63 - 1,
        "ratio": 1.7976931348623157e308,
        "price": Decimal("9999999999.99"),
        "flag": True,
        "day": date(9999, 12, 31),
        "instant": datetime(2026, 7, 1, 22, 0, tzinfo=UTC),
        "local": datetime(2026, 6, 1, 12, 0, 1),  # noqa: DTZ001
        "hour": time(23, 59, 59, 999_999),
        "span": timedelta(days=700_000),
        "ident": uuid.UUID(int=2**128 - 1),
        "colour": Colour.GREEN,
        "state": State.LOST,
        "word": "cedar",
        "blob": b"\xff" * 20,
        "doc": {"x": [1]},
        "secret": "s1",
    },
    {"id": 4, "text": "Zebra", "whole": 7, "price": Decimal("0.10"), "flag": None, "doc": None},
    {"id": 5},
)
"""Low, middle and high of each type, a few equal ones, and a row of NULLs."""


def seed(db: Session) -> None:
    """The rows above, and a parcel."""
    db.add_all([Thing(**row) for row in ROWS])
    db.add(Parcel(id=1, name="first", weight=1, colour=Colour.RED, secret="s"))


def texts(value: Any) -> str:
    """A value as a query writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + ("Z" if value.tzinfo else "")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        span = abs(value)
        return f"{'-' if value < timedelta(0) else ''}P{span.days}DT{span.seconds}.{span.microseconds:06}S"
    return str(value)


def stream(
    client: Client,
    method: str,
    path: str,
    messages: Sequence[Mapping[str, object]],
    headers: Mapping[str, str],
    query: str = "",
) -> Answer:
    """A request whose body arrives in these pieces; when they are used up, nothing more ever comes."""
    waiting = list(messages)

    async def receive() -> Mapping[str, object]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    running = client._running
    sent = {"host": "testserver", "authorization": f"Bearer {client.token}", **freshness(running.clock()), **headers}
    scope = scope_of(method, path, query, [(k.encode(), v.encode()) for k, v in sent.items()])
    reply = running.run(answer(scope, receive, running.service.pipeline, running.clock()))
    return Answer(reply.status, Headers(reply.headers), reply.body)
