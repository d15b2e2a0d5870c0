"""`RateLimit-Policy` and `RateLimit` as the draft has them."""

from __future__ import annotations

from typing import Any

import http_sf
import pytest

from vallum.declare.plan import Plan, Reduced
from vallum.throttle.budget import Budget, Tally
from vallum.throttle.headers import LimitHeaders

HOUR = 1_790_002_800


def pairs(plan: Plan, *claims: tuple[int, float]) -> tuple[str, str]:
    """The two values after those claims (cost, seconds past the hour) of a new caller."""
    budget, tally = Budget(plan), Tally()
    *_, last = [budget.claim(tally, cost, HOUR + offset) for cost, offset in claims]
    (policy_name, policy), (limit_name, limit) = LimitHeaders(plan).pairs(last)
    assert (policy_name, limit_name) == (b"ratelimit-policy", b"ratelimit")
    return policy.decode(), limit.decode()


def test_the_fields_of_the_contract() -> None:
    """An hour and a day are announced, and the one with fewer units left is shown."""
    assert pairs(Plan("20/s", 1000, 10000), (13, 1795)) == (
        '"hour";q=1000;w=3600,"day";q=10000;w=86400',
        '"hour";r=987;t=1805',
    )


@pytest.mark.parametrize(
    ("plan", "claims", "policy", "limit"),
    [
        (Plan("20/s"), [(1, 0)], '"burst";q=20;w=1', '"burst";r=19;t=1'),
        (Plan("20/s", hour=9), [(1, 0)], '"hour";q=9;w=3600', '"hour";r=8;t=3600'),
        (Plan("20/s", day=9), [(1, 0)], '"day";q=9;w=86400', '"day";r=8;t='),
        # the day is nearer to its end than the hour
        (Plan("900/s", 10, 12), [(9, 0), (1, 3600)], '"hour";q=10;w=3600,"day";q=12;w=86400', '"day";r=2;t='),
        # equal: the one that lasts longer
        (Plan("900/s", 10, 10), [(9, 0)], '"hour";q=10;w=3600,"day";q=10;w=86400', '"day";r=1;t='),
        # refused by the burst alone: that is what the answer is about
        (Plan("5/min", 10, 20), [(5, 0), (1, 0)], '"hour";q=10;w=3600,"day";q=20;w=86400,"burst";q=5;w=60', '"burst";r=0;t=12'),
        # refused by the burst and the hour: the hour is what lasts
        (Plan("5/min", 5, 20), [(5, 0), (1, 0)], '"hour";q=5;w=3600,"day";q=20;w=86400', '"hour";r=0;t=3600'),
        # past the quota at the reduced rate
        (Plan("99/s", hour=9, after_quota=Reduced("5/min")), [(9, 0), (5, 0)], '"hour";q=9;w=3600', '"hour";r=0;t=12'),
    ],
)  # fmt: skip
def test_the_limit_closest_to_its_end_is_shown(
    plan: Plan, claims: list[tuple[int, float]], policy: str, limit: str
) -> None:
    """One item, of the limit that will stop the caller first."""
    shown = pairs(plan, *claims)
    assert shown[0] == policy
    assert shown[1].startswith(limit)


@pytest.mark.parametrize("plan", [Plan("20/s"), Plan("20/s", hour=5), Plan("5/min", 5, 6), Plan("5/min", 100, 200)])
def test_a_refusal_is_never_to_be_retried_before_its_reset(plan: Plan) -> None:
    """`Retry-After` does not point before `t` (draft §4: SHOULD NOT), whichever limit refused."""
    budget, tally, headers = Budget(plan), Tally(), LimitHeaders(plan)
    refused = [claim for claim in (budget.claim(tally, 1, HOUR + 5) for _ in range(25)) if not claim.allowed]
    assert refused
    for claim in refused:
        (_, policy), (_, limit) = headers.pairs(claim)
        ((name, parameters),) = parsed(limit)
        assert parameters["t"] <= claim.retry_after_seconds
        assert name in [announced for announced, _ in parsed(policy)]


def test_the_fields_are_structured() -> None:
    """Any RFC 9651 parser reads them: lists of strings with integer parameters."""
    policy, limit = pairs(Plan("20/s", 999_999_999, 999_999_999), (1, 0))
    assert parsed(policy.encode()) == [
        ("hour", {"q": 999_999_999, "w": 3600}),
        ("day", {"q": 999_999_999, "w": 86_400}),
    ]
    ((name, parameters),) = parsed(limit.encode())
    assert name == "day"
    assert parameters.keys() == {"r", "t"}


def test_the_policy_is_built_once() -> None:
    """Two answers carry the very same bytes."""
    plan = Plan("20/s", 1000, 10000)
    budget, tally, headers = Budget(plan), Tally(), LimitHeaders(plan)
    first, second = (headers.pairs(budget.claim(tally, 1, HOUR))[0] for _ in range(2))
    assert first is second


def parsed(value: bytes) -> list[tuple[str, dict[str, Any]]]:
    items: Any = http_sf.parse(value, tltype="list")
    return [(name, dict(parameters)) for name, parameters in items]
