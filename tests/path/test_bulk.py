"""Bulk writes through the whole path: several rows in one request, all or none, each as if it had come alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.path.small import NOON, Clock
from tests.path.works import api, number, seed

from tests import stores
from vallum import defaults
from vallum.testing import Answer, Client

As = Callable[[str], Client]

pytestmark = pytest.mark.stores("sqlite", "postgresql")

ANY = {"if-match": "*"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("bulk") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own."""
    return stores.copied(filled, tmp_path / "data")


@pytest.fixture
def client(data: Path) -> Iterator[As]:
    """`client("cleo")`."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(api, name, data, Clock()))


def written(data: Path) -> list[Any]:
    """Everything that a write could change."""
    texts = [f"SELECT * FROM {table} ORDER BY 1, 2" for table in ("rooms", "desks", "slots", "visits", "drawers")]
    return [stores.rows(data, text) for text in [*texts, "SELECT count(*) FROM vallum_audit"]]


def audit(data: Path) -> list[Any]:
    """Who did what to which row, and the fields."""
    found = stores.rows(data, "SELECT principal, verb, resource, row_key, fields FROM vallum_audit ORDER BY id")
    return [(who, verb, what, json.loads(key), json.loads(fields)) for who, verb, what, key, fields in found]


def faults(answer: Answer, status: int, code: str) -> list[tuple[str, str]]:
    """Pointer and code of each fault, in order."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]


# All of them -----------------------------------------------------------------------------


def test_rows_are_made_in_order_each_as_its_maker_may_read_it(client: As, data: Path) -> None:
    """201 with the rows in the order of the request, the server's values in them, and an audit row for each."""
    body = [{"name": "Attic", "seats": 7}, {"name": "Cellar"}, {"name": "Barn", "seats": 1}]
    answer = client("cleo").post("/rooms", json=body)
    assert answer.status_code == 201
    found = answer.json()["items"]
    assert [(row["name"], row["seats"], row["owner"]) for row in found] == [
        ("Attic", 7, "cleo"),
        ("Cellar", 5, "cleo"),
        ("Barn", 1, "cleo"),
    ]
    assert "code" not in found[0]  # as of one: fields that she may not read are not there
    assert {"location", "etag"}.isdisjoint(name.lower() for name, _ in answer.headers.items())
    assert [(who, verb, key["id"]) for who, verb, _, key, _ in audit(data)] == [
        ("cleo", "create", row["id"]) for row in found
    ]
    assert [client("cleo").get(f"/rooms/{row['id']}").json() for row in found] == found


def test_rows_are_changed_each_by_its_own_patch(client: As, data: Path) -> None:
    """200 with the rows as they are now; what a row does not name stays."""
    body = [{"id": 2, "seats": 10}, {"id": 1, "name": "Polar"}]
    answer = client("cleo").patch("/rooms", json=body, headers=ANY)
    assert faults(answer, 403, "forbidden") == [("/0", "forbidden")]  # room 2 has neither few nor many seats
    answer = client("cleo").patch("/rooms", json=[{"id": 4, "seats": 120}, *body[1:]], headers=ANY)
    assert answer.status_code == 200
    assert [(row["id"], row["name"], row["seats"]) for row in answer.json()["items"]] == [
        (4, "West", 120),
        (1, "Polar", 5),
    ]
    assert [(verb, key, fields) for _, verb, _, key, fields in audit(data)] == [
        ("change", {"id": 4}, ["seats"]),
        ("change", {"id": 1}, ["name"]),
    ]


def test_rows_are_removed_by_their_keys(client: As, data: Path) -> None:
    """204; keys of one part and of several, and rows that stay in the table."""
    bert = client("bert")
    keys = f"{number(1)},{number(7)}"
    assert client("bert").delete(f"/desks?id[in]={keys}").status_code == 204
    assert bert.delete("/slots?part[in]=x,%C3%A9&day=9").status_code == 404
    assert bert.delete("/slots?day[in]=9&part=x").status_code == 204
    assert bert.delete("/visits?id[in]=1,2").status_code == 204
    assert bert.get("/visits").json()["items"] == []
    assert stores.rows(data, "SELECT count(*) FROM visits WHERE deleted_at IS NULL") == [(0,)]
    assert [(verb, what) for _, verb, what, _, _ in audit(data)] == [
        ("remove", "desks"),
        ("remove", "desks"),
        ("remove", "slots"),
        ("remove", "visits"),
        ("remove", "visits"),
    ]


