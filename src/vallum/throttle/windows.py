"""Hours and days on the clock.

A window begins and ends where the clock says, whatever happens inside it. (A window that
moves its end with each hit never ends for a caller that sends steadily.) An hour is an hour
of UTC. A day begins at midnight of the plan's zone, so it has 23 or 25 hours where summer
time begins or ends. A window holds its first second and not its end.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final, final

HOUR_SECONDS: Final = 3600
DAY_SECONDS: Final = 86_400
"""As announced; a day with a clock change differs by its hour."""
NEVER: Final = -(2**62)
"""Start of a window that never was."""


def hour_start(second: int) -> int:
    """The Unix second at which the hour that holds `second` began (UTC)."""
    return second // HOUR_SECONDS * HOUR_SECONDS


def day_bounds(second: int, zone: tzinfo) -> tuple[int, int]:
    """First second of the day that holds the Unix second `second` in `zone`, and of the next day.

    Midnights are compared as instants, not dates: clocks were set back across midnight (St. John's
    until 2011, so that a date came twice) and whole dates were left out (Apia, 30 December 2011).
    """
    today = datetime.fromtimestamp(second, zone).date()
    midnights = [_midnight(today + timedelta(days=days), zone) for days in (-1, 0, 1, 2)]
    return max(m for m in midnights if m <= second), min(m for m in midnights if m > second)


def still_counts(counted_from: int, start: int, end: int) -> bool:
    """Whether a count that began at `counted_from` still holds in the window from `start` to `end`.

    It does when it is of this window, and when it is of the next: then the clock was set
    back across the edge, and beginning anew would grant the quota a second time.
    """
    return start <= counted_from <= end


@final
class Days:
    """The days of one zone, the latest one kept: a zone is asked twice a day, not twice a request."""

    __slots__ = ("_end", "_start", "_zone")

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._start = self._end = NEVER

    def bounds(self, second: int) -> tuple[int, int]:
        """:func:`day_bounds` of this zone."""
        if not self._start <= second < self._end:
            self._start, self._end = day_bounds(second, self._zone)
        return self._start, self._end


def _midnight(day: date, zone: tzinfo) -> int:
    """The instant at which that date begins.

    fold=0 (PEP 495) means the first of two midnights, and the end of a gap that midnight falls into.
    """
    return int(datetime.combine(day, time(), zone).timestamp())
