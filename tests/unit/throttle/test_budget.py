"""All limits of a plan in one step: counted in each, or in none."""

from __future__ import annotations

import pytest

from vallum.declare.plan import Plan, Reduced
from vallum.throttle.budget import Budget, Tally

HOUR = 1_790_002_800
"""A full hour of UTC, in the afternoon."""
DAY = HOUR - HOUR % 86_400
NOW = HOUR + 100.5


def state(tally: Tally) -> tuple[int, ...]:
    return tuple(getattr(tally, name) for name in Tally.__slots__)


def spend(budget: Budget, tally: Tally, times: int, now: float) -> int:
    """How many of `times` claims of one unit are allowed at that moment."""
    return sum(budget.claim(tally, 1, now).allowed for _ in range(times))


def test_an_allowed_claim_is_counted_in_every_limit() -> None:
    """The answer names each limit with what is left of it and when there will be more."""
    claim = Budget(Plan("20/s", 1000, 10000)).claim(Tally(), 3, NOW)
    assert claim.allowed
    assert claim.policies == ("hour", "day", "burst")
    assert claim.remaining == (997, 9997, 17)
    assert claim.reset_seconds == (3500, DAY + 86_400 - int(NOW), 1)
    assert (claim.retry_after_seconds, claim.violated) == (0, ())


@pytest.mark.parametrize(
    ("plan", "policies"),
    [
        (Plan("5/s"), ("burst",)),
        (Plan("5/s", hour=9), ("hour", "burst")),
        (Plan("5/s", day=9), ("day", "burst")),
        (Plan("5/s", 9, 9), ("hour", "day", "burst")),
    ],
)
def test_a_plan_answers_with_the_limits_it_has(plan: Plan, policies: tuple[str, ...]) -> None:
    """A window that a plan does not have is neither checked nor named nor counted."""
    tally = Tally()
    claim = Budget(plan).claim(tally, 1, NOW)
    assert claim.policies == policies
    assert len(claim.remaining) == len(claim.reset_seconds) == len(policies)
    assert [window for window, _, _ in tally.counts()] == list(policies[:-1])


@pytest.mark.parametrize(
    ("plan", "violated", "retry"),
    [
        (Plan("5/min", 1000, 10000), ("burst",), 12),
        (Plan("100/s", 5, 10000), ("hour",), 3500),
        (Plan("100/s", 5, 5), ("hour", "day"), DAY + 86_400 - int(NOW)),
        (Plan("100/s", None, 5), ("day",), DAY + 86_400 - int(NOW)),
        (Plan("5/min", 5, 1000), ("burst", "hour"), 3500),
    ],
)
def test_a_refusal_names_who_refused_and_counts_nowhere(plan: Plan, violated: tuple[str, ...], retry: int) -> None:
    """The sixth claim breaks some of the limits: it is told which and for how long, and all counts stay."""
    budget, tally = Budget(plan), Tally()
    assert spend(budget, tally, 5, NOW) == 5
    before = state(tally)
    for _ in range(3):
        claim = budget.claim(tally, 1, NOW)
        assert (claim.allowed, claim.violated, claim.retry_after_seconds) == (False, violated, retry)
    assert state(tally) == before


@pytest.mark.parametrize("plan", [Plan("5/min", 1000, 10000), Plan("100/s", 5, 10000), Plan("100/s", None, 5)])
def test_retry_after_is_enough_and_not_more(plan: Plan) -> None:
    """The claim succeeds after just the seconds it was told, and not a second earlier."""
    budget, tally = Budget(plan), Tally()
    spend(budget, tally, 5, float(int(NOW)))
    wait = budget.claim(tally, 1, int(NOW)).retry_after_seconds
    assert not budget.claim(tally, 1, int(NOW) + wait - 1).allowed
    assert budget.claim(tally, 1, int(NOW) + wait).allowed


