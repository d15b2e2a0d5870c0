"""The statement of one row: rule, masks and the caller's epoch in one SELECT.

The first row is the header; the second, if there is one, is the row. A missing row and an invisible one take the
same statement and give the same result.
"""

from __future__ import annotations

from vallum.authorise.rights import Access
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.execute.shape import epoch_sql, key_condition, row_select, table_of, visible
from vallum.store.sql import Prepared, all_of, render, sql


def item_statement(resource: Resource, access: Access, dialect: DialectName) -> Prepared:
    """Build it. Columns: json (of everything that the caller may read), epoch."""
    where = all_of([key_condition(resource, dialect), visible(access)])
    row = row_select(resource, access, access.shown, table_of(resource, dialect), where, dialect, ["NULL"])
    return render(
        sql("SELECT NULL, ", epoch_sql(), " UNION ALL SELECT * FROM (", row, ") item"),
        dialect,
    )
