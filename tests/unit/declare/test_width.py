"""Which lists can grow beyond `PAGE_BYTES`: those alone are measured while they are read."""

from __future__ import annotations

import enum
import json
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Text,
    Time,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from vallum import API, READ, allow
from vallum.declare.width import ESCAPED, FRAME, may_exceed_page
from vallum.defaults import PAGE_BYTES, PAGE_MAX

ROOM = PAGE_BYTES // PAGE_MAX
"""Bytes of a row, of which there is a full page."""


class Size(enum.Enum):
    """Two."""

    SMALL = "s"
    LARGE = "l"


def exceeds(type_: Any, name: str = "a") -> bool:
    class Base(DeclarativeBase):
        """One table."""

    class Row(Base):
        """With a column of this type."""

        __tablename__ = "rows"

        id: Mapped[int] = mapped_column(primary_key=True)
        a: Mapped[Any] = mapped_column(name, type_)

    api = API("Rows", roles=["r"])
    return may_exceed_page(api.resource(Row, allow("r", READ)), ("a",))


@pytest.mark.parametrize(
    "type_", [Text(), String(), JSON(), LargeBinary(), Numeric(), String(10_000_000), LargeBinary(ROOM)]
)
def test_without_a_length_a_page_can_be_of_any_size(type_: Any) -> None:
    """So can one whose length is too long."""
    assert exceeds(type_)


@pytest.mark.parametrize(
    "type_",
    [
        *(Integer(), BigInteger(), Boolean(), Date(), DateTime(), Time(), Interval(), Uuid(), Float(), Enum(Size)),
        *(String(2_000), Numeric(12, 2), LargeBinary(1_000)),
    ],
)
def test_what_is_short_is_never_measured(type_: Any) -> None:
    """The ordinary columns: their lists take the statement that they always took."""
    assert not exceeds(type_)


def test_the_boundary() -> None:
    """A character takes up to six bytes; one more, and a page of the longest texts would not fit."""
    longest = (ROOM - ESCAPED - FRAME - 2) // ESCAPED
    row = json.dumps({"a": "\x01" * longest}, separators=(",", ":"))
    assert len(f"{row},") * PAGE_MAX <= PAGE_BYTES
    assert not exceeds(String(longest))
    assert exceeds(String(longest + 1))
