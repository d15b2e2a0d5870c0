"""The tables of the School: ordinary SQLAlchemy, nothing in it knows of Vallum.

Each foreign key and each column with an account's name has an index that begins with it: these are what the rules in
`policies.py` ask for, on every request.
"""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Annotated

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

Key = Annotated[int, mapped_column(primary_key=True)]
Name = Annotated[str, mapped_column(String(120))]
Account = Annotated[str, mapped_column(String(200))]
"""The name given at `vallum user add NAME`: what a rule compares with `me.id`."""


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can speak of it, and stores enums by their value."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it from the class
        enum.Enum: Enum(
            enum.Enum,
            native_enum=False,
            create_constraint=True,
            length=20,
            values_callable=lambda members: [member.value for member in members],
        )
    }


class Topic(enum.Enum):
    """What an article is about."""

    NEWS = "news"
    EVENTS = "events"
    SPORTS = "sports"
    CANTEEN = "canteen"


class Status(enum.Enum):
    """Whether a student was there."""

    PRESENT = "present"
    LATE = "late"
    EXCUSED = "excused"
    ABSENT = "absent"


class Teacher(Base):
    """The key is the teacher's account, so that the rules on classes and courses need no join to get here."""

    __tablename__ = "teachers"

    id: Mapped[Account] = mapped_column(primary_key=True)
    name: Mapped[Name]
    subject: Mapped[Name]
    email: Mapped[Name] = mapped_column(unique=True)
    phone: Mapped[str | None] = mapped_column(String(40))
    salary: Mapped[int] = mapped_column(CheckConstraint("salary > 0", name="salary"))


class Classroom(Base):
    """A class of students with its own teacher."""

    __tablename__ = "classrooms"

    id: Mapped[Key]
    name: Mapped[Name] = mapped_column(unique=True)
    year: Mapped[int] = mapped_column(CheckConstraint("year BETWEEN 1 AND 13", name="year"))
    teacher_id: Mapped[Account] = mapped_column(ForeignKey("teachers.id", ondelete="RESTRICT"), index=True)
    # What everybody may know of a teacher is the name on the door.
    teacher_name: Mapped[str] = column_property(
        select(Teacher.name).where(Teacher.id == teacher_id).correlate_except(Teacher).scalar_subquery()
    )


class Term(Base):
    """The days between which the courses of a term are graded, both inclusive."""

    __tablename__ = "terms"
    __table_args__ = (CheckConstraint("starts < ends", name="span"),)

    id: Mapped[Key]
    name: Mapped[Name] = mapped_column(unique=True)
    starts: Mapped[date]
    ends: Mapped[date]


class Course(Base):
    """A subject, taught for one term, with so many places."""

    __tablename__ = "courses"

    id: Mapped[Key]
    title: Mapped[Name] = mapped_column(index=True)
    teacher_id: Mapped[Account] = mapped_column(ForeignKey("teachers.id", ondelete="RESTRICT"), index=True)
    term_id: Mapped[int] = mapped_column(ForeignKey("terms.id", ondelete="RESTRICT"), index=True)
    places: Mapped[int] = mapped_column(CheckConstraint("places > 0", name="places"))
    teacher_name: Mapped[str] = column_property(
        select(Teacher.name).where(Teacher.id == teacher_id).correlate_except(Teacher).scalar_subquery()
    )

    term: Mapped[Term] = relationship()


class Student(Base):
    """A student; `left` is the day on which this one left the school."""

    __tablename__ = "students"

    id: Mapped[Key]
    name: Mapped[Name] = mapped_column(index=True)
    born: Mapped[date] = mapped_column(index=True)
    classroom_id: Mapped[int] = mapped_column(ForeignKey("classrooms.id", ondelete="RESTRICT"), index=True)
    account: Mapped[Account | None] = mapped_column(unique=True)
    notes: Mapped[str | None] = mapped_column(String(2000))
    left: Mapped[date | None]

    classroom: Mapped[Classroom] = relationship()
    guardianships: Mapped[list[Guardianship]] = relationship(passive_deletes=True)


class Guardianship(Base):
    """This account is a parent of that student; it goes when the student's row goes."""

    __tablename__ = "guardianships"

    guardian: Mapped[Account] = mapped_column(primary_key=True)
    student_id: Mapped[int] = mapped_column(ForeignKey("students.id", ondelete="CASCADE"), primary_key=True, index=True)


class Enrolment(Base):
    """This student has a place on that course."""

    __tablename__ = "enrolments"

    course_id: Mapped[int] = mapped_column(ForeignKey("courses.id", ondelete="RESTRICT"), primary_key=True)
    student_id: Mapped[int] = mapped_column(
        ForeignKey("students.id", ondelete="RESTRICT"), primary_key=True, index=True
    )
    since: Mapped[date] = mapped_column(server_default=func.current_date())
    student_name: Mapped[str] = column_property(
        select(Student.name).where(Student.id == student_id).correlate_except(Student).scalar_subquery()
    )

    course: Mapped[Course] = relationship()


class Grade(Base):
    """One mark, 1 (poor) to 6 (excellent). It refers to an enrolment: nobody is graded on a course not taken."""

    __tablename__ = "grades"
    __table_args__ = (
        ForeignKeyConstraint(
            ["course_id", "student_id"], ["enrolments.course_id", "enrolments.student_id"], ondelete="RESTRICT"
        ),
        Index(None, "course_id", "student_id"),
    )

    id: Mapped[Key]
    course_id: Mapped[int]
    student_id: Mapped[int] = mapped_column(index=True)
    value: Mapped[int] = mapped_column(CheckConstraint("value BETWEEN 1 AND 6", name="value"))
    given: Mapped[date]
    comment: Mapped[str | None] = mapped_column(String(500))

    # The enrolment is between; a rule need not pass through it.
    course: Mapped[Course] = relationship(primaryjoin="foreign(Grade.course_id) == Course.id", viewonly=True)
    student: Mapped[Student] = relationship(primaryjoin="foreign(Grade.student_id) == Student.id", viewonly=True)


class Attendance(Base):
    """Whether a student was there on a day."""

    __tablename__ = "attendance"
    __table_args__ = (UniqueConstraint("student_id", "day"),)

    id: Mapped[Key]
    student_id: Mapped[int] = mapped_column(ForeignKey("students.id", ondelete="RESTRICT"))
    day: Mapped[date] = mapped_column(index=True)
    status: Mapped[Status]

    student: Mapped[Student] = relationship()


class Article(Base):
    """Something to read. Published from `published_at` on; without it, a draft."""

    __tablename__ = "articles"

    id: Mapped[Key]
    title: Mapped[Name]
    body: Mapped[str] = mapped_column(String(20_000))
    topic: Mapped[Topic]
    author: Mapped[Account] = mapped_column(index=True)
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), index=True)
