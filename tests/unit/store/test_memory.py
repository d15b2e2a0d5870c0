"""Counters in the process: what is kept, what may be forgotten, what is written behind."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import pytest

from vallum import defaults
from vallum.declare.plan import Plan
from vallum.refusals import METER_UNAVAILABLE, Refusal
from vallum.store.memory import AddressLimiter, MemoryCounters, address_key
from vallum.throttle.budget import Budget, Tally
from vallum.throttle.gcra import conform

HOUR = 1_790_002_800
DAY = HOUR - HOUR % 86_400
NOW = HOUR + 100.5
WIDE = Budget(Plan("1000/s", 1000, 10000))
BURST = Budget(Plan("5/s"))


def test_callers_do_not_share() -> None:
    """Each key has a budget of its own."""
    counters = MemoryCounters(Tally)
    assert [counters.claim("p:a", BURST, 1, NOW).allowed for _ in range(6)] == [True] * 5 + [False]
    assert counters.claim("p:b", BURST, 1, NOW).allowed
    assert len(counters) == 2


def test_dirty_rows_are_absolute_and_taken_once() -> None:
    """A caller's rows hold its whole count; without a new claim there is nothing to take."""
    counters = MemoryCounters(Tally)
    for _ in range(3):
        counters.claim("p:a", WIDE, 2, NOW)
    assert counters.take_dirty() == [("p:a", "hour", HOUR, 6), ("p:a", "day", DAY, 6)]
    assert counters.take_dirty() == []
    counters.claim("p:a", WIDE, 1, NOW)
    assert counters.take_dirty() == [("p:a", "hour", HOUR, 7), ("p:a", "day", DAY, 7)]


def test_refused_claims_are_not_dirty() -> None:
    """A caller that only runs against its limit costs no writes."""
    counters = MemoryCounters(Tally)
    budget = Budget(Plan("1000/s", hour=5))
    counters.claim("p:a", budget, 5, NOW)
    counters.take_dirty()
    assert not counters.claim("p:a", budget, 1, NOW).allowed
    assert counters.take_dirty() == []


def test_who_only_looks_is_not_remembered() -> None:
    """No place in the table is taken and nothing is written; of who is in it, the truth is told."""
    counters = MemoryCounters(Tally, callers=1)
    assert counters.claim("p:a", WIDE, 0, NOW).remaining == (1000, 10_000, 1000)
    assert (len(counters), counters.dirty) == (0, 0)
    counters.claim("p:b", WIDE, 7, NOW)
    counters.take_dirty()
    assert counters.claim("p:b", WIDE, 0, NOW).remaining == (993, 9993, 993)
    assert counters.claim("p:a", WIDE, 0, NOW).allowed  # although the table is full
    assert (len(counters), counters.dirty) == (1, 0)


def test_slowing_down_leaves_nothing_to_write() -> None:
    """Bursts are in memory alone; and a caller that was never counted is not made one by it."""
    counters = MemoryCounters(Tally)
    counters.slow_down("p:a", BURST, 3, NOW)
    assert len(counters) == 0
    counters.claim("p:a", BURST, 1, NOW)
    counters.take_dirty()
    counters.slow_down("p:a", BURST, 3, NOW)
    assert counters.take_dirty() == []
    assert counters.claim("p:a", BURST, 1, NOW).remaining == (0,)


def test_dirty_rows_can_be_taken_in_portions() -> None:
    """So that a flush never holds the loop for long; each caller comes once, the oldest change first."""
    counters = MemoryCounters(Tally)
    for key in ("p:a", "p:b", "p:c", "p:a"):
        counters.claim(key, WIDE, 1, NOW)
    assert [row[0] for row in counters.take_dirty(2)] == ["p:a", "p:a", "p:b", "p:b"]
    assert [row[0] for row in counters.take_dirty(2)] == ["p:c", "p:c"]
    assert counters.take_dirty(2) == []


def test_rows_that_could_not_be_written_come_again() -> None:
    """After a failed write they are put back, and what is taken next includes what happened meanwhile, once."""
    counters = MemoryCounters(Tally)
    counters.claim("p:a", WIDE, 5, NOW)
    rows = counters.take_dirty()
    counters.claim("p:a", WIDE, 1, NOW)
    counters.put_back(rows)
    assert counters.take_dirty() == [("p:a", "hour", HOUR, 6), ("p:a", "day", DAY, 6)]
    assert counters.take_dirty() == []


def test_put_back_of_a_forgotten_caller_is_nothing() -> None:
    """A caller that was forgotten between taking and putting back had nothing left that counts."""
    counters = MemoryCounters(Tally, callers=1)
    counters.claim("p:a", WIDE, 5, NOW)
    rows = counters.take_dirty()
    counters.claim("p:b", WIDE, 1, DAY + 86_400)
    counters.put_back(rows)
    assert {row[0] for row in counters.take_dirty()} == {"p:b"}


