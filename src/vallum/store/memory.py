"""Counters in the process: of callers (:class:`MemoryCounters`) and of network addresses (:class:`AddressLimiter`).

The store keeps what is counted, bounds it and hands it to whoever writes it behind. What a
count means is arithmetic, and that lies above (`throttle`): it comes in as a `Budget` and
its `Tally`, known here by what the store needs of them.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar, final

from vallum import defaults
from vallum.declare.plan import Claim
from vallum.refusals import METER_UNAVAILABLE, Refusal

CountRow = tuple[str, str, int, int]
"""(caller, window: `hour` or `day`, Unix second at which it began, units used in it)."""
Conform = Callable[[int, int, int, int, int], tuple[bool, int, int, int]]
"""`throttle.gcra.conform`: (TAT, now, interval, tolerance, cost) → (allowed, TAT, wait, left), in microseconds here."""

MICROSECONDS: Final = 1_000_000
STRANGER: Final = "\n"
"""Stands before the address of an anonymous caller in the store; no account's name has it (they are printable)."""
UNKNOWN_ADDRESS: Final = "unknown"
MAX_ADDRESS_CHARACTERS: Final = 64
"""The longest IPv6 text has 45; the rest is for a zone."""


class TallyPort(Protocol):
    """What one caller has used (`throttle.budget.Tally`)."""

    def settles_at(self) -> int:
        """The Unix second from which forgetting this changes no answer."""

    def counts(self) -> list[tuple[str, int, int]]:
        """(window, start, units) to be written behind; absolute numbers."""

    def restore(self, window: str, start: int, used: int) -> None:
        """Take one of those back."""


T = TypeVar("T", bound=TallyPort)
Asked_contra = TypeVar("Asked_contra", contravariant=True)


class BudgetPort(Protocol[Asked_contra]):
    """A plan that can be asked (`throttle.budget.Budget`)."""

    def claim(self, tally: Asked_contra, cost: int, now: float, paid: int = 0) -> Claim:
        """Count `cost` in the tally if every limit allows it; 0 looks what one unit would be answered.

        Args:
            paid: units that the same request has claimed before.
        """

    def slow_down(self, tally: Asked_contra, cost: int, now: float) -> None:
        """Take `cost` from the burst alone."""


@final
class MemoryCounters(Generic[T]):
    """The tallies of callers, at most `callers` of them.

    A tally is forgotten only when that changes no answer: its windows are over and its burst
    is whole again. When all are live a new caller is refused (METER_UNAVAILABLE), for
    forgetting a live one would hand out its quota again. Strangers can fill a table, so
    anonymous callers and known ones belong in two.

    For one process and one thread: nothing here awaits, so a claim is one step.
    """

    def __init__(self, fresh: Callable[[], T], callers: int = defaults.CALLERS_TRACKED) -> None:
        """
        Args:
            fresh: makes the tally of a new caller (`throttle.budget.Tally`).
            callers: how many are remembered.
        """
        self._fresh = fresh
        self._callers = callers
        self._tallies: dict[str, T] = {}
        self._dirty: dict[str, None] = {}
        # Every caller once, by a second before which it is certainly live: a tally settles later
        # with each claim, never earlier. So when the first of the heap is live, all are.
        self._settling: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._tallies)

    def claim(self, key: str, budget: BudgetPort[T], cost: int, now: float, paid: int = 0) -> Claim:
        """Check every limit of the caller's budget and count, in one step.

        Args:
            key: the caller, from what authentication said; never what a client can choose.
            cost: units; 0 looks at what a claim of one unit would be answered.
            now: Unix time in seconds.
            paid: units that the same request has claimed before.

        Raises:
            Refusal: METER_UNAVAILABLE when a new caller finds no room.
        """
        tally = self._tallies.get(key)
        if tally is not None:
            claim = budget.claim(tally, cost, now, paid)
        elif not cost:  # who only looks takes no place
            return budget.claim(self._fresh(), cost, now)
        else:
            self._make_room(now)
            tally = self._fresh()
            claim = budget.claim(tally, cost, now, paid)
            self._keep(key, tally)
        if claim.allowed and cost:
            self._dirty[key] = None
        return claim

    def slow_down(self, key: str, budget: BudgetPort[T], cost: int, now: float) -> None:
        """Take units from the burst of a caller that was counted before; there is nothing to write behind for it."""
        tally = self._tallies.get(key)
        if tally is not None:
            budget.slow_down(tally, cost, now)

    @property
    def dirty(self) -> int:
        """Callers whose counts changed since they were last taken."""
        return len(self._dirty)

    def take_dirty(self, callers: int | None = None) -> list[CountRow]:
        """The counts that changed since they were last taken, of at most so many callers, oldest change first.

        The numbers are absolute: writing one as `max(present, new)` is right however often it
        happens. Counts of windows that ended meanwhile are not among them; nothing asks for them.
        """
        rows: list[CountRow] = []
        for key in list(islice(self._dirty, callers)):
            del self._dirty[key]
            rows.extend((key, *count) for count in self._tallies[key].counts())
        return rows

    def put_back(self, rows: Iterable[CountRow]) -> None:
        """Rows of :meth:`take_dirty` that could not be written: their callers are taken again next time."""
        for key, _, _, _ in rows:
            if key in self._tallies:
                self._dirty[key] = None

    def restore(self, rows: Iterable[CountRow]) -> None:
        """Take up counts from a store, at start; the same row twice is as good as once.

        More callers than there is room for are all taken: forgetting one would hand out its
        quota again. New ones then wait until there is room.
        """
        for key, window, start, used in rows:
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._fresh()
                tally.restore(window, start, used)
                self._keep(key, tally)
            else:
                tally.restore(window, start, used)

    def _keep(self, key: str, tally: T) -> None:
        self._tallies[key] = tally
        heapq.heappush(self._settling, (tally.settles_at(), key))

    def _make_room(self, now: float) -> None:
        """Forget a settled tally if the table is full; bounded work, so that a flood of callers costs little each."""
        if len(self._tallies) < self._callers:
            return
        heap = self._settling
        for _ in range(defaults.COUNTER_EVICTIONS_TRIED):
            if not heap or heap[0][0] > now:
                break
            key = heap[0][1]
            settles = self._tallies[key].settles_at()
            if settles > now:
                heapq.heapreplace(heap, (settles, key))
                continue
            heapq.heappop(heap)
            del self._tallies[key]
            self._dirty.pop(key, None)
            if len(self._tallies) < self._callers:
                return
        raise Refusal(METER_UNAVAILABLE)