def test_a_composite_key_stands_in_the_row(client: As) -> None:
    """Every part of the key is a member of the row; a part alone names nothing."""
    bert = client("bert")
    body = [{"day": 2, "part": "é", "note": "one"}, {"day": 9, "part": "x", "note": None}]
    assert bert.patch("/slots", json=body, headers=ANY).json() == {"items": body}
    answer = bert.patch("/slots", json=[{"day": 1, "note": "x"}, {"note": 3}], headers=ANY)
    assert faults(answer, 422, "body_invalid") == [
        ("/0/part", "required"),
        ("/1/day", "required"),
        ("/1/part", "required"),
        ("/1/note", "type"),
    ]
    twice = [body[0], body[1], {"day": 2, "part": "é"}]
    assert faults(bert.patch("/slots", json=twice, headers=ANY), 422, "body_invalid") == [("/2", "repeated")]


def test_rows_out_of_sight_are_null_and_without_any_other_there_is_no_body(client: As) -> None:
    """As of one row: what the caller may not read afterwards is not shown, in its place stands null."""
    mo = client("mo")
    answer = mo.patch("/rooms", json=[{"id": 1, "seats": 99}, {"id": 2, "seats": 3}], headers=ANY)
    assert (answer.status_code, [row and row["seats"] for row in answer.json()["items"]]) == (200, [None, 3])
    gone = mo.patch("/rooms", json=[{"id": 2, "seats": 60}, {"id": 3, "seats": 60}], headers=ANY)
    assert (gone.status_code, gone.content) == (204, b"")
    made = client("beth").post("/rooms", json=[{"name": "B1", "owner": "b"}, {"name": "B2", "owner": "b"}])
    assert (made.status_code, made.content) == (201, b"")


# None of them ----------------------------------------------------------------------------


def test_all_faults_of_all_rows_are_listed_at_once(client: As, data: Path) -> None:
    """Each at its place; nothing is written, and not even a row that has none."""
    before = written(data)
    body = [{"name": "Fine"}, {"name": 3, "seats": "x"}, {"owner": "cleo"}, 7, None, {"name": "N" * 21}]
    assert faults(client("cleo").post("/rooms", json=body), 422, "body_invalid") == [
        ("/1/name", "type"),
        ("/1/seats", "type"),
        ("/2/name", "required"),
        ("/2/owner", "unknown_field"),
        ("/3", "object"),
        ("/4", "object"),
        ("/5/name", "length"),
    ]
    body = [{"id": 1, "seats": 3}, {"id": "1"}, {"id": 1.5, "owner": "x"}, {}, {"id": 1}, [], {"id": 2**70}]
    assert faults(client("cleo").patch("/rooms", json=body, headers=ANY), 422, "body_invalid") == [
        ("/1/id", "type"),
        ("/2/id", "type"),
        ("/2/owner", "unknown_field"),
        ("/3/id", "required"),
        ("/4/id", "repeated"),
        ("/5/id", "required"),
        ("/5", "object"),
        ("/6/id", "range"),
    ]
    assert written(data) == before


def test_the_list_of_faults_is_bounded(client: As) -> None:
    """However many rows have however many faults."""
    body = [{f"x{index}": 1 for index in range(50)}] * 20
    assert len(faults(client("cleo").post("/rooms", json=body), 422, "body_invalid")) == defaults.MAX_FAULTS


@pytest.mark.parametrize("rows", [0, 21])
def test_the_number_of_rows_is_bounded(client: As, rows: int) -> None:
    """At least one, at most as many as the resource says."""
    cleo = client("cleo")
    assert faults(cleo.post("/rooms", json=[{"name": "A"}] * rows), 422, "body_invalid") == [("", "length")]
    body = [{"id": index} for index in range(rows)]
    assert faults(cleo.patch("/rooms", json=body, headers=ANY), 422, "body_invalid") == [("", "length")]
    keys = ",".join(map(str, range(rows)))
    expected = "value" if rows == 0 else "too_many"
    assert faults(client("bert").delete(f"/rooms?id[in]={keys}"), 400, "query_invalid") == [("#query/id[in]", expected)]


def test_a_change_of_several_rows_is_a_list(client: As) -> None:
    """One object is no list of one: its path is another."""
    answer = client("cleo").patch("/rooms", json={"id": 1, "seats": 3}, headers=ANY)
    assert faults(answer, 422, "body_invalid") == [("", "type")]


