"""Stage 3 through the whole path: budgets at the exact edges of their windows, on a clock that the test moves.

The plan `tiny`, like that of strangers, has 3 units a second, 6 an hour and 8 a day; `/hello` costs 1, a list of books 2,
to publish one 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.path.conftest import As
from tests.path.small import NOON, Clock, api
from tests.path.test_authenticate import change, scope, shown, signed

from tests import stores
from vallum.store import principals
from vallum.store.memory import MemoryCounters
from vallum.testing import Answer, Client
from vallum.throttle.budget import Tally

HOUR, MIDNIGHT = 3600, 12 * 3600
POLICY = '"hour";q=6;w=3600,"day";q=8;w=86400'


def left(answer: Answer) -> tuple[str, int, int]:
    """Name, units left and seconds to wait of the `RateLimit` header."""
    name, remaining, reset = answer.headers["ratelimit"].split(";")
    return name.strip('"'), int(remaining.removeprefix("r=")), int(reset.removeprefix("t="))


def slowly(caller: Client, clock: Clock, times: int, path: str = "/hello") -> None:
    """Use units one a second, so that the burst is never what stops."""
    for _ in range(times):
        assert caller.get(path).status_code == 200
        clock.forward(1)


def refused(answer: Answer, *violated: str, retry: int) -> None:
    """A 429 for these limits, with the time after which the same request succeeds."""
    assert answer.status_code == 429
    assert answer.json()["code"] == "quota_exceeded"
    assert answer.json()["violated_policies"] == list(violated)
    assert answer.headers["retry-after"] == str(retry)


def at(stranger: Client, address: str, path: str = "/hello") -> Answer:
    """A stranger's request from that address."""
    return stranger.send(scope(path, [(b"host", b"testserver")], address))


@pytest.mark.parametrize("name", ["tim", None])
def test_a_burst_is_three_at_once_and_one_more_each_third_of_a_second(
    client: As, clock: Clock, name: str | None
) -> None:
    """The fourth waits exactly until a unit is back, for a known caller and for a stranger."""
    caller = client(name)
    for _ in range(3):
        assert caller.get("/hello").status_code == 200
    refused(caller.get("/hello"), "burst", retry=1)
    clock.now = NOON + 0.3333
    refused(caller.get("/hello"), "burst", retry=1)
    clock.now = NOON + 0.3334
    assert caller.get("/hello").status_code == 200
    refused(caller.get("/hello"), "burst", retry=1)


def test_an_hour_ends_with_the_clock_s_hour_to_the_instant(client: As, clock: Clock) -> None:
    """The seventh is refused until 13:00:00 and not a moment longer, however the six were spread."""
    tim = client("tim")
    slowly(tim, clock, 6)
    refused(tim.get("/hello"), "hour", retry=HOUR - 6)
    clock.now = NOON + HOUR - 0.001
    refused(tim.get("/hello"), "hour", retry=1)
    clock.now = NOON + HOUR
    answer = tim.get("/hello")
    assert (answer.status_code, left(answer)) == (200, ("day", 1, 11 * HOUR))


def test_an_hour_is_the_clock_s_and_does_not_begin_with_the_first_request(client: As, clock: Clock) -> None:
    """Six before and two after the full hour pass within eight seconds, and then the day is used up."""
    tim = client("tim")
    clock.now = NOON + HOUR - 6
    slowly(tim, clock, 8)
    refused(tim.get("/hello"), "day", retry=11 * HOUR - 2)


def test_a_day_ends_at_midnight_to_the_instant(client: As, clock: Clock) -> None:
    """Eight of a day are refused until 00:00:00 UTC."""
    tim = client("tim")
    slowly(tim, clock, 6)
    clock.now = NOON + HOUR
    slowly(tim, clock, 2)
    refused(tim.get("/hello"), "day", retry=11 * HOUR - 2)
    clock.now = NOON + MIDNIGHT - 0.001
    refused(tim.get("/hello"), "day", retry=1)
    clock.now = NOON + MIDNIGHT
    answer = tim.get("/hello")
    assert (answer.status_code, left(answer)) == (200, ("hour", 5, HOUR))


