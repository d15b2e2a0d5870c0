"""What operators, functions and casts do with values in memory, each a pure function."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import types
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeEngine

from vallum.authorise.evaluator_values import (
    LOWER,
    UPPER,
    UnsupportedExpression,
    Value,
    calculated,
    checked_number,
    compared,
    text_of,
)

NEGATIONS: Final[Mapping[Any, Any]] = {
    operators.ne: operators.eq,
    operators.is_not: operators.is_,
    operators.is_not_distinct_from: operators.is_distinct_from,
    operators.not_in_op: operators.in_op,
    operators.not_between_op: operators.between_op,
    operators.not_contains_op: operators.contains_op,
    operators.not_startswith_op: operators.startswith_op,
    operators.not_endswith_op: operators.endswith_op,
}
"""Operators that mean NOT of another one."""

ORDERINGS: Final[Mapping[Any, Callable[[Any, Any], bool]]] = {
    operators.lt: operator.lt,
    operators.le: operator.le,
    operators.gt: operator.gt,
    operators.ge: operator.ge,
}

CALCULATIONS: Final[Mapping[Any, Callable[[Value, Value], Value]]] = {
    operators.add: lambda one, other: calculated(operator.add, one, other),
    operators.sub: lambda one, other: calculated(operator.sub, one, other),
    operators.mul: lambda one, other: calculated(operator.mul, one, other),
    operators.concat_op: lambda one, other: (
        None if one is None or other is None else text_of(text_of(one) + text_of(other))
    ),
}

PATTERNS: Final[Mapping[Any, Callable[[str, str], bool]]] = {
    operators.contains_op: lambda text, part: part in text,
    operators.startswith_op: str.startswith,
    operators.endswith_op: str.endswith,
}

FUNCTIONS: Final[Mapping[str, Callable[[Value], Value]]] = {
    "lower": lambda value: None if value is None else text_of(value).translate(LOWER),
    "upper": lambda value: None if value is None else text_of(value).translate(UPPER),
    "length": lambda value: None if value is None else len(text_of(value)),
    "abs": lambda value: None if value is None else checked_number(abs(checked_number(value))),  # type: ignore[arg-type]  # checked
}

ORDERED: Final = (int, float, Decimal, str, datetime, date)
"""Types over which both stores have min and max; bool is none of them, though Python calls it an int."""


def coalesced(values: Sequence[Value]) -> Value:
    """The first value that is not NULL."""
    return next((value for value in values if value is not None), None)


def negative(value: Value) -> Value:
    """Unary minus."""
    return calculated(operator.sub, 0, value)


def literal_text(pattern: str, escape: str | None) -> str:
    """The text that a constant of `contains` and its like stands for, its escapes taken out.

    Raises:
        UnsupportedExpression: an unescaped % or _, of which nobody knows whether the author meant the character.
    """
    found: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if escape is not None and character == escape:
            found.append(next(characters, ""))
        elif character in "%_":
            raise UnsupportedExpression("pattern-wildcard", f"{pattern!r}: write autoescape=True")
        else:
            found.append(character)
    return "".join(found)


def matched(test: Callable[[str, str], bool], text: Value, part: Value) -> bool | None:
    """Whether `text` contains, starts or ends with `part`; NULL when either is NULL."""
    if text is None or part is None:
        return None
    return test(text_of(text), text_of(part))


def caster(type_: TypeEngine[Any]) -> Callable[[Value], Value]:
    """What CAST to a type does, for the casts on which both stores agree.

    Raises:
        UnsupportedExpression: another target; later, a value for which the stores disagree.
    """
    if isinstance(type_, (types.Enum, types.CHAR)):
        raise UnsupportedExpression("cast", f"CAST to {type_!r}")
    if isinstance(type_, types.Integer):
        return _to_integer
    if isinstance(type_, (types.Numeric, types.Float)) and type_.precision is None:
        return _to_number
    if isinstance(type_, types.String) and type_.length is None and type_.collation is None:
        return _to_text
    raise UnsupportedExpression("cast", f"CAST to {type_!r}")


def _to_integer(value: Value) -> Value:
    if value is None or isinstance(value, int):
        return None if value is None else int(value)
    raise UnsupportedExpression("cast", f"{value!r} to an integer")


def _to_number(value: Value) -> Value:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, type(None))):
        raise UnsupportedExpression("cast", f"{value!r} to a number")
    return value


def _to_text(value: Value) -> Value:
    if value is None or isinstance(value, str):
        return value
    if type(value) is int or type(value) is date:
        return str(value)
    raise UnsupportedExpression("cast", f"{value!r} to text")


def aggregated(name: str, values: Sequence[Value], *, once: bool) -> Value:
    """`count`, `min`, `max` or `sum` over the values of a group; NULLs do not take part.

    Args:
        name: of the function.
        values: of its argument, a value for each row.
        once: each value counts once (DISTINCT).
    """
    present = [value for value in values if value is not None]
    if once:
        present = list(dict.fromkeys(present))
    if name == "count":
        return len(present)
    if not present:
        return None
    total: Value = present[0]
    for value in present[1:]:
        total = calculated(operator.add, total, value) if name == "sum" else _extreme(name, total, value)
    if name == "sum":
        return checked_number(total)
    if isinstance(total, bool) or not isinstance(total, ORDERED):
        raise UnsupportedExpression("aggregate", f"{name} over {total!r}")
    return total


def _extreme(name: str, one: Value, other: Value) -> Value:
    less = compared(operator.lt, one, other)
    return one if less is (name == "min") else other
