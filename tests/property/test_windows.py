"""Windows and whole budgets against a slow, plain model; counts through flush, crash and restore."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vallum.declare.plan import Claim, Plan, Rate, Reduced
from vallum.refusals import Refusal
from vallum.store.memory import CountRow, MemoryCounters
from vallum.throttle.budget import Budget, Tally
from vallum.throttle.windows import day_bounds

ZONES = [
    "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "America/Havana", "Asia/Beirut",
    "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "Pacific/Kiritimati",
]  # fmt: skip


def first_minutes(zone: tzinfo, begin: int, end: int) -> list[int]:
    """The slow way to the days: watch the wall clock minute by minute for a date that it has not shown before."""
    latest, found = datetime.fromtimestamp(begin, zone).date(), []
    for minute in range(begin, end, 60):
        shown = datetime.fromtimestamp(minute, zone).date()
        if shown > latest:
            latest = shown
            found.append(minute)
    return found


@pytest.mark.parametrize("zone", ZONES)
@given(second=st.integers(1_000_000_000, 2_000_000_000))
def test_days_tile_the_time(zone: str, second: int) -> None:
    """A day holds the second asked for, all its seconds agree on it, and the next begins where it ends."""
    info = ZoneInfo(zone)
    start, end = day_bounds(second, info)
    assert start <= second < end
    assert 23 * 3600 <= end - start <= 25 * 3600
    assert day_bounds(start, info) == day_bounds(end - 1, info) == (start, end)
    assert day_bounds(end, info)[0] == end
    assert day_bounds(start - 1, info)[1] == start


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Sao_Paulo", "America/St_Johns", "Pacific/Apia", "Asia/Beirut"]
)
def test_days_are_those_of_a_wall_clock(zone: str) -> None:
    """Around each change of the clock of twelve years the bounds are those found by watching the wall clock."""
    info = ZoneInfo(zone)
    first = datetime(2007, 1, 1, tzinfo=UTC)
    changes = [
        int(day.timestamp())
        for day in (first + timedelta(days=n) for n in range(12 * 365))
        if day.astimezone(info).utcoffset() != (day + timedelta(days=1)).astimezone(info).utcoffset()
    ]
    assert changes
    for change in changes:
        days = first_minutes(info, change - 3 * 86_400, change + 3 * 86_400)
        assert len(days) >= 5
        for start, end in pairwise(days):
            for second in {start, start + 1, (start + end) // 2, end - 3600, end - 1, *range(start, end, 7001)}:
                assert day_bounds(second, info) == (start, end)


@dataclass
class Model:
    """The slow model: every allowed unit is kept in a list, and every limit counts the list anew."""

    plan: Plan
    passed: list[tuple[Fraction, int]] = field(default_factory=list)
    tokens: dict[str, tuple[Fraction, Fraction]] = field(default_factory=dict)

    def level(self, name: str, rate: Rate, now: Fraction) -> Fraction:
        tokens, since = self.tokens.get(name, (Fraction(rate.count), now))
        gained = (now - since) * rate.count / rate.seconds
        return min(Fraction(rate.count), tokens + gained)

    def used(self, begin: int, end: int) -> int:
        return sum(cost for at, cost in self.passed if begin <= at < end)

    def left(self, second: int) -> dict[str, int]:
        hour = (second // 3600 * 3600, second // 3600 * 3600 + 3600)
        day = day_bounds(second, UTC if self.plan.zone == "UTC" else ZoneInfo(self.plan.zone))
        windows = (("hour", self.plan.hour, hour), ("day", self.plan.day, day))
        return {name: quota - self.used(*bounds) for name, quota, bounds in windows if quota is not None}

    def claim(self, cost: int, now: Fraction) -> tuple[bool, tuple[str, ...]]:
        plan, second = self.plan, int(now)
        day = day_bounds(second, UTC if plan.zone == "UTC" else ZoneInfo(plan.zone))
        hour = (second // 3600 * 3600, second // 3600 * 3600 + 3600)
        windows = [("hour", plan.hour, hour), ("day", plan.day, day)]
        short = tuple(
            name for name, quota, bounds in windows if quota is not None and self.used(*bounds) + cost > quota
        )
        buckets = {"burst": plan.burst}
        if short and plan.after_quota is not None:
            buckets["reduced"] = plan.after_quota.rate
        levels = {name: self.level(name, rate, now) - min(cost, rate.count) for name, rate in buckets.items()}
        violated: tuple[str, ...] = ("burst",) if levels["burst"] < 0 else ()
        if short and levels.get("reduced", Fraction(-1)) < 0:
            violated += short
        if not violated:
            self.passed.append((now, cost))
            self.tokens.update({name: (level, now) for name, level in levels.items()})
        return not violated, violated


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Small plans, so that every limit is met; with and without each part."""
    burst = Rate(draw(st.integers(1, 8)), draw(st.sampled_from([1, 60])))
    hour = draw(st.none() | st.integers(1, 20))
    day = draw(st.none() | st.integers(hour or 1, 40))
    slow = draw(st.none() | st.integers(1, 3)) if hour is not None or day is not None else None
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]))
    return Plan(burst, hour, day, None if slow is None else Reduced(Rate(slow, 3600)), zone)


