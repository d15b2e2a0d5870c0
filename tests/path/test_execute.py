"""Stage 6 through the whole path, on SQLite: rows read and written under the rules."""

from __future__ import annotations

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
from vallum.testing import Answer, Client

As = Callable[[str], Client]

pytestmark = pytest.mark.stores("sqlite", "postgresql")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("works") / "data"
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


def rows(data: Path, text: str) -> list[Any]:
    """What the file holds, read past everything."""
    return stores.rows(data, text)


def audit(data: Path) -> list[Any]:
    """Who did what to which row, and the fields."""
    found = rows(data, "SELECT principal, verb, resource, row_key, fields FROM vallum_audit ORDER BY id")
    return [(who, verb, what, json.loads(key), json.loads(fields)) for who, verb, what, key, fields in found]


def refused(answer: Answer, status: int, code: str) -> Any:
    """The problem document, without what differs from one request to the next."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return {**answer.json(), "request_id": ""}


def faults(answer: Answer, status: int, code: str) -> set[tuple[str, str]]:
    """Pointer and code of each fault."""
    return {(f["pointer"], f["code"]) for f in refused(answer, status, code).get("errors", [])}


ANY = {"if-match": "*"}


def desk(n: int) -> str:
    """The path of a desk."""
    return f"/desks/{number(n)}"


# Reading --------------------------------------------------------------------------------


def test_a_list_shows_the_rows_and_fields_of_the_rules(client: As) -> None:
    """A clerk sees their own rooms without their code; the viewer sees all of everything."""
    assert client("cleo").get("/rooms").json()["items"] == [
        {"id": 1, "name": "North", "owner": "cleo", "seats": 5},
        {"id": 2, "name": "South", "owner": "cleo", "seats": 20},
        {"id": 4, "name": "West", "owner": "cleo", "seats": 100},
    ]
    assert [(r["id"], r["code"]) for r in client("vera").get("/rooms").json()["items"]] == [
        (1, "n"),
        (2, None),
        (3, "e"),
        (4, None),
    ]


def test_an_entity_tag_is_strong_and_of_the_whole_representation(client: As) -> None:
    """`fields` does not change it, another caller's view does, and a change of a field that is not asked for does."""
    cleo = client("cleo")
    whole, part = cleo.get("/rooms/1"), cleo.get("/rooms/1?fields=id")
    tag = whole.headers["etag"]
    assert len(tag) == 34
    assert (tag[0], tag[-1]) == ('"', '"')
    assert part.headers["etag"] == tag
    assert client("vera").get("/rooms/1").headers["etag"] != tag
    changed = cleo.patch("/rooms/1", json={"seats": 6}, headers={"if-match": tag})
    assert changed.status_code == 200
    assert cleo.get("/rooms/1?fields=id").headers["etag"] == changed.headers["etag"] != tag


def test_a_change_of_what_a_caller_cannot_see_keeps_the_tag(client: As) -> None:
    """The tag is of what this caller may read: the boss's change of a hidden field does not show."""
    tag = client("cleo").get("/rooms/1").headers["etag"]
    assert client("bert").patch("/rooms/1", json={"code": "new"}, headers=ANY).status_code == 200
    assert client("cleo").get("/rooms/1").headers["etag"] == tag


def test_if_none_match(client: As) -> None:
    """The same tag, one of several, or `*` is a 304 with the tag and without a body; another one is the row."""
    cleo = client("cleo")
    tag = cleo.get("/rooms/1").headers["etag"]
    for value in (tag, f'"x", {tag}', "*", f"W/{tag}"):
        answer = cleo.get("/rooms/1", headers={"if-none-match": value})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert cleo.get("/rooms/1", headers={"if-none-match": '"x"'}).status_code == 200
    refused(cleo.get("/rooms/3", headers={"if-none-match": "*"}), 404, "not_found")