def test_the_hour_and_the_day_together_say_which_of_them_are_used_up(client: As, clock: Clock) -> None:
    """Retry-After is the end of the later one: to come back at the hour would be refused again."""
    tim = client("tim")
    slowly(tim, clock, 2)
    clock.now = NOON + HOUR
    slowly(tim, clock, 6)
    refused(tim.get("/hello"), "hour", "day", retry=11 * HOUR - 6)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/hello", {}, 200),
        ("GET", "/books/2", {}, 200),
        ("GET", "/books?no=such", {}, 400),
        ("GET", "/books?after=x", {}, 400),
        ("PATCH", "/books/2", {}, 403),
        ("GET", "/books/999", {}, 404),
        ("GET", "/nothing", {}, 404),
        ("PUT", "/books", {}, 405),
        ("OPTIONS", "/books", {}, 405),
        ("POST", "/notes", {}, 400),
        ("GET", "/books/2", {"If-None-Match": "x"}, 400),
    ],
)
def test_every_answer_that_reached_the_meter_says_what_is_left(
    client: As, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Success or refusal: the request was counted, and its caller is told."""
    answer = client("tim").request(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["ratelimit-policy"] == POLICY
    cost = 2 if path.startswith("/books?") else 1
    assert left(answer) == ("hour", 6 - cost, HOUR)


def test_an_answer_that_did_not_reach_the_meter_says_nothing(client: As) -> None:
    """A 401 and a malformed request were not counted."""
    assert client("tim").get("/hello", headers={"Authorization": "Bearer x.y.z"}).status_code == 401
    for answer in (
        client(None).get("/books"),
        client("tim").get("/hello", headers={"Authorization": "Bearer x.y.z"}),
        client("tim").get("/hello", headers={"Accept": "text/html"}),
    ):
        assert "ratelimit" not in answer.headers
        assert "ratelimit-policy" not in answer.headers
    assert left(client("tim").get("/hello")) == ("hour", 5, HOUR)


def test_a_plan_with_nothing_but_a_burst_announces_that(client: As, clock: Clock) -> None:
    """Two a minute: the second of them is back after a minute, the first after half of one."""
    bob = client("bob")
    answer = bob.get("/hello")
    assert answer.headers["ratelimit-policy"] == '"burst";q=2;w=60'
    assert left(answer) == ("burst", 1, 30)
    assert left(bob.get("/hello")) == ("burst", 0, 30)
    refused(bob.get("/hello"), "burst", retry=30)
    clock.forward(29.9)
    refused(bob.get("/hello"), "burst", retry=1)
    clock.forward(0.1)
    assert bob.get("/hello").status_code == 200


def test_each_action_costs_what_was_declared(client: As, clock: Clock, data: Path) -> None:
    """A list takes 2 and an action 3; what does not fit is refused while something cheaper still fits."""
    change(data, principals.alter("walt", "sqlite", plan="tiny"))
    walt = client("walt")
    assert left(walt.get("/books")) == ("hour", 4, HOUR)
    clock.forward(1)
    answer = walt.post("/books/2/publish")
    assert (answer.status_code, left(answer)) == (200, ("hour", 1, HOUR - 1))
    clock.forward(1)
    refused(walt.get("/books"), "hour", retry=HOUR - 2)
    assert left(walt.get("/books/2")) == ("hour", 0, HOUR - 2)


def test_an_exact_count_costs_more_than_a_list(client: As, clock: Clock, data: Path) -> None:
    """Two for the list and four for the count, however it is spelt; what is refused for its query has cost the same."""
    change(data, principals.alter("rita", "sqlite", plan="large"))
    rita = client("rita")
    assert left(rita.get("/books"))[1] == 58
    for number, query in enumerate(("count=exact", "%63ount=exact", "count=exact&no=such", "count=none", "count"), 1):
        answer = rita.get(f"/books?{query}")
        assert answer.status_code == (200 if number < 3 else 400)
        assert left(answer)[1] == 58 - 6 * number
    assert left(rita.get("/books/1?count=exact"))[1] == 27
    assert left(rita.get("/books?title=count"))[1] == 25


def test_a_count_that_the_budget_does_not_cover_is_not_made(client: As, clock: Clock) -> None:
    """It is refused whole, and the list alone still fits."""
    tim = client("tim")
    slowly(tim, clock, 2)
    refused(tim.get("/books?count=exact"), "hour", retry=HOUR - 2)
    assert left(tim.get("/books")) == ("hour", 2, HOUR - 2)


def test_a_statement_that_is_new_slows_its_caller_down(client: As, data: Path) -> None:
    """The first list of a new form takes two units more of the burst; of the hour it takes what each list takes."""
    tim = client("tim")
    assert left(tim.get("/books?title=a")) == ("hour", 4, HOUR)
    refused(tim.get("/hello"), "burst", retry=1)
    change(data, principals.alter("tom", "sqlite", attributes={"shelf": 1}))
    tom = client("tom")
    assert tom.get("/books?title=b").status_code == 200  # the same form, by another caller, is there
    assert tom.get("/hello").status_code == 200


def taken(rita: Client) -> int:
    """Units that are missing in the burst of the one caller, whose plan gives a hundred a second, at noon."""
    (tally,) = rita.service.pipeline.meter.known._tallies.values()
    return round((tally.burst_at / tally.burst_ticks / 1_000_000 - NOON) * 100)


@pytest.mark.parametrize(
    ("path", "slowed"),
    [
        *(("/books?sort=title", True), ("/books?fields=id", True), ("/books?title[contains]=a&pages[gt]=3", True)),
        *(("/books?limit=7", True), ("/books/1?fields=id", True)),
        *(("/books", False), ("/books/1", False), ("/books?no=such", False)),
    ],
)
def test_only_what_a_query_chooses_is_paid_for(client: As, path: str, slowed: bool) -> None:
    """The plain list and the item are built for all; a refused query builds nothing."""
    rita = client("rita")
    assert rita.get(path).status_code in {200, 400}
    assert taken(rita) == (1 if path.startswith("/books/") else 2) + (2 if slowed else 0)


def test_a_form_that_was_asked_for_costs_nothing_more(client: As, clock: Clock) -> None:
    """Other values of the same filter are the same statement."""
    rita = client("rita")
    for title in "abcdefgh":
        assert rita.get(f"/books?title={title}").status_code == 200
    assert taken(rita) == 8 * 2 + 2


@pytest.mark.parametrize(
    ("bodies", "slowed"),
    [
        ([{"title": "a", "pages": 1}], 1),
        ([{"title": "a", "pages": 1}, {"pages": 2, "title": "b"}], 1),
        ([{"title": "a", "pages": 1}, {"title": "a", "shelf_id": 1}], 2),
        ([{"title": "a"}], 0),
        ([{"title": "a", "pages": 1, "shelf_id": 1, "price": 1.5}], 0),
        ([{"title": "a", "pages": -1, "price": "no"}], 0),
        ([{"title": "a", "shelf_id": 1}, {"title": "a", "shelf_id": None}, {"shelf_id": None, "title": "b"}], 2),
        ([{"title": "a", "pages": 1, "shelf_id": None, "price": 1.5}], 1),
        ([{"title": "a", "pages": 1, "shelf_id": 1, "price": None}], 0),
    ],
)
def test_a_set_of_fields_that_nobody_has_written_is_paid_for(
    client: As, bodies: list[dict[str, object]], slowed: int
) -> None:
    """Its statement is new; one field and all of them are everybody's, and a body that is refused builds nothing.

    A reference that is null is looked for nowhere: that is another statement as well.
    """
    walt = client("walt")
    for body in bodies:
        assert walt.post("/books", json=body).status_code in {201, 422}
    assert taken(walt) == len(bodies) + 2 * slowed


def test_changes_pay_for_their_fields_as_well(client: As) -> None:
    """Once, whichever rows they are of; other fields are another form, and a new row is none of a change."""
    walt, anything = client("walt"), {"if-match": "*"}
    for key, status in ((2, 200), (1, 403), (4, 404)):
        assert walt.patch(f"/books/{key}", json={"title": "a", "pages": 1}, headers=anything).status_code == status
    assert taken(walt) == 3 + 2
    assert walt.post("/books", json={"title": "a", "pages": 1}).status_code == 201
    assert taken(walt) == 4 + 4


def test_a_plan_that_the_api_does_not_have_is_no_plan(client: As, data: Path) -> None:
    """Given behind the back of this process: 503, not the budget of somebody else."""
    tim = client("tim")
    assert tim.get("/hello").status_code == 200
    change(data, principals.alter("tim", "sqlite", plan="gold"))
    answer = tim.get("/hello")
    assert (answer.status_code, answer.json()["code"]) == (503, "meter_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "ratelimit" not in answer.headers


def test_what_is_refused_is_not_counted(client: As, clock: Clock) -> None:
    """A caller that keeps asking is neither punished in the burst nor in the hour."""
    tim = client("tim")
    for _ in range(3):
        assert tim.get("/hello").status_code == 200
    for _ in range(20):
        refused(tim.get("/hello"), "burst", retry=1)
    clock.forward(1)
    for remaining in (2, 1, 0):
        assert left(tim.get("/hello")) == ("hour", remaining, HOUR - 1)
    clock.forward(1)
    for _ in range(20):
        refused(tim.get("/hello"), "hour", retry=HOUR - 2)
    clock.now = NOON + HOUR
    slowly(tim, clock, 2)


def test_two_callers_do_not_share_and_one_caller_does_not_multiply(client: As, data: Path) -> None:
    """The budget is the account's: another account has its own; another token or address of the same has not."""
    tim, tom = client("tim"), client("tom")
    for _ in range(3):
        assert tim.get("/hello").status_code == 200
    assert left(tom.get("/hello")) == ("hour", 5, HOUR)
    refused(shown(client(None), signed(data, sub="tim", jti="other")), "burst", retry=1)
    headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {tim.token}".encode())]
    refused(tim.send(scope("/hello", headers, "198.51.100.7")), "burst", retry=1)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "User-Agent"])
