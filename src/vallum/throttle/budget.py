"""One step that asks every limit of a plan and counts in all of them or in none.

1. A claim conforms to the burst (GCRA) and fits into the hour and the day: it is counted in each.
2. Any of them says no: nothing is counted, so a caller that keeps asking is not punished for it.
3. The hour or the day is used up and the plan says `after_quota=Reduced(…)`: the claim must conform
   to the burst and to the reduced rate. It is counted in the hour and the day as well: these are
   what the caller used, and may then exceed the quota. The remainder shown stays 0, and its
   reset is the moment of the next unit at the reduced rate: a client that obeys the header goes
   on at just that pace.

A cost above what the burst (or the reduced rate) holds at once takes all of it, or no such
action could ever run; the hour and the day count the full cost.

There is no `await` inside and the event loop has one thread, so no second claim can come
between the question and the count.
"""

from __future__ import annotations

from typing import Final, final

from vallum.declare.plan import Claim, Plan, zone_of
from vallum.throttle.gcra import MICROSECONDS, Pace, conform, microseconds
from vallum.throttle.windows import HOUR_SECONDS, NEVER, Days, hour_start, still_counts

LONGEST_DAY_SECONDS: Final = 49 * 3600
"""A date that came twice, with an hour's change; for a restored count, whose zone is not known yet."""


