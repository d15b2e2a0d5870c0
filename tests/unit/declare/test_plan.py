"""What an author may write as a plan, and what is refused with a clear message."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from vallum import defaults
from vallum.declare.errors import DeclarationError
from vallum.declare.plan import ANONYMOUS_PLAN, DEFAULT_PLAN, Plan, Rate, Reduced, checked_cost, zone_of


@pytest.mark.parametrize(
    ("text", "count", "seconds"), [("20/s", 20, 1), ("5/min", 5, 60), ("100/h", 100, 3600), ("1/s", 1, 1)]
)
def test_rate_is_read(text: str, count: int, seconds: int) -> None:
    """A rate is a whole number per second, minute or hour, and prints as it was written."""
    rate = Rate.parse(text)
    assert (rate.count, rate.seconds, str(rate)) == (count, seconds, text)


@pytest.mark.parametrize(
    "text",
    ["", "20", "20/", "/s", "0/s", "-1/s", "+1/s", "01/s", "1.5/s", "1e3/s", " 20/s", "20/s\n", "20 /s", "20/S", "20/sec",
     "20/d", "20/m", "1_000/s", "٢/s", "20/s,5/min", "1000000000/s", "9" * 5000 + "/s"],
)  # fmt: skip
def test_rate_is_strict(text: str) -> None:
    """Nothing is guessed: any other form is an error that shows the right one."""
    with pytest.raises(DeclarationError, match=r"^plan-form: rate .*Write a whole number per s, min or h"):
        Rate.parse(text)


@pytest.mark.parametrize("value", [None, 20, b"20/s", 1.5])
def test_rate_takes_text_only(value: Any) -> None:
    """A number without its unit is not a rate."""
    with pytest.raises(DeclarationError, match=r"^plan-form: rate .*Write a whole number per s, min or h"):
        Plan(burst=value)


@pytest.mark.parametrize(
    ("count", "seconds"), [(0, 1), (-1, 1), (10**9, 1), (True, 1), (1.0, 1), (5, 2), (5, 0), (5, True)]
)
def test_rate_built_directly_is_checked(count: Any, seconds: Any) -> None:
    """`Rate(…)` holds what `Rate.parse` would accept and nothing else."""
    with pytest.raises(DeclarationError, match="of a rate"):
        Rate(count, seconds)


def test_plan_holds_what_was_written() -> None:
    """Text and Rate are the same thing; everything is kept as parsed data."""
    plan = Plan(burst="20/s", hour=1000, day=10000, after_quota=Reduced("5/min"), zone="Europe/Berlin")
    assert plan.burst == Rate(20, 1)
    assert (plan.hour, plan.day, plan.zone) == (1000, 10000, "Europe/Berlin")
    assert plan.after_quota == Reduced(Rate(5, 60))
    assert plan == Plan(Rate(20, 1), 1000, 10000, Reduced(Rate(5, 60)), "Europe/Berlin")
    assert len({plan, plan}) == 1


def test_plan_is_frozen() -> None:
    """A plan in use cannot be changed."""
    plan = Plan(hour=10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.hour = 20  # type: ignore[misc]


@pytest.mark.parametrize("number", [0, -1, True, 1.0, "1000", 10**9, float("inf")])
@pytest.mark.parametrize("window", ["hour", "day"])
def test_quota_is_a_whole_number(window: str, number: Any) -> None:
    """A quota of nothing, a bool or a float is a mistake, and the message names the window."""
    with pytest.raises(DeclarationError, match=rf"^plan-form: {window}: .*whole number from 1 to 999,999,999"):
        Plan(**{window: number})


def test_quota_bounds_are_accepted() -> None:
    """1 and 999,999,999 are quotas; an hour may be as large as its day."""
    assert Plan(hour=1, day=1).hour == 1
    assert Plan(hour=999_999_999, day=999_999_999).day == 999_999_999


def test_day_below_hour_is_refused() -> None:
    """An hour that the day never lets a caller use up is a slip of the pen."""
    with pytest.raises(DeclarationError, match="day=999 is below hour=1000"):
        Plan(hour=1000, day=999)


def test_reduced_needs_a_quota() -> None:
    """Without an hour or a day there is nothing to come after."""
    with pytest.raises(DeclarationError, match="give hour= or day="):
        Plan(burst="20/s", after_quota=Reduced("5/min"))


@pytest.mark.parametrize("rate", ["21/s", "1201/min", "72001/h"])
def test_reduced_must_not_be_faster(rate: str) -> None:
    """Going on after the quota is never faster than going on before it."""
    with pytest.raises(DeclarationError, match="faster than the burst rate 20/s"):
        Plan(burst="20/s", hour=100, after_quota=Reduced(rate))


@pytest.mark.parametrize("rate", ["20/s", "1200/min", "72000/h", "1/h"])
def test_reduced_may_be_as_fast(rate: str) -> None:
    """The same speed, in any unit, is the boundary and allowed."""
    assert Plan(burst="20/s", hour=100, after_quota=Reduced(rate)).after_quota == Reduced(rate)


@pytest.mark.parametrize("value", ["5/min", Rate(5, 60), 5, False])
def test_after_quota_takes_reduced_only(value: Any) -> None:
    """The name stands in the program: `after_quota=Reduced(…)`."""
    with pytest.raises(DeclarationError, match=r'Write Reduced\("5/min"\)'):
        Plan(hour=100, after_quota=value)


@pytest.mark.parametrize(
    "zone",
    ["", "Europe", "Europe/Bonn", "../../etc/passwd", "/etc/localtime", "europe/berlin\0", "CET+1", None, 3, ["UTC"]],
)
def test_unknown_zone_is_refused(zone: Any) -> None:
    """A name that is no IANA time zone, a folder of them or a path is refused at once."""
    with pytest.raises(DeclarationError, match="is not known here"):
        Plan(zone=zone)


def test_utc_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default works on a machine without a time zone database."""

    def missing(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr("vallum.declare.plan.ZoneInfo", missing)
    assert zone_of("UTC").utcoffset(None) is not None
    with pytest.raises(DeclarationError, match="package tzdata"):
        zone_of("Europe/Berlin")


@pytest.mark.parametrize("cost", [1, 2, 999_999_999])
def test_cost_is_returned(cost: int) -> None:
    """A whole number from 1 on is a cost."""
    assert checked_cost(cost, "POST /x") == cost


@pytest.mark.parametrize("cost", [0, -1, True, 1.0, "1", None, 10**9])
def test_cost_is_at_least_one(cost: Any) -> None:
    """An action for nothing would have no limit, and a negative one would give budget back."""
    with pytest.raises(DeclarationError, match=r"^cost-form: POST /x, cost="):
        checked_cost(cost, "POST /x")


def test_default_plans() -> None:
    """The plans of an API that declares none are the numbers of `defaults`, and strangers get less of each."""
    assert Plan(defaults.PLAN_BURST, defaults.PLAN_HOUR, defaults.PLAN_DAY) == DEFAULT_PLAN
    assert ANONYMOUS_PLAN.burst.count < DEFAULT_PLAN.burst.count
    for ours, theirs in ((ANONYMOUS_PLAN.hour, DEFAULT_PLAN.hour), (ANONYMOUS_PLAN.day, DEFAULT_PLAN.day)):
        assert ours is not None
        assert theirs is not None
        assert ours < theirs
