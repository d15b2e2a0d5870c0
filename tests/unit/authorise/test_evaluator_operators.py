"""Operators, functions and casts on values, each at its edge."""

from __future__ import annotations

import operator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import types

from vallum.authorise.evaluator_operators import (
    CALCULATIONS,
    FUNCTIONS,
    ORDERINGS,
    PATTERNS,
    aggregated,
    caster,
    coalesced,
    literal_text,
    matched,
    negative,
)
from vallum.authorise.evaluator_values import UnsupportedExpression

INSTANT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def refused(identifier: str, work: Any, *arguments: Any, **named: Any) -> None:
    """By that word."""
    with pytest.raises(UnsupportedExpression) as found:
        work(*arguments, **named)
    assert found.value.identifier == identifier


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_null_is_null(function: str) -> None:
    """Each of them."""
    assert FUNCTIONS[function](None) is None


def test_functions() -> None:
    """Case changes in ASCII only; a length counts characters; a number has no sign."""
    assert FUNCTIONS["lower"]("AZÄ") == "azÄ"
    assert FUNCTIONS["upper"]("azä") == "AZä"
    assert FUNCTIONS["length"]("ä€𐀀") == 3
    assert FUNCTIONS["length"]("") == 0
    assert FUNCTIONS["abs"](-3) == 3
    assert FUNCTIONS["abs"](Decimal("-0.1")) == Decimal("0.1")
    refused("integer-overflow", FUNCTIONS["abs"], -(2**63))
    refused("value-type", FUNCTIONS["abs"], True)
    for function in ("lower", "upper", "length"):
        refused("value-type", FUNCTIONS[function], 1)


def test_texts_are_strung_together() -> None:
    """NULL on either side makes NULL; a number is no text."""
    string = next(work for word, work in CALCULATIONS.items() if word.__name__ == "concat_op")
    assert string("a", "b") == "ab"
    assert string(None, "b") is None
    assert string("a", None) is None
    refused("value-type", string, "a", 1)
    refused("value-type", string, 1, "a")


def test_orders_and_patterns_are_what_their_names_say() -> None:
    """On two values that differ, and on two that are equal."""
    for word, work in ORDERINGS.items():
        assert (work(1, 2), work(1, 1)) == {
            "lt": (True, False), "le": (True, True), "gt": (False, False), "ge": (False, True)
        }[word.__name__]  # fmt: skip
    contains, starts, ends = (PATTERNS[word] for word in PATTERNS)
    assert (contains("abc", "b"), contains("b", "abc")) == (True, False)
    assert (starts("abc", "a"), starts("abc", "c")) == (True, False)
    assert (ends("abc", "c"), ends("abc", "a")) == (True, False)


def test_the_first_value_that_is_not_null() -> None:
    """False, zero and empty text are values."""
    for value in (False, 0, ""):
        assert coalesced([None, value, 1]) is value
    assert coalesced([None, None]) is None
    assert coalesced([]) is None


def test_minus() -> None:
    """Of numbers, as the stores hold them."""
    assert negative(3) == -3
    assert negative(-3) == 3
    assert negative(None) is None
    refused("integer-overflow", negative, -(2**63))
    refused("arithmetic", negative, "a")


def test_the_text_of_a_pattern() -> None:
    """An escape is taken out, and gives its meaning to what follows alone; a bare wildcard is refused."""
    assert literal_text("a/%b/_/", "/") == "a%b_"
    assert literal_text("a//b", "/") == "a/b"
    assert literal_text("a/b", None) == "a/b"
    assert literal_text("", "/") == ""
    for pattern in ("a%", "_", "/%%"):
        refused("pattern-wildcard", literal_text, pattern, "/")
    refused("pattern-wildcard", literal_text, "/%", None)