@final
class AddressLimiter:
    """Floods and bad credentials, by network address; of many addresses the one idle for longest is forgotten.

    That one forgetting is harmless in kind: it is a guard in front of the budget, and who has
    100,000 addresses is not held by a limit per address. Failures are remembered apart, so that
    a flood of requests does not wash them away.
    """

    def __init__(
        self,
        conform: Conform,
        *,
        addresses: int = defaults.ADDRESSES_TRACKED,
        per_second: float = defaults.ADDRESS_PER_SECOND,
        burst: int = defaults.ADDRESS_BURST,
        failures_per_second: float = defaults.FAILURES_PER_SECOND,
        failures_burst: int = defaults.FAILURES_BURST,
    ) -> None:
        self._requests = Buckets(conform, addresses, per_second, burst)
        self._failures = Buckets(conform, addresses, failures_per_second, failures_burst)

    def admit(self, address: str, now: float) -> int | None:
        """Count one request; None, or the seconds to wait when that address floods (then it is not counted)."""
        return self._requests.count(address_key(address), now)

    def record_failure(self, address: str, now: float) -> None:
        """Count one bad credential."""
        self._failures.count(address_key(address), now)

    def failures_exhausted(self, address: str, now: float) -> int | None:
        """None, or the seconds until that address may show a credential again. Counts nothing."""
        return self._failures.wait(address_key(address), now)


@final
class Buckets:
    """One GCRA bucket a key, at most `keys` of them, least recently used first out."""

    __slots__ = ("_arrivals", "_conform", "_interval", "_keys", "_tolerance")

    def __init__(self, conform: Conform, keys: int, per_second: float, burst: int) -> None:
        self._conform = conform
        self._keys = keys
        self._interval = round(MICROSECONDS / per_second)
        self._tolerance = (burst - 1) * self._interval
        self._arrivals: OrderedDict[str, int] = OrderedDict()

    def count(self, key: str, now: float) -> int | None:
        """Count one; None, or the seconds to wait when it is one too many (then it is not counted)."""
        arrivals = self._arrivals
        allowed, tat, wait, _ = self._conform(
            arrivals.get(key, 0), int(now * MICROSECONDS), self._interval, self._tolerance, 1
        )
        arrivals[key] = tat
        arrivals.move_to_end(key)
        if len(arrivals) > self._keys:
            arrivals.popitem(last=False)
        return None if allowed else -(-wait // MICROSECONDS)

    def wait(self, key: str, now: float) -> int | None:
        """None, or the seconds until one more would be counted. Counts nothing."""
        tat = self._arrivals.get(key)
        if tat is None:
            return None
        allowed, _, wait, _ = self._conform(tat, int(now * MICROSECONDS), self._interval, self._tolerance, 1)
        return None if allowed else -(-wait // MICROSECONDS)


def address_key(address: str) -> str:
    """Who an address stands for: an IPv4 address itself, an IPv6 address its /64, which one customer holds whole.

    IPv4 written as IPv6 (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) is the IPv4 address. All that is
    no address shares one key.
    """
    return _address_key(address) if len(address) <= MAX_ADDRESS_CHARACTERS else UNKNOWN_ADDRESS


@lru_cache(maxsize=defaults.ADDRESS_KEYS_CACHED)
def _address_key(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return UNKNOWN_ADDRESS
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