def test_the_edge_of_an_hour() -> None:
    """The last microsecond of an hour counts in it, its first in the next; hits never move the edge."""
    budget, tally = Budget(Plan("1000/s", hour=10)), Tally()
    edge = HOUR + 3600
    for second in range(HOUR, edge, 400):
        assert budget.claim(tally, 1, second).reset_seconds[0] == edge - second
    assert spend(budget, tally, 1, edge - 0.000_001) == 1
    refused = budget.claim(tally, 1, edge - 0.000_001)
    assert (refused.allowed, refused.retry_after_seconds) == (False, 1)
    fresh = budget.claim(tally, 1, float(edge))
    assert (fresh.allowed, fresh.remaining[0], fresh.reset_seconds[0]) == (True, 9, 3600)


def test_the_edge_of_a_day_in_its_zone() -> None:
    """In Berlin the quota of 25 October 2026 lasts 25 hours and begins anew at its midnight, not at that of UTC."""
    budget, tally = Budget(Plan("1000/s", day=10, zone="Europe/Berlin")), Tally()
    start, end = 1_792_879_200, 1_792_879_200 + 25 * 3600
    assert budget.claim(tally, 10, start).reset_seconds[0] == 25 * 3600
    assert not budget.claim(tally, 1, start + 2 * 3600).allowed  # midnight of UTC
    assert not budget.claim(tally, 1, end - 0.000_001).allowed
    assert budget.claim(tally, 10, float(end)).allowed


def test_a_claim_must_fit_whole() -> None:
    """Three units do not fit into two; two still do."""
    budget, tally = Budget(Plan("100/s", hour=5)), Tally()
    assert budget.claim(tally, 3, NOW).allowed
    refused = budget.claim(tally, 3, NOW)
    assert (refused.allowed, refused.remaining[0]) == (False, 2)
    assert budget.claim(tally, 2, NOW).remaining[0] == 0


def test_a_refusal_shows_the_untouched_burst() -> None:
    """What the hour refuses is not taken off the burst, in the answer either."""
    budget, tally = Budget(Plan("100/s", hour=5)), Tally()
    budget.claim(tally, 5, NOW)
    assert budget.claim(tally, 1, NOW).remaining == (0, 95)
    assert budget.claim(tally, 1, NOW + 1).remaining == (0, 100)
    assert budget.claim(tally, 1, NOW + 1).reset_seconds == (3499, 0)


def test_a_cost_above_the_burst_takes_all_of_it() -> None:
    """An action dearer than the burst can run when the burst is whole, and the hour counts its full cost."""
    budget, tally = Budget(Plan("5/s", hour=100)), Tally()
    claim = budget.claim(tally, 50, NOW)
    assert (claim.allowed, claim.remaining) == (True, (50, 0))
    assert budget.claim(tally, 50, NOW + 0.5).violated == ("burst",)
    assert budget.claim(tally, 50, NOW + 1).remaining == (0, 0)


def test_after_the_quota_a_reduced_plan_goes_on_slowly() -> None:
    """Past the hour's ten: five at once, then one in twelve seconds; the remainder stays 0 and the wait is said."""
    budget, tally = Budget(Plan("100/s", 10, 1000, Reduced("5/min"))), Tally()
    assert spend(budget, tally, 10, HOUR) == 10
    slow = [budget.claim(tally, 1, HOUR) for _ in range(7)]
    assert [claim.allowed for claim in slow] == [True] * 5 + [False] * 2
    assert {claim.remaining[0] for claim in slow} == {0}
    assert [claim.reset_seconds[0] for claim in slow] == [0, 0, 0, 0, 12, 12, 12]
    assert (slow[5].violated, slow[5].retry_after_seconds) == (("hour",), 12)
    assert slow[5].remaining == (0, 985, 85)  # refused ones count nowhere, slow ones in the day and the burst as well
    assert not budget.claim(tally, 1, HOUR + 11.999).allowed
    assert budget.claim(tally, 1, HOUR + 12).allowed
    fresh = budget.claim(tally, 1, HOUR + 3600)
    assert (fresh.remaining[:2], fresh.reset_seconds[0]) == ((9, 983), 3600)


def test_the_last_unit_of_a_reduced_plan_says_how_it_goes_on() -> None:
    """With the quota just used up, `r` is 0 and more is there at once: at the reduced rate."""
    budget = Budget(Plan("100/s", hour=10, after_quota=Reduced("5/min")))
    claim = budget.claim(Tally(), 10, NOW)
    assert (claim.allowed, claim.remaining[0], claim.reset_seconds[0]) == (True, 0, 0)


