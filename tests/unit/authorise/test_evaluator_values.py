"""Three-valued logic and the values under it, each table written by hand."""

from __future__ import annotations

import enum
import operator
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import types

from vallum.authorise.evaluator_values import (
    Truth,
    UnsupportedExpression,
    all_true,
    among,
    any_true,
    calculated,
    checked_number,
    compared,
    distinct,
    negated,
    reader_of,
    truth_of,
)

T, F, N = True, False, None


@pytest.mark.parametrize(
    ("one", "other", "both", "either"),
    [
        (T, T, T, T),
        (T, F, F, T),
        (T, N, N, T),
        (F, T, F, T),
        (F, F, F, F),
        (F, N, F, N),
        (N, T, N, T),
        (N, F, F, N),
        (N, N, N, N),
    ],
)
def test_and_or(one: Truth, other: Truth, both: Truth, either: Truth) -> None:
    """AND and OR by the table of the SQL standard."""
    assert all_true([one, other]) is both
    assert any_true([one, other]) is either


def test_and_or_of_nothing() -> None:
    """No condition at all: AND holds, OR does not."""
    assert all_true([]) is True
    assert any_true([]) is False


@pytest.mark.parametrize(("truth", "result"), [(T, F), (F, T), (N, N)])
def test_not(truth: Truth, result: Truth) -> None:
    """NOT leaves NULL as it is."""
    assert negated(truth) is result


@pytest.mark.parametrize(
    ("value", "members", "result"),
    [
        (1, [1, 2], T),
        (1, [2, 3], F),
        (1, [2, None], N),
        (1, [1, None], T),
        (None, [1], N),
        (None, [None], N),
        (None, [], F),
        (1, [], F),
    ],
)
def test_in(value: Any, members: list[Any], result: Truth) -> None:
    """IN is an OR of equalities; of no members it is false, even for NULL."""
    assert among(value, members) is result


@pytest.mark.parametrize(
    ("one", "other", "result"), [(1, 1, F), (1, 2, T), (1, None, T), (None, 1, T), (None, None, F), ("", None, T)]
)
def test_is_distinct_from(one: Any, other: Any, result: bool) -> None:
    """IS DISTINCT FROM is never NULL."""
    assert distinct(one, other) is result


ONE = uuid.UUID(int=1)


@pytest.mark.parametrize(
    ("compare", "left", "right", "result"),
    [
        (operator.eq, None, None, N),
        (operator.lt, 1, None, N),
        (operator.eq, 1, Decimal("1.00"), T),
        (operator.eq, 0.5, Decimal("0.5"), T),
        (operator.eq, 0.1, Decimal("0.1"), T),
        (operator.lt, Decimal("0.1"), 0.2, T),
        (operator.lt, 2, 10, T),
        (operator.lt, "2", "10", F),
        (operator.lt, "Z", "a", T),
        (operator.lt, "z", "ä", T),
        (operator.lt, "￿", "𐀀", T),  # by code points, not by UTF-16
        (operator.lt, False, True, T),
        (operator.lt, date(2025, 12, 31), date(2026, 1, 1), T),
        (operator.lt, ONE, uuid.UUID(int=2), T),
        (operator.lt, b"a", b"ab", T),
        (operator.lt, time(9), time(10), T),
    ],
)
def test_compared(compare: Callable[[Any, Any], bool], left: Any, right: Any, result: Truth) -> None:
    """Comparisons within one kind of value; NULL on either side gives NULL."""
    assert compared(compare, left, right) is result


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, "1"),
        (True, 1),
        (date(2026, 1, 1), datetime(2026, 1, 1)),  # noqa: DTZ001  # as columns without zone give it
        (ONE, str(ONE)),
        (b"a", "a"),
    ],
)
def test_mixed_types_are_refused(left: Any, right: Any) -> None:
    """SQLite would compare these by storage class and PostgreSQL refuse them."""
    with pytest.raises(UnsupportedExpression, match="mixed-types"):
        compared(operator.eq, left, right)


