"""A second application, unlike the School: what a team that plans and bills projects might have.

It has what the School lacks: UUID and composite keys, self-reference, decimals, enums stored by name and by value,
JSON, many-to-many, tenants, soft delete, a column that is named unlike its attribute, hybrids.
"""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Numeric,
    String,
    Table,
    Text,
    func,
    select,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

Instant = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Key = Annotated[uuid.UUID, mapped_column(primary_key=True, default=uuid.uuid4)]
Tenant = Annotated[int, mapped_column(ForeignKey("organisations.organisation_id"), index=True)]
Account = Annotated[str, mapped_column(String(200), index=True)]


class Base(DeclarativeBase):
    """All tables of the application."""


class Part(enum.Enum):
    """What a person does in a project; stored by name, as SQLAlchemy does by default."""

    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"


class Stage(enum.Enum):
    """Where a project stands; stored by value."""

    DRAFT = "draft"
    RUNNING = "running"
    CLOSED = "closed"


class Currency(str, enum.Enum):  # noqa: UP042  # a str mixed in is what applications have; StrEnum compares otherwise
    """Of an invoice; the member equals its text, and the stored word is the name."""

    SWISS = "CHF"
    EURO = "EUR"


class Organisation(Base):
    """A tenant. It belongs to itself, so that the tenant's rule is the same everywhere."""

    __tablename__ = "organisations"

    organisation_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    country: Mapped[str | None] = mapped_column(String(2))


class Person(Base):
    """Somebody in an organisation; `account` is the name at login."""

    __tablename__ = "people"

    id: Mapped[Key]
    organisation_id: Mapped[Tenant]
    account: Mapped[str | None] = mapped_column(String(200), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    born: Mapped[date | None]
    active: Mapped[bool | None]
    rate: Mapped[float | None] = mapped_column(Float)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)

    organisation: Mapped[Organisation] = relationship()
    memberships: Mapped[list[Membership]] = relationship(back_populates="person")


class Project(Base):
    """A project. Deleted ones stay in the table."""

    __tablename__ = "projects"

    id: Mapped[Key]
    organisation_id: Mapped[Tenant]
    lead_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id"), index=True)
    title: Mapped[str] = mapped_column(String(80))
    stage: Mapped[Stage] = mapped_column(
        Enum(Stage, values_callable=lambda members: [m.value for m in members], native_enum=False, length=20)
    )
    budget: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    starts: Mapped[date | None]
    deleted_at: Mapped[Instant | None]

    organisation: Mapped[Organisation] = relationship()
    lead: Mapped[Person | None] = relationship()
    memberships: Mapped[list[Membership]] = relationship(back_populates="project")
    tasks: Mapped[list[Task]] = relationship(back_populates="project")
    invoices: Mapped[list[Invoice]] = relationship(back_populates="project")
    if TYPE_CHECKING:
        open_tasks: Mapped[int]  # set below, where Task exists

    @hybrid_property
    def running(self) -> bool:
        """Whether work is going on."""
        return self.stage is Stage.RUNNING

    @running.inplace.expression
    @classmethod
    def _running(cls) -> ColumnElement[bool]:
        return cls.stage == Stage.RUNNING


class Membership(Base):
    """A person in a project: a composite key of two foreign ones."""

    __tablename__ = "memberships"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("people.id"), primary_key=True, index=True)
    organisation_id: Mapped[Tenant]
    part: Mapped[Part] = mapped_column(Enum(Part, native_enum=False, length=20))
    since: Mapped[date | None]

    project: Mapped[Project] = relationship(back_populates="memberships")
    person: Mapped[Person] = relationship(back_populates="memberships")


task_tags = Table(
    "task_tags",
    Base.metadata,
    Column("task_id", ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Task(Base):
    """Something to do, perhaps a part of another task."""

    __tablename__ = "tasks"
    __table_args__ = (CheckConstraint("priority BETWEEN 1 AND 5", name="priority"),)

    id: Mapped[Key]
    organisation_id: Mapped[Tenant]
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), index=True)
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tasks.id"), index=True)
    assignee_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("people.id"), index=True)
    title: Mapped[str | None] = mapped_column(String(80))
    done: Mapped[bool | None]
    priority: Mapped[int | None]
    effort: Mapped[int] = mapped_column(default=0)
    due: Mapped[Instant | None]
    reminder: Mapped[datetime | None]
    changed: Mapped[Instant | None] = mapped_column(onupdate=lambda: datetime.now(UTC))

    project: Mapped[Project] = relationship(back_populates="tasks")
    parent: Mapped[Task | None] = relationship(back_populates="children", remote_side="Task.id")
    children: Mapped[list[Task]] = relationship(back_populates="parent")
    assignee: Mapped[Person | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=task_tags, back_populates="tasks")
    comments: Mapped[list[Comment]] = relationship(back_populates="task")

    @hybrid_property
    def weight(self) -> int | None:
        """What the planners sort by."""
        return None if self.priority is None else self.priority * self.effort

    @weight.inplace.expression
    @classmethod
    def _weight(cls) -> ColumnElement[int | None]:
        return cls.priority * cls.effort


class Tag(Base):
    """A word on tasks."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[Tenant]
    name: Mapped[str] = mapped_column(String(40))
    hidden: Mapped[bool] = mapped_column(default=False)

    tasks: Mapped[list[Task]] = relationship(secondary=task_tags, back_populates="tags")


class Comment(Base):
    """What somebody said about a task; its attribute `text` is the column `body`."""

    __tablename__ = "comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[Tenant]
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id"), index=True)
    author: Mapped[Account]
    text: Mapped[str] = mapped_column("body", Text)
    internal: Mapped[bool] = mapped_column(default=False)
    written: Mapped[Instant]

    task: Mapped[Task] = relationship(back_populates="comments")


class Invoice(Base):
    """A bill: numbered anew each year."""

    __tablename__ = "invoices"

    year: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[Tenant]
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("projects.id"), index=True)
    currency: Mapped[Currency] = mapped_column(Enum(Currency, native_enum=False, length=20))
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    paid: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    settled: Mapped[bool | None]
    issued: Mapped[date | None]

    project: Mapped[Project | None] = relationship(back_populates="invoices")
    lines: Mapped[list[Line]] = relationship(back_populates="invoice")
    open_amount: Mapped[Decimal | None] = column_property(amount - paid)


class Line(Base):
    """A line of an invoice: refers to a composite key, and is part of one."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        ForeignKeyConstraint(["year", "number"], ["invoices.year", "invoices.number"], ondelete="CASCADE"),
    )

    year: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[Tenant]
    words: Mapped[str | None] = mapped_column(String(80))
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))

    invoice: Mapped[Invoice] = relationship(back_populates="lines")


Project.open_tasks = column_property(
    select(func.count(Task.id))
    .where(Task.project_id == Project.id, Task.done.is_not(True))
    .correlate_except(Task)
    .scalar_subquery()
)

MODELS = (Organisation, Person, Project, Membership, Task, Tag, Comment, Invoice, Line)
"""Every mapped class, parents first."""