def test_reduced_claims_keep_to_the_burst_as_well() -> None:
    """A reduced rate does not open a way round the burst, and a burst's refusal takes nothing off the reduced rate."""
    budget, tally = Budget(Plan("2/s", hour=2, after_quota=Reduced("60/min"))), Tally()
    assert spend(budget, tally, 2, HOUR) == 2
    before = state(tally)
    refused = budget.claim(tally, 1, HOUR)
    assert (refused.allowed, refused.violated, refused.retry_after_seconds) == (False, ("burst",), 1)
    assert state(tally) == before


def test_reduced_waits_no_longer_than_the_window() -> None:
    """When the hour ends before the next slow unit would come, the hour's end is the time to return."""
    budget, tally = Budget(Plan("100/s", hour=1, after_quota=Reduced("1/h"))), Tally()
    assert spend(budget, tally, 3, HOUR + 3000) == 2
    refused = budget.claim(tally, 1, HOUR + 3000)
    assert (refused.retry_after_seconds, refused.reset_seconds[0]) == (600, 600)
    assert budget.claim(tally, 1, HOUR + 3600).allowed


def test_a_dear_action_past_the_quota_takes_the_whole_reduced_burst() -> None:
    """An action of 8 units goes on at a reduced 5/min when these five are whole."""
    budget, tally = Budget(Plan("100/s", hour=10, after_quota=Reduced("5/min"))), Tally()
    assert budget.claim(tally, 8, HOUR).allowed
    assert budget.claim(tally, 8, HOUR).remaining[0] == 0
    assert budget.claim(tally, 8, HOUR).retry_after_seconds == 60
    assert budget.claim(tally, 8, HOUR + 60).allowed


def test_a_clock_set_back_across_the_edge_grants_nothing_anew() -> None:
    """The quota of the next hour and day, once begun, holds when the clock returns to the one before."""
    budget, tally = Budget(Plan("100/s", hour=10, day=10)), Tally()
    midnight = DAY + 86_400
    assert budget.claim(tally, 10, midnight + 1).allowed
    refused = budget.claim(tally, 1, midnight - 1)
    assert (refused.allowed, refused.violated) == (False, ("burst", "hour", "day"))
    assert refused.retry_after_seconds == 86_401
    assert not budget.claim(tally, 1, midnight + 2).allowed


def test_what_a_clock_gone_mad_left_does_not_stay() -> None:
    """Counts begun a year ahead are not waited for, and the burst and the reduced rate take one period to mend."""
    budget, tally = Budget(Plan("100/s", 10, 10, Reduced("5/min"))), Tally()
    ahead = NOW + 365 * 86_400
    assert spend(budget, tally, 16, ahead) == 15
    assert budget.claim(tally, 1, NOW).violated == ("burst",)
    assert budget.claim(tally, 10, NOW + 1).allowed
    assert budget.claim(tally, 1, NOW + 2).violated == ("hour", "day")
    assert budget.claim(tally, 5, NOW + 62).allowed


def test_slowing_down_takes_from_the_burst_alone() -> None:
    """Three of five are gone and come back at the burst's pace; the hour and the day are as before."""
    budget, tally = Budget(Plan("5/s", 100, 200)), Tally()
    budget.claim(tally, 1, NOW)
    budget.slow_down(tally, 3, NOW)
    claim = budget.claim(tally, 1, NOW)
    assert (claim.allowed, claim.remaining) == (True, (98, 198, 0))
    assert budget.claim(tally, 1, NOW).violated == ("burst",)
    assert spend(budget, tally, 9, NOW + 0.6) == 3
    assert tally.hour_used == tally.day_used == 5


@pytest.mark.parametrize("cost", [3, 5, 10**9])
def test_slowing_down_takes_the_whole_burst_at_most(cost: int) -> None:
    """Nobody waits longer than for a whole burst, however often and however much is taken, in whatever ticks."""
    budget, tally = Budget(Plan("3/s")), Tally()
    Budget(Plan("7/min")).claim(tally, 1, NOW)
    for _ in range(5):
        budget.slow_down(tally, cost, NOW)
    assert budget.claim(tally, 1, NOW).retry_after_seconds == 1
    assert spend(budget, tally, 9, NOW + 1) == 3


