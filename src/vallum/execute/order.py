"""Order and keyset: where a page begins, NULLs last, each part in a form that an index can serve.

A page after a cursor is `(a, b) > (?, ?)`. With a nullable first term the page is two limited halves, the rows
with a value and the rows without: one condition for both would cost a full scan (13 ms against 27 µs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from sqlalchemy import types

from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.execute.shape import field_sql
from vallum.store.sql import Param, Part, Sql, all_of, any_of, cast, joined, sql

AFTER = "after_"
"""Request values of the cursor: `after_0`, `after_1`, … in the order of the terms."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One term of the order.

    Attributes:
        value: its SQL, with the collation that makes both stores order alike.
        carried: the SQL that the cursor carries it by.
        param: its value in a cursor.
    """

    value: Sql
    carried: Sql
    param: Param
    descending: bool
    nullable: bool


@final
@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A part of the order that one index scan can walk: a condition and its ORDER BY."""

    condition: Sql | None
    order: Sql


def terms_of(resource: Resource, sort: Sequence[tuple[str, bool]], dialect: DialectName) -> tuple[Term, ...]:
    """The sort with the key as its unique tie-break; `sort` has (field name, descending)."""
    full = [*sort]
    last = full[-1][1] if full else False
    full += [(name, last) for name in resource.key if name not in {n for n, _ in sort}]
    return tuple(_term(resource, name, descending, index, dialect) for index, (name, descending) in enumerate(full))


def _term(resource: Resource, name: str, descending: bool, index: int, dialect: DialectName) -> Term:
    field = resource.fields[name]
    value = field_sql(resource, field, dialect)
    nullable = field.nullable and not field.key
    if dialect == "sqlite":
        return Term(value, value, Param(f"{AFTER}{index}"), descending, nullable)
    carried = sql("(", value, ")::text")
    if isinstance(field.type, types.Enum) and field.type.native_enum:
        # By its word, as SQLite keeps it; PostgreSQL would go by the order of declaration.
        param = Param(f"{AFTER}{index}", None, None, "::text")
        return Term(sql(carried, ' COLLATE "C"'), carried, param, descending, nullable)
    collation = ' COLLATE "C"' if isinstance(field.type, types.String) else ""
    param = Param(f"{AFTER}{index}", None, None, f"::text{cast(field.type, dialect)}")
    return Term(sql(value, collation), carried, param, descending, nullable)


def segments(terms: Sequence[Term], nulls: Sequence[bool] | None) -> list[Segment]:
    """The parts of the page; `nulls` says which values of the cursor are NULL, None means the first page."""
    first, rest = terms[0], terms[1:]
    if not first.nullable:
        return [Segment(None if nulls is None else _after(terms, nulls), order_by(terms))]
    with_value = sql(first.value, " IS NOT NULL")
    without = sql(first.value, " IS NULL")
    if nulls is None:
        return [Segment(with_value, order_by((_certain(first), *rest))), Segment(without, order_by(rest))]
    if nulls[0]:
        return [Segment(all_of([without, _after(rest, nulls[1:])]), order_by(rest))]
    certain = (_certain(first), *rest)
    return [Segment(all_of([with_value, _after(certain, nulls)]), order_by(certain)), Segment(without, order_by(rest))]


def order_by(terms: Sequence[Term]) -> Sql:
    """`a, b DESC`, NULLs last in either direction."""
    return joined(", ", (_directed(t.value, t.descending, t.nullable) for t in terms))


def outer_order(terms: Sequence[Term], alias: str) -> Sql:
    """The same order over the few rows of a page, by their carried columns `o0`, `o1`, …"""
    return joined(", ", (_directed(f"{alias}.o{i}", t.descending, t.nullable) for i, t in enumerate(terms)))


def _directed(value: Part, descending: bool, nullable: bool) -> Sql:
    direction = " DESC" if descending else ""
    return sql(value, " IS NULL, ", value, direction) if nullable else sql(value, direction)


def _certain(term: Term) -> Term:
    return Term(term.value, term.carried, term.param, term.descending, False)


def _after(terms: Sequence[Term], nulls: Sequence[bool]) -> Sql:
    """The rows behind the cursor."""
    uniform = len({t.descending for t in terms}) == 1 and not any(t.nullable for t in terms)
    if uniform:
        left = sql("(", joined(", ", (t.value for t in terms)), ")")
        right = sql("(", joined(", ", (t.param for t in terms)), ")")
        return sql(left, " < " if terms[0].descending else " > ", right)
    alternatives = []
    for index, term in enumerate(terms):
        if nulls[index]:
            continue  # nothing comes behind NULL
        equal = [_equal(t, nulls[i]) for i, t in enumerate(terms[:index])]
        beyond = sql(term.value, " < " if term.descending else " > ", term.param)
        if term.nullable:
            beyond = any_of([beyond, sql(term.value, " IS NULL")])
        alternatives.append(all_of([*equal, beyond]))
    return any_of(alternatives)


def _equal(term: Term, null: bool) -> Sql:
    return sql(term.value, " IS NULL") if null else sql(term.value, " = ", term.param)
