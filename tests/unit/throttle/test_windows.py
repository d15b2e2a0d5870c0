"""Hours and days on the clock, on the days when clocks do odd things."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from vallum.throttle.windows import Days, day_bounds, hour_start, still_counts


def at(text: str) -> int:
    """Unix second of an ISO 8601 instant with its offset."""
    return int(datetime.fromisoformat(text).timestamp())


def test_an_hour_begins_on_the_hour() -> None:
    """The first second belongs to the hour, the last does too, the next does not."""
    ten = at("2026-11-22T10:00:00+00:00")
    assert hour_start(ten) == hour_start(ten + 3599) == ten
    assert hour_start(ten - 1) == ten - 3600
    assert hour_start(ten + 3600) == ten + 3600


def test_a_day_of_utc() -> None:
    """Midnight to midnight, the first second in and the end out."""
    start, end = at("2026-11-22T00:00:00+00:00"), at("2026-11-23T00:00:00+00:00")
    assert day_bounds(start, UTC) == day_bounds(end - 1, UTC) == (start, end)
    assert day_bounds(end, UTC)[0] == end


@pytest.mark.parametrize(
    ("zone", "inside", "start", "end", "hours"),
    [
        # an ordinary day, and a zone off the hour
        ("Europe/Berlin", "2026-07-01T12:00+02:00", "2026-07-01T00:00+02:00", "2026-07-02T00:00+02:00", 24),
        ("Asia/Kathmandu", "2026-07-01T12:00+05:45", "2026-07-01T00:00+05:45", "2026-07-02T00:00+05:45", 24),
        # summer time begins and ends at night
        ("Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00+01:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", 25),
        # both 02:30 of that night
        ("Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", 25),
        ("Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", 25),
        # half an hour
        ("Australia/Lord_Howe", "2026-04-05T12:00+10:30", "2026-04-05T00:00+11:00", "2026-04-06T00:00+10:30", 24.5),
        # a midnight that does not exist: the day begins at 01:00
        ("America/Sao_Paulo", "2018-11-04T12:00-02:00", "2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00", 23),
        # a midnight reached twice: 24:00 falls back to 23:00
        ("America/Sao_Paulo", "2018-02-17T23:30-03:00", "2018-02-17T00:00-02:00", "2018-02-18T00:00-03:00", 25),
        # 00:01 falls back to 23:01: the date turns, turns back and turns again; it begins once
        ("America/St_Johns", "2010-11-06T23:30-03:30", "2010-11-07T00:00-02:30", "2010-11-08T00:00-03:30", 25),
        # 30 December 2011 did not happen
        ("Pacific/Apia", "2011-12-29T12:00-10:00", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00", 24),
        ("Pacific/Apia", "2011-12-31T12:00+14:00", "2011-12-31T00:00+14:00", "2012-01-01T00:00+14:00", 24),
    ],
)
def test_a_day_of_a_zone(zone: str, inside: str, start: str, end: str, hours: float) -> None:
    """A day lasts from one midnight of its zone to the next, however many hours these are apart."""
    bounds = day_bounds(at(inside), ZoneInfo(zone))
    assert bounds == (at(start), at(end))
    assert bounds[1] - bounds[0] == hours * 3600


@pytest.mark.parametrize(
    ("counted_from", "holds"), [(99, False), (100, True), (150, True), (200, True), (201, False), (-(2**62), False)]
)
def test_a_count_holds_in_its_window_and_across_a_clock_set_back(counted_from: int, holds: bool) -> None:
    """A count of this window or of the one just after it holds; an older or a far later one does not."""
    assert still_counts(counted_from, 100, 200) is holds


def test_days_remember_and_move_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone is asked once a day; the next day, and a day before, are asked anew."""
    asked: list[int] = []

    def counting(second: int, zone: object) -> tuple[int, int]:
        asked.append(second)
        return second // 86_400 * 86_400, (second // 86_400 + 1) * 86_400

    monkeypatch.setattr("vallum.throttle.windows.day_bounds", counting)
    days = Days(UTC)
    assert days.bounds(86_400) == days.bounds(172_799) == (86_400, 172_800)
    assert days.bounds(172_800) == (172_800, 259_200)
    assert days.bounds(172_799) == (86_400, 172_800)
    assert asked == [86_400, 172_800, 172_799]