def test_a_match_of_null_is_null() -> None:
    """On either side; and both sides are text."""
    assert matched(operator.contains, None, "a") is None
    assert matched(operator.contains, "a", None) is None
    assert matched(operator.contains, "ab", "a") is True
    assert matched(operator.contains, "ab", "c") is False
    refused("value-type", matched, operator.contains, 1, "a")
    refused("value-type", matched, operator.contains, "a", 1)


def test_a_cast_to_an_integer() -> None:
    """Of an integer or a truth; the stores round and read others in their own ways."""
    cast = caster(types.Integer())
    assert cast(3) == 3
    assert (cast(True), type(cast(True))) == (1, int)
    assert cast(None) is None
    for value in (1.0, Decimal(1), "1"):
        refused("cast", cast, value)


@pytest.mark.parametrize("type_", [types.Numeric(), types.Float()])
def test_a_cast_to_a_number(type_: Any) -> None:
    """Of a number; a truth is none."""
    cast = caster(type_)
    for value in (3, 0.5, Decimal("0.1"), None):
        assert cast(value) == value
    for other in (True, "1", INSTANT):
        refused("cast", cast, other)


def test_a_cast_to_text() -> None:
    """Of text, an integer or a day; truths, instants and fractions are written differently by the stores."""
    cast = caster(types.String())
    assert cast("a") == "a"
    assert cast(-3) == "-3"
    assert cast(date(2026, 3, 1)) == "2026-03-01"
    assert cast(None) is None
    for value in (True, 0.5, Decimal("0.1"), INSTANT):
        refused("cast", cast, value)


@pytest.mark.parametrize(
    "type_",
    [
        types.Enum("a"),
        types.CHAR(),
        types.CHAR(2),
        types.Numeric(3, 1),
        types.Float(24),
        types.String(3),
        types.String(collation="C"),
        types.Date(),
        types.Boolean(),
        types.Uuid(),
    ],
    ids=repr,
)
def test_casts_to_other_types(type_: Any) -> None:
    """They cut, round, pad or read, each store in its own way."""
    refused("cast", caster, type_)


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("count", [], 0),
        ("count", [None, 1, 1], 2),
        ("min", [], None),
        ("min", [None], None),
        ("min", [2, 1, 3], 1),
        ("max", [2, 3, 1], 3),
        ("sum", [2, None, 2], 4),
        ("sum", [None], None),
        ("min", ["b", "a"], "a"),
        ("max", ["b", "a"], "b"),
        ("max", ["a", "b"], "b"),
        ("min", [date(2026, 3, 2), date(2026, 3, 1)], date(2026, 3, 1)),
        ("max", [INSTANT, None], INSTANT),
        ("min", [Decimal("0.2"), 0], 0),
        ("max", [0.5], 0.5),
    ],
    ids=repr,
)
def test_aggregates(name: str, values: list[Any], found: Any) -> None:
    """NULLs do not take part; of none, there are none, and everything else is NULL."""
    assert aggregated(name, values, once=False) == found


def test_each_value_once() -> None:
    """As DISTINCT says."""
    assert aggregated("count", [1, 1, None, 2], once=True) == 2
    assert aggregated("sum", [2, 2, 3], once=True) == 5
    assert aggregated("max", [2, 2], once=True) == 2


@pytest.mark.parametrize("name", ["min", "max"])
@pytest.mark.parametrize("values", [[True], [True, False], [b"a"]], ids=repr)
def test_there_is_no_smallest_and_largest_of_everything(name: str, values: list[Any]) -> None:
    """PostgreSQL has neither for truths, and for bytes only lately."""
    refused("aggregate", aggregated, name, values, once=False)


def test_a_sum_is_of_numbers_that_fit() -> None:
    """A single one, too."""
    refused("value-type", aggregated, "sum", ["a"], once=False)
    refused("value-type", aggregated, "sum", [True], once=False)
    refused("arithmetic", aggregated, "sum", ["a", "b"], once=False)
    refused("integer-overflow", aggregated, "sum", [2**63 - 1, 1], once=False)