def test_nothing_that_a_client_writes_gives_it_a_new_budget(client: As, header: str) -> None:
    """No proxy is configured, so no header names another address."""
    stranger = client(None)
    for number in range(3):
        assert stranger.get("/hello", headers={header: f"198.51.100.{number}"}).status_code in {200, 400}
    for _ in range(3):
        stranger.get("/hello")
    assert stranger.get("/hello").status_code == 429


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::1"),
        ("2001:db8::1", "2001:DB8:0:0::2", "2001:db8:1::1"),
    ],
)
def test_strangers_are_counted_by_address_and_ipv6_by_its_64(client: As, one: str, same: str, other: str) -> None:
    """Who holds a /64 has 2^64 addresses and one budget; IPv4 written as IPv6 is the IPv4 address."""
    stranger = client(None)
    for address in (one, same, one):
        assert at(stranger, address).status_code == 200
    for address in (one, same):
        refused(at(stranger, address), "burst", retry=1)
    assert left(at(stranger, other)) == ("hour", 5, HOUR)


def test_a_stranger_and_an_account_do_not_share(client: As) -> None:
    """Not even when the account is named like the stranger's address."""
    stranger, tim = client(None), client("tim")
    for _ in range(3):
        assert stranger.get("/hello").status_code == 200
    assert left(tim.get("/hello")) == ("hour", 5, HOUR)
    refused(stranger.get("/hello"), "burst", retry=1)