def test_a_caller_forgotten_before_its_flush_is_not_taken() -> None:
    """Its windows are over, so there is nothing to write; taking the others goes on."""
    counters = MemoryCounters(Tally, callers=1)
    counters.claim("p:a", WIDE, 5, NOW)
    counters.claim("p:b", WIDE, 1, DAY + 86_400)
    assert {row[0] for row in counters.take_dirty()} == {"p:b"}


def test_counts_survive_a_restart() -> None:
    """New counters that take up the rows go on where the old ones were, and have nothing to write."""
    before = MemoryCounters(Tally)
    before.claim("p:a", WIDE, 400, NOW)
    before.claim("p:b", WIDE, 1, NOW)
    rows = before.take_dirty()
    after = MemoryCounters(Tally)
    after.restore(rows)
    after.restore(reversed(rows))
    assert after.take_dirty() == []
    assert after.claim("p:a", WIDE, 1, NOW).remaining[:2] == (599, 9599)
    assert after.claim("p:b", WIDE, 1, NOW).remaining[:2] == (998, 9998)


def test_a_restore_is_complete_beyond_the_bound() -> None:
    """No restored count is dropped for want of room; new callers wait until enough of them are over."""
    counters = MemoryCounters(Tally, callers=2)
    counters.restore([(f"p:{n}", "hour", HOUR, 7) for n in range(5)])
    assert len(counters) == 5
    assert counters.claim("p:4", WIDE, 1, NOW).remaining[0] == 992
    with pytest.raises(Refusal) as refused:
        counters.claim("p:new", WIDE, 1, NOW)
    assert refused.value.reason is METER_UNAVAILABLE
    assert counters.claim("p:new", BURST, 1, HOUR + 3600).allowed
    assert len(counters) == 2


def test_full_of_live_callers_refuses_new_ones_only() -> None:
    """None is forgotten to make room: known callers go on, a new one gets 503 (fail closed)."""
    counters = MemoryCounters(Tally, callers=3)
    for key in ("p:a", "p:b", "p:c"):
        counters.claim(key, WIDE, 1, NOW)
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            counters.claim("p:d", WIDE, 1, NOW)
        assert refused.value.reason is METER_UNAVAILABLE
    assert counters.claim("p:a", WIDE, 1, NOW).remaining[0] == 998
    assert len(counters) == 3


@pytest.mark.parametrize(
    ("budget", "settled"),
    [(BURST, NOW + 1.5), (Budget(Plan("5/s", hour=9)), HOUR + 3600.0), (Budget(Plan("5/s", day=9)), DAY + 86_400.0)],
)
def test_settled_callers_make_room(budget: Budget, settled: float) -> None:
    """From the very moment at which forgetting a caller changes nothing, its place is free; not before."""
    counters = MemoryCounters(Tally, callers=1)
    counters.claim("p:a", budget, 5, NOW)
    with pytest.raises(Refusal):
        counters.claim("p:b", budget, 1, settled - 0.001)
    assert counters.claim("p:b", budget, 1, settled).allowed
    assert len(counters) == 1


def test_a_caller_that_came_back_is_not_forgotten() -> None:
    """A settling time that was noted long ago is looked up again before it is believed."""
    counters = MemoryCounters(Tally, callers=2)
    counters.claim("p:a", BURST, 5, NOW)
    counters.claim("p:b", BURST, 5, NOW)
    counters.claim("p:a", BURST, 5, NOW + 10)
    assert counters.claim("p:c", BURST, 1, NOW + 10).allowed
    assert not counters.claim("p:a", BURST, 1, NOW + 10).allowed
    with pytest.raises(Refusal):
        counters.claim("p:b", BURST, 1, NOW + 10)


