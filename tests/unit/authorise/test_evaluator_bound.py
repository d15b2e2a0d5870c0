"""What stands for a parameter: the instant, the caller's values, constants with a value of their own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import bindparam, literal
from tests.general.models import Task

from vallum.authorise.evaluator import CallerValues, Evaluator, UnsupportedExpression
from vallum.declare.policy import me, now, today

TABLE: Any = Task.__table__


def value(expression: Any, instant: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> Any:
    """For a caller without anything."""
    return Evaluator({TABLE: []}, CallerValues(None), instant).value(expression, TABLE, {})


@pytest.mark.usefixtures("far_east")
def test_an_instant_without_a_zone_is_utc() -> None:
    """Wherever the machine stands."""
    naive = datetime(2026, 3, 1, 1)  # noqa: DTZ001  # that is what is asked
    assert value(now, naive) == naive
    assert value(today, naive) == date(2026, 3, 1)


def test_an_instant_of_another_zone_is_turned_to_utc() -> None:
    """Its day may be another."""
    early = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert value(now, early) == datetime(2026, 2, 28, 23)  # noqa: DTZ001  # values are naive UTC
    assert value(today, early) == date(2026, 2, 28)


def test_what_a_caller_lacks_is_named_as_the_author_wrote_it() -> None:
    """The decision does not ask for it; whoever does is told."""
    with pytest.raises(UnsupportedExpression, match=r"caller-lacks: me\.id$"):
        value(literal("a") == me.id)
    with pytest.raises(UnsupportedExpression, match=r"caller-lacks: region$"):
        value(literal("a") == me.attr["region"])


def test_a_parameter_with_a_value_is_a_constant() -> None:
    """Even one that says it must be given: it is."""
    assert value(bindparam("a", 5, required=True)) == 5
    assert value(bindparam("a", callable_=lambda: 6, required=True)) == 6
    with pytest.raises(UnsupportedExpression, match="parameter-without-value"):
        value(bindparam("a"))
