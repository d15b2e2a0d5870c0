"""What goes into the statement of a list, and what comes out of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vallum import defaults
from vallum.authorise.inclusions import names_of
from vallum.declare.dialect import DialectName
from vallum.execute.filters import FILTER
from vallum.execute.frame import Values
from vallum.execute.listing import ListShape, list_statement
from vallum.execute.order import AFTER
from vallum.store.ports import Row
from vallum.store.sql import Prepared
from vallum.throttle.stage import Meter
from vallum.validate.stage import ListIntent


def shape_of(intent: ListIntent) -> ListShape:
    """What of a list's query makes it another statement."""
    _, _, _, query, fields, filters, after, included = intent
    return ListShape(
        fields,
        query.limit + 1,  # one more tells whether there is another page
        tuple([(name, operator) for name, operator, _ in filters]) if filters else (),
        query.sort,
        None if after is None else tuple([value is None for value in after]),
        query.count,
        include=names_of(included) if included else (),
    )


def page_statement(intent: ListIntent, shape: ListShape, meter: Meter, dialect: DialectName) -> Prepared:
    """Build a list's statement. One that only this query makes is paid for by its caller's burst."""
    query = intent.query
    if query.limit != defaults.PAGE_DEFAULT or query.fields is not None or shape.filters or shape.sort or shape.include:
        meter.slow_down(intent.authorised.metered.identified, defaults.STATEMENT_COST)
    return list_statement(intent.resource, intent.access, shape, dialect, intent.included)


def values_of(intent: ListIntent) -> Values:
    """What its parameters are bound to."""
    authorised, _, _, _, _, filters, after, _ = intent
    identified = authorised.metered.identified
    values = Values(identified.principal, identified.admitted.request.received_at)
    if filters:
        for index, (_, _, value) in enumerate(filters):
            values[f"{FILTER}{index}"] = value
    if after is not None:
        for index, value in enumerate(after):
            values[f"{AFTER}{index}"] = value
    return values


def page_of(rows: Sequence[Row], limit: int) -> tuple[list[str], tuple[Any, ...] | None]:
    """The rows of the page as JSON, and the order terms of the last one when there are more."""
    page = rows[1 : limit + 1]
    cut = len(rows) > limit + 1
    if page and page[-1][0] is None:  # what PAGE_BYTES had no room for comes on the next page
        page = [row for row in page if row[0] is not None]
        cut = True
    return [row[0] for row in page], tuple(page[-1][3:]) if cut else None