def test_after_its_quota_a_plan_may_go_on_slowly(client: As, clock: Clock) -> None:
    """Four an hour, then two at once and one each half minute, until the hour ends."""
    sam = client("sam")
    slowly(sam, clock, 4)
    slowly(sam, clock, 2)
    answer = sam.get("/hello")
    refused(answer, "hour", retry=28)
    assert left(answer) == ("hour", 0, 28)
    clock.forward(27.9)
    refused(sam.get("/hello"), "hour", retry=1)
    clock.forward(0.1)
    assert left(sam.get("/hello")) == ("hour", 0, 30)
    refused(sam.get("/hello"), "hour", retry=30)
    clock.now = NOON + HOUR
    assert left(sam.get("/hello")) == ("hour", 3, HOUR)


def test_a_smaller_plan_counts_what_was_used_under_the_larger_one(client: As, clock: Clock, data: Path) -> None:
    """Seven of sixty are more than six: the change takes effect with the next request, in hour and day."""
    change(data, principals.alter("tim", "sqlite", plan="large"))
    tim = client("tim")
    slowly(tim, clock, 7)
    assert left(tim.get("/hello")) == ("hour", 52, HOUR - 7)
    change(data, principals.alter("tim", "sqlite", plan="tiny"))
    clock.forward(1)
    refused(tim.get("/hello"), "hour", "day", retry=MIDNIGHT - 8)
    clock.now = NOON + HOUR
    refused(tim.get("/hello"), "day", retry=11 * HOUR)


