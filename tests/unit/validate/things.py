"""What the tests of bodies share: a column of each type, rules over them, and how to name faults."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Time,
    UniqueConstraint,
    Uuid,
    column,
    func,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from vallum.authorise.rights import Access, Rights
from vallum.declare.app import API
from vallum.declare.policy import CREATE, READ, UPDATE, Operation, allow, me
from vallum.declare.resource import Resource
from vallum.refusals import BODY_INVALID, Fault, Refusal


class Base(DeclarativeBase):
    """The tables of these tests."""


class Colour(enum.Enum):
    """Stored by name, written by value."""

    RED = "red"
    BLUE = "blue"


class Thing(Base):
    """A column of each type."""

    __tablename__ = "things"
    __table_args__ = (
        CheckConstraint("grade >= 1 AND grade <= 6"),
        CheckConstraint("'late' <> note"),
        CheckConstraint("price > 0"),
        CheckConstraint("level BETWEEN 2 AND 4"),
        CheckConstraint("size IN ('S', 'M', 'it''s')"),
        CheckConstraint("odd IN (1, 3, 5)"),
        CheckConstraint("ratio > 0 AND ratio < 1"),
        CheckConstraint("low < high"),
        CheckConstraint(column("tiny") >= 10),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(5))
    note: Mapped[str | None]
    grade: Mapped[int | None]
    tiny: Mapped[int | None] = mapped_column(SmallInteger)
    big: Mapped[int | None] = mapped_column(BigInteger)
    level: Mapped[int | None]
    odd: Mapped[int | None]
    low: Mapped[int | None]
    high: Mapped[int | None]
    size: Mapped[str | None] = mapped_column(String(5))
    done: Mapped[bool | None]
    ratio: Mapped[float | None] = mapped_column(Float)
    share: Mapped[float | None] = mapped_column(Numeric(5, 2, asdecimal=False))
    price: Mapped[Decimal | None] = mapped_column(Numeric(6, 2))
    day: Mapped[date | None]
    hour: Mapped[time | None] = mapped_column(Time)
    span: Mapped[timedelta | None]
    instant: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    local: Mapped[datetime | None] = mapped_column(DateTime)
    token: Mapped[uuid.UUID | None]
    token_text: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour))
    word: Mapped[str | None] = mapped_column(Enum("one", "two", name="words"))
    document: Mapped[Any | None] = mapped_column(JSON)
    blob: Mapped[bytes | None] = mapped_column(LargeBinary(4))
    made: Mapped[int] = mapped_column(default=7)
    stamped: Mapped[datetime] = mapped_column(server_default=func.now())
    twice: Mapped[int] = column_property(column("grade") * 2)


class Order(Base):
    """Required fields, a tenant, a column that the server writes."""

    __tablename__ = "orders"
    __table_args__ = (UniqueConstraint("number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    shop: Mapped[int]
    number: Mapped[int]
    author: Mapped[str] = mapped_column(String(20))
    thing_id: Mapped[int | None] = mapped_column(ForeignKey("things.id"))
    extra: Mapped[Any] = mapped_column(JSON, default=dict)


api = API("Things", roles=["all", "some", "writer", "boss"], attributes={"shop": int})
things = api.resource(
    Thing,
    allow("all", CREATE | READ | UPDATE),
    allow("some", CREATE | UPDATE, fields=["name", "note"]),
)
tenants = API("Orders", roles=["writer", "boss"], attributes={"shop": int}, tenant=("shop", me.attr["shop"]))
orders = tenants.resource(
    Order,
    allow("writer", CREATE, set={Order.author: me.id}),
    allow("boss", CREATE | UPDATE),
)


def access(resource: Resource, operation: Operation, *roles: str, on: API = api) -> Access:
    rights = Rights(on, "sqlite", roles or ("all",), frozenset({"shop"}), True, {})
    found = rights.on(resource, operation)
    assert found is not None
    return found


def faults(call: Callable[[], object]) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.code) for fault in full(call)]


def full(call: Callable[[], object]) -> tuple[Fault, ...]:
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.reason is BODY_INVALID
    assert caught.value.__cause__ is None
    return caught.value.faults
