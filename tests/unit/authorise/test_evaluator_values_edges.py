"""Values at the edge of what both stores hold alike."""

from __future__ import annotations

import enum
import operator
import uuid
from datetime import UTC, date, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import types

from vallum.authorise.evaluator_values import UnsupportedExpression, calculated, compared, distinct, reader_of

TINY = Decimal("1E-40")


def refused(identifier: str, work: Any, *arguments: Any) -> None:
    """By that word."""
    with pytest.raises(UnsupportedExpression) as found:
        work(*arguments)
    assert found.value.identifier == identifier


def test_decimals_have_a_hundred_digits() -> None:
    """Exactly; one more would be rounded by somebody."""
    most = Decimal("9" * 99 + "0")
    assert calculated(operator.add, most, Decimal(9)) == Decimal("9" * 100)
    refused("arithmetic", calculated, operator.add, most, Decimal(10) + Decimal("0.1"))
    refused("arithmetic", calculated, operator.add, Decimal("9" * 100), Decimal("0.1"))


@pytest.mark.parametrize(("left", "right"), [(1, TINY), (TINY, 1), (Decimal(1), TINY)])
def test_a_decimal_makes_the_calculation_exact(left: Any, right: Any) -> None:
    """On whichever side it stands, and where Python's own context would have rounded."""
    assert calculated(operator.add, left, right) == Decimal("1." + "0" * 39 + "1")
    assert compared(operator.eq, left, right) is False


def test_a_float_makes_it_a_float() -> None:
    """As the stores do."""
    assert calculated(operator.add, Decimal("0.1"), 0.2) == 0.1 + 0.2
    assert calculated(operator.add, 0.2, Decimal("0.1")) == 0.1 + 0.2
    assert compared(operator.eq, Decimal("0.1"), 0.1) is True
    assert compared(operator.eq, 0.1, Decimal("0.1")) is True


def test_an_integer_that_no_float_holds_is_not_compared_with_one() -> None:
    """PostgreSQL rounds it and SQLite does not, so that only one of them calls the two equal."""
    assert compared(operator.eq, 2**53, 2.0**53) is True
    assert compared(operator.lt, 2.0**53, 2**53 + 2) is True
    refused("mixed-types", compared, operator.eq, 2.0**53, 2**53 + 1)
    refused("mixed-types", compared, operator.eq, 2**53 + 1, 2.0**53)


def test_only_numbers_are_calculated_with() -> None:
    """On both sides."""
    refused("arithmetic", calculated, operator.add, 1, "a")
    refused("arithmetic", calculated, operator.add, "a", 1)
    refused("arithmetic", calculated, operator.add, "a", "b")


def test_equal_values_are_not_distinct() -> None:
    """Whatever objects they are."""
    assert distinct(1, 1.0) is False
    assert distinct(1, 2) is True
    assert distinct(None, None) is False
    assert distinct(None, 1) is True


@pytest.mark.parametrize("value", [b"x", date(2026, 3, 1), uuid.UUID(int=1), time(8), 1, "a", True])
def test_a_constant_without_a_type_is_what_it_is(value: Any) -> None:
    """Where nobody stated a column's type."""
    assert reader_of(types.NullType())(value) == value


def test_times_and_spans() -> None:
    """A time of day has no zone, for the stores keep none."""
    assert reader_of(types.Time())(time(8)) == time(8)
    assert reader_of(types.Interval())(timedelta(days=1)) == timedelta(days=1)
    assert reader_of(types.Interval())(None) is None
    refused("value-type", reader_of(types.Time()), time(8, tzinfo=UTC))
    refused("value-type", reader_of(types.Time()), "08:00")
    refused("value-type", reader_of(types.Interval()), 5)


def test_an_enum_with_two_names_of_one_member_is_refused() -> None:
    """Which of them is stored, only its type knows."""

    class Size(enum.Enum):
        SMALL = 1
        LITTLE = 1  # noqa: PIE796  # that is what is asked

    refused("column-type", reader_of, types.Enum(Size, omit_aliases=False))
