"""The statement of a list: rule, filter, order, page, masks, count and the caller's epoch in one SELECT.

The first row is the header (epoch, count); it is there even when the page is empty.
With several rules each is a limited branch of its own: a row in the page's top n is in the top n of each
branch that holds it, so the union of the branches' tops contains the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, final

from vallum import defaults
from vallum.authorise.rights import Access
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.execute.counting import count_sql
from vallum.execute.filters import FilterShape, branches
from vallum.execute.order import Segment, Term, outer_order, segments, terms_of
from vallum.execute.shape import epoch_sql, field_sql, row_select, table_of
from vallum.execute.width import may_exceed_page
from vallum.store.sql import Param, Part, Prepared, Sql, all_of, joined, render, sql

LIMIT: Final = "page_limit"


@final
class ListShape(NamedTuple):
    """What makes two lists the same statement.

    Attributes:
        fields: shown, in the resource's order.
        filters: (field, operator) in the order of the query.
        sort: (field, descending), without the tie-break.
        after: which values of the cursor are NULL; None on a first page.
        counted: which count is asked for, or None.
        cut: whether the page ends where `PAGE_BYTES` do.
    """

    fields: tuple[str, ...]
    filters: tuple[FilterShape, ...]
    sort: tuple[tuple[str, bool], ...]
    after: tuple[bool, ...] | None
    counted: str | None = None
    cut: bool = True


def list_statement(resource: Resource, access: Access, shape: ListShape, dialect: DialectName) -> Prepared:
    """Build it. Columns: json, epoch, count, then the order terms that a cursor carries."""
    terms = terms_of(resource, shape.sort, dialect)
    parts = segments(terms, shape.after)
    conditions = branches(resource, access, shape.filters, dialect)
    if len(conditions) == 1 and len(parts) == 1:
        page = _straight(resource, access, shape, terms, conditions[0], parts[0], dialect)
    else:
        page = _united(resource, access, shape, terms, conditions, parts, dialect)
    if shape.cut and may_exceed_page(resource, shape.fields):
        page = _cut(page, len(terms), dialect)
    count = count_sql(resource, conditions, shape.counted, dialect)
    header = sql("SELECT NULL, ", epoch_sql(), ", ", count, ", NULL" * len(terms))
    return render(sql(header, " UNION ALL SELECT * FROM (", page, ") page"), dialect)


def _cut(page: Sql, terms: int, dialect: DialectName) -> Sql:
    """The page without the JSON of the rows that `PAGE_BYTES` have no room for; the first row has it in any case."""
    order = "".join(f", o{index}" for index in range(terms))
    size = "octet_length(j)" if dialect == "postgresql" else "length(CAST(j AS BLOB))"
    return sql(
        f"WITH whole (j, e, n{order}) AS (", page, "), ",
        f"sized AS (SELECT whole.*, {size} AS size, sum({size}) OVER (ROWS UNBOUNDED PRECEDING) AS total FROM whole) ",
        f"SELECT CASE WHEN total <= {defaults.PAGE_BYTES} OR total = size THEN j END, e, n{order} FROM sized",
    )  # fmt: skip


def _straight(
    resource: Resource,
    access: Access,
    shape: ListShape,
    terms: Sequence[Term],
    condition: Sql,
    part: Segment,
    dialect: DialectName,
) -> Sql:
    """One rule, one walk along one index."""
    source = table_of(resource, dialect)
    where = all_of([condition] if part.condition is None else [condition, part.condition])
    limited = sql(where, " ORDER BY ", part.order, " LIMIT ", Param(LIMIT))
    extra: list[Part] = ["NULL", "NULL", *(t.carried for t in terms)]
    if access.plain or all(name in access.certain for name in shape.fields):
        return row_select(resource, access, shape.fields, source, limited, dialect, extra)
    return _page(resource, access, shape, terms, [_keys(resource, terms, condition, part, dialect)], dialect)


def _united(
    resource: Resource,
    access: Access,
    shape: ListShape,
    terms: Sequence[Term],
    conditions: Sequence[Sql],
    parts: Sequence[Segment],
    dialect: DialectName,
) -> Sql:
    """Several rules or halves, each limited; then the page of their union."""
    walks = [_keys(resource, terms, condition, part, dialect) for condition in conditions for part in parts]
    return _page(resource, access, shape, terms, walks, dialect)


def _keys(resource: Resource, terms: Sequence[Term], condition: Sql, part: Segment, dialect: DialectName) -> Sql:
    """Keys and order terms of one walk."""
    columns: list[Part] = [
        sql(field_sql(resource, resource.fields[name], dialect), f" AS k{i}") for i, name in enumerate(resource.key)
    ]
    columns += [sql(t.value, f" AS o{i}") for i, t in enumerate(terms)]
    where = all_of([condition] if part.condition is None else [condition, part.condition])
    return sql(
        "SELECT * FROM (SELECT ", joined(", ", columns), " FROM ", table_of(resource, dialect),
        " WHERE ", where, " ORDER BY ", part.order, " LIMIT ", Param(LIMIT), ") b",
    )  # fmt: skip


def _page(
    resource: Resource,
    access: Access,
    shape: ListShape,
    terms: Sequence[Term],
    walks: Sequence[Sql],
    dialect: DialectName,
) -> Sql:
    """The rows of the page from the walks' keys, in order, masked."""
    keys = ", ".join(f"u.k{i}" for i in range(len(resource.key)))
    order = ", ".join(f"u.o{i}" for i in range(len(terms)))
    top = sql(
        f"SELECT {keys}, {order} FROM (", joined(" UNION ", walks), ") u ORDER BY ",
        outer_order(terms, "u"), " LIMIT ", Param(LIMIT),
    )  # fmt: skip
    on = joined(
        " AND ",
        (sql(field_sql(resource, resource.fields[name], dialect), f" = k.k{i}") for i, name in enumerate(resource.key)),
    )
    source = sql("(", top, ") k JOIN ", table_of(resource, dialect), " ON ", on)
    extra: list[Part] = ["NULL", "NULL", *(t.carried for t in terms)]
    everything = sql("TRUE ORDER BY ", outer_order(terms, "k"))
    return row_select(resource, access, shape.fields, source, everything, dialect, extra)
