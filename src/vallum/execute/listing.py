"""The statement of a list: rule, filter, order, page, masks, count and the caller's epoch in one SELECT.

The first row is the header (epoch, count); it is there even when the page is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

from vallum import defaults
from vallum.authorise.inclusions import Included
from vallum.authorise.rights import Access
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.declare.width import may_exceed_page
from vallum.execute.counting import count_sql
from vallum.execute.embedding import View, select_rows
from vallum.execute.filters import FilterShape, branches
from vallum.execute.order import segments, terms_of
from vallum.execute.shape import epoch_sql, row_select
from vallum.execute.walks import Walks, page_select
from vallum.store.sql import Part, Prepared, Sql, render, sql


@final
class ListShape(NamedTuple):
    """What makes two lists the same statement.

    Attributes:
        fields: shown, in the resource's order.
        rows: read at most. A literal: by a parameter SQLite knows no better than to walk the whole table along its key
            (430 µs for a class at the end of 15,000 students, where the rule's index takes 25), and PostgreSQL's plan for
            every value expects a tenth of the table.
        filters: (field, operator) in the order of the query.
        sort: (field, descending), without the tie-break.
        after: which values of the cursor are NULL; None on a first page.
        counted: which count is asked for, or None.
        cut: whether the page ends where `PAGE_BYTES` do.
        include: the relations that are followed, by name.
    """

    fields: tuple[str, ...]
    rows: int
    filters: tuple[FilterShape, ...]
    sort: tuple[tuple[str, bool], ...]
    after: tuple[bool, ...] | None
    counted: str | None = None
    cut: bool = True
    include: tuple[str, ...] = ()


def list_statement(
    resource: Resource, access: Access, shape: ListShape, dialect: DialectName, included: Sequence[Included] = ()
) -> Prepared:
    """Build it. Columns: json, epoch, count, then the order terms that a cursor carries."""
    terms = terms_of(resource, shape.sort, dialect)
    conditions = branches(resource, access, shape.filters, dialect)
    extra: list[Part] = ["NULL", "NULL", *(t.carried for t in terms)]
    limit = f"{shape.rows:d}"
    view = View(resource, access, shape.fields, included, 0, dialect, limit, extra)
    uniform = access.plain or all(name in access.certain for name in shape.fields)

    def select(source: Part, condition: Part, limit: Part | None) -> Sql:
        if included:
            return select_rows(view, source, condition, limit)
        whole = condition if limit is None else sql(condition, " LIMIT ", limit)
        return row_select(resource, access, shape.fields, source, whole, dialect, extra)

    walks = Walks(resource, terms, limit, select, uniform, dialect)
    page = page_select(walks, conditions, segments(terms, shape.after))
    if shape.cut and (included or may_exceed_page(resource, shape.fields)):
        page = _cut(page, len(terms), dialect)
    count = count_sql(resource, conditions, shape.counted, dialect)
    header = sql("SELECT NULL, ", epoch_sql(), ", ", count, ", NULL" * len(terms))
    return render(sql(header, " UNION ALL SELECT * FROM (", page, ") vallum_page"), dialect)


def _cut(page: Sql, terms: int, dialect: DialectName) -> Sql:
    """The page without the JSON of the rows that `PAGE_BYTES` have no room for; the first row has it in any case."""
    order = "".join(f", o{index}" for index in range(terms))
    size = "octet_length(j)" if dialect == "postgresql" else "length(CAST(j AS BLOB))"
    # Materialized, or both stores build the JSON anew in each place that names it, with all that is included in it.
    return sql(
        f"WITH vallum_whole (j, e, n{order}) AS MATERIALIZED (", page, "), vallum_sized AS ",
        f"(SELECT w.*, {size} AS size, sum({size}) OVER (ROWS UNBOUNDED PRECEDING) AS total FROM vallum_whole w) ",
        f"SELECT CASE WHEN total <= {defaults.PAGE_BYTES} OR total = size THEN j END, e, n{order} FROM vallum_sized",
    )  # fmt: skip
