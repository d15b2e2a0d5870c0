"""Which relations SQLite looks up by IN instead of testing each row."""

from __future__ import annotations

from typing import Any, Final

import pytest
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Table, and_, exists, func, literal, or_, select, union
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship

from vallum.authorise.relations import prefer_in


class Base(DeclarativeBase):
    """The tables of these tests."""


keys: Final = Table(
    "keys",
    Base.metadata,
    Column("desk_id", ForeignKey("desks.id"), primary_key=True),
    Column("house_id", ForeignKey("houses.id"), primary_key=True),
)


class House(Base):
    __tablename__ = "houses"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)


class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    size: Mapped[int]
    house_id: Mapped[int] = mapped_column(ForeignKey("houses.id"), index=True)
    house: Mapped[House] = relationship()
    desks: Mapped[list[Desk]] = relationship(back_populates="room", foreign_keys="Desk.room_id")


class Desk(Base):
    __tablename__ = "desks"
    id: Mapped[int] = mapped_column(primary_key=True)
    room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"), index=True)
    old_room_id: Mapped[int] = mapped_column(ForeignKey("rooms.id"))
    width: Mapped[int]
    next_id: Mapped[int | None] = mapped_column(ForeignKey("desks.id"), index=True)
    room: Mapped[Room] = relationship(back_populates="desks", foreign_keys=[room_id])
    old_room: Mapped[Room] = relationship(foreign_keys=[old_room_id])
    next: Mapped[Desk | None] = relationship(remote_side=[id])
    houses: Mapped[list[House]] = relationship(secondary=keys)


class Drawer(Base):
    __tablename__ = "drawers"
    __table_args__ = (ForeignKeyConstraint(["desk_id", "width"], ["desks.id", "desks.width"]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[int] = mapped_column(index=True)
    width: Mapped[int] = mapped_column(index=True)
    desk: Mapped[Desk] = relationship()


DESKS: Final[Any] = Desk.__table__
ANNAS: Final = Room.owner == "anna"
IN_ANNAS: Final = "unlikely(desks.room_id IN (SELECT rooms.id FROM rooms WHERE rooms.owner = 'anna'))"


def written(rule: Any, table: Any = DESKS) -> str:
    """The rule as SQLite gets it, on one line."""
    statement = select(1).select_from(table).where(prefer_in(rule, table))
    text = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    return " ".join(text.split()).partition(" WHERE ")[2].replace("( ", "(")


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
    assert rewritten(and_(Room.size > 3, and_(Room.size < 9, Room.owner == "anna").self_group()))
    assert not rewritten(Room.size > 3)
    assert not rewritten(None)


@pytest.mark.parametrize(
    ("condition", "indexed"),
    [
        (Room.owner.in_(["anna", "otto"]), True),
        (literal("anna") == Room.owner, True),
        (Room.size.in_([3]), False),
        (Room.size == 3, False),
        (Room.owner.not_in(["anna"]), False),
        (Room.owner != "anna", False),
        (Room.owner > "anna", False),
        (Room.owner == Room.size, False),
        (func.lower(Room.owner) == "anna", False),
        (func.rented(Room.owner), False),
        (Room.owner.is_(None), False),
        (or_(Room.owner == "anna", Room.owner == "otto"), False),
    ],
)
def test_a_value_or_a_few_are_looked_up(condition: Any, *, indexed: bool) -> None:
    """In an index that begins with the column."""
    assert rewritten(condition) is indexed


def test_a_condition_on_both_rows_stays() -> None:
    """It has to be tested for each row of the outer table, wherever in the condition that one is named."""
    assert not rewritten((Room.owner == "anna") & (Room.size > Desk.width))
    assert not rewritten((Room.owner == "anna") & (Desk.width > 3))
    assert not rewritten((Room.owner == "anna") & (Room.size == Desk.width))


def test_the_rewritten_rule() -> None:
    """The rest of it stays, on both sides of AND and OR, in brackets or not."""
    has = Desk.room.has(ANNAS)
    wide = Desk.width > 3
    assert written(has) == IN_ANNAS
    assert written(has & wide) == f"{IN_ANNAS} AND desks.width > 3"
    assert written(wide | has) == f"desks.width > 3 OR {IN_ANNAS}"
    assert written(and_(wide, or_(has, Desk.id == 1))) == f"desks.width > 3 AND ({IN_ANNAS} OR desks.id = 1)"
    assert written(Room.desks.any(Desk.room_id == 4), Room.__table__) == (
        "unlikely(rooms.id IN (SELECT desks.room_id FROM desks WHERE desks.room_id = 4))"
    )


def test_a_relation_of_a_relation_is_hinted_once() -> None:
    """The inner one is looked up from the index of the outer."""
    assert written(Desk.room.has(and_(ANNAS, Room.house.has(House.owner == "otto")))) == (
        "unlikely(desks.room_id IN (SELECT rooms.id FROM rooms WHERE rooms.owner = 'anna' AND"
        " rooms.house_id IN (SELECT houses.id FROM houses WHERE houses.owner = 'otto')))"
    )
    assert written(Desk.room.has(Room.house.has(House.owner == "otto"))).startswith(
        "unlikely(desks.room_id IN (SELECT rooms.id FROM rooms WHERE rooms.house_id IN (SELECT houses.id"
    )


def test_nothing_is_rewritten_inside_a_not() -> None:
    """NOT IN is another thing where there is a NULL."""
    assert "IN (SELECT" not in written(~Desk.room.has(ANNAS))
    assert "IN (SELECT" not in written(~(Desk.room.has(ANNAS) & (Desk.width > 3)))


@pytest.mark.parametrize(
    "rule",
    [
        Desk.old_room.has(ANNAS),  # without an index on the outer column
        Desk.houses.any(House.owner == "anna"),  # two tables inside
        Desk.next.has(Desk.width == 3),
        exists().where(Room.id > Desk.room_id, ANNAS),
        exists().where(ANNAS),
        exists().where(Room.size == Room.id, ANNAS),  # of one table, though the other has an id as well
        select(Room.id).exists(),
        union(select(Room.id).where(ANNAS), select(Room.id)).exists(),
        exists().where(Room.id == Desk.room_id, Room.size == Desk.width, ANNAS),
        exists().where(aliased(Room).owner == "anna"),
    ],
)
def test_what_is_no_lookup_stays(rule: Any) -> None:
    """Each row is tested."""
    assert "IN (SELECT" not in written(rule)


def test_a_relation_by_two_columns_stays() -> None:
    """Two columns are in no list of one."""
    assert "IN (SELECT" not in written(Drawer.desk.has(Desk.room_id == 3), Drawer.__table__)