GAPS = st.one_of(
    st.just(0), st.integers(0, 2 * 10**6), st.integers(0, 120 * 10**6), st.integers(0, 2 * 3600 * 10**6),
    st.integers(0, 86_400 * 10**6), st.just(-1),
)  # fmt: skip
"""Microseconds to the next claim; -1: to the very next full hour."""


def later(micros: int, gap: int) -> int:
    return (micros // (3600 * 10**6) + 1) * 3600 * 10**6 if gap < 0 else micros + gap


SUMMER_TIME_ENDS = 1_792_886_400
"""Hours before the 25-hour day of Berlin, 2026."""


@given(plans(), st.lists(st.tuples(GAPS, st.integers(1, 10)), max_size=60), st.integers(0, 86_400))
@example(Plan("8/s", 1, 1), [(0, 1), (-1, 1), (0, 1)], 0)
def test_a_budget_is_its_limits_together(plan: Plan, steps: list[tuple[int, int]], offset: int) -> None:
    """Each claim is answered as by the model, names the same limits, and a refusal leaves every count as it was."""
    budget, tally, model = Budget(plan), Tally(), Model(plan)
    micros = (SUMMER_TIME_ENDS - offset) * 10**6
    for gap, cost in steps:
        micros = later(micros, gap)
        counts = (tally.burst_at, tally.reduced_at, sum(used for _, _, used in tally.counts()))
        claim = budget.claim(tally, cost, micros / 10**6)
        assert (claim.allowed, claim.violated) == model.claim(cost, Fraction(micros, 10**6))
        if not claim.allowed:
            assert claim.retry_after_seconds >= 1
            assert (tally.burst_at, tally.reduced_at) == counts[:2]
            assert sum(used for _, _, used in tally.counts()) <= counts[2]  # a window may have ended
        check_answer(claim, model, micros)


def check_answer(claim: Claim, model: Model, micros: int) -> None:
    """Remainders are what the model's list leaves; resets are never in the past."""
    assert list(claim.remaining[:-1]) == [max(0, left) for left in model.left(micros // 10**6).values()]
    assert claim.remaining[-1] == int(model.level("burst", model.plan.burst, Fraction(micros, 10**6)))
    assert all(reset >= 0 for reset in claim.reset_seconds)


@given(plans(), st.lists(st.tuples(GAPS, st.integers(1, 10)), max_size=40))
def test_a_look_tells_the_truth_and_takes_nothing(plan: Plan, steps: list[tuple[int, int]]) -> None:
    """What a claim of one unit is answered is what a look just before it was; two looks agree, and nothing is used."""
    budget, tally = Budget(plan), Tally()
    micros = SUMMER_TIME_ENDS * 10**6
    for gap, cost in steps:
        micros = later(micros, gap)
        looks = [budget.claim(tally, 0, micros / 10**6) for _ in range(2)]
        used = [tally.burst_at, tally.reduced_at, *tally.counts()]
        claim = budget.claim(tally, 1, micros / 10**6)
        assert looks[0] == looks[1]
        assert looks[0][:2] + looks[0][4:] == claim[:2] + claim[4:]  # all but what is left and until when
        if not claim.allowed:
            assert (looks[0], used) == (claim, [tally.burst_at, tally.reduced_at, *tally.counts()])
        budget.claim(tally, cost, micros / 10**6)


@given(plans(), st.lists(st.tuples(GAPS, st.integers(1, 10)), max_size=60))
def test_never_more_than_the_quota_in_a_window(plan: Plan, steps: list[tuple[int, int]]) -> None:
    """Without a reduced rate no hour and no day ever holds more than its quota."""
    model = Model(Plan(plan.burst, plan.hour, plan.day, None, plan.zone))
    budget, tally, micros = Budget(model.plan), Tally(), SUMMER_TIME_ENDS * 10**6
    for gap, cost in steps:
        micros = later(micros, gap)
        if budget.claim(tally, cost, micros / 10**6).allowed:
            model.passed.append((Fraction(micros, 10**6), cost))
        assert all(left >= 0 for left in model.left(micros // 10**6).values())


@given(plans(), st.lists(st.tuples(GAPS, st.integers(1, 10)), max_size=40))
def test_the_wait_is_true(plan: Plan, steps: list[tuple[int, int]]) -> None:
    """A refused claim, repeated after the seconds it was told, is allowed unless its cost exceeds a quota for good."""
    budget, tally = Budget(plan), Tally()
    micros = SUMMER_TIME_ENDS * 10**6
    for gap, cost in steps:
        micros = later(micros, gap)
        claim = budget.claim(tally, cost, micros / 10**6)
        fits = all(quota is None or cost <= quota for quota in (plan.hour, plan.day))
        if not claim.allowed and fits:
            micros += claim.retry_after_seconds * 10**6
            assert budget.claim(tally, cost, micros / 10**6).allowed


@given(st.integers(1, 8), st.integers(1, 120))
def test_steady_legal_traffic_passes_all_day(per_hour: int, requests: int) -> None:
    """A caller that spreads its hour's quota evenly is never refused, however long it goes on."""
    budget, tally = Budget(Plan("1/s", per_hour, per_hour * 25, zone="Europe/Berlin")), Tally()
    gap = 3600 / per_hour
    for step in range(requests):
        assert budget.claim(tally, 1, SUMMER_TIME_ENDS + step * gap + 0.001).allowed


class Process(RuleBasedStateMachine):
    """Counters that are claimed from, flushed into a table, crash, start again, and run full; beside them a ledger."""

    BUDGET = Budget(Plan("8/s", 12, 30))
    CALLERS = 3

    def __init__(self) -> None:
        super().__init__()
        self.counters = MemoryCounters(Tally, self.CALLERS)
        self.table: dict[tuple[str, str, int], int] = {}
        self.now = SUMMER_TIME_ENDS
        self.passed: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.unflushed: list[tuple[str, int, int]] = []
        self.lost: Counter[tuple[str, str, int]] = Counter()
        self.in_flight: list[CountRow] = []

    def windows(self, caller: str, at: int) -> list[tuple[str, str, int]]:
        return [(caller, "hour", at // 3600 * 3600), (caller, "day", at // 86_400 * 86_400)]

    @rule(caller=st.sampled_from("abcdef"), cost=st.integers(1, 5), gap=st.sampled_from([0, 0, 1, 60, 1800, 30_000]))
    def claim(self, caller: str, cost: int, gap: int) -> None:
        """Ask; what is allowed goes into the ledger."""
        self.now += gap
        try:
            allowed = self.counters.claim(caller, self.BUDGET, cost, self.now).allowed
        except Refusal:
            assert len(self.counters) >= self.CALLERS
            return
        if allowed:
            self.unflushed.append((caller, cost, self.now))
            for window in self.windows(caller, self.now):
                self.passed[window] += cost

    @rule(callers=st.none() | st.integers(1, 3))
    def take(self, callers: int | None) -> None:
        """Begin a flush; its rows are on their way to the disk while claims go on."""
        self.write()
        self.in_flight = self.counters.take_dirty(callers)

    @rule(times=st.integers(1, 2))
    def write(self, times: int = 1) -> None:
        """The rows arrive, perhaps twice."""
        for _ in range(times):
            for caller, window, start, used in self.in_flight:
                self.table[caller, window, start] = max(self.table.get((caller, window, start), 0), used)

    @rule()
    def fail(self) -> None:
        """The disk refuses: the rows go back."""
        self.counters.put_back(self.in_flight)
        self.in_flight = []

    @rule()
    def flush(self) -> None:
        """A whole flush: from now on nothing of it may be lost."""
        self.counters.put_back(self.in_flight)
        self.in_flight = self.counters.take_dirty()
        self.write()
        self.in_flight, self.unflushed = [], []

    @rule()
    def crash(self) -> None:
        """A kill -9 and a new start from the table: at most what was not flushed is lost."""
        for caller, cost, at in self.unflushed:
            for window in self.windows(caller, at):
                self.lost[window] += cost
        self.unflushed, self.in_flight = [], []
        self.counters = MemoryCounters(Tally, self.CALLERS)
        self.counters.restore((*key, used) for key, used in self.table.items())

    @invariant()
    def counted_once(self) -> None:
        """No count, in the table or in the process, exceeds what passed: nothing is ever counted twice."""
        for key, used in self.table.items():
            assert used <= self.passed[key]
        for caller, tally in self.counters._tallies.items():
            for window, start, used in tally.counts():
                assert used <= self.passed[caller, window, start]

    @invariant()
    def quota_holds(self) -> None:
        """A window never grants more than its quota and what a crash lost of it."""
        for (caller, window, start), units in self.passed.items():
            quota = 12 if window == "hour" else 30
            assert units <= quota + self.lost[caller, window, start]

    @invariant()
    def counted_at_all(self) -> None:
        """What passed in a window that still holds is in the process, except for what a crash lost."""
        for (caller, window, start), units in self.passed.items():
            if (window, start) not in {(name, begin) for _, name, begin in self.windows(caller, self.now)}:
                continue
            tally = self.counters._tallies.get(caller)
            counts = {} if tally is None else {(name, begin): used for name, begin, used in tally.counts()}
            assert counts.get((window, start), 0) >= units - self.lost[caller, window, start]


TestProcess = Process.TestCase
