"""A page of rows: with one rule one walk along one index; with several, a limited walk for each, and their union cut.

A row in the page's top n is in the top n of each walk that holds it, so the union of the walks' tops contains the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, final

from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.execute.order import Segment, Term, outer_order
from vallum.execute.shape import field_sql, table_of
from vallum.store.sql import Part, Sql, all_of, joined, sql

KEYS: Final = "vallum_keys"
"""The keys of the page's rows. Beside them stands a table, whose name may be any that does not begin like this one."""
Select = Callable[[Part, Part, "Part | None"], Sql]
"""From source, condition with its order, and limit to a SELECT of what is shown of each row."""


@final
class Walks(NamedTuple):
    """What the walks of a page have in common.

    Attributes:
        limit: rows at most.
        select: what is shown of a row.
        uniform: every row shows the same fields, so that no mask need be worked out for rows beyond the walks.
    """

    resource: Resource
    terms: Sequence[Term]
    limit: Part
    select: Select
    uniform: bool
    dialect: DialectName


def page_select(walks: Walks, conditions: Sequence[Sql], parts: Sequence[Segment]) -> Sql:
    """The rows that any condition lets through, from where the parts of the order begin."""
    if len(conditions) == 1 and len(parts) == 1 and walks.uniform:
        where = _where(conditions[0], parts[0])
        return walks.select(
            table_of(walks.resource, walks.dialect), sql(where, " ORDER BY ", parts[0].order), walks.limit
        )
    return _united(walks, [_keys(walks, condition, part) for condition in conditions for part in parts])


def _where(condition: Sql, part: Segment) -> Sql:
    return all_of([condition] if part.condition is None else [condition, part.condition])


def _keys(walks: Walks, condition: Sql, part: Segment) -> Sql:
    """Keys and order terms of one walk."""
    resource, dialect = walks.resource, walks.dialect
    columns: list[Part] = [
        sql(field_sql(resource, resource.fields[name], dialect), f" AS k{i}") for i, name in enumerate(resource.key)
    ]
    columns += [sql(t.value, f" AS o{i}") for i, t in enumerate(walks.terms)]
    return sql(
        "SELECT * FROM (SELECT ", joined(", ", columns), " FROM ", table_of(resource, dialect),
        " WHERE ", _where(condition, part), " ORDER BY ", part.order, " LIMIT ", walks.limit, ") vallum_walk",
    )  # fmt: skip


def _united(walks: Walks, each: Sequence[Sql]) -> Sql:
    """The rows of the page from the walks' keys, in order, masked."""
    resource, dialect = walks.resource, walks.dialect
    keys = ", ".join(f"vallum_top.k{i}" for i in range(len(resource.key)))
    order = ", ".join(f"vallum_top.o{i}" for i in range(len(walks.terms)))
    top = sql(
        f"SELECT {keys}, {order} FROM (", joined(" UNION ", each), ") vallum_top ORDER BY ",
        outer_order(walks.terms, "vallum_top"), " LIMIT ", walks.limit,
    )  # fmt: skip
    on = joined(
        " AND ",
        (
            sql(field_sql(resource, resource.fields[name], dialect), f" = {KEYS}.k{i}")
            for i, name in enumerate(resource.key)
        ),
    )
    source = sql("(", top, f") {KEYS} JOIN ", table_of(resource, dialect), " ON ", on)
    return walks.select(source, sql("TRUE ORDER BY ", outer_order(walks.terms, KEYS)), None)