def test_composite_and_unusual_keys(client: As) -> None:
    """Parts of a key are separated by a comma; what is itself a comma is encoded; a UUID is read in either case."""
    boss = client("bert")
    assert boss.get("/slots/1,a%2Cb").status_code == 404
    made = boss.post("/slots", json={"day": 3, "part": "b,c"})
    assert made.headers["location"] == "https://testserver/slots/3,b%2Cc"
    assert boss.get("/slots/3,b%2Cc").json() == made.json()
    refused(boss.get("/slots/3"), 404, "not_found")
    refused(boss.get("/slots/3,b,c"), 404, "not_found")
    assert client("cleo").get(f"/desks/{str(number(2**100)).upper()}").status_code == 404
    assert client("cleo").get(desk(1).upper().replace("DESKS", "desks")).status_code == 200


@pytest.mark.parametrize("part", ["a/b", "a\\b", "..", ".", "", "a\u200bb", "\x80"])
def test_a_row_that_no_path_could_name_is_not_made(client: As, part: str) -> None:
    """It could never be read, changed or removed by its own address."""
    boss = client("bert")
    answer = boss.post("/slots", json={"day": 3, "part": part})
    refused(answer, 422, "body_invalid")
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [("/part", "format")]


# Creating -------------------------------------------------------------------------------


def test_a_create(client: As, data: Path) -> None:
    """201 with the row, its place and its tag; what the server writes, it writes; the audit has a row."""
    cleo = client("cleo")
    answer = cleo.post("/rooms", json={"name": "New"})
    assert answer.status_code == 201
    assert answer.json() == {"id": 5, "name": "New", "owner": "cleo", "seats": 5}
    assert answer.headers["location"] == "https://testserver/rooms/5"
    found = cleo.get("/rooms/5")
    assert (found.content, found.headers["etag"]) == (answer.content, answer.headers["etag"])
    assert audit(data) == [("cleo", "create", "rooms", {"id": 5}, ["name"])]


def test_defaults_of_each_kind(client: As) -> None:
    """Python's function and value, SQL's expression and the server's default: all are in the new row; `set=` too."""
    cleo = client("cleo")
    row = cleo.post("/desks", json={"room_id": 1}).json()
    assert (row["weight"], row["low"], row["length"]) == (10, 3, 4)
    assert (row["made"], row["changed"]) == ("2026-05-01T08:30:00Z", None)
    assert (row["author"], row["written"]) == ("cleo", "2027-01-15T12:00:00Z")
    again = cleo.post("/desks", json={"room_id": 1, "weight": 20, "low": 4}).json()
    assert (again["weight"], again["low"]) == (20, 4)
    assert row["id"] != again["id"]
    changed = cleo.patch(f"/desks/{row['id']}", json={"weight": 11}, headers=ANY).json()
    assert changed == {**row, "weight": 11, "changed": "2026-06-01T08:30:00Z"}


def test_what_a_rule_writes_stands_only_where_it_holds(client: As, data: Path) -> None:
    """Two rules that write the same columns: each row has what the rule wrote that allows it, in one row."""
    cora = client("cora")
    made = [cora.post("/notices", json={"room_id": room}).json() for room in (4, 1)]
    assert [(row["approved"], row["author"]) for row in made] == [(True, "cora"), (False, "boss")]
    assert cora.post("/notices", json={"room_id": 1, "text": "x"}).json()["approved"] is False
    assert cora.post("/notices", json={"room_id": 1, "text": "no"}).status_code == 403
    assert client("cleo").post("/notices", json={"room_id": 1}).status_code == 403
    assert client("cleo").post("/notices", json={"room_id": 4}).json()["approved"] is True
    assert len(rows(data, "SELECT * FROM notices")) == 4
    assert len(rows(data, "SELECT * FROM vallum_audit WHERE resource = 'notices'")) == 4