@pytest.mark.parametrize(
    ("calculate", "left", "right", "result"),
    [
        (operator.add, 1, 2, 3),
        (operator.sub, 1, None, None),
        (operator.mul, None, 2, None),
        (operator.add, Decimal("0.1"), Decimal("0.2"), Decimal("0.3")),
        (
            operator.mul,
            Decimal("99999999999999.99"),
            Decimal("99999999999999.99"),
            Decimal("9999999999999998000000000000.0001"),
        ),
        (operator.add, Decimal("0.1"), 1, Decimal("1.1")),
        (operator.sub, 2**63 - 1, 1, 2**63 - 2),
        (operator.add, 0.5, Decimal("0.25"), 0.75),
    ],
)
def test_calculated(calculate: Callable[[Any, Any], Any], left: Any, right: Any, result: Any) -> None:
    """Numbers are exact, and NULL makes NULL."""
    found = calculated(calculate, left, right)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("calculate", "left", "right", "identifier"),
    [
        (operator.add, 2**63 - 1, 1, "integer-overflow"),
        (operator.sub, -(2**63), 1, "integer-overflow"),
        (operator.mul, 1e308, 10.0, "value-type"),
        (operator.add, "a", "b", "arithmetic"),
        (operator.sub, date(2026, 1, 2), date(2026, 1, 1), "arithmetic"),
        (operator.add, True, 1, "arithmetic"),
        (operator.mul, Decimal("1." + "3" * 60), Decimal("1." + "3" * 60), "arithmetic"),
    ],
)
def test_calculations_without_one_meaning(
    calculate: Callable[[Any, Any], Any], left: Any, right: Any, identifier: str
) -> None:
    """Overflow, rounding and what is no number are refused."""
    with pytest.raises(UnsupportedExpression) as caught:
        calculated(calculate, left, right)
    assert caught.value.identifier == identifier


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), True, "1", 2**63])
def test_numbers_that_no_store_holds(value: Any) -> None:
    """NaN becomes NULL in SQLite, and a big integer a float."""
    with pytest.raises(UnsupportedExpression):
        checked_number(value)


class Named(enum.Enum):
    """Stored by name."""

    ONE = "eins"


class Text(str, enum.Enum):  # noqa: UP042  # the older form is what a column may have
    """A member that equals its text."""

    ONE = "eins"


PLUS_TWO = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("type_", "value", "read"),
    [
        (types.Integer(), 1, 1),
        (types.Boolean(), 1, True),
        (types.Boolean(), 0, False),
        (types.Boolean(), None, None),
        (types.Enum(Named), Named.ONE, "ONE"),
        (types.Enum(Named), "ONE", "ONE"),
        (types.Enum(Named, values_callable=lambda e: [m.value for m in e]), Named.ONE, "eins"),
        (types.Enum(Text), Text.ONE, "ONE"),
        (types.Enum(Text), "eins", "ONE"),
        (types.Enum("a", "b"), "b", "b"),
        (types.Enum(Named), None, None),
        (types.DateTime(timezone=True), datetime(2026, 3, 1, 14, tzinfo=PLUS_TWO), datetime(2026, 3, 1, 12)),  # noqa: DTZ001
        (types.DateTime(), datetime(2026, 3, 1, 12), datetime(2026, 3, 1, 12)),  # noqa: DTZ001
        (types.Uuid(), ONE, ONE),
        (types.Uuid(as_uuid=False), str(ONE), ONE),
        (types.NullType(), datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 12)),  # noqa: DTZ001
        (types.NullType(), "a", "a"),
        (types.LargeBinary(), b"\x00", b"\x00"),
    ],
)
def test_reading(type_: Any, value: Any, read: Any) -> None:
    """Enums become their stored text, datetimes naive UTC, 0 and 1 booleans."""
    found = reader_of(type_)(value)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (types.Integer(), "1"),
        (types.Integer(), True),
        (types.String(), 1),
        (types.String(), "a\x00b"),
        (types.Date(), datetime(2026, 3, 1, tzinfo=UTC)),
        (types.DateTime(), date(2026, 3, 1)),
        (types.Time(), time(9, tzinfo=UTC)),
        (types.Boolean(), "true"),
        (types.Uuid(), "no uuid"),
        (types.Enum(Named), "TWO"),
        (types.NullType(), [1]),
        (types.NullType(), Named.ONE),
    ],
)
def test_values_of_another_type(type_: Any, value: Any) -> None:
    """A value that is not of its column's type is refused, not converted."""
    read = reader_of(type_)
    with pytest.raises(UnsupportedExpression):
        read(value)


class Shouting(types.TypeDecorator[str]):
    """A type whose stored form only its own code knows."""

    impl: types.TypeEngine[Any] | type[types.TypeEngine[Any]] = types.String
    cache_ok: bool | None = True


@pytest.mark.parametrize(
    "type_",
    [
        types.JSON(),
        types.PickleType(),
        types.CHAR(2),
        types.String(collation="NOCASE"),
        types.ARRAY(types.Integer),
        Shouting(),
    ],
)
def test_column_types_without_one_comparison(type_: Any) -> None:
    """Types that the stores compare by their own ways are refused, whatever the value."""
    with pytest.raises(UnsupportedExpression, match="column-type"):
        reader_of(type_)


@pytest.mark.parametrize("value", [1, "true", 0.0])
def test_only_booleans_are_conditions(value: Any) -> None:
    """A number or text in the place of a condition is refused."""
    with pytest.raises(UnsupportedExpression, match="not-a-condition"):
        truth_of(value)