def test_missing_and_invisible_rows_are_named_alike(client: As, data: Path) -> None:
    """404 with the place of each, the same bytes whether there is such a row or not; nothing is written."""
    before = written(data)
    cleo = client("cleo")
    problems = []
    for other in (3, 99):
        body = [{"id": 1, "seats": 4}, {"id": other, "seats": 4}, {"id": 98}]
        answer = cleo.patch("/rooms", json=body, headers=ANY)
        assert faults(answer, 404, "not_found") == [("/1", "not_found"), ("/2", "not_found")]
        problems.append({**answer.json(), "request_id": ""})
    assert problems[0] == problems[1]
    removals = []
    for other in (7, 99):
        answer = cleo.delete(f"/desks?id[in]={number(1)},{number(other)}")
        assert faults(answer, 404, "not_found") == [("#query/id[in]/1", "not_found")]
        removals.append({**answer.json(), "request_id": ""})
    assert removals[0] == removals[1]
    assert written(data) == before


def test_the_first_refused_row_gives_the_status_and_each_its_own_word(client: As, data: Path) -> None:
    """One list for all kinds of refusals that come before a row is written."""
    before = written(data)
    body = [{"id": 4, "seats": 101}, {"id": 2, "seats": 3}, {"id": 3, "seats": 3}]
    answer = client("cleo").patch("/rooms", json=body, headers=ANY)
    assert faults(answer, 403, "forbidden") == [("/1", "forbidden"), ("/2", "not_found")]
    made = client("cleo").post(
        "/desks", json=[{"room_id": 3}, {"room_id": 1}, {"room_id": 99, "parent_id": str(number(7))}]
    )
    assert sorted(faults(made, 422, "body_invalid")) == [
        ("/0/room_id", "reference"),
        ("/2/parent_id", "reference"),
        ("/2/room_id", "reference"),
    ]
    assert written(data) == before


def test_nobody_looks_from_a_state_that_no_rule_allows(client: As, data: Path) -> None:
    """Behind a row that would be in a forbidden state no further row is looked at: it would be seen from there."""
    before = written(data)
    body = [{"id": 1, "seats": 50}, {"id": 99, "seats": 4}]
    assert faults(client("cleo").patch("/rooms", json=body, headers=ANY), 403, "state_forbidden") == [
        ("/0", "state_forbidden")
    ]
    made = client("cleo").post("/rooms", json=[{"name": "A"}, {"name": "B", "seats": 50}, {"name": "C", "seats": 60}])
    assert faults(made, 403, "state_forbidden") == [("/1", "state_forbidden")]
    assert written(data) == before


def test_rows_that_exclude_each_other_are_a_conflict(client: As, data: Path) -> None:
    """409 at the later one; a field that the caller may not know of is not named."""
    before = written(data)
    made = client("cleo").post("/rooms", json=[{"name": "A"}, {"name": "B"}, {"name": "A"}, {"name": "C"}])
    assert faults(made, 409, "conflict") == [("/2/name", "taken")]
    changed = client("cleo").patch("/rooms", json=[{"id": 1, "name": "X"}, {"id": 4, "name": "X"}], headers=ANY)
    assert faults(changed, 409, "conflict") == [("/1/name", "taken")]
    unique = client("cleo").post("/desks", json=[{"room_id": 1, "name": "n"}, {"room_id": 4, "name": "n"}])
    assert faults(unique, 409, "conflict") == [("/1", "conflict")]  # region is not hers
    checked = client("cleo").patch("/desks", json=[{"id": str(number(1)), "weight": 1}], headers=ANY)
    assert checked.status_code == 422
    assert written(data) == before


def test_removals_that_others_need_are_refused_together(client: As, data: Path) -> None:
    """409 for rows that others refer to, at their places; rows that go together may go in one request."""
    before = written(data)
    keys = ",".join(str(number(n)) for n in (1, 3, 5))
    answer = client("cleo").delete(f"/desks?id[in]={keys}")
    assert faults(answer, 409, "in_use")[0] == ("#query/id[in]/1", "in_use")
    assert written(data) == before
    assert client("cleo").delete(f"/desks?id[in]={number(8)},{number(6)}").status_code == 204