def test_what_the_server_writes_is_not_the_clients(client: As) -> None:
    """A field of `set=` in the body is an unknown one, also on a change."""
    assert faults(client("cleo").post("/rooms", json={"name": "N", "owner": "carl"}), 422, "body_invalid") == {
        ("/owner", "unknown_field")
    }
    assert faults(client("cleo").patch(desk(1), json={"author": "x"}, headers=ANY), 422, "body_invalid") == {
        ("/author", "unknown_field")
    }


def test_a_create_whose_row_no_rule_allows(client: As, data: Path) -> None:
    """403, and nothing is written: neither the row nor an audit row."""
    refused(client("cleo").post("/rooms", json={"name": "Hall", "seats": 11}), 403, "state_forbidden")
    assert rows(data, "SELECT count(*) FROM rooms") == [(4,)]
    assert audit(data) == []


def test_a_create_that_its_caller_may_not_read(client: As, data: Path) -> None:
    """201 without body and tag; the row is there."""
    answer = client("beth").post("/rooms", json={"name": "Blind", "owner": "carl"})
    assert (answer.status_code, answer.content) == (201, b"")
    assert "etag" not in answer.headers
    assert rows(data, "SELECT owner FROM rooms WHERE name = 'Blind'") == [("carl",)]
    assert audit(data)[-1][:3] == ("beth", "create", "rooms")


# Changing -------------------------------------------------------------------------------


def test_preconditions_of_a_change(client: As) -> None:
    """The present tag, one of several, or `*` changes the row; a stale one does not."""
    cleo = client("cleo")
    tag = cleo.get("/rooms/1").headers["etag"]
    second = cleo.patch("/rooms/1", json={"seats": 6}, headers={"if-match": f'"x", {tag}'})
    assert second.json()["seats"] == 6
    refused(cleo.patch("/rooms/1", json={"seats": 7}, headers={"if-match": tag}), 412, "stale")
    assert cleo.get("/rooms/1").json()["seats"] == 6
    assert cleo.patch("/rooms/1", json={"seats": 7}, headers=ANY).json()["seats"] == 7


def test_the_order_of_refusals(client: As, data: Path) -> None:
    """Unreadable 404, not allowed 403, stale 412, a faulty reference 422, the new state 403: the first one speaks."""
    cleo = client("cleo")
    everything = {"room_id": 3, "number": 7}
    stale = {"if-match": '"stale"'}
    refused(cleo.patch(desk(7), json=everything, headers=stale), 404, "not_found")
    assert client("bert").patch(desk(1), json={"weight": 91}, headers=ANY).status_code == 200
    refused(cleo.patch(desk(1), json=everything, headers=stale), 403, "forbidden")
    refused(cleo.patch(desk(2), json=everything, headers=stale), 412, "stale")
    assert faults(cleo.patch(desk(2), json=everything, headers=ANY), 422, "body_invalid") == {("/room_id", "reference")}
    refused(cleo.patch(desk(2), json={"weight": 91, "number": 50}, headers=ANY), 403, "state_forbidden")
    assert rows(data, "SELECT room_id, weight, number FROM desks WHERE name = 'open'") == [(1, 10, 2)]
    assert [(who, verb) for who, verb, *_ in audit(data)] == [("bert", "change")]


def test_a_rule_on_update_holds_before_and_after(client: As, data: Path) -> None:
    """Before: 403. After: 403 and nothing written. One and the same rule: two do not add up."""
    cleo = client("cleo")
    refused(cleo.patch("/rooms/2", json={"seats": 5}, headers=ANY), 403, "forbidden")
    refused(cleo.patch("/rooms/1", json={"seats": 11}, headers=ANY), 403, "state_forbidden")
    refused(cleo.patch("/rooms/1", json={"seats": 100}, headers=ANY), 403, "state_forbidden")
    refused(cleo.patch("/rooms/4", json={"seats": 10}, headers=ANY), 403, "state_forbidden")
    assert rows(data, "SELECT seats FROM rooms ORDER BY id") == [(5,), (20,), (5,), (100,)]
    assert audit(data) == []
    assert cleo.patch("/rooms/4", json={"seats": 101}, headers=ANY).status_code == 200


