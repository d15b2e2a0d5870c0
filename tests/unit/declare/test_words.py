"""Rules in words: what a reviewer reads is what was written, to the last space of a constant."""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import and_, func, inspect, not_, or_, true
from tests.general.models import Comment, Part, Person, Project, Stage, Tag, Task

from vallum import me, now, today, when
from vallum.declare.model import table_of
from vallum.declare.words import condition_words, constant_words, span_words, value_words, when_words


class Size(enum.Enum):
    """Of a shoe."""

    SMALL = 36


@pytest.mark.parametrize(
    ("model", "expression", "words"),
    [
        (Task, true(), ""),
        (Comment, Comment.author == me.id, "comments.author = me.id"),
        (Person, Person.organisation_id == me.attr["org"], 'people.organisation_id = me.attr["org"]'),
        (Comment, Comment.author.in_(me.roles), "comments.author IN me.roles"),
        (Comment, Comment.author.in_(["a", "b"]), "comments.author IN ('a', 'b')"),
        (Comment, Comment.author.not_in([]), "(comments.author NOT IN ())"),
        (Project, Project.stage == Stage.DRAFT, "projects.stage = 'draft'"),
        (Project, Project.starts <= today, "projects.starts <= today"),
        (Comment, Comment.written < now, "comments.written < now"),
        (Tag, ~Tag.hidden, "NOT tags.hidden"),
        (Tag, Tag.name == "it's  two", "tags.name = 'it''s  two'"),
        (Tag, Tag.name == ":id %(id)s ?", "tags.name = ':id %(id)s ?'"),
        (Tag, Tag.name.contains("50%", autoescape=True), "(tags.name CONTAINS '50%')"),
        (Tag, Tag.name.startswith(me.attr["region"]), '(tags.name STARTS WITH me.attr["region"])'),
        (Tag, not_(Tag.name.endswith("x")), "(NOT tags.name ENDS WITH 'x')"),
        (Tag, or_(Tag.hidden, and_(Tag.id > 3, Tag.id < 9)), "tags.hidden OR tags.id > 3 AND tags.id < 9"),
        (
            Task,
            Task.parent.has(Task.done.is_(True)),
            "EXISTS (SELECT 1 FROM tasks AS tasks_1 WHERE tasks_1.id = tasks.parent_id AND tasks_1.done IS true)",
        ),
        (
            Task,
            Task.project.has(Project.lead.has(Person.account == me.id)),
            "EXISTS (SELECT 1 FROM projects WHERE projects.id = tasks.project_id AND (EXISTS (SELECT 1 FROM people WHERE people.id = projects.lead_id AND people.account = me.id)))",
        ),
    ],
)
def test_conditions_in_words(model: Any, expression: Any, words: str) -> None:
    """`me`, the clock and constants stand where they are compared; the outer table is not listed again."""
    assert condition_words(expression, model.__table__) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "NULL"),
        (True, "true"),
        (3, "3"),
        (Decimal("1.50"), "1.50"),
        (Size.SMALL, "36"),
        (Part.OWNER, "'owner'"),
        (date(2026, 1, 2), "'2026-01-02'"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "'2026-01-02T03:04:00+00:00'"),
        (time(8), "'08:00:00'"),
        (timedelta(minutes=90), "'1 h 30 min'"),
        (uuid.UUID(int=5), "'00000000-0000-0000-0000-000000000005'"),
        (b"\x00\xff", "x'00ff'"),
        ({"a": [1]}, "'{\"a\": [1]}'"),
        ("O'Hara", "'O''Hara'"),
        ("a\\nb", "'a\\\\nb'"),
        ("line\nfeed", "'line\\u000afeed'"),
        ("\x1b[2J", "'\\u001b[2J'"),
        ("abc\u202edcb", "'abc\\u202edcb'"),
    ],
)
def test_constants_in_words(value: object, words: str) -> None:
    """By value and quoted; what would move a cursor or turn the writing round is escaped."""
    assert constant_words(value) == words


@given(st.text(max_size=30))
def test_a_constant_keeps_every_character(text: str) -> None:
    """Also in the middle of a condition, whatever it looks like; nothing that is not printable comes through."""
    words = condition_words(and_(Tag.name == text, Tag.id == 1), table_of(inspect(Tag)))
    assert words == f"tags.name = {constant_words(text)} AND tags.id = 1"
    assert words.isprintable()


def test_values_in_words() -> None:
    """Of `set=`: a constant, the caller, the clock, a function."""
    assert [value_words(value) for value in (me.id, now, func.lower(me.id))] == ["me.id", "now", "lower(me.id)"]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (None, ()),
        (when(credential="key"), ("credential is key",)),
        (when(credential=["token", "key"]), ("credential is key or token",)),
        (when(login_within=timedelta(minutes=5)), ("login within 5 min",)),
        (when(scope="books"), ("scope books",)),
        (when(networks=["10.0.0.0/8", "::1/128"]), ("from 10.0.0.0/8, ::1/128",)),
        (when(between=("08:00", "17:30:15"), zone="Europe/Berlin"), ("from 08:00 to 17:30:15 Europe/Berlin",)),
        (when(scope="a", credential="key"), ("credential is key", "scope a")),
    ],
)
def test_conditions_on_the_request_in_words(condition: Any, words: tuple[str, ...]) -> None:
    """Each that is given, and none that is not."""
    assert when_words(condition) == words


def test_every_condition_on_the_request_has_words() -> None:
    """A new attribute of `When` must be shown; `zone` is, with `between`."""
    full = when(credential="key", login_within=timedelta(1), scope="s", networks=["::/0"], between=("01:00", "02:00"))
    assert len(when_words(full)) == len(full.__dataclass_fields__) - 1


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (61, "1 min 1 s"), (90_000, "1 d 1 h"), (0.5, "0.5 s")])
def test_spans(seconds: float, words: str) -> None:
    """In units that people use."""
    assert span_words(timedelta(seconds=seconds)) == words