def test_an_answer_is_bounded_in_bytes(client: As, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows whose answer would be too long are not written: short patches of long rows would give one without end."""
    before = written(data)
    monkeypatch.setattr(defaults, "PAGE_BYTES", 90)
    body = [{"id": 1, "seats": 6}, {"id": 4, "seats": 110}]
    assert faults(client("cleo").patch("/rooms", json=body, headers=ANY), 422, "body_invalid") == [("", "length")]
    assert written(data) == before
    assert client("cleo").patch("/rooms", json=body[:1], headers=ANY).status_code == 200


# Preconditions, keys, freshness ------------------------------------------------------------


def test_a_change_says_which_states_it_means(client: As) -> None:
    """428 without If-Match; with the tags of all rows each must be in one of these states, else 412 at its place."""
    cleo = client("cleo")
    tags = [cleo.get(f"/rooms/{n}").headers["etag"] for n in (1, 4)]
    body = [{"id": 1, "seats": 6}, {"id": 4, "seats": 110}]
    assert cleo.patch("/rooms", json=body).json()["code"] == "precondition_required"
    half = cleo.patch("/rooms", json=body, headers={"if-match": tags[0]})
    assert faults(half, 412, "stale") == [("/1", "stale")]
    weak = cleo.patch("/rooms", json=body, headers={"if-match": f"{tags[0]}, W/{tags[1]}"})
    assert faults(weak, 412, "stale") == [("/1", "stale")]
    assert cleo.patch("/rooms", json=body, headers={"if-match": ", ".join(tags)}).status_code == 200
    again = cleo.patch("/rooms", json=body, headers={"if-match": ", ".join(tags)})
    assert faults(again, 412, "stale") == [("/0", "stale"), ("/1", "stale")]


def test_a_removal_may_say_which_states_it_means(client: As) -> None:
    """412 where a row has another state than one of those listed."""
    cleo = client("cleo")
    tags = [cleo.get(f"/desks/{number(n)}").headers["etag"] for n in (1, 4)]
    path = f"/desks?id[in]={number(1)},{number(4)}"
    assert faults(cleo.delete(path, headers={"if-match": tags[1]}), 412, "stale") == [("#query/id[in]/0", "stale")]
    assert cleo.delete(path, headers={"if-match": ", ".join(tags)}).status_code == 204


@pytest.mark.parametrize(
    ("method", "headers"),
    [("PATCH", {"if-none-match": "*", **ANY}), ("DELETE", {"if-none-match": "*"}), ("POST", {"if-match": '"a"'})],
)
def test_a_precondition_that_is_not_looked_at_is_refused(client: As, method: str, headers: dict[str, str]) -> None:
    """Ignored, the client would believe that it is protected."""
    body = None if method == "DELETE" else [{"name": "A"}]
    answer = client("bert").request(method, "/rooms?id[in]=1" if body is None else "/rooms", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "precondition_malformed")


def test_a_bulk_under_an_idempotency_key_is_carried_out_once(client: As, data: Path) -> None:
    """Sent again it gets the first answer, to the byte; changes and removals take no such key."""
    cleo, once = client("cleo"), {"idempotency-key": '"k1"'}
    body = [{"name": "A"}, {"name": "B"}]
    first = cleo.post("/rooms", json=body, headers=once)
    before = written(data)
    again = cleo.post("/rooms", json=body, headers=once)
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (201, first.content, "true")
    assert cleo.post("/rooms", json=body[:1], headers=once).json()["code"] == "idempotency_key_reused"
    assert cleo.patch("/rooms", json=[{"id": 1}], headers={**once, **ANY}).status_code == 400
    assert cleo.delete("/desks?id[in]=1", headers=once).status_code == 400
    assert written(data) == before


def test_a_bulk_is_fresh_as_a_whole(data: Path) -> None:
    """It needs a timestamp and a nonce, one for all rows, and counts once."""
    with stores.client(api, "cleo", data, Clock(), fresh=False) as cleo:
        stale = [
            cleo.post("/rooms", json=[{"name": "A"}]),
            cleo.patch("/rooms", json=[{"id": 1}], headers=ANY),
            cleo.delete("/desks?id[in]=1"),
        ]
        assert [answer.json()["code"] for answer in stale] == ["freshness_missing"] * 3
        fresh = {"x-request-timestamp": str(int(NOON)), "x-request-nonce": "n" * 20}
        assert cleo.post("/rooms", json=[{"name": "A"}, {"name": "B"}], headers=fresh).status_code == 201
        assert cleo.post("/rooms", json=[{"name": "C"}], headers=fresh).json()["code"] == "nonce_reused"


# By keys alone ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/rooms", [("#query/id", "required")]),
        ("/rooms?name=North", [("#query/name", "not_a_key")]),
        ("/rooms?id[in]=1&name=North", [("#query/name", "not_a_key")]),
        ("/rooms?nothing=1", [("#query/nothing", "not_a_key")]),
        ("/rooms?id[gt]=0", [("#query/id[gt]", "not_a_key")]),
        ("/rooms?id[ne]=1", [("#query/id[ne]", "not_a_key")]),
        ("/rooms?id[isnull]=false", [("#query/id[isnull]", "not_a_key")]),
        ("/rooms?id[in]=1&limit=1", [("#query/limit", "reserved")]),
        ("/rooms?id=1&id[in]=2", [("#query/id[in]", "repeated")]),
        ("/rooms?id[in]=1&id[in]=2", [("#query/id[in]", "repeated")]),
        ("/rooms?id[in]=1,2,1", [("#query/id[in]", "repeated")]),
        ("/rooms?id[in]=1,x,y", [("#query/id[in]", "value"), ("#query/id[in]", "value")]),
        ("/slots?day=1", [("#query/part", "required")]),
        ("/slots?day[in]=1,2&part[in]=x,y", [("#query", "too_many")]),
    ],
)
def test_rows_are_removed_by_nothing_but_keys(client: As, data: Path, path: str, expected: list[Any]) -> None:
    """A filter, a condition, a part of a key, or nothing at all removes nothing."""
    before = written(data)
    assert faults(client("bert").delete(path), 400, "query_invalid") == expected
    assert written(data) == before


def test_a_removal_takes_no_body(client: As) -> None:
    """Keys stand in the query; a body has no meaning there and is refused."""
    answer = client("bert").request("DELETE", "/rooms?id[in]=1", json=[1])
    assert answer.json()["code"] == "body_unexpected"


# Who may ---------------------------------------------------------------------------------


def test_the_rights_are_those_of_single_writes(client: As, data: Path) -> None:
    """Who may not change or remove one row may not do so with several; Allow says what is left."""
    before = written(data)
    vera = client("vera")
    answers = [
        vera.post("/rooms", json=[{"name": "A"}]),
        vera.patch("/rooms", json=[{"id": 1}], headers=ANY),
        vera.delete("/rooms?id[in]=1"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "forbidden")] * 3
    assert vera.request("PUT", "/rooms", json=[]).headers["allow"] == "GET"
    assert client("bert").request("PUT", "/rooms", json=[]).headers["allow"] == "GET, POST, PATCH, DELETE"
    assert client("cleo").patch("/rooms", json=[{"id": 1, "owner": "x"}], headers=ANY).status_code == 422
    assert written(data) == before


def test_there_is_no_bulk_where_none_was_declared(client: As) -> None:
    """Closed until opened: a list is no row, and the collection has no further method."""
    bert = client("bert")
    assert faults(bert.post("/drawers", json=[{"desk_id": str(number(1))}]), 422, "body_invalid") == [("", "object")]
    for answer in (bert.patch("/drawers", json=[{"id": 1}], headers=ANY), bert.delete("/drawers?id[in]=1")):
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


# At the same time --------------------------------------------------------------------------


def test_bulks_that_want_the_same_rows_come_one_after_the_other(client: As, data: Path) -> None:
    """In whatever order each names them: none is lost, none is half done, and nobody waits for ever."""
    bert = client("bert")

    def send(turn: int) -> int:
        body = [{"id": room, "seats": 100 + turn} for room in ((1, 2, 3, 4) if turn % 2 else (4, 3, 2, 1))]
        return bert.patch("/rooms", json=body, headers=ANY).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(send, range(8))) == {200}
    assert len(stores.rows(data, "SELECT DISTINCT seats FROM rooms")) == 1
    assert len(audit(data)) == 32


@pytest.mark.stores("postgresql")
def test_rows_out_of_sight_are_not_locked(client: As, data: Path) -> None:
    """Else a caller could hold up others at rows that it cannot see, and tell by the wait that somebody is at work there."""
    server, name = stores.server(), stores.name_of(stores.database_of(data) or "")

    async def held(work: Callable[[], Answer]) -> Answer:
        connection = await server.connect(name)
        try:
            async with connection.transaction():
                await connection.execute("SELECT 1 FROM rooms WHERE id = 3 FOR UPDATE")
                return await asyncio.wait_for(asyncio.to_thread(work), 5)
        finally:
            await connection.close()

    body = [{"id": 1, "seats": 4}, {"id": 3, "seats": 4}]
    answer = server.wait(held(lambda: client("cleo").patch("/rooms", json=body, headers=ANY)))
    assert faults(answer, 404, "not_found") == [("/1", "not_found")]
