"""GCRA against a bucket of tokens in exact fractions, and its two promises in any interval."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from vallum.throttle.gcra import Pace, conform, microseconds

START = 1_790_000_000 * 10**6
RATES = st.tuples(st.integers(1, 200), st.sampled_from([1, 60, 3600]))


class Bucket:
    """The slow model: `burst` tokens, one back each interval, in fractions and without a trick."""

    def __init__(self, burst: int, interval: int) -> None:
        self.burst = burst
        self.interval = interval
        self.tokens = Fraction(burst)
        self.at = 0

    def take(self, now: int, cost: int) -> bool:
        self.tokens = min(Fraction(self.burst), self.tokens + Fraction(now - self.at, self.interval))
        self.at = now
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def wait(self, cost: int) -> int:
        return int((cost - self.tokens) * self.interval)


@st.composite
def traffic(draw: st.DrawFn) -> tuple[int, int, list[tuple[int, int]]]:
    """(burst, interval, [(instant, cost)]): gaps of nothing, of about an interval and of about a whole burst."""
    pace = Pace.of(*draw(RATES))
    count, interval = pace.burst, pace.interval
    gaps = st.one_of(
        st.just(0),
        st.integers(0, 3 * interval),
        st.sampled_from([interval - 1, interval, interval + 1, count * interval]),
        st.integers(0, 2 * count * interval),
    )
    now, claims = START * pace.ticks, []
    for gap, cost in draw(st.lists(st.tuples(gaps, st.integers(1, count)), min_size=1, max_size=60)):
        now += gap
        claims.append((now, cost))
    return count, interval, claims


@given(traffic())
def test_gcra_is_a_bucket_of_tokens(case: tuple[int, int, list[tuple[int, int]]]) -> None:
    """Each claim is allowed exactly when a bucket of tokens allows it, with the same remainder and the same wait."""
    burst, interval, claims = case
    bucket, tat = Bucket(burst, interval), 0
    for now, cost in claims:
        expected = bucket.take(now, cost)
        allowed, tat, wait, remaining = conform(tat, now, interval, (burst - 1) * interval, cost)
        assert allowed is expected
        assert remaining == int(bucket.tokens)
        assert wait == (0 if allowed else bucket.wait(cost))


@given(traffic())
def test_never_more_than_burst_and_rate_in_any_interval(case: tuple[int, int, list[tuple[int, int]]]) -> None:
    """Between any two claims no more passes than the burst and what the rate gives in that time."""
    burst, interval, claims = case
    tat, passed = 0, []
    for now, cost in claims:
        allowed, tat, _, _ = conform(tat, now, interval, (burst - 1) * interval, cost)
        if allowed:
            passed.append((now, cost))
    for first, (begin, _) in enumerate(passed):
        total = 0
        for end, cost in passed[first:]:
            total += cost
            assert total <= burst + Fraction(end - begin, interval)


@given(RATES, st.integers(1, 400), st.integers(0, 10**9))
def test_steady_legal_traffic_is_never_punished(rate: tuple[int, int], requests: int, late: int) -> None:
    """A caller that keeps one interval apart always passes, with a burst of one too and with refused clutter between."""
    pace = Pace.of(*rate)
    interval = pace.interval
    tat, now = 0, START * pace.ticks
    for step in range(requests):
        allowed, tat, _, _ = conform(tat, now, interval, 0, 1)
        assert allowed
        refused, tat, wait, _ = conform(tat, now + interval // 2, interval, 0, 1)
        assert (refused, wait) == (False, interval - interval // 2)
        now += interval + late % (step + 1)


@given(RATES, st.floats(1.6e9, 2.1e9), st.integers(1, 200))
def test_a_clock_of_floats_keeps_whole_seconds(rate: tuple[int, int], start: float, steps: int) -> None:
    """All units of a period at once, exactly one period apart on a clock of floats: always allowed."""
    pace, tat = Pace.of(*rate), 0
    for step in range(steps):
        instant = microseconds(start + step * rate[1]) * pace.ticks
        allowed, tat, _, _ = conform(tat, instant, pace.interval, pace.tolerance, pace.burst)
        assert allowed


@given(traffic(), st.integers(0, 59))
def test_the_wait_is_exact(case: tuple[int, int, list[tuple[int, int]]], at: int) -> None:
    """A refused claim conforms after its wait and not one tick earlier."""
    burst, interval, claims = case
    tat = 0
    for now, cost in claims[:at]:
        _, tat, _, _ = conform(tat, now, interval, (burst - 1) * interval, cost)
    now, cost = claims[min(at, len(claims) - 1)]
    allowed, kept, wait, _ = conform(tat, now, interval, (burst - 1) * interval, cost)
    if not allowed:
        assert conform(kept, now + wait, interval, (burst - 1) * interval, cost)[0]
        assert not conform(kept, now + wait - 1, interval, (burst - 1) * interval, cost)[0]


@given(st.integers(1, 999_999_999), st.sampled_from([1, 60, 3600]))
def test_a_pace_is_its_rate(count: int, seconds: int) -> None:
    """`count` intervals last exactly the period."""
    pace = Pace.of(count, seconds)
    assert count * pace.interval == seconds * 10**6 * pace.ticks
