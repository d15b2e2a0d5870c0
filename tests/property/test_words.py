"""Rules in words, for conditions of every kind: what reads alike is alike, or a review would miss a change."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import and_, not_, or_
from tests.general.models import Comment, Invoice, Person, Project, Stage, Tag, Task
from tests.property.conditions import Condition, conditions

from vallum import me
from vallum.declare.model import mapper_of, table_of
from vallum.declare.words import condition_words
from vallum.store.sql import condition

MODELS = (Comment, Invoice, Person, Project, Tag, Task)
VALUES: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (Project.title, ("a", "A", "a ", "a'", "'a'", "", "NULL", "%", "_", "\\", "me.id", "a\nb", "a\\u000ab", me.id)),
    (Project.stage, tuple(Stage)),
    (Project.starts, (date(2026, 1, 2), date(2026, 2, 1))),
    (Project.budget, (Decimal("1.5"), Decimal(15), Decimal("-1.5"))),
    (Project.id, (uuid.UUID(int=1), uuid.UUID(int=2))),
    (Project.deleted_at, (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, 0, 0, 1, tzinfo=UTC))),
)


def leaves() -> Iterator[Condition]:
    """Every comparison of every value, no two of which mean the same."""
    for column, values in VALUES:
        yield from (column.is_(None), column.is_not(None))
        for value in values:
            yield from (column == value, column != value, column < value, column <= value, column > value)
            yield from (column >= value, column.in_([value]), column.in_([value, values[0]]), column.not_in([value]))
            if column is Project.title:
                found = (column.contains(value), column.startswith(value), column.endswith(value))
                yield from (*found, *map(not_, found))
                if isinstance(value, str):
                    yield column.contains(value, autoescape=True)


def test_no_two_conditions_read_alike() -> None:
    """Whatever differs in SQL or in a constant differs in words, alone and inside of others."""
    table = table_of(mapper_of(Project))
    simple = list(leaves())
    some = simple[:40:4]
    pairs = [join(one, other) for one in some for other in some for join in (and_, or_)]
    seen: dict[str, object] = {}
    for expression in [*simple, *map(not_, simple), *pairs, *(or_(pair, some[0]) for pair in pairs)]:
        compiled = condition(expression, table, "postgresql")
        assert seen.setdefault(condition_words(expression, table), compiled) == compiled, expression
    assert len(seen) > len(simple)


@given(st.sampled_from(MODELS).flatmap(lambda model: st.tuples(st.just(model), conditions(model))))
def test_every_condition_has_words(drawn: tuple[type, Condition]) -> None:
    """On one line, printable, with nothing left of parameters, and the same each time."""
    model, expression = drawn
    table = table_of(mapper_of(model))
    words = condition_words(expression, table)
    assert words == condition_words(expression, table)
    assert words.isprintable()
    assert not any(trace in words for trace in ("vallum_", "POSTCOMPILE", "%("))
