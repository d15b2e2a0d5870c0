"""A request that is paid for in two steps pays what it would have paid in one, and hears when all of it passes."""

from __future__ import annotations

from hypothesis import event, example, given
from hypothesis import strategies as st

from vallum.declare.plan import Plan
from vallum.throttle.budget import Budget, Tally

HOUR = 1_790_002_800
"""A full hour of UTC."""

plans = st.builds(
    lambda count, unit, hour, day: Plan(f"{count}/{unit}", hour=hour, day=day),
    st.integers(1, 30),
    st.sampled_from(["s", "min", "min"]),
    st.one_of(st.none(), st.integers(40, 120)),
    st.one_of(st.none(), st.integers(120, 200)),
)
moments = st.integers(0, 7_200_000).map(lambda milliseconds: HOUR + milliseconds / 1000)
histories = st.lists(st.tuples(st.integers(1, 40), moments), max_size=6)


def spent(budget: Budget, history: list[tuple[int, float]]) -> Tally:
    """A caller with a past."""
    tally = Tally()
    for cost, at in sorted(history, key=lambda claim: claim[1]):
        budget.claim(tally, cost, at)
    return tally


def state(tally: Tally) -> tuple[int, ...]:
    """Everything that it counts."""
    return tuple(getattr(tally, name) for name in Tally.__slots__)


@given(
    plan=plans,
    history=histories,
    first=st.integers(1, 10),
    rest=st.integers(1, 30),
    after=st.sampled_from([0, 0, 1, 20, 90]),
)
@example(plan=Plan("7/s", hour=40), history=[(1, HOUR + 0.0)], first=6, rest=28, after=0)  # what is paid is spent
def test_two_claims_of_one_request_are_as_one(
    plan: Plan, history: list[tuple[int, float]], first: int, rest: int, after: int
) -> None:
    """Allowed together or not, with the same counts; refused, all of it passes after Retry-After and not a second before."""
    budget = Budget(plan)
    now = max((at for _, at in history), default=HOUR) + after
    at_once, in_steps = spent(budget, history), spent(budget, history)
    whole = budget.claim(at_once, first + rest, now)
    if not budget.claim(in_steps, first, now).allowed:
        assert not whole.allowed
        return
    second = budget.claim(in_steps, rest, now, paid=first)
    assert second.allowed is whole.allowed
    event("allowed" if second.allowed else "refused")
    if second.allowed:
        assert state(in_steps) == state(at_once)
        assert second.remaining == whole.remaining
        return
    smallest = min(limit for limit in (plan.hour, plan.day, 1_000) if limit is not None)
    assert first + rest <= smallest  # else it would never pass
    for early in (0, 1):
        later, copy = now + second.retry_after_seconds - early, spent(budget, history)
        budget.claim(copy, first, now)
        passes = budget.claim(copy, first, later).allowed and budget.claim(copy, rest, later, paid=first).allowed
        assert passes is (early == 0)
