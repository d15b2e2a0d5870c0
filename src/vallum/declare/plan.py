"""Plans: how much a caller may ask for, and what such a budget answers.

An author writes ``plans={"school": Plan(burst="20/s", hour=1000, day=10000)}``. The numbers
are data; `throttle` holds the arithmetic and a store holds the counters. Both speak of a
:class:`Claim`, which stands here because it must lie below either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final, NamedTuple, final
from zoneinfo import ZoneInfo

from vallum import defaults
from vallum.declare.errors import DeclarationError

UNIT_SECONDS: Final = {"s": 1, "min": 60, "h": 3600}
RATE: Final = re.compile(r"([1-9][0-9]{0,8})/(s|min|h)")
MAX_COUNT: Final = 999_999_999
"""Nine digits: far inside the fifteen of a structured field's Integer (RFC 9651 §3.3.1)."""
COUNT: Final = f"Write a whole number from 1 to {MAX_COUNT:,}."


@final
@dataclass(frozen=True, slots=True)
class Rate:
    """So many units in so many seconds: that many at once, coming back evenly over the period.

    Attributes:
        count: units, 1 to 999,999,999.
        seconds: the period, 1 (second), 60 (minute) or 3600 (hour).

    Raises:
        DeclarationError: `plan-form`: a number out of range.
    """

    count: int
    seconds: int

    def __post_init__(self) -> None:
        _counted("count of a rate", self.count)
        if type(self.seconds) is not int or self.seconds not in UNIT_SECONDS.values():
            raise _unplanned(f"period of a rate: {_told(self.seconds)} seconds", "Write 1, 60 or 3600.")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`"20/s"`, `"5/min"`, `"100/h"`: a positive integer, a slash, a unit; nothing else.

        Raises:
            DeclarationError: `plan-form`: another form.
        """
        match = RATE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise _unplanned(f"rate {_told(text)}", 'Write a whole number per s, min or h, like "5/min".')
        return cls(int(match[1]), UNIT_SECONDS[match[2]])

    def __str__(self) -> str:
        return f"{self.count}/{next(unit for unit, seconds in UNIT_SECONDS.items() if seconds == self.seconds)}"


@final
@dataclass(frozen=True, slots=True, init=False)
class Reduced:
    """`after_quota=Reduced("5/min")`: past its quota a caller goes on slowly instead of stopping.

    Raises:
        DeclarationError: `plan-form`: not a rate.
    """

    rate: Rate

    def __init__(self, rate: Rate | str) -> None:
        object.__setattr__(self, "rate", _rate(rate))


@final
@dataclass(frozen=True, slots=True, init=False)
class Plan:
    """The budget of a caller; all of its limits hold at once.

    Attributes:
        burst: units at once, and how fast they come back.
        hour: units in an hour of the clock (UTC), or None.
        day: units in a day of `zone`, or None.
        after_quota: None stops the caller at 429 until the window ends; Reduced lets it go on slowly.
        zone: IANA time zone whose midnight begins a day; such a day may have 23 or 25 hours.

    Raises:
        DeclarationError: `plan-form`: a bad rate, number or zone, or limits that contradict one another.
    """

    burst: Rate
    hour: int | None
    day: int | None
    after_quota: Reduced | None
    zone: str

    def __init__(
        self,
        burst: Rate | str = defaults.PLAN_BURST,
        hour: int | None = None,
        day: int | None = None,
        after_quota: Reduced | None = None,
        zone: str = "UTC",
    ) -> None:
        object.__setattr__(self, "burst", _rate(burst))
        object.__setattr__(self, "hour", None if hour is None else _counted("hour", hour))
        object.__setattr__(self, "day", None if day is None else _counted("day", day))
        object.__setattr__(self, "after_quota", after_quota)
        object.__setattr__(self, "zone", zone)
        zone_of(zone)
        self._check()

    def _check(self) -> None:
        if self.hour is not None and self.day is not None and self.day < self.hour:
            raise _unplanned(
                f"day={self.day} is below hour={self.hour}", "That hour could never be used up: raise the day."
            )
        if self.after_quota is None:
            return
        if not isinstance(self.after_quota, Reduced):
            raise _unplanned(f"after_quota={_told(self.after_quota)}", 'Write Reduced("5/min"), or leave it out.')
        if self.hour is None and self.day is None:
            raise _unplanned("after_quota", "It needs a quota to come after: give hour= or day=.")
        slow, burst = self.after_quota.rate, self.burst
        if slow.count * burst.seconds > burst.count * slow.seconds:
            raise _unplanned(f"after_quota: {slow} is faster than the burst rate {burst}", "Make it as fast at most.")


class Claim(NamedTuple):
    """What a budget answered. A named tuple: one is made for each request, and a frozen dataclass costs three times that.

    Attributes:
        allowed: counted in every limit when True, in none when False.
        policies: names of the limits, in this order as far as the plan has them: `"hour"`, `"day"`, `"burst"`.
        remaining: units left of each.
        reset_seconds: until more of each becomes available, rounded up; 0 where nothing is used.
        retry_after_seconds: until the same claim can succeed, rounded up; 0 when it was allowed.
        violated: names of the limits that refused it.
    """

    allowed: bool
    policies: tuple[str, ...]
    remaining: tuple[int, ...]
    reset_seconds: tuple[int, ...]
    retry_after_seconds: int
    violated: tuple[str, ...]


def checked_plans(plans: Mapping[str, Plan]) -> Mapping[str, Plan]:
    """Plans by name.

    Raises:
        DeclarationError: `plan-form`: something else.
    """
    if not isinstance(plans, Mapping):
        raise _unplanned("plans", 'Write plans={"school": Plan(burst="20/s")}.')
    for name, plan in plans.items():
        if not isinstance(name, str) or not isinstance(plan, Plan):
            raise _unplanned(f"plans, {_told(name)}", 'Write "name": Plan(burst="20/s").')
    return plans


def checked_cost(cost: int, place: str) -> int:
    """The cost of an action in units of its caller's budget.

    Raises:
        DeclarationError: `cost-form`: not an integer, or below 1: an action for nothing would have no limit at all.
    """
    if not _is_count(cost):
        raise DeclarationError("cost-form", f"{place}, cost={_told(cost)}", COUNT)
    return cost


def checked_costs(costs: Mapping[str, int], place: str) -> dict[str, int]:
    """The costs of a resource, by their words.

    Raises:
        DeclarationError: `cost-form`, as of `checked_cost`, or no mapping.
    """
    if not isinstance(costs, Mapping):
        raise DeclarationError("cost-form", f"{place}, cost={_told(costs)}", 'Write cost={"list": 2}.')
    return {word: checked_cost(units, f"{place}, {word}") for word, units in costs.items()}


def zone_of(name: str) -> tzinfo:
    """The time zone of that IANA name. UTC needs no time zone database.

    Raises:
        DeclarationError: `plan-form`: no such zone on this system.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    # ZoneInfo lets through what its search met: no such key, a directory ("Europe"), a name that is no str.
    except (KeyError, OSError, TypeError, AttributeError, ValueError) as error:
        raise _unplanned(
            f"zone {_told(name)} is not known here", 'Write an IANA name like "Europe/Berlin" (package tzdata).'
        ) from error


def _rate(rate: Rate | str) -> Rate:
    return rate if isinstance(rate, Rate) else Rate.parse(rate)


def _counted(what: str, number: int) -> int:
    if not _is_count(number):
        raise _unplanned(f"{what}: {_told(number)}", COUNT)
    return number


def _is_count(number: object) -> bool:
    # bool is an int to isinstance, and hour=True is a mistake.
    return type(number) is int and 1 <= number <= MAX_COUNT


def _unplanned(place: str, mend: str) -> DeclarationError:
    return DeclarationError("plan-form", place, mend)


def _told(value: object) -> str:
    return f"{value!r:.60}"


DEFAULT_PLAN: Final = Plan(defaults.PLAN_BURST, defaults.PLAN_HOUR, defaults.PLAN_DAY)
"""Of callers without a plan of their own."""
ANONYMOUS_PLAN: Final = Plan(defaults.ANONYMOUS_PLAN_BURST, defaults.ANONYMOUS_PLAN_HOUR, defaults.ANONYMOUS_PLAN_DAY)
"""Of callers without a credential, by network address."""
OAUTH_PLAN: Final = Plan(defaults.OAUTH_PLAN_BURST)
"""Of the OAuth endpoints, by network address; `plans={"oauth": …}` takes its place."""
