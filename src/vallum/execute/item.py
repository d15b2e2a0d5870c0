"""The statement of one row: rule, masks and the caller's epoch in one SELECT.

The first row is the header; the second, if there is one, is the row. A missing row and an invisible one take the
same statement and give the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vallum.authorise.inclusions import Included, names_of
from vallum.authorise.rights import Access
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.execute.embedding import View, select_rows
from vallum.execute.frame import Values, key_values
from vallum.execute.order import AFTER
from vallum.execute.shape import epoch_sql, key_condition, row_select, table_of, visible
from vallum.store.sql import Prepared, all_of, render, sql
from vallum.validate.stage import ItemIntent

PLAIN: Final = ((), False)


def item_shape(intent: ItemIntent) -> tuple[tuple[str, ...], bool]:
    """What of an item's query makes it another statement: what is included, and whether its page is a further one."""
    return (names_of(intent.included), intent.after is not None) if intent.included else PLAIN


def item_values(intent: ItemIntent, dialect: DialectName) -> Values:
    """What its parameters are bound to."""
    identified = intent.authorised.metered.identified
    values = Values(identified.principal, identified.admitted.request.received_at)
    values.update(key_values(intent.resource, intent.key, dialect))
    if intent.after is not None:
        values.update({f"{AFTER}{index}": value for index, value in enumerate(intent.after)})
    return values


def item_statement(
    resource: Resource,
    access: Access,
    dialect: DialectName,
    included: Sequence[Included] = (),
    after: bool = False,
) -> Prepared:
    """Build it. Columns: json (of everything that the caller may read, and of what is included), epoch.

    Args:
        after: the one included page goes on behind a cursor.
    """
    where = all_of([key_condition(resource, dialect), visible(access)])
    source = table_of(resource, dialect)
    if included:
        row = select_rows(
            View(resource, access, access.shown, included, 0, dialect, "1", ["NULL"], after), source, where
        )
    else:
        row = row_select(resource, access, access.shown, source, where, dialect, ["NULL"])
    return render(
        sql("SELECT NULL, ", epoch_sql(), " UNION ALL SELECT * FROM (", row, ") item"),
        dialect,
    )
