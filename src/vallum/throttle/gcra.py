"""The generic cell rate algorithm: a rate with a burst, in one number a caller.

Source: ITU-T Recommendation I.371 (03/2004), Annex A, in its virtual scheduling form. A
caller has a theoretical arrival time (TAT): the instant at which its bucket would be
empty again. One unit moves it on by the emission interval T; a claim conforms as long as
the TAT runs ahead of the clock by no more than the burst tolerance tau.

    backlog  = max(TAT - now, 0)
    conforms = backlog + (cost - 1) * T <= tau          (I.371 has cost 1: TAT <= now + tau)
    TAT'     = now + backlog + cost * T                 when it conforms, else now + backlog

With tau = (burst - 1) * T that is exactly a bucket of `burst` tokens that gains one each T:
in any span of s no more than burst + s / T units pass, and units at least T apart always do.

All times are integers, of any one unit. Floats would drift: at today's Unix time a float's
grain is 240 ns, and a caller that keeps exactly to its rate would sometimes be refused. A
:class:`Pace` chooses a unit in which its interval is whole, so nothing is ever rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Final, final

MICROSECONDS: Final = 1_000_000
"""In a second."""


def conform(tat: int, now: int, interval: int, tolerance: int, cost: int) -> tuple[bool, int, int, int]:
    """Decide one claim; changes nothing itself.

    Args:
        tat: theoretical arrival time; anything in the past for a caller without a history.
        now: the present.
        interval: emission interval T, above 0, in the unit of both.
        tolerance: burst tolerance tau, 0 or more.
        cost: units, 1 or more.

    Returns:
        (allowed, new TAT, wait until the same claim conforms or 0, whole units left at once).
        Keep the new TAT of a refusal too: it says the same as the old one, unless the clock was
        set back. A cost above the burst never conforms.
    """
    backlog = tat - now
    if backlog < 0:
        backlog = 0
    elif backlog > tolerance + interval:
        # More than any claim can have left behind: the clock was set back (or the plan had another rate).
        # Uncapped, the caller would be shut out until the clock has made up for it.
        backlog = tolerance + interval
    room = tolerance + interval - backlog
    left = room - cost * interval
    if left < 0:
        return False, now + backlog, -left, room // interval
    return True, now + backlog + cost * interval, 0, left // interval


def microseconds(now: float) -> int:
    """Unix time in seconds as whole microseconds.

    That is the finest grain at which a float of today's size is still exact to add to: one
    second later is one second later here too.
    """
    return int(now * MICROSECONDS)


@final
@dataclass(frozen=True, slots=True)
class Pace:
    """A rate as GCRA needs it, in ticks: the parts of a microsecond of which an interval takes a whole number.

    Attributes:
        burst: units at once.
        ticks: in a microsecond.
        interval, tolerance: T and tau in ticks.
    """

    burst: int
    ticks: int
    interval: int
    tolerance: int

    @classmethod
    def of(cls, count: int, seconds: int) -> Pace:
        """`count` units at once, that many coming back in `seconds`."""
        common = gcd(count, seconds * MICROSECONDS)
        interval = seconds * MICROSECONDS // common
        return cls(count, count // common, interval, (count - 1) * interval)

    def seconds(self, wait: int) -> int:
        """Ticks as seconds, rounded up: who waits that long is not refused again for being early."""
        return -(-wait // (self.ticks * MICROSECONDS))

    def rescaled(self, tat: int, ticks: int) -> int:
        """A TAT that was written at so many ticks a microsecond, in this pace's, rounded up."""
        return -(-tat * self.ticks // ticks)