def test_a_change_out_of_sight(client: As, data: Path) -> None:
    """204 when its caller may not read the new state; then the row is missing to it."""
    answer = client("mo").patch("/rooms/1", json={"seats": 60}, headers=ANY)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "etag" not in answer.headers
    assert rows(data, "SELECT seats FROM rooms WHERE id = 1") == [(60,)]
    refused(client("mo").patch("/rooms/1", json={"seats": 5}, headers=ANY), 404, "not_found")


def test_who_may_never_change_is_told_so(client: As) -> None:
    """A role without any rule for it: 403 for a row that is there, for one that is not, and before any fault."""
    for path in ("/rooms/1", "/rooms/99", "/rooms/x"):
        refused(client("vera").patch(path, json={"nope": 1}), 403, "forbidden")
        refused(client("vera").delete(path), 403, "forbidden")


# Invisible and missing ------------------------------------------------------------------


def test_invisible_and_missing_rows_are_alike(client: As, statements: list[str]) -> None:
    """The same bytes but for the request's id, after the same statements, for reading, changing and removing."""
    cleo = client("cleo")
    cleo.get("/rooms/1")

    def ask(path: str) -> list[tuple[Any, list[str], list[str]]]:
        found = []
        for method, body, headers in (("GET", None, {}), ("PATCH", {"name": "x"}, ANY), ("DELETE", None, {})):
            if (method, path[:6]) == ("DELETE", "/rooms"):
                continue
            statements.clear()
            answer = cleo.request(method, path, json=body, headers=headers)
            names = sorted(set(answer.headers) - {"x-request-id", "ratelimit"})
            found.append((refused(answer, 404, "not_found"), names, list(statements)))
        return found

    assert ask("/rooms/3") == ask("/rooms/99")
    hidden = ask(desk(7))
    assert hidden == ask(desk(77))
    assert all(found for _, _, found in hidden)


def test_a_reference_to_an_invisible_row_is_one_to_a_missing_row(client: As, statements: list[str]) -> None:
    """The same 422 after the same statements: in a create, in a change, to another table and to its own one."""
    cleo = client("cleo")

    cleo.get("/rooms/1")

    def ask(room: int, other: int) -> list[tuple[Any, list[str]]]:
        found = []
        for method, path, body in (
            ("POST", "/desks", {"room_id": room, "parent_id": str(number(other))}),
            ("PATCH", desk(1), {"room_id": room}),
            ("PATCH", desk(1), {"parent_id": str(number(other))}),
        ):
            statements.clear()
            answer = cleo.request(method, path, json=body, headers=ANY)
            found.append((refused(answer, 422, "body_invalid"), list(statements)))
        return found

    hidden = ask(3, 7)
    assert hidden == ask(99, 77)
    assert {e["pointer"] for e in hidden[0][0]["errors"]} == {"/room_id", "/parent_id"}


def test_references(client: As, data: Path) -> None:
    """To a readable row, to its own row, to none; a composite one is checked as a whole, also where half changes."""
    cleo = client("cleo")
    assert cleo.patch(desk(1), json={"parent_id": str(number(2))}, headers=ANY).status_code == 200
    assert cleo.patch(desk(1), json={"parent_id": str(number(1))}, headers=ANY).status_code == 200
    assert cleo.patch(desk(1), json={"parent_id": None}, headers=ANY).status_code == 200
    assert cleo.post("/visits", json={"day": 2, "part": "é"}).status_code == 201
    assert cleo.post("/visits", json={"day": 2}).status_code == 201
    for body, named in (({"day": 2, "part": "x"}, {"/day", "/part"}), ({"day": 9, "part": "x"}, {"/day", "/part"})):
        assert {p for p, _ in faults(cleo.post("/visits", json=body), 422, "body_invalid")} == named
    assert faults(cleo.patch("/visits/1", json={"day": 2}, headers=ANY), 422, "body_invalid") == {("/day", "reference")}
    assert cleo.patch("/visits/1", json={"day": None}, headers=ANY).status_code == 200
    assert client("bert").post("/visits", json={"day": 9, "part": "x"}).status_code == 201


