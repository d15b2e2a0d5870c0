"""Strategies over the general application: conditions of every kind on the rows of a model."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Enum,
    Integer,
    Numeric,
    String,
    and_,
    case,
    cast,
    distinct,
    exists,
    false,
    func,
    inspect,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased
from sqlalchemy.types import JSON, Float
from tests.property.models import INTEGERS, Choices, choices, pool

from vallum.declare.policy import me, now, today

Condition = ColumnElement[bool]


def conditions(model: type[Any], depth: int = 3) -> st.SearchStrategy[Condition]:
    """A condition on the rows of `model`, at most so many levels deep."""
    return choices(64).map(lambda choose: condition(choose, model, model, depth))


def condition(choose: Choices, model: type[Any], here: Any, depth: int) -> Condition:
    """A condition on `here`, which is `model` or an alias of it."""
    kind = choose.of(("leaf", "relation", "and", "or", "not", "leaf", "case", "subquery")) if depth else "leaf"
    if kind in ("and", "or"):
        parts = [condition(choose, model, here, depth - 1) for _ in range(choose.up_to(1) + 2)]
        return and_(*parts) if kind == "and" else or_(*parts)
    if kind == "not":
        return not_(condition(choose, model, here, depth - 1))
    if kind == "case":
        return _case(choose, model, here, depth)
    relationships = sorted(inspect(model).relationships, key=lambda r: r.key)
    if kind in ("relation", "subquery") and relationships:
        return (_relation if kind == "relation" else _subquery)(choose, choose.of(relationships), here, depth)
    return _leaf(choose, model, here)


def _case(choose: Choices, model: type[Any], here: Any, depth: int) -> Condition:
    test, result = (condition(choose, model, here, depth - 1) for _ in range(2))
    whole: ColumnElement[Any] = case((test, result), else_=choose.of((None, true(), false())))
    found: Condition = choose.of((whole, whole.is_(None), whole.is_(True), func.coalesce(whole, false())))
    return found


def _relation(choose: Choices, related: Any, here: Any, depth: int) -> Condition:
    """`has()` or `any()`."""
    attribute, model = getattr(here, related.key), related.mapper.class_
    criterion = condition(choose, model, model, depth - 1) if choose.up_to(3) else None
    found: Condition = attribute.any(criterion) if related.uselist else attribute.has(criterion)
    return found


def _subquery(choose: Choices, related: Any, here: Any, depth: int) -> Condition:
    """A SELECT that the author writes: EXISTS, an aggregate, or IN."""
    model = related.mapper.class_
    other = aliased(model)
    wanted = condition(choose, model, other, depth - 1)
    if related.secondary is not None:
        return exists(select(other.id).where(getattr(here, related.key).any(model.id == other.id), wanted))
    pairs = [
        (getattr(here, key_of(related.parent.class_, local)), getattr(other, key_of(model, remote)))
        for local, remote in related.local_remote_pairs
    ]
    found: Condition
    if choose.up_to(2):
        matching = and_(wanted, *(local == remote for local, remote in pairs))
        number = _numeric(other)
        makers = _SUBQUERIES if number is None else (*_SUBQUERIES, *_AGGREGATES)
        found = choose.of(makers)(other, matching, number, choose.of(INTEGERS))
    else:
        found = choose.of(_MEMBERS)(pairs[0][0], select(pairs[0][1]).where(wanted))
    return found


def key_of(model: type[Any], column: Any) -> str:
    """The attribute's key of a column."""
    return str(inspect(model).get_property_by_column(column).key)


def _numeric(entity: Any) -> Any:
    """A number of the model, one that may be NULL if there is such; None where there is none."""
    columns = [c for c in inspect(entity).mapper.columns if isinstance(c, Column) and isinstance(c.type, _NUMBERS)]
    found = sorted(columns, key=lambda column: not column.nullable)
    return getattr(entity, key_of(inspect(entity).mapper.class_, found[0])) if found else None


_NUMBERS: Final = (Integer, Numeric)
_MEMBERS: Final[Sequence[Callable[[Any, Any], Any]]] = (
    lambda local, members: local.in_(members),
    lambda local, members: local.not_in(members),
)
_SUBQUERIES: Final[Sequence[Callable[[Any, Condition, Any, int], Any]]] = (
    lambda _, matching, __, ___: exists().where(matching),
    lambda other, matching, _, __: ~exists(select(other).where(matching)),
    lambda other, matching, _, n: _scalar(other, matching, func.count()) > n,
)
_AGGREGATES: Final[Sequence[Callable[[Any, Condition, Any, int], Any]]] = (
    lambda other, matching, number, n: _scalar(other, matching, func.count(number)) == n,
    lambda other, matching, number, n: _scalar(other, matching, func.count(distinct(number))) <= n,
    lambda other, matching, number, n: _scalar(other, matching, func.min(number)) < n,
    lambda other, matching, number, n: _scalar(other, matching, func.max(number)) >= n,
    lambda other, matching, number, n: _scalar(other, matching, func.coalesce(func.sum(number), 0)) > n,
)


