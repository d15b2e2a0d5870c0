"""`count=exact` and `count=estimated`: how many rows there are on all pages.

An estimate is counted like an exact number, as far as `COUNT_EXACT_ROWS`; most lists of most callers end before. Beyond,
PostgreSQL's planner is asked about the very rows that the caller may read. It knows the table's statistics, in which
the rows of others are counted, too. So it is asked only about what the caller sees many rows of anyway, and its answer
is rounded: by an estimate nobody looks for a single value in the rows of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, final

from vallum import defaults
from vallum.authorise.rights import Access
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.execute.filters import FilterShape, branches
from vallum.execute.shape import table_of
from vallum.store.ports import Row
from vallum.store.sql import Prepared, Sql, any_of, render, sql

EXACT: Final = "exact"
ESTIMATED: Final = "estimated"
DIGITS: Final = 2
"""Significant digits of an estimate: planners are seldom right to more."""


@final
class Total(NamedTuple):
    """How many rows there are on all pages.

    Attributes:
        estimated: whether it is; None when an exact count was asked for.
    """

    rows: int
    estimated: bool | None = None


def count_sql(resource: Resource, conditions: Sequence[Sql], asked: str | None, dialect: DialectName) -> Sql:
    """The header's count as text; NULL when none is asked for."""
    if asked is None:
        return sql("NULL")
    whole = sql(f"FROM {table_of(resource, dialect)} WHERE ", any_of(conditions))
    if asked == ESTIMATED:
        whole = sql("FROM (SELECT 1 ", whole, f" LIMIT {defaults.COUNT_EXACT_ROWS + 1}) vallum_few")
    return sql("(SELECT CAST(vallum_counted.n AS TEXT) FROM (SELECT count(*) AS n ", whole, ") vallum_counted)")


def plan_statement(resource: Resource, access: Access, filters: Sequence[FilterShape]) -> Prepared:
    """PostgreSQL's plan for all rows that a count counts; nothing of it is carried out."""
    conditions = branches(resource, access, filters, "postgresql")
    table = table_of(resource, "postgresql")
    return render(sql(f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {table} WHERE ", any_of(conditions)), "postgresql")


def estimate_of(plan: Sequence[Row]) -> Total:
    """From the rows of :func:`plan_statement`."""
    (((document,),),) = (plan,)
    return estimate(document[0]["Plan"]["Plan Rows"])


def estimate(rows: Any) -> Total:
    """Of so many rows as somebody thinks, where more than `COUNT_EXACT_ROWS` were counted."""
    number = int(rows)
    rounded = round(number, DIGITS - len(str(number)))
    return Total(max(rounded, defaults.COUNT_EXACT_ROWS), estimated=True)
