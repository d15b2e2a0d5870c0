"""Pupils and what they are related to: an API made for reads that follow relations.

Who there is: `hal` is the head of school 1 and reads everything there, `hugo` that of school 2. `tess` teaches and reads by
several rules with different fields. `cleo` is a clerk who does not see by what rows are related. `finn` and `fred` read pupils and
nothing else. `grete` reads pupils and the best grades. `carl` reads names and rooms, and no keys.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Column, DateTime, ForeignKey, ForeignKeyConstraint, Integer, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from vallum import API, CREATE, READ, UPDATE, Plan, allow, deny, me

MANY: Final = 23
"""Grades of the first pupil: three pages."""


class Base(DeclarativeBase):
    """All tables."""


class Room(Base):
    """Where pupils sit."""

    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(String(20))
    code: Mapped[str | None] = mapped_column(String(20))

    pupils: Mapped[list[Pupil]] = relationship(back_populates="room")


badges: Final = Table(
    "badges",
    Base.metadata,
    Column("pupil_id", ForeignKey("pupils.id"), primary_key=True),
    Column("club_id", Integer, ForeignKey("clubs.id"), primary_key=True),
)
"""Nothing is declared about it, so nobody reads it."""


class Pupil(Base):
    """Deleted ones stay in the table."""

    __tablename__ = "pupils"

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(index=True)
    room_id: Mapped[int | None] = mapped_column(ForeignKey("rooms.id"), index=True)
    friend_id: Mapped[int | None] = mapped_column(ForeignKey("pupils.id"), index=True)
    name: Mapped[str] = mapped_column(String(20))
    notes: Mapped[str | None] = mapped_column(String(40))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    room: Mapped[Room | None] = relationship(back_populates="pupils")
    friend: Mapped[Pupil | None] = relationship(remote_side="Pupil.id", back_populates="admirers")
    admirers: Mapped[list[Pupil]] = relationship(back_populates="friend")
    grades: Mapped[list[Grade]] = relationship(back_populates="pupil")
    best: Mapped[list[Grade]] = relationship(
        primaryjoin="and_(Pupil.id == Grade.pupil_id, Grade.value == 6)", viewonly=True
    )
    odd: Mapped[list[Grade]] = relationship(
        primaryjoin="and_(Pupil.id == Grade.pupil_id, Grade.value == Grade.year)", viewonly=True
    )
    later: Mapped[list[Grade]] = relationship(primaryjoin="Pupil.id < foreign(Grade.pupil_id)", viewonly=True)
    mates: Mapped[list[Pupil]] = relationship(
        primaryjoin="Pupil.room_id == foreign(remote(Pupil.room_id))", viewonly=True
    )
    clubs: Mapped[list[Club]] = relationship(secondary="memberships", viewonly=True)
    prizes: Mapped[list[Club]] = relationship(secondary=badges, viewonly=True)


class Course(Base):
    """A key of a number and a text, in which a comma stands."""

    __tablename__ = "courses"

    year: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(10), primary_key=True)
    school_id: Mapped[int] = mapped_column(index=True)
    title: Mapped[str] = mapped_column(String(20))

    grades: Mapped[list[Grade]] = relationship(back_populates="course")


class Grade(Base):
    """Of a pupil on a course."""

    __tablename__ = "grades"
    __table_args__ = (ForeignKeyConstraint(["year", "code"], ["courses.year", "courses.code"]),)

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(index=True)
    pupil_id: Mapped[int] = mapped_column(ForeignKey("pupils.id"), index=True)
    year: Mapped[int]
    code: Mapped[str] = mapped_column(String(10))
    value: Mapped[int]
    remark: Mapped[str | None] = mapped_column(String(40))

    pupil: Mapped[Pupil] = relationship(back_populates="grades")
    course: Mapped[Course] = relationship(back_populates="grades")


class Club(Base):
    """Pupils meet there."""

    __tablename__ = "clubs"

    id: Mapped[int] = mapped_column(primary_key=True)
    school_id: Mapped[int] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(String(20))
    secret: Mapped[bool] = mapped_column(default=False)

    pupils: Mapped[list[Pupil]] = relationship(secondary="memberships", viewonly=True)


class Membership(Base):
    """Who is in which club: between two others, and a resource itself."""

    __tablename__ = "memberships"

    pupil_id: Mapped[int] = mapped_column(ForeignKey("pupils.id"), primary_key=True)
    club_id: Mapped[int] = mapped_column(ForeignKey("clubs.id"), primary_key=True, index=True)
    school_id: Mapped[int] = mapped_column(index=True)
    quiet: Mapped[bool] = mapped_column(default=False)


api: Final = API(
    "Related",
    roles=["head", "teacher", "clerk", "looker", "grader", "caller"],
    attributes={"school": int},
    tenant=("school_id", me.attr["school"]),
    plans={"default": Plan(burst="100000/s"), "counted": Plan(burst="100/s", hour=1000)},
)

api.resource(
    Room,
    allow("head", READ),
    # The name of room 2 is for nobody but the head.
    allow("teacher", READ, where=Room.id != 3, fields=["id", "name"]),
    allow("teacher", READ, where=Room.id == 1, fields=["id", "code"]),
    deny("teacher", READ, where=Room.id == 2, fields=["name"]),
    allow("clerk", READ, fields=["id", "name"]),
)
api.resource(
    Pupil,
    allow("head", CREATE | READ | UPDATE),
    allow("teacher", READ, where=Pupil.room_id == 1, fields=["id", "name", "room_id", "friend_id"]),
    allow("teacher", READ, where=Pupil.name.startswith("B"), fields=["id", "name", "notes"]),
    allow("clerk", READ, fields=["id", "name", "friend_id"]),
    allow(["looker", "grader"], READ, fields=["id", "name", "room_id", "friend_id"]),
    allow("caller", READ, fields=["name", "room_id"]),
    filters=["room_id", "name", "friend_id"],
    sorts=["name"],
    soft_delete=Pupil.deleted_at,
)
api.resource(
    Course,
    allow(["head", "teacher", "grader"], READ),
)
api.resource(
    Grade,
    allow("head", CREATE | READ | UPDATE),
    # A teacher sees whose a grade is where it is good, and the remark where it is bad.
    allow("teacher", READ, where=Grade.value > 3, fields=["id", "pupil_id", "year", "code", "value"]),
    allow("teacher", READ, where=Grade.value < 3, fields=["id", "value", "remark"]),
    allow("clerk", READ, fields=["id", "value"]),
    allow("grader", READ, where=Grade.value == 6),
    filters=["pupil_id", "value"],
    cost={"include": 7},
)
api.resource(
    Club,
    allow(["head", "teacher", "grader", "clerk"], READ, where=Club.secret.is_(False)),
    allow("head", READ, where=Club.secret.is_(True), fields=["id", "name"]),
)
api.resource(
    Membership,
    allow("head", READ),
    allow("teacher", READ, where=Membership.quiet.is_(False)),
    # That somebody is in a club is no secret, in which one is.
    allow("teacher", READ, where=Membership.quiet.is_(True), fields=["pupil_id"]),
    allow("clerk", READ, fields=["club_id"]),
)
for name, role, school in (
    ("hal", "head", 1),
    ("hugo", "head", 2),
    ("tess", "teacher", 1),
    ("cleo", "clerk", 1),
    ("finn", "looker", 1),
    ("grete", "grader", 1),
    ("carl", "caller", 1),
):
    api.accounts.add(name, roles=[role], attributes={"school": school})
api.accounts.add("fred", roles=["looker"], attributes={"school": 1}, plan="counted")
api.accounts.add("both", roles=["teacher", "grader"], attributes={"school": 1})


def seed(db: Session) -> None:
    """Two schools; a pupil with many grades, one that is gone, and rows that point over the wall between the schools."""
    gone = datetime(2026, 1, 31, tzinfo=UTC)
    db.add_all(
        [
            Room(id=1, school_id=1, name="North", code="n"),
            Room(id=2, school_id=1, name="South", code="s"),
            Room(id=3, school_id=1, name="Attic"),
            Room(id=4, school_id=2, name="Abroad"),
            Course(year=2026, code="a,b", school_id=1, title="Sums"),
            Course(year=2027, code="é", school_id=1, title="Songs"),
            Course(year=2027, code="x", school_id=2, title="Ships"),
            *(Club(id=n, school_id=1, name=f"Club {n}", secret=n == 2) for n in range(1, 13)),
        ]
    )
    db.flush()
    for n, (name, school, room, friend, deleted) in enumerate(
        [
            ("Ada", 1, 1, None, None),
            ("Bea", 1, 2, 1, None),
            ("Bob", 1, 1, 2, None),
            ("Cid", 1, 3, 1, None),
            ("Gus", 1, 1, 1, gone),
            ("Una", 2, 1, 1, None),
            ("Zoe", 1, 4, 5, None),
            ("Lou", 1, None, 8, None),
        ],
        1,
    ):
        db.add(
            Pupil(
                id=n, school_id=school, room_id=room, friend_id=friend, name=name, notes=f"{name}!", deleted_at=deleted
            )
        )
        db.flush()
    for n in range(1, MANY + 1):
        db.add(Grade(id=n, school_id=1, pupil_id=1, year=2026, code="a,b", value=n % 6 + 1, remark=f'"{n}"\\\x1e\x1f'))
    db.add_all(
        [
            Grade(id=31, school_id=1, pupil_id=2, year=2027, code="é", value=6),
            Grade(id=32, school_id=2, pupil_id=2, year=2027, code="x", value=6),
            Grade(id=33, school_id=1, pupil_id=2, year=2027, code="x", value=2, remark="hm"),
            Grade(id=34, school_id=1, pupil_id=5, year=2027, code="é", value=6),
            *(Membership(pupil_id=1, club_id=n, school_id=1, quiet=n == 3) for n in range(1, 13)),
            Membership(pupil_id=2, club_id=1, school_id=1),
            Membership(pupil_id=5, club_id=1, school_id=1),
        ]
    )
    db.execute(badges.insert().values(pupil_id=1, club_id=1))
