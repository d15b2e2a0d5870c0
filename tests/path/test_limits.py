"""`GET /limits`: what a caller is told of its budget, and that asking takes nothing from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.path.conftest import As
from tests.path.small import NOON, Clock, Note
from tests.path.test_authenticate import assert_invalid, change, scope
from tests.path.test_throttle import HOUR, POLICY, left, slowly

from vallum import API, Plan, allow
from vallum.crypto import api_key
from vallum.declare.accounts import Account
from vallum.store import api_keys, principals
from vallum.store.api_keys import Limits
from vallum.store.memory import AddressLimiter
from vallum.testing import Answer, Client, create_database
from vallum.throttle.gcra import conform


def limits(caller: Client, **headers: str) -> dict[str, Any]:
    """The document."""
    answer = caller.get("/limits", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


def remaining(found: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Units left and seconds until more, by policy."""
    return {policy["name"]: (policy["remaining"], policy["reset_seconds"]) for policy in found["policies"]}


def at(stranger: Client, address: str) -> Answer:
    """A stranger's question from that address."""
    return stranger.send(scope("/limits", [(b"host", b"testserver")], address))


def test_a_caller_sees_its_budget(client: As, clock: Clock) -> None:
    """Plan, policies with quota, window, rest and reset, and what each thing that it may do costs."""
    tim = client("tim")
    slowly(tim, clock, 2)
    found = limits(tim)
    assert found["policies"] == [
        {"name": "hour", "quota": 6, "window_seconds": 3600, "remaining": 4, "reset_seconds": HOUR - 2},
        {"name": "day", "quota": 8, "window_seconds": 86_400, "zone": "UTC", "remaining": 6, "reset_seconds": 43_198},
        {"name": "burst", "quota": 3, "window_seconds": 1, "remaining": 3, "reset_seconds": 0},
    ]
    assert (found["plan"], found["account"]) == ("tiny", "tim")
    assert (found["after_quota"], found["retry_after_seconds"]) == (None, 0)
    assert {"method": "GET", "path": "/books", "units": 2, "extra": {"count": 4, "include": 2}} in found["costs"]
    assert {"method": "POST", "path": "/notes", "units": 1, "extra": {}} in found["costs"]


def test_asking_is_not_counted(client: As, clock: Clock) -> None:
    """However often: the headers and the document say the same as before, and the next claim finds all of it."""
    tim = client("tim")
    slowly(tim, clock, 1)
    first = limits(tim)
    for _ in range(50):
        answer = tim.get("/limits")
        assert (answer.status_code, answer.json()) == (200, first)
        assert (answer.headers["ratelimit-policy"], left(answer)) == (POLICY, ("hour", 5, HOUR - 1))
    assert left(tim.get("/hello")) == ("hour", 4, HOUR - 1)


def test_who_has_nothing_left_can_still_ask(client: As, clock: Clock) -> None:
    """Burst, then hour used up: what is missing and for how long, while every other request is refused."""
    tim = client("tim")
    for _ in range(3):
        tim.get("/hello")
    found = limits(tim)
    assert (remaining(found)["burst"], found["retry_after_seconds"]) == ((0, 1), 1)
    clock.forward(1)
    slowly(tim, clock, 3)
    refused = tim.get("/hello")
    assert refused.status_code == 429
    found = limits(tim)
    assert remaining(found)["hour"] == (0, HOUR - 4)
    assert found["retry_after_seconds"] == int(refused.headers["retry-after"]) == HOUR - 4
    clock.now = NOON + HOUR
    assert remaining(limits(tim)) == {"hour": (6, HOUR), "day": (2, 11 * HOUR), "burst": (3, 0)}


def test_a_reduced_plan_says_whether_it_is_reduced(client: As, clock: Clock) -> None:
    """Four of the hour, then two a minute."""
    sam = client("sam")
    slowly(sam, clock, 3)
    assert limits(sam)["after_quota"] == {"rate": "2/min", "in_effect": False}
    slowly(sam, clock, 3)
    found = limits(sam)
    assert found["after_quota"] == {"rate": "2/min", "in_effect": True}
    assert (remaining(found)["hour"], found["retry_after_seconds"]) == ((0, 28), 28)


def test_strangers_see_the_budget_of_their_address(client: As) -> None:
    """The anonymous plan, counted by network address; who only asks takes no place in the table."""
    stranger = client(None)
    assert stranger.get("/hello").status_code == 200
    found = limits(stranger)
    assert (found["plan"], found["account"], remaining(found)["hour"]) == ("anonymous", None, (5, HOUR))
    for number in range(9):
        assert remaining(at(stranger, f"198.51.100.{number}").json())["hour"] == (6, HOUR)
    assert len(stranger.service.pipeline.meter.strangers) == 1
    assert stranger.service.pipeline.meter.dirty == 1


