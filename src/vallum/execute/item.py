"""The statement of one row: rule, masks and the caller's epoch in one SELECT.

The first row is the header; the second, if there is one, is the row. A missing row and an invisible one take the
same statement and give the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, final

from vallum import defaults
from vallum.authorise.inclusions import Included, names_of
from vallum.authorise.rights import Access
from vallum.crypto.digest import etag128
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.execute.embedding import View, select_apart, select_rows
from vallum.execute.frame import Values, key_values
from vallum.execute.order import AFTER
from vallum.execute.shape import epoch_sql, key_condition, ordered, row_select, table_of, visible
from vallum.store.ports import Row
from vallum.store.sql import Prepared, all_of, render, sql
from vallum.throttle.stage import Meter
from vallum.validate.stage import ItemIntent


@final
class ItemShape(NamedTuple):
    """What of an item's query makes it another statement.

    Attributes:
        include: the relations that are followed, by name.
        goes_on: the one included page is a further one.
        fields: those that are shown, in the resource's order; None for all.
    """

    include: tuple[str, ...]
    goes_on: bool
    fields: tuple[str, ...] | None


PLAIN: Final = ItemShape((), False, None)


def item_shape(intent: ItemIntent) -> ItemShape:
    """What it is asked for."""
    if not intent.included and intent.fields is None:
        return PLAIN
    fields = None if intent.fields is None else ordered(intent.resource, intent.fields)
    return ItemShape(names_of(intent.included), intent.after is not None, fields)


def item_values(intent: ItemIntent, dialect: DialectName) -> Values:
    """What its parameters are bound to."""
    identified = intent.authorised.metered.identified
    values = Values(identified.principal, identified.admitted.request.received_at)
    values.update(key_values(intent.resource, intent.key, dialect))
    if intent.after is not None:
        values.update({f"{AFTER}{index}": value for index, value in enumerate(intent.after)})
    return values


def row_statement(intent: ItemIntent, shape: ItemShape, meter: Meter, dialect: DialectName) -> Prepared:
    """Build an item's statement. With what is included, or chosen, it is paid for like that of a list."""
    if shape is not PLAIN:
        meter.slow_down(intent.authorised.metered.identified, defaults.STATEMENT_COST)
    return item_statement(intent.resource, intent.access, dialect, shape, intent.included)


def item_statement(
    resource: Resource,
    access: Access,
    dialect: DialectName,
    shape: ItemShape = PLAIN,
    included: Sequence[Included] = (),
) -> Prepared:
    """Build it. Columns: json (of everything that the caller may read, and of what is included), epoch.

    Where fields are chosen, json has nothing of what is included, and there are two more: the JSON of these fields, and
    the text of what is included.
    """
    where = all_of([key_condition(resource, dialect), visible(access)])
    source = table_of(resource, dialect)
    view = View(resource, access, access.shown, included, 0, dialect, "1", ["NULL"], shape.goes_on)
    if shape.fields is not None:
        row = select_apart(view, shape.fields, source, where)
    elif included:
        row = select_rows(view, source, where)
    else:
        row = row_select(resource, access, access.shown, source, where, dialect, ["NULL"])
    more = "" if shape.fields is None else ", NULL, NULL"
    return render(sql("SELECT NULL, ", epoch_sql(), more, " UNION ALL SELECT * FROM (", row, ") vallum_item"), dialect)


def shown_of(row: Row) -> tuple[str, str]:
    """What is shown of the row, and its entity tag, over all that the caller may read."""
    text, whole = (row[0], row[0]) if len(row) == 2 else (_with(row[2], row[3]), _with(row[0], row[3]))
    return text, etag128(whole.encode())


def _with(text: str, included: str) -> str:
    return f"{text[:-1]}{included}}}" if included else text
