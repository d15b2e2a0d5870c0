"""The generic cell rate algorithm at its exact instants."""

from __future__ import annotations

import pytest

from vallum.throttle.gcra import Pace, conform, microseconds

T = 50_000_000
"""20 a second, in nanoseconds."""
NOW = 1_790_000_000 * 10**9


def test_a_stranger_is_welcome() -> None:
    """A caller without a history has the whole burst and is one unit poorer after one claim."""
    assert conform(0, NOW, T, 19 * T, 1) == (True, NOW + T, 0, 19)


def test_the_burst_is_exact() -> None:
    """Exactly `burst` units pass at one instant; the next one waits one interval."""
    tat = 0
    for left in range(19, -1, -1):
        allowed, tat, wait, remaining = conform(tat, NOW, T, 19 * T, 1)
        assert (allowed, wait, remaining) == (True, 0, left)
    assert conform(tat, NOW, T, 19 * T, 1) == (False, tat, T, 0)


def test_the_instant_is_exact() -> None:
    """After a full burst one more unit conforms at the named instant and not a nanosecond before."""
    tat = NOW + 20 * T
    assert conform(tat, NOW + T - 1, T, 19 * T, 1) == (False, tat, 1, 0)
    assert conform(tat, NOW + T, T, 19 * T, 1) == (True, tat + T, 0, 0)


def test_the_wait_is_enough() -> None:
    """A refused claim that returns after just its wait conforms."""
    tat = NOW + 17 * T
    allowed, same, wait, remaining = conform(tat, NOW, T, 19 * T, 5)
    assert (allowed, same, remaining) == (False, tat, 3)
    assert conform(tat, NOW + wait, T, 19 * T, 5)[0]
    assert not conform(tat, NOW + wait - 1, T, 19 * T, 5)[0]


def test_a_cost_takes_so_many_units() -> None:
    """A claim of five is five claims of one."""
    tat = 0
    for _ in range(5):
        _, tat, _, _ = conform(tat, NOW, T, 19 * T, 1)
    assert conform(0, NOW, T, 19 * T, 5) == (True, tat, 0, 15)


def test_without_tolerance_only_the_pace() -> None:
    """A burst of one lets units pass one interval apart, on the very instant."""
    _, tat, _, _ = conform(0, NOW, T, 0, 1)
    assert not conform(tat, NOW + T - 1, T, 0, 1)[0]
    assert conform(tat, NOW + T, T, 0, 1)[0]


def test_a_clock_set_back_does_not_shut_out() -> None:
    """An arrival time an hour ahead becomes an empty bucket: the caller waits one interval, not the hour."""
    tat = NOW + 3600 * 10**9
    refused = conform(tat, NOW, T, 19 * T, 1)
    assert refused == (False, NOW + 20 * T, T, 0)
    assert not conform(refused[1], NOW + T - 1, T, 19 * T, 1)[0]
    assert conform(refused[1], NOW + T, T, 19 * T, 1)[0]


def test_a_cost_above_the_burst_never_conforms() -> None:
    """Not even for a caller without a history."""
    assert not conform(0, NOW, T, 19 * T, 21)[0]


@pytest.mark.parametrize(
    ("count", "seconds", "ticks", "interval"),
    [
        (20, 1, 1, 50_000),
        (1, 1, 1, 1_000_000),
        (3, 1, 3, 1_000_000),
        (7, 60, 7, 60_000_000),
        (30, 3600, 1, 120_000_000),
        (999_999_999, 1, 999_999_999, 1_000_000),
    ],
)
def test_a_pace_is_exact(count: int, seconds: int, ticks: int, interval: int) -> None:
    """An interval is a whole number of ticks, also where a rate does not divide a second."""
    pace = Pace.of(count, seconds)
    assert pace == Pace(count, ticks, interval, (count - 1) * interval)
    assert count * interval == seconds * ticks * 1_000_000


def test_three_a_second_come_back_each_second() -> None:
    """A full burst once a second is three a second, for ever: no thirds are rounded anywhere."""
    pace, tat = Pace.of(3, 1), 0
    for second in range(1_790_000_000, 1_790_000_100):
        allowed, tat, _, _ = conform(tat, second * 1_000_000 * pace.ticks, pace.interval, pace.tolerance, 3)
        assert allowed


def test_a_second_later_is_a_second_later() -> None:
    """Unix time as a float has a grain of 240 ns; in whole microseconds its steps of a second stay exact."""
    start = 1_790_000_000.123457
    assert [microseconds(start + step) - microseconds(start) for step in (1, 60, 3600)] == [
        10**6,
        60 * 10**6,
        3600 * 10**6,
    ]
    assert microseconds(1_790_000_000) == 1_790_000_000 * 10**6


@pytest.mark.parametrize(("wait", "seconds"), [(0, 0), (1, 1), (3 * 10**6, 1), (3 * 10**6 + 1, 2)])
def test_seconds_are_rounded_up(wait: int, seconds: int) -> None:
    """Who waits the whole seconds has waited long enough."""
    assert Pace.of(3, 1).seconds(wait) == seconds


@pytest.mark.parametrize(("tat", "ticks", "rescaled"), [(0, 1, 0), (30, 10, 9), (31, 10, 10), (7, 3, 7), (-5, 3, -5)])
def test_a_time_of_another_pace_is_rounded_up(tat: int, ticks: int, rescaled: int) -> None:
    """A change of plans never brings an arrival time forward."""
    assert Pace.of(3, 1).rescaled(tat, ticks) == rescaled