def _scalar(other: Any, matching: Condition, column: Any) -> Any:
    return select(column).select_from(other).where(matching).scalar_subquery()


def _attributes(model: type[Any]) -> Sequence[str]:
    """Names of columns, column properties and hybrids; those that may be NULL come more often."""
    hybrids = [n for n, d in inspect(model).all_orm_descriptors.items() if "hybrid" in type(d).__name__ and n[0] != "_"]
    columns = [a for a in inspect(model).column_attrs if not isinstance(a.columns[0].type, JSON)]
    nullable = [a.key for a in columns if getattr(a.columns[0], "nullable", True)]
    return sorted([*hybrids, *(a.key for a in columns), *nullable, *nullable])


def _leaf(choose: Choices, model: type[Any], here: Any) -> Condition:
    """A condition on one attribute."""
    attribute = getattr(here, choose.of(_attributes(model)))
    values = pool(attribute.type)
    makers = [*_ANY, *(() if isinstance(values[0], (enum.Enum, bool)) else _ORDERED)]
    for kind, special in _SPECIAL:
        if isinstance(attribute.type, kind) and not isinstance(attribute.type, Enum):
            makers += special
    found: Condition = choose.of(makers)(attribute, lambda: choose.of(values))
    return found


Maker = Callable[[Any, Callable[[], Any]], Any]
"""From an attribute and a source of values to a condition."""

_ANY: Final[Sequence[Maker]] = (
    lambda a, _: a.is_(None),
    lambda a, _: a.is_not(None),
    lambda a, value: a == value(),
    lambda a, value: a != value(),
    lambda a, value: not_(a == value()),
    lambda a, value: (a == value()).is_(None),
    lambda a, value: a.in_([value(), value()]),
    lambda a, value: a.in_([value(), None]),
    lambda a, _: a.in_([]),
    lambda a, value: a.not_in([value(), value()]),
    lambda a, value: a.not_in([None, value()]),
    lambda a, _: a.not_in([]),
    lambda a, value: a.is_distinct_from(value()),
    lambda a, _: a.is_not_distinct_from(None),
)
_ORDERED: Final[Sequence[Maker]] = (
    lambda a, value: a < value(),
    lambda a, value: a <= value(),
    lambda a, value: a > value(),
    lambda a, value: a >= value(),
    lambda a, value: a.between(value(), value()),
    lambda a, value: ~a.between(value(), value()),
    lambda a, value: func.coalesce(a, value()) == value(),
    lambda a, value: func.coalesce(a, value()) > value(),
)
_BOOLEAN: Final[Sequence[Maker]] = (
    lambda flag, _: flag.expression,
    lambda flag, _: ~flag,
    lambda flag, _: flag.is_(True),
    lambda flag, _: flag.is_not(False),
    lambda flag, _: flag == true(),
    lambda flag, _: and_(flag, true()),
    lambda flag, _: flag == me.attr["external"],
)
_INTEGER: Final[Sequence[Maker]] = (
    lambda n, value: n + 1 > value(),
    lambda n, value: n - value() <= n * 2,
    lambda n, value: -n < value(),
    lambda n, value: func.abs(n) == value(),
    lambda n, value: n + n + value() > 2,
    lambda n, value: cast(n, String) == str(value()),
    lambda n, _: n == me.attr["organisation"],
    lambda n, value: case({value(): "low"}, value=n, else_="high") == "low",
)
_NUMBER: Final[Sequence[Maker]] = (
    lambda n, value: n + value() > 1,
    lambda n, value: n * 2 <= value(),
    lambda n, value: -n >= value(),
    lambda n, value: func.abs(n) != value(),
    lambda n, _: n == 1,
)
_TEXT: Final[Sequence[Maker]] = (
    lambda text, value: text.contains(value(), autoescape=True),
    lambda text, value: ~text.contains(value(), autoescape=True),
    lambda text, value: text.startswith(value(), autoescape=True),
    lambda text, value: ~text.endswith(value(), autoescape=True),
    lambda text, value: func.lower(text) == value(),
    lambda text, value: func.upper(text) != value(),
    lambda text, value: func.length(text) > len(value()),
    lambda text, value: text + "b" == value(),
    lambda text, value: "a" + text + value() != value(),
    lambda text, _: text == me.id,
    lambda text, _: text.startswith(me.id),
    lambda text, _: text.in_(me.roles),
    lambda text, _: text.not_in(me.roles),
    lambda text, _: text == me.attr["region"],
)
_DATE: Final[Sequence[Maker]] = (
    lambda day, _: day >= today,
    lambda day, _: day == today,
    lambda day, value: cast(day, String) > str(value()),
)
_INSTANT: Final[Sequence[Maker]] = (
    lambda instant, _: instant > now,
    lambda instant, _: instant <= now,
    lambda instant, value: now.between(instant, value()),
)
_SPECIAL: Final[Sequence[tuple[Any, Sequence[Maker]]]] = (
    (Boolean, _BOOLEAN),
    (Integer, _INTEGER),
    (Numeric, _NUMBER),
    (Float, _NUMBER),
    (String, _TEXT),
    (Date, _DATE),
    (DateTime, _INSTANT),
)
