"""Plans: how much a caller may ask for, and what such a budget answers.

An author writes ``plans={"school": Plan(burst="20/s", hour=1000, day=10000)}``. The numbers
are data; `throttle` holds the arithmetic and a store holds the counters. Both speak of a
:class:`Claim`, which stands here because it must lie below either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final, NamedTuple, final
from zoneinfo import ZoneInfo

from vallum import defaults

UNIT_SECONDS: Final = {"s": 1, "min": 60, "h": 3600}
RATE: Final = re.compile(r"([1-9][0-9]{0,8})/(s|min|h)")
MAX_COUNT: Final = 999_999_999
"""Nine digits: far inside the fifteen of a structured field's Integer (RFC 9651 §3.3.1)."""


@final
@dataclass(frozen=True, slots=True)
class Rate:
    """So many units in so many seconds: that many at once, coming back evenly over the period.

    Attributes:
        count: units, 1 to 999,999,999.
        seconds: the period, 1 (second), 60 (minute) or 3600 (hour).

    Raises:
        ValueError: a number out of range.
    """

    count: int
    seconds: int

    def __post_init__(self) -> None:
        _counted("count of a rate", self.count)
        if type(self.seconds) is not int or self.seconds not in UNIT_SECONDS.values():
            raise ValueError(f"period of a rate: {self.seconds!r} seconds; write 1, 60 or 3600")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`"20/s"`, `"5/min"`, `"100/h"`: a positive integer, a slash, a unit; nothing else.

        Raises:
            ValueError: another form.
        """
        match = RATE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'rate {text!r}: write a whole number per s, min or h, like "5/min"')
        return cls(int(match[1]), UNIT_SECONDS[match[2]])

    def __str__(self) -> str:
        return f"{self.count}/{next(unit for unit, seconds in UNIT_SECONDS.items() if seconds == self.seconds)}"


@final
@dataclass(frozen=True, slots=True, init=False)
class Reduced:
    """`after_quota=Reduced("5/min")`: past its quota a caller goes on slowly instead of stopping.

    Raises:
        ValueError: not a rate.
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
        ValueError: a bad rate, number or zone, or limits that contradict one another.
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
            raise ValueError(f"day={self.day} is below hour={self.hour}: that hour could never be used up")
        if self.after_quota is None:
            return
        if not isinstance(self.after_quota, Reduced):
            # ValueError like all bad input of a plan: its caller catches one kind.
            raise ValueError(  # noqa: TRY004
                f'after_quota={self.after_quota!r}: write Reduced("5/min") or leave it out'
            )
        if self.hour is None and self.day is None:
            raise ValueError("after_quota needs a quota to come after: give hour= or day=")
        slow, burst = self.after_quota.rate, self.burst
        if slow.count * burst.seconds > burst.count * slow.seconds:
            raise ValueError(f"after_quota: {slow} is faster than the burst rate {burst}")


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


def checked_cost(cost: int) -> int:
    """The cost of an action in units of its caller's budget.

    Raises:
        ValueError: not an integer, or below 1: an action for nothing would have no limit at all.
    """
    return _counted("cost", cost)


def zone_of(name: str) -> tzinfo:
    """The time zone of that IANA name. UTC needs no time zone database.

    Raises:
        ValueError: no such zone on this system.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    # ZoneInfo lets through what its search met: no such key, a directory ("Europe"), a name that is no str.
    except (KeyError, OSError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f'zone {name!r} is not known here: write an IANA name like "Europe/Berlin" (package tzdata)'
        ) from error


def _rate(rate: Rate | str) -> Rate:
    return rate if isinstance(rate, Rate) else Rate.parse(rate)


def _counted(what: str, number: int) -> int:
    # bool is an int to isinstance, and hour=True is a mistake.
    if type(number) is not int or not 1 <= number <= MAX_COUNT:
        raise ValueError(f"{what}: {number!r}; write a whole number from 1 to {MAX_COUNT:,}")
    return number


DEFAULT_PLAN: Final = Plan(defaults.PLAN_BURST, defaults.PLAN_HOUR, defaults.PLAN_DAY)
"""Of callers without a plan of their own."""
ANONYMOUS_PLAN: Final = Plan(defaults.ANONYMOUS_PLAN_BURST, defaults.ANONYMOUS_PLAN_HOUR, defaults.ANONYMOUS_PLAN_DAY)
"""Of callers without a credential, by network address."""
OAUTH_PLAN: Final = Plan(defaults.OAUTH_PLAN_BURST)
"""Of the OAuth endpoints, by network address; `plans={"oauth": …}` takes its place."""
