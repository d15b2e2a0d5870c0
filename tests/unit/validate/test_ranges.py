"""Check constraints as bounds."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import CheckConstraint, Column, ColumnElement, Enum, Integer, MetaData, Numeric, String, Table, column

from vallum.declare.resource import Field
from vallum.validate.columns import annotation_of
from vallum.validate.ranges import NONE, Bounds, bounds_of


def bounds(*checks: str | ColumnElement[bool], of: str = "value") -> Bounds:
    table = Table(
        "t",
        MetaData(),
        Column("value", Integer),
        Column("other", Integer),
        Column("word", String(9)),
        Column("Odd Name", Numeric(9, 2)),
        *(CheckConstraint(check) for check in checks),
    )
    return bounds_of(table.c[of])


def number(ge: str | None = None, gt: str | None = None, le: str | None = None, lt: str | None = None) -> Bounds:
    low, above, high, below = (None if limit is None else Decimal(limit) for limit in (ge, gt, le, lt))
    return Bounds(low, above, high, below)


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("value >= 1 AND value <= 6", number(ge="1", le="6")),
        ("value>0 and value<7", number(gt="0", lt="7")),
        ("(value BETWEEN -1 AND 6.5)", number(ge="-1", le="6.5")),
        ("1 <= value AND 6 >= value", number(ge="1", le="6")),
        ('"value" >= 1', number(ge="1")),
        ("t.value > +1", number(gt="1")),
        ("value >= 1 AND value >= 3 AND value >= 2", number(ge="3")),
        ("value IN (1, 2,3)", Bounds(choices=frozenset(map(Decimal, (1, 2, 3))))),
    ],
)
def test_simple_checks_become_bounds(check: str, expected: Bounds) -> None:
    """Comparisons with numbers, BETWEEN and IN, in any case, quoted or not, either way round."""
    assert bounds(check) == expected


@pytest.mark.parametrize(
    "check",
    [
        "value >= 1 OR value <= 6",
        "NOT value >= 1",
        "value >= 1 AND other <= 6",
        "value < other",
        "abs(value) < 6",
        "value >= 1 AND",
        "value >= 1 + 1",
        "value >= '1'",
        "value IN (1, 'a')",
        "value NOT IN (1)",
        "value IS NOT NULL",
        "value BETWEEN 1 AND 6 OR other = 1",
        "value >= 1) AND (value <= 6",
    ],
)
def test_any_other_check_is_left_to_the_database(check: str) -> None:
    """Nothing is read into a constraint that is not understood whole."""
    assert bounds(check) == NONE


def test_several_checks_narrow_together() -> None:
    """Each holds; a check on another column says nothing here."""
    assert bounds("value >= 1", "value <= 9", "value < 8", "other > 5") == number(ge="1", le="9", lt="8")
    assert bounds("value >= 2", "value >= 1") == bounds("value >= 1", "value >= 2") == number(ge="2")
    assert bounds("value >= 1", of="other") == NONE


def test_texts_and_odd_names() -> None:
    """A quote in a literal is doubled; a name may need quotes; a type's own check is the type's business."""
    assert bounds("word IN ('a', 'it''s', ', ')", of="word") == Bounds(choices=frozenset({"a", "it's", ", "}))
    assert bounds("word > 'a'", of="word") == NONE
    assert bounds('"Odd Name" >= 0.01', of="Odd Name") == number(ge="0.01")
    table = Table("t", MetaData(), Column("value", Enum("a", "b", create_constraint=True, native_enum=False)))
    assert bounds_of(table.c.value) == NONE


def test_checks_written_as_expressions() -> None:
    """SQLAlchemy's own expressions have a text too."""
    assert bounds(column("value").between(1, 6)) == number(ge="1", le="6")
    assert bounds(column("value") > 5) == number(gt="5")


@pytest.mark.parametrize(
    ("check", "least", "greatest"),
    [
        ("value > 0 AND value < 7", 1, 6),
        ("value >= 0.5 AND value <= 6.5", 1, 6),
        ("value > 0.5 AND value < 6.5", 1, 6),
        ("value > -99999999999", -(2**31), 2**31 - 1),
    ],
)
def test_bounds_of_whole_numbers_are_whole(check: str, least: int, greatest: int) -> None:
    """Open and fractional bounds are moved to the numbers that a column of integers can hold."""
    values = Table("t", MetaData(), Column("value", Integer), CheckConstraint(check)).c.value
    adapter = TypeAdapter(annotation_of(Field("value", values, values, values.type, False, False, False)))
    assert adapter.validate_python(least) == least
    assert adapter.validate_python(greatest) == greatest
    for beyond in (least - 1, greatest + 1):
        with pytest.raises(ValidationError):
            adapter.validate_python(beyond)
