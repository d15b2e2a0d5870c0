"""Which relations SQLite looks up by IN instead of testing each row."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ForeignKey, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from vallum.authorise.relations import prefer_in


class Base(DeclarativeBase):
    """The tables of these tests."""


class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    size: Mapped[int]


class Desk(Base):
    __tablename__ = "desks"
    id: Mapped[int] = mapped_column(primary_key=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"), index=True)
    width: Mapped[int]
    room: Mapped[Room] = relationship()


DESKS: Final[Any] = Desk.__table__


def rewritten(condition: Any) -> bool:
    """Whether a condition on desks becomes an IN."""
    assert isinstance(DESKS, Table)
    found = str(prefer_in(Desk.room.has(condition), DESKS))
    assert found.startswith(("unlikely(desks.room_id IN (SELECT rooms.id", "EXISTS ("))
    return " IN (SELECT" in found


def test_one_indexed_condition_is_enough() -> None:
    """It finds the few rows; the others are tested on these alone. Without any, each row would be listed."""
    assert rewritten(Room.owner == "anna")
    assert rewritten((Room.owner == "anna") & (Room.size > 3))
    assert not rewritten(Room.size > 3)


def test_a_condition_on_both_rows_stays() -> None:
    """It has to be tested for each row of the outer table, wherever in the condition that one is named."""
    assert not rewritten((Room.owner == "anna") & (Room.size > Desk.width))
    assert not rewritten((Room.owner == "anna") & (Desk.width > 3))
