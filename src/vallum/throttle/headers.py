"""`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).

`RateLimit-Policy` lists the hour and the day and is built once a plan. `RateLimit` names one
limit, the one closest to being exhausted: all count the same unit, and then the draft lets
the others be left out. It is not mixed with the burst, which comes back within seconds and
would hide the quota: the burst is announced by plans that have nothing else, and by an answer
that it alone refused. `t` is then never later than `Retry-After`, as the draft asks.
"""

from __future__ import annotations

from typing import Final, final

from vallum.declare.plan import Claim, Plan
from vallum.request import Header
from vallum.throttle.windows import DAY_SECONDS, HOUR_SECONDS

POLICY: Final = b"ratelimit-policy"
LIMIT: Final = b"ratelimit"
BURST_ALONE: Final = ("burst",)


@final
class LimitHeaders:
    """The header fields of one plan."""

    __slots__ = ("_policy", "_policy_with_burst")

    def __init__(self, plan: Plan) -> None:
        windows = []
        if plan.hour is not None:
            windows.append(f'"hour";q={plan.hour};w={HOUR_SECONDS}')
        if plan.day is not None:
            windows.append(f'"day";q={plan.day};w={DAY_SECONDS}')
        burst = f'"burst";q={plan.burst.count};w={plan.burst.seconds}'
        self._policy: Header = (POLICY, ",".join(windows or [burst]).encode("ascii"))
        self._policy_with_burst: Header = (POLICY, ",".join([*windows, burst]).encode("ascii"))

    def pairs(self, claim: Claim) -> tuple[Header, Header]:
        """`RateLimit-Policy` and `RateLimit` for an answer to that claim: lower-case names, ASCII values."""
        index = closest(claim)
        limit = f'"{claim.policies[index]}";r={claim.remaining[index]};t={claim.reset_seconds[index]}'
        policy = self._policy_with_burst if claim.violated == BURST_ALONE else self._policy
        return policy, (LIMIT, limit.encode("ascii"))


def closest(claim: Claim) -> int:
    """Index of the limit to announce: the fewest units left, and of equals the one that lasts longer."""
    windows = len(claim.policies) - 1
    if windows == 0 or claim.violated == BURST_ALONE:
        return windows
    if windows == 1:
        return 0
    hour, day, _ = claim.remaining
    if hour == day:
        return 0 if claim.reset_seconds[0] > claim.reset_seconds[1] else 1
    return 0 if hour < day else 1