def test_making_room_is_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of new callers looks at no more than a few tallies each, and a full, live table at none."""
    looks = 0
    settles_at = Tally.settles_at

    def counting(tally: Tally) -> int:
        nonlocal looks
        looks += 1
        return settles_at(tally)

    callers = 100
    counters = MemoryCounters(Tally, callers)
    for n in range(callers):
        counters.claim(f"p:{n}", WIDE, 1, NOW)
    tomorrow = DAY + 86_400 + 10
    for n in range(callers):
        counters.claim(f"p:{n}", WIDE, 1, tomorrow)
    monkeypatch.setattr(Tally, "settles_at", counting)
    for n in range(20):
        before = looks
        with pytest.raises(Refusal):
            counters.claim(f"n:{n}", WIDE, 1, tomorrow)
        assert looks - before <= defaults.COUNTER_EVICTIONS_TRIED
    assert looks == callers  # each stale note was mended once; from then on the first of the heap answers


def test_the_bound_holds_and_every_caller_is_noted_once() -> None:
    """Through turnover the table never outgrows its bound, nor does the heap beside it."""
    counters = MemoryCounters(Tally, callers=10)
    for n in range(500):
        counters.claim(f"p:{n}", BURST, 1, NOW + 2 * n)
    assert len(counters) == len(counters._settling) == 10
    assert {key for _, key in counters._settling} == set(counters._tallies)
    assert heapq.nsmallest(1, counters._settling)[0] == counters._settling[0]


def test_a_flood_is_stopped_and_let_go() -> None:
    """An address may send its burst at once, then its rate; the wait that it is told is enough; others pass."""
    limiter = AddressLimiter(conform, per_second=10, burst=20)
    assert [limiter.admit("192.0.2.1", NOW) for _ in range(22)] == [None] * 20 + [1, 1]
    assert limiter.admit("192.0.2.2", NOW) is None
    assert [limiter.admit("192.0.2.1", NOW + 0.5) for _ in range(6)] == [None] * 5 + [1]
    assert [limiter.admit("192.0.2.1", NOW + 0.599), limiter.admit("192.0.2.1", NOW + 0.6)] == [1, None]


def test_refused_requests_do_not_prolong_a_flood() -> None:
    """Who hammers on is served at the rate all the same."""
    limiter = AddressLimiter(conform, per_second=1, burst=1)
    served = [limiter.admit("192.0.2.1", NOW + step / 10) is None for step in range(101)]
    assert sum(served) == 11


def test_failures_have_a_budget_of_their_own() -> None:
    """Twenty bad credentials exhaust it, one comes back each 15 s, and asking costs nothing."""
    limiter = AddressLimiter(conform)
    for _ in range(20):
        assert limiter.failures_exhausted("192.0.2.1", NOW) is None
        limiter.record_failure("192.0.2.1", NOW)
    assert [limiter.failures_exhausted("192.0.2.1", NOW) for _ in range(2)] == [15, 15]
    assert limiter.failures_exhausted("192.0.2.2", NOW) is None
    assert limiter.admit("192.0.2.1", NOW) is None
    assert limiter.failures_exhausted("192.0.2.1", NOW + 14.999) == 1
    assert limiter.failures_exhausted("192.0.2.1", NOW + 15) is None
    limiter.record_failure("192.0.2.1", NOW + 15)
    assert limiter.failures_exhausted("192.0.2.1", NOW + 15) == 15


def test_failures_beyond_the_budget_do_not_add_up() -> None:
    """A thousand failures in flight at once shut an address out no longer than twenty."""
    limiter = AddressLimiter(conform)
    for _ in range(1000):
        limiter.record_failure("192.0.2.1", NOW)
    assert limiter.failures_exhausted("192.0.2.1", NOW) == 15


def test_the_address_idle_for_longest_is_forgotten() -> None:
    """The bound holds, and an address that is active, even if refused, stays."""
    limiter = AddressLimiter(conform, addresses=3, per_second=0.001, burst=1)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert limiter.admit(address, NOW) is None
    assert limiter.admit("192.0.2.1", NOW) is not None
    assert limiter.admit("192.0.2.4", NOW) is None
    assert limiter.admit("192.0.2.1", NOW) is not None
    assert limiter.admit("192.0.2.2", NOW) is None
    assert len(limiter._requests._arrivals) == 3


def test_a_flood_does_not_wash_failures_away() -> None:
    """Requests from any number of addresses leave the failures of one remembered."""
    limiter = AddressLimiter(conform, addresses=3, failures_burst=1)
    limiter.record_failure("192.0.2.1", NOW)
    for n in range(50):
        limiter.admit(f"198.51.100.{n}", NOW)
    assert limiter.failures_exhausted("192.0.2.1", NOW) == 15


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:0207", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("unix:", "unknown"),
        ("192.0.2.07", "unknown"),
        ("192.0.2.256", "unknown"),
        ("192.0.2.7:443", "unknown"),
        ("[::1]", "unknown"),
        (" 192.0.2.7", "unknown"),
        ("١٩٢.0.2.7", "unknown"),
        ("3232235777", "unknown"),
        ("fe80::1%" + "x" * 100, "unknown"),
        ("\0\n", "unknown"),
    ],
)
def test_address_key(address: str, key: str) -> None:
    """IPv4 whole in either spelling, IPv6 by /64 in any spelling, anything else in one common bucket."""
    assert address_key(address) == key


@pytest.fixture(autouse=True)
def _no_cached_addresses() -> Iterator[None]:
    """Each test parses for itself."""
    from vallum.store.memory import _address_key

    _address_key.cache_clear()
    yield
    assert (_address_key.cache_info().maxsize or 0) == defaults.ADDRESS_KEYS_CACHED
