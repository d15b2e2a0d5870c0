"""Stage 3, throttle: the caller's budget is claimed in one step, before anything costly is done for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, final

from vallum.authenticate.stage import Identified
from vallum.declare.plan import Claim, Plan
from vallum.refusals import METER_UNAVAILABLE, QUOTA_EXCEEDED, Refusal
from vallum.request import Header
from vallum.store.memory import CountRow, MemoryCounters, address_key
from vallum.throttle.budget import Budget, Tally
from vallum.throttle.cost import cost_of
from vallum.throttle.headers import LimitHeaders

STRANGER: Final = "\n"
"""Stands before the address of an anonymous caller in the store; no account's name has it (they are printable)."""


@final
class Metered(NamedTuple):
    """The request is counted and within the caller's budget.

    `limits` are the header fields that tell the caller so, on whatever answer follows.
    """

    identified: Identified
    claim: Claim
    limits: tuple[Header, ...]


@final
class Meter:
    """The plans made ready, and the counters: strangers' in a table of their own, so that they cannot fill ours."""

    def __init__(self, plans: Mapping[str, Plan]) -> None:
        self.known: MemoryCounters[Tally] = MemoryCounters(Tally)
        self.strangers: MemoryCounters[Tally] = MemoryCounters(Tally)
        self._plans = {name: (Budget(plan), LimitHeaders(plan)) for name, plan in plans.items()}

    def claim(self, identified: Identified, cost: int) -> tuple[Claim, tuple[Header, ...]]:
        """Count `cost` units of the caller's budget, if they are there; 0 looks at it."""
        budget, headers = self._budget(identified)
        counters, key = self._counters(identified)
        claim = counters.claim(key, budget, cost, identified.admitted.request.received_at)
        return claim, headers.pairs(claim)

    def slow_down(self, identified: Identified, cost: int) -> None:
        """Take `cost` units from the burst of a caller that has just claimed, whether they are there or not."""
        budget, _ = self._budget(identified)
        counters, key = self._counters(identified)
        counters.slow_down(key, budget, cost, identified.admitted.request.received_at)

    def _budget(self, identified: Identified) -> tuple[Budget, LimitHeaders]:
        found = self._plans.get(identified.principal.plan)
        if found is None:  # given by a newer program than this one; start-up looks for such accounts
            raise Refusal(METER_UNAVAILABLE)
        return found

    def _counters(self, identified: Identified) -> tuple[MemoryCounters[Tally], str]:
        """The table of the caller, and its key there."""
        name = identified.principal.id
        if name is not None:
            return self.known, name
        address, plan = address_key(identified.admitted.request.address), identified.principal.plan
        # Routes with a plan of their own count apart: who has used up the one can still do the other.
        return self.strangers, address if plan == "anonymous" else f"{plan} {address}"

    @property
    def dirty(self) -> int:
        """Callers whose counts changed; of known ones or of strangers, whichever are more."""
        return max(self.known.dirty, self.strangers.dirty)

    def take_dirty(self, callers: int) -> list[CountRow]:
        """Hour and day counts of so many callers that changed, to be written behind; strangers' keys are marked."""
        strangers = self.strangers.take_dirty(callers)
        return self.known.take_dirty(callers) + [
            (STRANGER + key, window, start, used) for key, window, start, used in strangers
        ]

    def put_back(self, rows: Iterable[CountRow]) -> None:
        """Rows that could not be written; they are taken again next time."""
        known, strangers = _parted(rows)
        self.known.put_back(known)
        self.strangers.put_back(strangers)

    def restore(self, rows: Iterable[CountRow]) -> None:
        """Take up what an earlier process counted."""
        known, strangers = _parted(rows)
        self.known.restore(known)
        self.strangers.restore(strangers)


def _parted(rows: Iterable[CountRow]) -> tuple[list[CountRow], list[CountRow]]:
    known: list[CountRow] = []
    strangers: list[CountRow] = []
    for key, window, start, used in rows:
        if key.startswith(STRANGER):
            strangers.append((key.removeprefix(STRANGER), window, start, used))
        else:
            known.append((key, window, start, used))
    return known, strangers


def throttle(identified: Identified, meter: Meter) -> Metered:
    """Claim the request's cost.

    Raises:
        Refusal: QUOTA_EXCEEDED; METER_UNAVAILABLE when there is no room to count a new caller, and for a plan that
            the API does not have.
    """
    admitted = identified.admitted
    request = admitted.request
    cost = cost_of(admitted.route, request.method, request.query)
    claim, limits = meter.claim(identified, cost)
    if cost and not claim.allowed:
        raise Refusal(
            QUOTA_EXCEEDED,
            retry_after_seconds=claim.retry_after_seconds,
            violated=claim.violated,
            headers=limits,
        )
    return Metered(identified, claim, limits)


def counted_already(metered: Metered, identified: Identified) -> Metered | None:
    """The same request with its caller loaded anew: not counted twice, except by another plan, which was not asked."""
    if identified.principal.plan != metered.identified.principal.plan:
        return None
    return Metered(identified, metered.claim, metered.limits)
