"""Which fields a write gives values to, and which references it empties: another statement, as of a list with other filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, final

from vallum import defaults
from vallum.authenticate.stage import Identified
from vallum.declare.resource import Resource
from vallum.execute.frame import Plans
from vallum.store.sql import Prepared
from vallum.throttle.stage import Meter
from vallum.validate.stage import BulkIntent, ChangeIntent, CreateIntent, Intent

KNOWN: Final = Prepared("", ())
"""Kept beside the statements of a form for as long as they are."""


NONE: Final[frozenset[str]] = frozenset()


@final
class Form(NamedTuple):
    """What makes two writes the same statement.

    Attributes:
        fields: that are given values.
        empty: those of references among them that are null: nothing is looked for (`at_once`).
    """

    fields: frozenset[str]
    empty: frozenset[str] = NONE


def pay_for_forms(intent: Intent, plans: Plans, meter: Meter) -> None:
    """Take `STATEMENT_COST` from the caller's burst for each form that nobody has written lately.

    One field alone, and all that the caller may write with no reference that is null, are few and everybody's.
    """
    if isinstance(intent, BulkIntent):
        forms = {Form(frozenset(row.values)) for row in intent.rows}
    elif isinstance(intent, (CreateIntent, ChangeIntent)):
        forms = {Form(frozenset(intent.values), _empty(intent.resource, intent.values))}
    else:
        return
    for form in forms:
        if len(form.fields) > 1 and (form.empty or len(form.fields) < len(intent.access.granted)):
            plans.get(("form", intent.access, form), _paid, intent.authorised.metered.identified, meter)


def _empty(resource: Resource, values: Mapping[str, Any]) -> frozenset[str]:
    empty = [name for name, value in values.items() if value is None]
    return NONE.union(*(r.fields for r in resource.references)).intersection(empty) if empty else NONE


def _paid(identified: Identified, meter: Meter) -> Prepared:
    meter.slow_down(identified, defaults.STATEMENT_COST)
    return KNOWN