@final
class Tally:
    """What one caller has used: the only mutable thing here, and a store keeps it.

    Attributes:
        burst_at, reduced_at: theoretical arrival times.
        burst_ticks, reduced_ticks: their unit, in ticks a microsecond (`gcra.Pace`); another plan may use another.
        hour_start, day_start, day_end: Unix seconds of the windows counted in; a restored day has no end yet.
        hour_used, day_used: units counted in them.
    """

    __slots__ = (
        "burst_at",
        "burst_ticks",
        "day_end",
        "day_start",
        "day_used",
        "hour_start",
        "hour_used",
        "reduced_at",
        "reduced_ticks",
    )

    def __init__(self) -> None:
        self.burst_at = self.reduced_at = 0
        self.burst_ticks = self.reduced_ticks = 1
        self.hour_start = self.day_start = self.day_end = NEVER
        self.hour_used = self.day_used = 0

    def settles_at(self) -> int:
        """The Unix second from which a new Tally would answer no claim differently."""
        settled = max(
            -(-self.burst_at // (self.burst_ticks * MICROSECONDS)),
            -(-self.reduced_at // (self.reduced_ticks * MICROSECONDS)),
        )
        if self.hour_used:
            settled = max(settled, self.hour_start + HOUR_SECONDS)
        if self.day_used:
            settled = max(settled, self.day_start + LONGEST_DAY_SECONDS if self.day_end == NEVER else self.day_end)
        return settled

    def counts(self) -> list[tuple[str, int, int]]:
        """What outlives the process: (window, its start, units), absolute and not since the last time."""
        counts = []
        if self.hour_used:
            counts.append(("hour", self.hour_start, self.hour_used))
        if self.day_used:
            counts.append(("day", self.day_start, self.day_used))
        return counts

    def restore(self, window: str, start: int, used: int) -> None:
        """Take one of :meth:`counts` back; a later window and a higher count win, so twice is as good as once.

        Raises:
            ValueError: an unknown window.
        """
        if window == "hour":
            self.hour_start, self.hour_used = max((self.hour_start, self.hour_used), (start, used))
        elif window == "day":
            self.day_start, self.day_used = max((self.day_start, self.day_used), (start, used))
            self.day_end = NEVER
        else:
            raise ValueError(f"unknown window {window!r}")


@final
class Budget:
    """A plan made ready to be asked; one for all callers of the plan.

    Attributes:
        plan: as declared.
    """

    __slots__ = ("_burst", "_day", "_days", "_hour", "_policies", "_reduced", "plan")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._hour = plan.hour
        self._day = plan.day
        self._days = Days(zone_of(plan.zone))
        self._burst = Pace.of(plan.burst.count, plan.burst.seconds)
        slow = None if plan.after_quota is None else plan.after_quota.rate
        self._reduced = None if slow is None else Pace.of(slow.count, slow.seconds)
        given = (("hour", plan.hour), ("day", plan.day), ("burst", plan.burst))
        self._policies = tuple(name for name, limit in given if limit is not None)

    def claim(self, tally: Tally, cost: int, now: float, paid: int = 0) -> Claim:
        """Ask for `cost` units at Unix time `now`; counted in `tally` when all limits allow it.

        A cost of 0 asks what a claim of one unit would be answered, and counts nothing.

        Args:
            paid: units that the same request has claimed before. Both together take from the burst what one claim of
                all would, and a refusal says when the whole request passes.
        """
        second = int(now)
        micros = microseconds(now)
        burst, slow = self._burst, self._reduced
        if tally.burst_ticks != burst.ticks:
            tally.burst_at = burst.rescaled(tally.burst_at, tally.burst_ticks)
            tally.burst_ticks = burst.ticks
        if slow is not None and tally.reduced_ticks != slow.ticks:
            tally.reduced_at = slow.rescaled(tally.reduced_at, tally.reduced_ticks)
            tally.reduced_ticks = slow.ticks
        counted, cost = cost > 0, cost or 1
        short = self._short(tally, cost, second)
        before = min(paid, burst.burst)
        charge = min(paid + cost, burst.burst) - before
        flows, burst_at, wait, left = conform(
            tally.burst_at, micros * burst.ticks, burst.interval, burst.tolerance, charge
        )
        slows, reduced_at, pause = self._slowly(tally, cost, micros, paid) if short else (True, tally.reduced_at, 0)
        allowed = flows and slows
        if allowed and counted:
            tally.burst_at = burst_at
            tally.reduced_at = reduced_at
            if self._hour is not None:
                tally.hour_used += cost
            if self._day is not None:
                tally.day_used += cost
            return Claim(True, self._policies, *self._standing(tally, cost, second, micros, left), 0, ())
        if flows:
            left += charge
        else:
            tally.burst_at = burst_at
        if not slows:
            tally.reduced_at = reduced_at
        if before:  # it is the whole request that will come again
            wait = conform(tally.burst_at, micros * burst.ticks, burst.interval, burst.tolerance, before + charge)[2]
        retry = max(burst.seconds(wait), self._until_whole(tally, cost, micros, paid, short, None if slows else pause))
        violated = () if allowed else short if flows else ("burst",) if slows else ("burst", *short)
        return Claim(allowed, self._policies, *self._standing(tally, cost, second, micros, left), retry, violated)

    def slow_down(self, tally: Tally, cost: int, now: float) -> None:
        """Take `cost` units from the burst, or what is there of them; the hour and the day stay as they are."""
        burst = self._burst
        present = microseconds(now) * burst.ticks
        backlog = max(0, burst.rescaled(tally.burst_at, tally.burst_ticks) - present)
        tally.burst_at = present + min(backlog + cost * burst.interval, burst.tolerance + burst.interval)
        tally.burst_ticks = burst.ticks

    def _short(self, tally: Tally, cost: int, second: int) -> tuple[str, ...]:
        """The windows without room for `cost`; those that have ended begin anew."""
        short: tuple[str, ...] = ()
        if self._hour is not None:
            if not 0 <= second - tally.hour_start < HOUR_SECONDS:
                start = hour_start(second)
                if not still_counts(tally.hour_start, start, start + HOUR_SECONDS):
                    tally.hour_start, tally.hour_used = start, 0
            if tally.hour_used + cost > self._hour:
                short = ("hour",)
        if self._day is not None:
            if not tally.day_start <= second < tally.day_end:
                start, end = self._days.bounds(second)
                if not still_counts(tally.day_start, start, end):
                    tally.day_start, tally.day_used = start, 0
                tally.day_end = end if tally.day_start < end else self._days.bounds(end)[1]
            if tally.day_used + cost > self._day:
                short += ("day",)
        return short

    def _slowly(self, tally: Tally, cost: int, micros: int, paid: int) -> tuple[bool, int, int]:
        """(allowed, new TAT, seconds to wait) at the reduced rate; without one the end of the quota is the end."""
        slow = self._reduced
        if slow is None:
            return False, tally.reduced_at, 0
        before = min(paid, slow.burst)
        charge = min(paid + cost, slow.burst) - before
        allowed, reduced_at, wait, _ = conform(
            tally.reduced_at, micros * slow.ticks, slow.interval, slow.tolerance, charge
        )
        return allowed, reduced_at, slow.seconds(wait if allowed else wait + before * slow.interval)

    def _until_whole(
        self, tally: Tally, cost: int, micros: int, paid: int, short: tuple[str, ...], pause: int | None
    ) -> int:
        """Seconds until the windows have room for the whole request, which comes again: what is paid is spent.

        Args:
            short: the windows without room for `cost` alone.
            pause: seconds to wait at the reduced rate, if there is one; None where nothing but the burst refuses.
        """
        second = micros // MICROSECONDS
        lacking = self._short(tally, paid + cost, second) if paid else short
        if lacking != short:
            return self._until_more(tally, lacking, second, self._slowly(tally, cost, micros, paid)[2])
        return 0 if pause is None else self._until_more(tally, short, second, pause)

    def _until_more(self, tally: Tally, short: tuple[str, ...], second: int, pause: int) -> int:
        """Seconds until the windows in `short` have all ended, or the reduced rate admits the claim before that."""
        ends = max(tally.hour_start + HOUR_SECONDS if name == "hour" else tally.day_end for name in short) - second
        return ends if self._reduced is None else min(ends, pause)

    def _standing(
        self, tally: Tally, cost: int, second: int, micros: int, burst_left: int
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(units left, seconds until more) of each limit, in the order of the policies."""
        burst = self._burst
        backlog = tally.burst_at - micros * burst.ticks
        # One more unit is back when the backlog has shrunk to the next whole number of them.
        resets: tuple[int, ...] = (burst.seconds((backlog - 1) % burst.interval + 1) if backlog > 0 else 0,)
        remaining: tuple[int, ...] = (burst_left,)
        if self._day is not None:
            left, reset = self._day - tally.day_used, tally.day_end - second
            if left < cost:
                left, reset = self._used_up(tally, left, reset, micros)
            remaining, resets = (left, burst_left), (reset, *resets)
        if self._hour is not None:
            left, reset = self._hour - tally.hour_used, tally.hour_start + HOUR_SECONDS - second
            if left < cost:
                left, reset = self._used_up(tally, left, reset, micros)
            remaining, resets = (left, *remaining), (reset, *resets)
        return remaining, resets

    def _used_up(self, tally: Tally, left: int, window_seconds: int, micros: int) -> tuple[int, int]:
        """(units left, seconds until more) of a window that is short: its end, or the next unit at the reduced rate."""
        slow = self._reduced
        if slow is None:
            # A quota that was lowered meanwhile may lie below what is used.
            return max(0, left), window_seconds
        ahead = tally.reduced_at - slow.tolerance - micros * slow.ticks
        return max(0, left), min(window_seconds, slow.seconds(ahead)) if ahead > 0 else 0
