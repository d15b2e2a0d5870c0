"""Row-level security of columns that a caller is not granted: a new row has their defaults."""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Numeric, String, false, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import JSON
from tests.path.small import NOON
from tests.under_policies import Under, made

from vallum import API, CREATE, READ, allow

REFUSED = asyncpg.InsufficientPrivilegeError


class _Base(DeclarativeBase):
    pass


class _State(enum.Enum):
    LOW = "low"
    HIGH = "high"


class _Article(_Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20, collation="C"), server_default="it's\\a draft")
    state: Mapped[_State] = mapped_column(server_default="LOW")
    shown: Mapped[bool] = mapped_column(server_default=false())
    price: Mapped[Any] = mapped_column(Numeric(6, 2), server_default=text("('-1.50'::numeric)"))
    note: Mapped[str] = mapped_column(server_default=text("'50%'::character varying(20)"))
    made: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    day: Mapped[datetime.date] = mapped_column(server_default=text("CURRENT_DATE"))
    secret: Mapped[uuid.UUID] = mapped_column(server_default=func.gen_random_uuid())
    options: Mapped[Any] = mapped_column(JSONB, default={"long": 1, "a": [None]})
    extra: Mapped[Any] = mapped_column(JSON, server_default=text("""'{"long": 1,  "a": {}}'"""))


MADE = """'{"long": 1, "a": [null]}'"""
"""What the program gives, as the API would: the default is Python's own."""


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Under:
    """An author gives a title, an editor everything."""
    api = API("Articles", roles=["author", "editor"])
    everything = [name for name in _Article.__mapper__.columns.keys() if name != "id"]  # noqa: SIM118  # no dict
    api.resource(
        _Article,
        allow("author", READ),
        allow("author", CREATE, fields=["title"]),
        allow("editor", CREATE, fields=everything),
        path="/articles",
    )
    api.accounts.add("ann", roles=["author"])
    api.accounts.add("eve", roles=["editor", "author"])
    return made(api, tmp_path_factory.mktemp("defaults") / "data", lambda _: None, lambda: NOON - 86_400)


def insert(column: str, value: str) -> str:
    given = {"title": "'x'", "options": MADE, column: value}
    return f"INSERT INTO articles ({', '.join(given)}) VALUES ({', '.join(given.values())}) RETURNING id"


@pytest.mark.parametrize(
    ("column", "same", "other"),
    [
        ("status", "'it''s\\a draft'", "'published'"),
        ("state", "'LOW'", "'HIGH'"),
        ("shown", "FALSE", "TRUE"),
        ("price", "-1.5", "0"),
        ("note", "'50%'", "'60%'"),
        ("made", "now()", "now() - interval '1 second'"),
        ("day", "CURRENT_DATE", "CURRENT_DATE - 1"),
        ("options", """'{"a": [null], "long": 1}'""", """'{"a": [null], "long": 2}'"""),
        ("extra", """'{"a": {}, "long": 1}'""", "'{}'"),
    ],
)
def test_what_is_not_granted_has_its_default(under: Under, column: str, same: str, other: str) -> None:
    """Of the database or of Python; left out, or given as it is. Who is granted the column gives what it likes."""
    ann, eve = under.caller("ann"), under.caller("eve")
    assert len(under.asked(ann, insert("title", "'y'"), insert(column, same))) == 2
    with pytest.raises(REFUSED):
        under.asked(ann, insert(column, other))
    assert len(under.asked(eve, insert(column, other))) == 1


def test_a_default_that_a_function_makes_is_not_foreseen(under: Under) -> None:
    """As docs/rls.md says: who may not write such a column may give it a value where somebody else may write it."""
    assert len(under.asked(under.caller("ann"), insert("secret", f"'{uuid.UUID(int=1)}'"))) == 1