# Constraints ----------------------------------------------------------------------------


def test_a_unique_value_names_what_the_caller_may_know(client: As) -> None:
    """Fields that it reads or writes are named; when one of them is hidden, none is."""
    cleo, boss, beth = client("cleo"), client("bert"), client("beth")
    assert faults(cleo.post("/rooms", json={"name": "East"}), 409, "conflict") == {("/name", "taken")}
    assert faults(beth.post("/rooms", json={"name": "B", "owner": "x", "code": "n"}), 409, "conflict") == {
        ("/code", "taken")
    }
    pair = {("/room_id", "taken"), ("/number", "taken")}
    assert faults(cleo.post("/desks", json={"room_id": 1, "number": 2}), 409, "conflict") == pair
    assert faults(cleo.patch(desk(1), json={"number": 2}, headers=ANY), 409, "conflict") == pair
    assert faults(cleo.patch(desk(1), json={"name": "carls"}, headers=ANY), 409, "conflict") == set()
    assert faults(boss.patch(desk(1), json={"name": "carls"}, headers=ANY), 409, "conflict") == {
        ("/name", "taken"),
        ("/region", "taken"),
    }
    assert faults(boss.post("/slots", json={"day": 9, "part": "x"}), 409, "conflict") == {
        ("/day", "taken"),
        ("/part", "taken"),
    }


def test_a_check_of_several_fields(client: As, data: Path) -> None:
    """A violated check of the table is a 422 and nothing is written."""
    cleo = client("cleo")
    for answer in (
        cleo.post("/desks", json={"room_id": 1, "weight": 3}),
        cleo.patch(desk(1), json={"low": 10}, headers=ANY),
    ):
        assert {code for _, code in faults(answer, 422, "body_invalid")} == {"check"}
        assert "order" not in answer.text
    assert rows(data, "SELECT count(*), max(low) FROM desks") == [(8, 3)]
    assert audit(data) == []


def test_a_check_of_one_field(client: As) -> None:
    """It is reported on that field, whether it can be read as bounds or only the database understands it."""
    cleo = client("cleo")
    for answer, code in (
        (cleo.post("/desks", json={"room_id": 1, "height": 59}), "range"),
        (cleo.patch(desk(1), json={"height": 121}, headers=ANY), "range"),
        (cleo.post("/desks", json={"room_id": 1, "depth": 61}), "check"),
        (cleo.patch(desk(1), json={"depth": 61}, headers=ANY), "check"),
    ):
        pointer = "/height" if code == "range" else "/depth"
        assert faults(answer, 422, "body_invalid") == {(pointer, code)}
    assert cleo.patch(desk(1), json={"height": 60, "depth": 60}, headers=ANY).status_code == 200


# Removing -------------------------------------------------------------------------------


def test_a_removal(client: As, data: Path) -> None:
    """204, and the row is gone; a second one finds nothing. If-Match is honoured, not required."""
    cleo = client("cleo")
    tag = cleo.get(desk(1)).headers["etag"]
    refused(cleo.delete(desk(1), headers={"if-match": '"stale"'}), 412, "stale")
    answer = cleo.delete(desk(1), headers={"if-match": tag})
    assert (answer.status_code, answer.content) == (204, b"")
    refused(cleo.delete(desk(1)), 404, "not_found")
    assert audit(data) == [("cleo", "remove", "desks", {"id": str(number(1))}, [])]


