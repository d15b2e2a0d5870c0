"""Stage 3, throttle: the caller's budget and the request's nonce are claimed in one step, before anything costly is done.

The budget goes first: who has none left leaves no nonce behind, so that the same request can be sent again. A nonce
that is refused has cost its units: whoever sends recorded requests again and again pays for it like for any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, final

from vallum.authenticate.freshness import Stamp
from vallum.authenticate.stage import Identified
from vallum.declare.plan import Claim, Plan
from vallum.refusals import METER_UNAVAILABLE, QUOTA_EXCEEDED, Refusal
from vallum.request import Header
from vallum.store.memory import STRANGER, CountRow, MemoryCounters, address_key
from vallum.store.nonces import NonceRow, Nonces
from vallum.throttle.budget import Budget, Tally
from vallum.throttle.cost import cost_of
from vallum.throttle.headers import LimitHeaders


@final
class Metered(NamedTuple):
    """The request is counted and within the caller's budget, and its nonce, if it has one, was never seen before.

    `limits` are the header fields that tell the caller so, on whatever answer follows; `units` is what was claimed.
    """

    identified: Identified
    claim: Claim
    limits: tuple[Header, ...]
    units: int


class Ledger(Protocol):
    """The accepted nonces, and where they outlive the process (`serve.high_water`, `serve.shared_nonces`)."""

    nonces: Nonces

    async def opened(self) -> None:
        """Return when nonces can be accepted.

        Raises:
            Refusal: NONCES_UNAVAILABLE when that takes too long.
        """

    async def cover(self, row: NonceRow, now: float) -> None:
        """Return when it is on disk that this nonce was accepted.

        Raises:
            Refusal: NONCES_UNAVAILABLE when that cannot be, NONCE_REUSED when another server was first.
        """


@final
class Meter:
    """The plans made ready, and the counters: strangers' in a table of their own, so that they cannot fill ours.

    Those on routes with a plan of their own have another one: however many strangers read what is open to them, programs
    still get their tokens.

    Args:
        ledger: of accepted nonces.
    """

    def __init__(self, plans: Mapping[str, Plan], ledger: Ledger) -> None:
        self.ledger = ledger
        self.known: MemoryCounters[Tally] = MemoryCounters(Tally)
        self.strangers: MemoryCounters[Tally] = MemoryCounters(Tally)
        self.applicants: MemoryCounters[Tally] = MemoryCounters(Tally)
        self._plans = {name: (Budget(plan), LimitHeaders(plan)) for name, plan in plans.items()}

    def claim(self, identified: Identified, cost: int, paid: int = 0) -> tuple[Claim, tuple[Header, ...]]:
        """Count `cost` units of the caller's budget, if they are there; 0 looks at it.

        Args:
            paid: units that the same request has claimed before.
        """
        budget, headers = self._budget(identified)
        counters, key = self._counters(identified)
        claim = counters.claim(key, budget, cost, identified.admitted.request.received_at, paid)
        return claim, headers.pairs(claim)

    async def accept(self, identified: Identified, stamp: Stamp) -> None:
        """Claim the request's nonce. Nothing is awaited before that, unless the service begins just now."""
        if not self.ledger.nonces.is_open:
            await self.ledger.opened()
        name, request = identified.principal.id, identified.admitted.request
        caller = name if name is not None else STRANGER + address_key(request.address)
        row = self.ledger.nonces.claim(caller, stamp.nonce, stamp.at, request.received_at)
        if row is not None:
            await self.ledger.cover(row, request.received_at)

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
        return (self.strangers, address) if plan == "anonymous" else (self.applicants, f"{plan} {address}")

    @property
    def dirty(self) -> int:
        """Callers whose counts changed; those of the table in which there are most."""
        return max(self.known.dirty, self.strangers.dirty, self.applicants.dirty)

    def take_dirty(self, callers: int) -> list[CountRow]:
        """Hour and day counts of so many callers that changed, to be written behind; strangers' keys are marked."""
        strangers = self.strangers.take_dirty(callers) + self.applicants.take_dirty(callers)
        return self.known.take_dirty(callers) + [
            (STRANGER + key, window, start, used) for key, window, start, used in strangers
        ]

    def put_back(self, rows: Iterable[CountRow]) -> None:
        """Rows that could not be written; they are taken again next time."""
        for counters, own in self._parted(rows):
            counters.put_back(own)

    def restore(self, rows: Iterable[CountRow]) -> None:
        """Take up what an earlier process counted."""
        for counters, own in self._parted(rows):
            counters.restore(own)

    def _parted(self, rows: Iterable[CountRow]) -> list[tuple[MemoryCounters[Tally], list[CountRow]]]:
        """Each table with its rows, whose keys are as they are in it."""
        known: list[CountRow] = []
        strangers: list[CountRow] = []
        applicants: list[CountRow] = []
        for key, window, start, used in rows:
            name = key.removeprefix(STRANGER)
            # An address has no space.
            table = known if name == key else applicants if " " in name else strangers
            table.append((name, window, start, used))
        return [(self.known, known), (self.strangers, strangers), (self.applicants, applicants)]


async def throttle(identified: Identified, meter: Meter, before: Metered | None = None) -> Metered:
    """Claim the request's cost and its nonce.

    Args:
        before: the same request with its caller as it was a moment ago. Its nonce is claimed already; so is its cost,
            except by another plan, which was not asked.

    Raises:
        Refusal: QUOTA_EXCEEDED; METER_UNAVAILABLE when there is no room to count a new caller, and for a plan that
            the API does not have; NONCE_REUSED, NONCES_LIMITED, NONCES_UNAVAILABLE, and TIMESTAMP_STALE for a time of
            which we know too little.
    """
    if before is not None and before.identified.principal.plan == identified.principal.plan:
        return Metered(identified, before.claim, before.limits, before.units)
    admitted = identified.admitted
    request = admitted.request
    cost = cost_of(admitted.route, request.method, request.query)
    claim, limits = meter.claim(identified, cost)
    if cost and not claim.allowed:
        raise _exceeded(claim, limits)
    # What costs nothing is asked again and again, and does nothing: there nobody fills the room for nonces for nothing.
    counts = cost > 0 or (admitted.route is not None and request.method in admitted.route.fresh)
    if counts and identified.stamp is not None and before is None:
        try:
            await meter.accept(identified, identified.stamp)
        except Refusal as refusal:
            refusal.limits = limits
            raise
    return Metered(identified, claim, limits, cost)


def charge(metered: Metered, meter: Meter, units: int) -> Metered:
    """Claim what a request costs beyond its first line, once that is known and before anything is written.

    Args:
        units: that the whole request costs.

    Raises:
        Refusal: QUOTA_EXCEEDED; what was claimed before stays claimed.
    """
    if units <= metered.units:
        return metered
    claim, limits = meter.claim(metered.identified, units - metered.units, metered.units)
    if not claim.allowed:
        raise _exceeded(claim, limits)
    return Metered(metered.identified, claim, limits, units)


def _exceeded(claim: Claim, limits: tuple[Header, ...]) -> Refusal:
    return Refusal(
        QUOTA_EXCEEDED, retry_after_seconds=claim.retry_after_seconds, violated=claim.violated, limits=limits
    )