def test_only_what_a_caller_may_do_is_named(client: As) -> None:
    """No route that its rights do not open: neither to strangers nor to an account without a role."""

    def paths(found: dict[str, Any]) -> set[tuple[str, str]]:
        return {(cost["method"], cost["path"]) for cost in found["costs"]}

    open_ = {("GET", "/shelves"), ("GET", "/shelves/{id}"), ("GET", "/hello")}
    assert paths(limits(client(None))) == paths(limits(client("nina"))) == open_
    rita = paths(limits(client("rita")))
    assert ("GET", "/books") in rita
    assert not {("POST", "/books"), ("DELETE", "/books/{id}"), ("POST", "/books/{id}/publish")} & rita
    assert ("POST", "/books/{id}/publish") in paths(limits(client("walt")))
    assert "costs" in limits(client("ada"))


def test_a_key_sees_the_budget_of_its_account(client: As, data: Path, clock: Clock) -> None:
    """Both keys the same one; a revoked key sees nothing."""
    keys = [api_key.generate(), api_key.generate()]
    account = Account("robot", frozenset({"reader"}), {}, "tiny")
    change(data, api_keys.add(account, keys[0], Limits(), clock(), "sqlite"))
    change(data, api_keys.rotate("robot", keys[1], clock(), "sqlite", overlap_seconds=60, life_seconds=None))
    stranger = client(None)
    assert stranger.get("/hello", headers={"X-API-Key": keys[0].text}).status_code == 200
    for key in keys:
        found = limits(stranger, **{"X-API-Key": key.text})
        assert (found["account"], found["plan"], remaining(found)["hour"][0]) == ("robot", "tiny", 5)
    change(data, api_keys.revoke("robot", clock(), "sqlite", keys[0].identifier))
    assert_invalid(stranger.get("/limits", headers={"X-API-Key": keys[0].text}))
    assert_invalid(stranger.get("/limits", headers={"Authorization": "Bearer x.y.z"}))


def test_another_plan_is_seen_at_once(client: As, data: Path, clock: Clock) -> None:
    """With what was used under the one before."""
    tim = client("tim")
    slowly(tim, clock, 2)
    assert limits(tim)["plan"] == "tiny"
    change(data, principals.alter("tim", "sqlite", plan="large"))
    found = limits(tim)
    assert (found["plan"], remaining(found)["hour"][0]) == ("large", 58)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/limits", 405, "method_not_allowed"),
        ("DELETE", "/limits", 405, "method_not_allowed"),
        ("GET", "/limits?plan=large", 400, "query_invalid"),
        ("GET", "/limits/", 404, "not_found"),
        ("GET", "/limits/tim", 404, "not_found"),
    ],
)
def test_there_is_nothing_else_to_ask(client: As, method: str, path: str, status: int, code: str) -> None:
    """No other method, no parameter, nobody else's; what is no such question is counted like any request."""
    tim = client("tim")
    answer = tim.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert left(tim.get("/hello"))[1] == (5 if "?" in path else 4)


def test_it_is_no_way_to_flood(client: As) -> None:
    """The limit of the network address stands before it, for strangers and for accounts."""
    tim = client("tim")
    service = tim.service
    before = service.pipeline
    limiter = AddressLimiter(conform, per_second=1, burst=5)
    service.pipeline = replace(before, edge=replace(before.edge, limiter=limiter))
    statuses = [caller.get("/limits").status_code for caller in (tim, client(None), tim, tim, tim, tim, client(None))]
    assert statuses == [200] * 5 + [429] * 2


closed = API("Closed", roles=["member"], plans={"default": Plan("9/s", day=90, zone="Europe/Berlin")})


@closed.post("/notes", allow("member"), body=Note, cost=7)
def note(call: object, body: Note) -> None:
    """Members only."""


closed.accounts.add("mia", roles=["member"])


@pytest.fixture
def members(tmp_path: Path, clock: Clock) -> Iterator[As]:
    """An API that lets no stranger in anywhere."""
    create_database(closed, tmp_path / "closed", clock=lambda: clock() - 86_400)
    with (
        Client(closed, "mia", tmp_path / "closed", clock) as mia,
        Client(closed, None, tmp_path / "closed", clock) as no,
    ):
        yield lambda name: mia if name else no


def test_where_strangers_are_let_in_nowhere_they_are_told_nothing(members: As) -> None:
    """The same 401 as for every path; a member is told."""
    unknown, here = members(None).get("/nothing"), members(None).get("/limits")
    assert (here.status_code, here.json()["code"]) == (unknown.status_code, unknown.json()["code"])
    assert here.status_code == 401
    assert limits(members("mia"))["costs"] == [{"method": "POST", "path": "/notes", "units": 7, "extra": {}}]


def test_the_day_of_a_zone_is_told(members: As) -> None:
    """At noon of UTC it is 13:00 in Berlin, and eleven hours to midnight there."""
    (day, burst) = limits(members("mia"))["policies"]
    assert (day["zone"], day["reset_seconds"], burst["quota"]) == ("Europe/Berlin", 11 * HOUR, 9)