def test_children_of_a_removed_row(client: As, data: Path) -> None:
    """They go by a declared cascade or by the caller's own right to remove each of them; else 409 and all stays."""
    cleo = client("cleo")
    assert cleo.delete(desk(2)).status_code == 204  # an unlocked drawer
    assert cleo.delete(desk(4)).status_code == 204  # a label, by the cascade
    for kept in (3, 5, 6):  # a locked drawer, a lamp that restricts, a desk beside it
        refused(cleo.delete(desk(kept)), 409, "in_use")
    assert rows(data, "SELECT id FROM drawers") == [(2,), (3,)]
    assert rows(data, "SELECT id FROM labels") == []
    assert rows(data, "SELECT count(*) FROM desks") == [(6,)]
    assert client("bert").delete(desk(3)).status_code == 204
    refused(client("bert").delete("/rooms/1"), 409, "in_use")


def test_a_soft_removal(client: As, data: Path) -> None:
    """The row stays, with the time of its removal, and exists for nobody; the field is nobody's to write."""
    cleo = client("cleo")
    assert faults(cleo.patch("/visits/1", json={"deleted_at": None}, headers=ANY), 422, "body_invalid") == {
        ("/deleted_at", "unknown_field")
    }
    assert cleo.delete("/visits/1").status_code == 204
    ((removed,),) = rows(data, "SELECT deleted_at FROM visits WHERE id = 1")
    assert str(removed).startswith("2027-01-15 12:00:00")
    for caller in ("cleo", "bert"):
        refused(client(caller).get("/visits/1"), 404, "not_found")
        refused(client(caller).delete("/visits/1"), 404, "not_found")
        refused(client(caller).patch("/visits/1", json={}, headers=ANY), 404, "not_found")
        assert [row["id"] for row in client(caller).get("/visits").json()["items"]] == [2]


# Audit ----------------------------------------------------------------------------------


def test_the_audit_row_has_the_tags_of_before_and_after(client: As, data: Path) -> None:
    """Those that the caller saw, with the id of the request."""
    cleo = client("cleo")
    before = cleo.get("/rooms/1").headers["etag"]
    answer = cleo.patch("/rooms/1", json={"seats": 6, "name": "N"}, headers=ANY)
    found = rows(data, "SELECT request_id, at, fields, before, after FROM vallum_audit")
    tags = (before.strip('"'), answer.headers["etag"].strip('"'))
    assert found == [(answer.headers["x-request-id"], NOON, '["name", "seats"]', *tags)]


def test_no_write_without_its_audit_row(client: As, data: Path) -> None:
    """When the audit row cannot be written, nothing is: they share one transaction."""
    cleo = client("cleo")
    before = rows(data, "SELECT * FROM rooms"), rows(data, "SELECT * FROM desks")
    rows(data, "ALTER TABLE vallum_audit RENAME TO gone")
    for method, path, body in (
        ("POST", "/rooms", {"name": "New"}),
        ("PATCH", "/rooms/1", {"seats": 6}),
        ("DELETE", desk(1), None),
    ):
        with pytest.raises(Exception, match=r"vallum_audit"):
            cleo.request(method, path, json=body, headers=ANY)
    assert (rows(data, "SELECT * FROM rooms"), rows(data, "SELECT * FROM desks")) == before


# At the same time -----------------------------------------------------------------------


def test_changes_at_the_same_time(client: As, data: Path) -> None:
    """Of many changes with one tag, one is made and all others are stale."""
    cleo = client("cleo")
    tag = cleo.get("/rooms/1").headers["etag"]

    def change(n: int) -> int:
        return cleo.patch("/rooms/1", json={"name": f"N{n}"}, headers={"if-match": tag}).status_code

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(change, range(24))) == [200] + [412] * 23
    assert len(audit(data)) == 1


def test_creates_at_the_same_time(client: As, data: Path) -> None:
    """Of many rows with one unique value, one is made and all others conflict."""
    cleo = client("cleo")
    assert cleo.token

    def create(_: int) -> int:
        return cleo.post("/rooms", json={"name": "Same"}).status_code

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(create, range(24))) == [201] + [409] * 23
    assert rows(data, "SELECT count(*) FROM rooms WHERE name = 'Same'") == [(1,)]
    assert len(audit(data)) == 1
