"""Players and their teams: an API of one resource, to be broken in one place."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Enum, ForeignKey, Index, String, column, func
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship

from vallum.authorise.checks import check
from vallum.declare.app import API
from vallum.declare.checks_finding import Finding
from vallum.declare.dialect import DialectName
from vallum.declare.policy import READ, Rule, allow


class Base(DeclarativeBase):
    """The tables of these tests."""


class Team(Base):
    """Something that others refer to."""

    __tablename__ = "teams"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    captain: Mapped[str] = mapped_column(String(20))
    players: Mapped[list[Player]] = relationship(viewonly=True, foreign_keys="Player.team_id")


class Player(Base):
    """The resource of most tests."""

    __tablename__ = "players"
    __table_args__ = (Index(None, "second_id", sqlite_where=column("second_id").is_not(None)),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    account: Mapped[str | None] = mapped_column(String(20), index=True)
    nick: Mapped[str | None] = mapped_column(String(20))
    born: Mapped[date | None]
    limit: Mapped[int | None]
    active: Mapped[bool | None]
    grade: Mapped[str | None] = mapped_column(Enum("good", "bad"))
    made: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    extra: Mapped[Any | None] = mapped_column(JSON)
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    joined: Mapped[datetime | None] = mapped_column(DateTime)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"), index=True)
    second_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id"))
    shout: Mapped[str] = column_property(column("name") + "!")

    team: Mapped[Team] = relationship(foreign_keys=[team_id])
    second: Mapped[Team] = relationship(foreign_keys=[second_id])


Model = type[Any]


def declared(*rules: Rule, model: Model = Player, roles: tuple[str, ...] = ("a", "b"), **options: Any) -> API:
    """An API of one resource."""
    tenant = options.pop("tenant", None)
    api = API("Test", roles=roles, attributes={"age": int, "word": str, "flag": bool}, tenant=tenant)
    api.resource(model, *rules, **options)
    return api


def identifiers(api: API, dialect: DialectName = "sqlite", *, severity: str | None = None) -> list[str]:
    return [f.identifier for f in check(api, dialect=dialect) if severity is None or f.severity == severity]


def the(identifier: str, api: API, dialect: DialectName = "sqlite") -> Finding:
    """The only finding with this identifier; it says something, somewhere, with a mend."""
    [found] = [finding for finding in check(api, dialect=dialect) if finding.identifier == identifier]
    assert found.place
    assert found.message.endswith(".")
    assert found.mend
    return found


READ_ALL = allow("a", READ)