def test_a_changed_caller_is_counted_once_for_the_request_that_finds_it_out(
    client: As, clock: Clock, data: Path
) -> None:
    """The path runs twice then; the budget is claimed once."""
    tim = client("tim")
    assert left(tim.get("/loans"))[1] == 5
    clock.forward(1)
    change(data, principals.alter("tim", "sqlite", attributes={"shelf": 1}))
    assert left(tim.get("/loans"))[1] == 4
    clock.forward(1)
    assert left(tim.get("/loans"))[1] == 3


def test_counts_outlive_the_service(data: Path, clock: Clock) -> None:
    """Stopped and started again, hour and day go on where they were, for accounts and strangers."""
    for _ in range(3):
        with stores.client(api, "tim", data, clock) as tim, stores.client(api, None, data, clock) as stranger:
            for caller in (tim, stranger):
                for _ in range(2):
                    assert caller.get("/hello").status_code == 200
        clock.forward(1)
    with stores.client(api, "tim", data, clock) as tim, stores.client(api, None, data, clock) as stranger:
        refused(tim.get("/hello"), "hour", retry=HOUR - 3)
        refused(stranger.get("/hello"), "hour", retry=HOUR - 3)
        clock.now = NOON + HOUR
        assert left(tim.get("/hello")) == ("day", 1, 11 * HOUR)
        assert at(stranger, "192.0.2.9").status_code == 200


def test_a_429_is_a_problem_document_with_everything_a_client_needs(client: As, clock: Clock) -> None:
    """RFC 9457, the violated policies, the time to wait in the header, and the fixed headers of every answer."""
    tim = client("tim")
    slowly(tim, clock, 6)
    answer = tim.get("/hello")
    problem: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem == {
        "type": "https://testserver/problems/quota_exceeded",
        "title": "Quota exceeded",
        "status": 429,
        "detail": "The quota of this caller is used up for now.",
        "code": "quota_exceeded",
        "violated_policies": ["hour"],
        "request_id": answer.headers["x-request-id"],
    }
    assert answer.headers["ratelimit-policy"] == POLICY
    assert left(answer) == ("hour", 0, HOUR - 6)
    assert answer.headers["cache-control"] == "no-store"


def test_a_429_of_the_burst_alone_names_it_among_the_policies(client: As) -> None:
    """`RateLimit` must name a limit that `RateLimit-Policy` has, and never wait longer than Retry-After."""
    tim = client("tim")
    for _ in range(3):
        tim.get("/hello")
    answer = tim.get("/hello")
    assert answer.headers["ratelimit-policy"] == POLICY + ',"burst";q=3;w=1'
    assert left(answer) == ("burst", 0, 1)


def test_without_room_to_count_a_new_caller_nobody_new_is_let_in(client: As, clock: Clock) -> None:
    """Closed, not open: 503 for strangers beyond the table, while who is in it and accounts go on."""
    stranger, tim = client(None), client("tim")
    stranger.service.pipeline.meter.strangers = MemoryCounters(Tally, callers=2)
    assert at(stranger, "192.0.2.1").status_code == at(stranger, "192.0.2.2").status_code == 200
    answer = at(stranger, "192.0.2.3")
    assert (answer.status_code, answer.json()["code"]) == (503, "meter_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "ratelimit" not in answer.headers
    assert at(stranger, "192.0.2.1").status_code == 200
    assert tim.get("/hello").status_code == 200
    clock.now = NOON + MIDNIGHT
    assert at(stranger, "192.0.2.3").status_code == 200


def test_a_clock_that_is_set_back_gives_no_quota_twice(client: As, clock: Clock) -> None:
    """Across the edge of the hour and back, what was counted still counts."""
    tim = client("tim")
    clock.now = NOON + HOUR - 1
    slowly(tim, clock, 1)
    slowly(tim, clock, 6)
    clock.now = NOON + HOUR - 1
    assert tim.get("/hello").status_code == 429
