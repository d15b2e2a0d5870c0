"""Which fields a write gives values to. Another set of them is another statement, as another filter is in a list."""

from __future__ import annotations

from typing import Final

from vallum import defaults
from vallum.authenticate.stage import Identified
from vallum.execute.frame import Plans
from vallum.store.sql import Prepared
from vallum.throttle.stage import Meter
from vallum.validate.stage import BulkIntent, ChangeIntent, CreateIntent, Intent

KNOWN: Final = Prepared("", ())
"""Kept beside the statements of a form for as long as they are."""


def pay_for_forms(intent: Intent, plans: Plans, meter: Meter) -> None:
    """Take `STATEMENT_COST` from the caller's burst for each set of fields that nobody has written lately.

    One field alone, and all that the caller may write, are few sets and everybody's.
    """
    if isinstance(intent, BulkIntent):
        forms = {frozenset(row.values) for row in intent.rows}
    elif isinstance(intent, (CreateIntent, ChangeIntent)):
        forms = {frozenset(intent.values)}
    else:
        return
    for form in forms:
        if 1 < len(form) < len(intent.access.granted):
            plans.get(("form", intent.access, form), _paid, intent.authorised.metered.identified, meter)


def _paid(identified: Identified, meter: Meter) -> Prepared:
    meter.slow_down(identified, defaults.STATEMENT_COST)
    return KNOWN