def test_changing_between_plans_makes_nothing_new() -> None:
    """A caller asked under two plans in turns is counted once in all: no plan begins at zero."""
    one, other, tally = Budget(Plan("3/s", 6, 20)), Budget(Plan("4/s", 6, 20, zone="Asia/Kathmandu")), Tally()
    allowed = sum((one, other)[step % 2].claim(tally, 1, NOW).allowed for step in range(20))
    assert allowed == 3
    assert spend(one, tally, 5, NOW + 10) == 3
    assert spend(other, tally, 5, NOW + 20) == 0


def test_changing_between_reduced_plans_makes_nothing_new() -> None:
    """The reduced rate of one plan, once used, is used in another whose time is counted in other ticks."""
    one = Budget(Plan("100/s", hour=1, after_quota=Reduced("6/min")))
    other = Budget(Plan("100/s", hour=1, after_quota=Reduced("7/min")))
    for first, second in ((one, other), (other, one)):
        tally = Tally()
        assert spend(first, tally, 10, HOUR) >= 7
        refused = second.claim(tally, 1, HOUR)
        assert (refused.allowed, refused.violated) == (False, ("hour",))
        assert second.claim(tally, 1, HOUR + 11).allowed


def test_a_lowered_quota_leaves_nothing_and_not_less() -> None:
    """A caller whose new plan has less than it used already is refused with 0 left, never with a negative number."""
    tally = Tally()
    Budget(Plan("100/s", 80, 80)).claim(tally, 60, NOW)
    refused = Budget(Plan("100/s", 50, 70)).claim(tally, 1, NOW)
    assert (refused.allowed, refused.violated, refused.remaining) == (False, ("hour",), (0, 10, 40))


def test_counts_go_out_and_come_back() -> None:
    """What a tally hands out, a new tally takes up: same remainders, same edges, whatever the order and however often."""
    budget, tally = Budget(Plan("100/s", 1000, 10000, zone="Asia/Kathmandu")), Tally()
    budget.claim(tally, 42, NOW)
    restored = Tally()
    for window, start, used in [*reversed(tally.counts()), *tally.counts()]:
        restored.restore(window, start, used)
    assert restored.counts() == tally.counts()
    again, original = budget.claim(restored, 1, NOW + 1), budget.claim(tally, 1, NOW + 1)
    assert again.remaining[:2] == original.remaining[:2] == (957, 9957)
    assert again.reset_seconds[:2] == original.reset_seconds[:2]


def test_a_restored_count_never_lowers() -> None:
    """An older window or a smaller count, arriving late, changes nothing; a later window replaces."""
    tally = Tally()
    tally.restore("hour", HOUR, 7)
    tally.restore("hour", HOUR, 5)
    tally.restore("hour", HOUR - 3600, 900)
    assert tally.counts() == [("hour", HOUR, 7)]
    tally.restore("hour", HOUR + 3600, 1)
    assert tally.counts() == [("hour", HOUR + 3600, 1)]


def test_an_unknown_window_is_refused() -> None:
    """A row of another version is an error, not silently a lost count."""
    with pytest.raises(ValueError, match="unknown window 'week'"):
        Tally().restore("week", HOUR, 1)


def test_when_a_tally_settles() -> None:
    """It settles with its last limit: the burst, the hour or the day; nothing used, nothing to wait for."""
    tally = Tally()
    assert tally.settles_at() == 0
    Budget(Plan("5/min")).claim(tally, 5, NOW)
    assert tally.settles_at() == int(NOW) + 61
    Budget(Plan("5/s", hour=9)).claim(tally, 1, NOW + 100)
    assert tally.settles_at() == HOUR + 3600
    Budget(Plan("5/s", hour=9, day=9)).claim(tally, 1, NOW + 200)
    assert tally.settles_at() == DAY + 86_400


def test_a_restored_day_settles_after_any_day_is_over() -> None:
    """Its zone, and so its end, is known with the first claim; until then the longest day is assumed."""
    tally = Tally()
    tally.restore("day", DAY, 3)
    assert tally.settles_at() >= DAY + 48 * 3600
    Budget(Plan(day=10)).claim(tally, 1, NOW)
    assert tally.settles_at() == DAY + 86_400
