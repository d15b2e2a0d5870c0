"""Actions and endpoints through the whole path: the author's code inside the rules and the transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any, Final

import pytest
from sqlalchemy import delete, exists, func, insert, select, text, union, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased, joinedload, lazyload, selectinload, subqueryload
from tests.path.deeds import DEEDS, HIDDEN, api
from tests.path.small import NOON, Clock
from tests.path.works import Base, Desk, Drawer, Notice, Room, Slot, number, seed

from tests import stores
from vallum import Call, Conflict
from vallum.refusals import Refusal
from vallum.store.ports import Violation
from vallum.testing import Answer, Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

As = Callable[[str], Client]

ROOMS: Final = Base.metadata.tables["rooms"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("deeds") / "data"
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
    DEEDS.clear()


def rows(data: Path, statement: str) -> list[Any]:
    """What the file holds, read past everything."""
    return stores.rows(data, statement)


def audit(data: Path) -> list[Any]:
    """Verb, resource, key and note."""
    found = rows(data, "SELECT verb, resource, row_key, note FROM vallum_audit ORDER BY id")
    return [(verb, what, None if key is None else json.loads(key), note) for verb, what, key, note in found]


def refused(answer: Answer, status: int, code: str) -> Any:
    """The problem document, without what differs from one request to the next."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return {**answer.json(), "request_id": ""}


def acted(client: Client, deed: Callable[[Call, Room], Any], room: Any = 1) -> Answer:
    """The answer of `deed` as an action on a room."""
    DEEDS[deed.__name__] = deed
    return client.post(f"/rooms/{room}/do", json={"deed": deed.__name__})


def done(client: Client, deed: Callable[[Call], Any]) -> Answer:
    """The answer of `deed` as an endpoint."""
    DEEDS[deed.__name__] = deed
    return client.post("/do", json={"deed": deed.__name__})


def awaited(client: Client, deed: Callable[[Call], Any]) -> Answer:
    """The answer of an async `deed`."""
    DEEDS[deed.__name__] = deed
    return client.post("/wait", json={"deed": deed.__name__})


def rename(call: Call, room: Room) -> Room:
    """Change the row."""
    room.name = "Renamed"
    return room


# The row --------------------------------------------------------------------------------


def test_an_action_changes_its_row(client: As, data: Path) -> None:
    """Its answer is the row as the caller reads it, with the tag that a GET gives; the audit has act and change."""
    cleo = client("cleo")
    answer = acted(cleo, rename)
    assert answer.json() == {"id": 1, "name": "Renamed", "owner": "cleo", "seats": 5}
    found = cleo.get("/rooms/1")
    assert (found.content, found.headers["etag"]) == (answer.content, answer.headers["etag"])
    assert audit(data) == [("act", "/rooms/{id}/do", {"id": 1}, None), ("change", "rooms", {"id": 1}, None)]


def test_the_row_is_found_under_the_rules(client: As, data: Path) -> None:
    """Unreadable and missing are one 404; readable and not within the action's rule is 403; without a role, 403."""
    cleo = client("cleo")
    missing = refused(acted(cleo, rename, 99), 404, "not_found")
    assert refused(acted(cleo, rename, 3), 404, "not_found") == missing
    assert refused(acted(cleo, rename, "x"), 404, "not_found") == missing
    refused(acted(cleo, rename, 2), 403, "forbidden")
    refused(acted(client("gwen"), rename, 1), 403, "forbidden")
    assert acted(client("bert"), rename, 2).status_code == 200
    assert rows(data, "SELECT id FROM rooms WHERE name = 'Renamed'") == [(2,)]


def test_faults_of_a_body(client: As) -> None:
    """All at once, with pointers; unknown members and numbers in quotes are faults; malformed JSON is 400."""
    cleo = client("cleo")
    for path in ("/rooms/1/do", "/do", "/wait"):
        answer = cleo.post(path, json={"count": "1", "nope": 1})
        assert {(f["pointer"], f["code"]) for f in refused(answer, 422, "body_invalid")["errors"]} == {
            ("/deed", "required"),
            ("/count", "type"),
            ("/nope", "unknown_field"),
        }
        refused(cleo.post(path), 400, "body_malformed")
        answer = cleo.post(path, json={"deed": "x", "count": 11})
        assert [f["pointer"] for f in refused(answer, 422, "body_invalid")["errors"]] == ["/count"]


# The transaction ------------------------------------------------------------------------


def test_a_conflict_undoes_everything(client: As, data: Path) -> None:
    """409 with the author's sentence; what was flushed or even committed before it is not written, nor an audit row."""

    def give_up(call: Call, room: Room) -> None:
        room.name = "Never"
        call.db.commit()
        call.db.add(Room(name="Nowhere", owner="cleo"))
        call.db.flush()
        raise Conflict("The room is taken.")

    answer = acted(client("cleo"), give_up)
    assert refused(answer, 409, "action_conflict")["detail"] == "The room is taken."
    assert rows(data, "SELECT count(*) FROM rooms WHERE name LIKE 'N%w%' OR name = 'Never'") == [(0,)]
    assert audit(data) == []


def test_an_exception_undoes_everything(client: As, data: Path) -> None:
    """A 500 without a word of what happened, and nothing is written: not what was committed, not the audit."""

    def fail(call: Call, room: Room) -> None:
        room.name = "Never"
        call.db.commit()
        call.create(Room, {"name": "Nowhere"})
        call.unrestricted("why").add(Room(name="Else", owner="x"))
        raise ZeroDivisionError("secret words")

    before = rows(data, "SELECT * FROM rooms")
    with pytest.raises(ZeroDivisionError):
        acted(client("cleo"), fail)
    assert rows(data, "SELECT * FROM rooms") == before
    assert audit(data) == []


def test_a_commit_ends_a_savepoint_only(client: As, data: Path) -> None:
    """After a commit the handler goes on, and a rollback undoes what came after the commit."""

    def halves(call: Call, room: Room) -> Room:
        room.name = "Kept"
        call.db.commit()
        room.name = "Undone"
        call.db.flush()
        call.db.rollback()
        return room

    assert acted(client("cleo"), halves).json()["name"] == "Kept"
    assert rows(data, "SELECT name FROM rooms WHERE id = 1") == [("Kept",)]


def test_a_violated_constraint_is_a_409(client: As, data: Path) -> None:
    """Not a 500: a unique value is a conflict, any other constraint a state in which it is not possible."""

    def twice(call: Call) -> None:
        call.db.add(Room(name="East", owner="cleo"))

    def dangling(call: Call) -> None:
        call.db.add(Desk(room_id=99, author="cleo"))
        call.db.flush()

    def light(call: Call) -> None:
        call.db.add(Desk(room_id=1, author="cleo", weight=1))

    cleo = client("cleo")
    assert "errors" not in refused(done(cleo, twice), 409, "conflict")
    refused(done(cleo, dangling), 409, "action_conflict")
    refused(done(cleo, light), 409, "action_conflict")
    assert audit(data) == []


def test_a_column_that_the_author_left_out_is_a_500(client: As) -> None:
    """No state of the data, and nothing that a client could mend: it is an error of the program, and in its log."""

    def unnamed(call: Call) -> None:
        call.db.add(Room(owner="cleo"))

    with pytest.raises(Violation, match="not_null rooms name"):
        done(client("cleo"), unnamed)


def test_a_handler_may_handle_a_violation_itself(client: As) -> None:
    """In a savepoint of its own."""

    def careful(call: Call) -> dict[str, bool]:
        try:
            with call.db.begin_nested():
                call.db.add(Room(name="East", owner="cleo"))
        except IntegrityError:
            return {"taken": True}
        return {"taken": False}

    assert done(client("cleo"), careful).json() == {"taken": True}


# call.db --------------------------------------------------------------------------------


def names(found: Any) -> list[str]:
    """Sorted names of rooms."""
    return sorted(room.name for room in found)


def test_a_session_sees_what_the_caller_may_read(client: As) -> None:
    """Entities, columns, aliases, joins, counts, subqueries, unions, get and relationships: never another's room."""

    def look(call: Call) -> dict[str, Any]:
        db, other = call.db, aliased(Room)
        return {
            "all": names(db.scalars(select(Room)).all()),
            "columns": sorted(db.scalars(select(Room.name)).all()),
            "composite": [(slot.day, slot.part) for slot in db.scalars(select(Slot))],
            "alias": names(db.scalars(select(other)).all()),
            "count": db.scalar(select(func.count()).select_from(Room)),
            "get": [db.get(Room, 3), db.get(Desk, number(7))],
            "query": names(db.query(Room).all()),
            "join": db.scalars(select(Desk.name).join(Desk.room).where(Room.id == 3)).all(),
            "exists": db.scalar(select(Room.id).where(Room.id == 1, exists(select(Desk.id).where(Desk.room_id == 3)))),
            "subquery": db.scalars(
                select(Room.id).where(
                    Room.id == 1, select(func.count(Desk.id)).where(Desk.room_id == 3).scalar_subquery() > 0
                )
            ).all(),
            "from": db.scalar(select(func.count()).select_from(select(Room.id).subquery())),
            "union": sorted(db.scalars(union(select(Room.name), select(other.name))).all()),
            "in": names(db.scalars(select(Room).where(Room.id.in_(select(Desk.room_id)))).all()),
        }

    mine = ["North", "South", "West"]
    assert done(client("cleo"), look).json() == {
        "all": mine,
        "columns": mine,
        "composite": [[2, "é"]],
        "alias": mine,
        "count": 3,
        "get": [None, None],
        "query": mine,
        "join": [],
        "exists": None,
        "subquery": [],
        "from": 3,
        "union": mine,
        "in": ["North"],
    }


def test_relationships_are_loaded_under_the_rules(client: As) -> None:
    """From a row that was found, and from one that the handler itself made: an invisible room is not there."""

    def follow(call: Call) -> list[Any]:
        mine = Desk(room_id=3, author="cleo")
        room = Room(name="Own", owner="cleo")
        call.db.add_all([mine, room])
        call.db.flush()
        found = call.db.get(Room, 1)
        return [mine.room is None, found and sorted(d.name or "" for d in found.desks)[:2], room.desks]

    assert done(client("cleo"), follow).json() == [True, ["child", "empty"], []]


def test_eager_loads_are_under_the_rules(client: As) -> None:
    """Whichever way a relationship is loaded; rows of a model without a resource are not there."""

    def eagerly(call: Call) -> list[Any]:
        found = []
        for load in (joinedload, selectinload, subqueryload, lazyload):
            room = call.db.scalars(select(Room).where(Room.id == 1).options(load(Room.desks))).unique().one()
            lit = call.db.scalars(select(Desk).where(Desk.name == "lit").options(load(Desk.lamps))).unique().one()
            found.append([len(room.desks), len(lit.lamps)])
            call.db.expire_all()
        return found

    def desks_of(call: Call) -> list[int]:
        found = []
        for load in (joinedload, selectinload, subqueryload, lazyload):
            drawer = call.db.scalars(select(Drawer).where(Drawer.id == 1).options(load(Drawer.desk))).one()
            found.append(0 if drawer.desk is None else 1)
            call.db.expire_all()
        return found

    assert done(client("cleo"), eagerly).json() == [[7, 0]] * 4
    assert done(client("bert"), eagerly).json() == [[7, 0]] * 4
    assert done(client("carl"), desks_of).json() == [0] * 4
    assert done(client("cleo"), desks_of).json() == [1] * 4


def test_a_deny_that_looks_at_hidden_rows_holds(client: As) -> None:
    """The session and the wire agree on a rule that goes through rows which the caller may not read."""

    def hide(call: Call) -> None:
        call.unrestricted("a test").add(Drawer(id=9, desk_id=number(7)))

    def look(call: Call) -> list[int]:
        return sorted(call.db.scalars(select(Drawer.id)).all())

    cleo = client("cleo")
    done(cleo, hide)
    assert [row["id"] for row in cleo.get("/drawers").json()["items"]] == [1, 2, 3]
    assert done(cleo, look).json() == [1, 2, 3]
    assert done(client("bert"), look).json() == [1, 2, 3, 9]


def test_what_a_caller_without_rights_sees(client: As) -> None:
    """Nothing."""

    def look(call: Call) -> int:
        return len(call.db.scalars(select(Room)).all()) + len(call.db.scalars(select(Desk)).all())

    assert done(client("gwen"), look).json() == 0


PAST: Final = {
    "text": text("SELECT * FROM rooms"),
    "text that deletes": text("DELETE FROM rooms"),
    "a pragma": text("PRAGMA table_info(rooms)"),
    "a table": select(ROOMS),
    "a table beside an entity": select(Desk.name, ROOMS.c.name).where(ROOMS.c.id == Desk.room_id),
    "text from a table": select(text("name")).select_from(ROOMS),
    "a table joined to an entity": select(Desk.name).join(ROOMS, ROOMS.c.id == Desk.room_id),
    "a table in a subquery": select(Desk.id).where(exists(select(ROOMS.c.id))),
    "a table in a union": union(select(ROOMS.c.id), select(Desk.room_id)),
    "text in a condition": select(Desk.id).where(text("EXISTS (SELECT 1 FROM rooms WHERE owner = 'carl')")),
    "a model without a resource": select(HIDDEN.id),
    "such a model in a subquery": select(Room.id).where(exists(select(HIDDEN.id))),
    "a bulk insert": insert(Room),
    "a bulk update": update(Room).values(name="x"),
    "a bulk delete": delete(Room),
    "an insert into a table": insert(ROOMS),
    "a delete from a table": delete(ROOMS),
}


@pytest.mark.parametrize("statement", PAST.values(), ids=PAST)
def test_what_goes_past_the_rules_is_refused(client: As, data: Path, statement: Any) -> None:
    """Textual SQL, Core tables, bulk changes and models without a resource need `call.unrestricted(reason)`."""

    def sneak(call: Call) -> list[Any]:
        return [tuple(row) for row in call.db.execute(statement)]

    with pytest.raises(TypeError, match=r"unrestricted"):
        done(client("cleo"), sneak)
    assert rows(data, "SELECT count(*) FROM rooms") == [(4,)]


def test_unrestricted(client: As, data: Path) -> None:
    """It sees and changes everything in the same transaction; the reason and the rows stand in the audit."""

    def beyond(call: Call) -> list[str]:
        call.db.add(Room(name="Attic", owner="cleo"))
        everyone = call.unrestricted("the plan of the house")
        found = names(everyone.scalars(select(Room)).all())
        room = everyone.get(Room, 3)
        assert room is not None
        room.seats = 6
        return [*found, *everyone.scalars(text("SELECT count(*) FROM lamps")).all()]

    assert done(client("cleo"), beyond).json() == ["Attic", "East", "North", "South", "West", 1]
    assert rows(data, "SELECT seats FROM rooms WHERE id = 3") == [(6,)]
    assert audit(data) == [
        ("act", "/do", None, None),
        ("create", "rooms", {"id": 5}, None),
        ("change", "rooms", {"id": 3}, None),
        ("unrestricted", "/do", None, "the plan of the house"),
    ]


# call.get and its like ------------------------------------------------------------------


def test_rows_by_the_rules(client: As, data: Path) -> None:
    """get, list, create, update and delete do what the wire does for this caller, each with its audit row."""

    def all_of_them(call: Call) -> list[Any]:
        made = call.create(Room, {"name": "Made"})
        changed = call.update(Room, 1, {"name": "First"})
        call.delete(Room, 4)
        return [made, changed, call.get(Room, 1), [room["name"] for room in call.list(Room)], call.list(Room, limit=1)]

    first = {"id": 1, "name": "First", "owner": "cleo", "seats": 5}
    made = {"id": 5, "name": "Made", "owner": "cleo", "seats": 5}
    answer = done(client("cleo"), all_of_them).json()
    assert answer == [made, first, first, ["First", "South", "Made"], [first]]
    assert [(verb, key) for verb, _, key, _ in audit(data)] == [
        ("create", {"id": 5}),
        ("change", {"id": 1}),
        ("remove", {"id": 4}),
        ("act", None),
    ]


NOT_ALLOWED: Final[dict[str, tuple[Callable[[Call], Any], int, str]]] = {
    "get another's": (lambda call: call.get(Room, 3), 404, "not_found"),
    "get nothing": (lambda call: call.get(Room, 99), 404, "not_found"),
    "create beyond the rule": (lambda call: call.create(Room, {"name": "B", "seats": 11}), 403, "state_forbidden"),
    "create with the server's": (lambda call: call.create(Room, {"name": "B", "owner": "x"}), 422, "body_invalid"),
    "create twice": (lambda call: call.create(Room, {"name": "East"}), 409, "conflict"),
    "create without a rule": (lambda call: call.create(Desk, {"room_id": 1, "author": "x"}), 403, "forbidden"),
    "update another's": (lambda call: call.update(Room, 3, {"name": "x"}), 404, "not_found"),
    "update a field": (lambda call: call.update(Room, 1, {"seats": 6}), 422, "body_invalid"),
    "update to null": (lambda call: call.update(Room, 1, {"name": None}), 422, "body_invalid"),
    "delete against the rule": (lambda call: call.delete(Room, 1), 403, "forbidden"),
    "delete another's": (lambda call: call.delete(Room, 3), 404, "not_found"),
}


@pytest.mark.parametrize(("deed", "status", "code"), NOT_ALLOWED.values(), ids=NOT_ALLOWED)
def test_what_the_rules_refuse(client: As, data: Path, deed: Callable[[Call], Any], status: int, code: str) -> None:
    """The refusal of the wire is the answer of the endpoint, and nothing is written."""

    def first_something(call: Call) -> Any:
        call.db.add(Room(name="Before", owner="cleo"))
        return deed(call)

    refused(done(client("cleo"), first_something), status, code)
    assert rows(data, "SELECT count(*) FROM rooms") == [(4,)]
    assert audit(data) == []


AS_ON_THE_WIRE: Final[dict[str, tuple[Callable[[Client], Answer], Callable[[Call], Any]]]] = {
    "a check": (
        lambda client: client.post("/desks", json={"room_id": 1, "author": "b", "weight": 1}),
        lambda call: call.create(Desk, {"room_id": 1, "author": "b", "weight": 1}),
    ),
    "a check on a change": (
        lambda client: client.patch(f"/desks/{number(1)}", json={"depth": 5}, headers={"if-match": "*"}),
        lambda call: call.update(Desk, number(1), {"depth": 5}),
    ),
    "a taken pair": (
        lambda client: client.post("/desks", json={"room_id": 1, "author": "b", "number": 1}),
        lambda call: call.create(Desk, {"room_id": 1, "author": "b", "number": 1}),
    ),
    "a column that nobody fills": (
        lambda client: client.post("/notices", json={"room_id": 1}),
        lambda call: call.create(Notice, {"room_id": 1}),
    ),
    "a row in use": (
        lambda client: client.delete(f"/desks/{number(5)}"),
        lambda call: call.delete(Desk, number(5)),
    ),
}


@pytest.mark.parametrize(("wire", "deed"), AS_ON_THE_WIRE.values(), ids=AS_ON_THE_WIRE)
def test_a_violated_constraint_is_refused_as_on_the_wire(
    client: As, wire: Callable[[Client], Answer], deed: Callable[[Call], Any]
) -> None:
    """The same status, code and faults, whichever way the row is written; a handler may catch it, and goes on."""

    def goes_on(call: Call) -> list[int]:
        with pytest.raises(Refusal) as caught:
            deed(call)
        return [caught.value.reason.status, len(call.list(Room))]

    bert = client("bert")
    expected = wire(bert)
    assert expected.status_code in {409, 422}, expected.text
    problem = refused(done(bert, deed), expected.status_code, expected.json()["code"])
    assert problem == {**expected.json(), "request_id": ""}
    assert done(bert, goes_on).json() == [expected.status_code, 4]


def test_a_row_is_tried_under_one_rule_after_the_other_in_a_handler_too(client: As, data: Path) -> None:
    """The store undoes the attempt under a rule that does not hold, inside of what the handler does."""

    def tries(call: Call) -> Any:
        with pytest.raises(Refusal, match="body_invalid"):
            call.create(Notice, {"room_id": 1})
        return call.create(Notice, {"room_id": 2})

    cora = client("cora")
    assert cora.post("/notices", json={"room_id": 1}).status_code == 422
    assert done(cora, tries).json()["room_id"] == 2
    assert [row[:2] for row in rows(data, "SELECT room_id, author FROM notices")] == [(2, "cora")]


def test_a_refusal_that_a_handler_catches_leaves_nothing(client: As, data: Path) -> None:
    """What the refused write had done is undone, what the handler did before and after it is not."""

    def tries(call: Call) -> dict[str, Any] | None:
        call.db.add(Room(name="Before", owner="cleo"))
        for seats in (11, 99):
            with pytest.raises(Refusal, match="state_forbidden"):
                call.create(Room, {"name": "Large", "seats": seats})
        return call.create(Room, {"name": "After"})

    assert done(client("cleo"), tries).json()["name"] == "After"
    assert rows(data, "SELECT name, seats FROM rooms WHERE id > 4 ORDER BY name") == [("After", 5), ("Before", 5)]
    assert sorted((verb, what) for verb, what, _, _ in audit(data)) == [
        ("act", "/do"),
        ("create", "rooms"),
        ("create", "rooms"),
    ]


def test_a_caller_without_read(client: As) -> None:
    """Nothing is there for it."""
    refused(done(client("gwen"), lambda call: call.get(Room, 1)), 404, "not_found")
    refused(done(client("gwen"), lambda call: call.list(Room)), 404, "not_found")


# Answers --------------------------------------------------------------------------------


def test_a_result_that_its_caller_may_not_read(client: As, data: Path) -> None:
    """A row is read again under READ: when it is out of sight by now, or never was in it, the answer is 204."""

    def give_away(call: Call, room: Room) -> Room:
        room.owner = "carl"
        return room

    def anothers(call: Call) -> Any:
        return call.unrestricted("a test").get(Room, 3)

    for answer in (acted(client("cleo"), give_away), done(client("cleo"), anothers)):
        assert (answer.status_code, answer.content) == (204, b"")
        assert "etag" not in answer.headers
    assert rows(data, "SELECT owner FROM rooms WHERE id = 1") == [("carl",)]


@pytest.mark.parametrize("value", [{"a": [1, None, "é"]}, [1, 2], "text", 0, False])
def test_a_result_that_is_no_row(client: As, value: Any) -> None:
    """Becomes JSON, false ones too."""
    assert done(client("gwen"), lambda call: value).json() == value


def test_no_result(client: As) -> None:
    """204."""
    answer = done(client("gwen"), lambda call: None)
    assert (answer.status_code, answer.content) == (204, b"")


# Async ----------------------------------------------------------------------------------


def test_an_async_endpoint(client: As, data: Path) -> None:
    """It has no open transaction; each `transact` is one of its own, with its audit."""

    async def steps(call: Call) -> Any:
        def first(inside: Call) -> int:
            inside.db.add(Room(name="One", owner="cleo"))
            inside.db.flush()
            return len(inside.db.scalars(select(Room)).all())

        seen = await call.transact(first)
        with pytest.raises(RuntimeError, match="transact"):
            _ = call.db
        made = await call.transact(lambda inside: inside.create(Room, {"name": "Two"}))
        return [seen, made]

    seen, made = awaited(client("cleo"), steps).json()
    assert (seen, made["name"]) == (4, "Two")
    assert [(verb, what) for verb, what, _, _ in audit(data)] == [
        ("act", "/wait"),
        ("create", "rooms"),
        ("create", "rooms"),
        ("act", "/wait"),
    ]


def test_a_refusal_inside_transact(client: As, data: Path) -> None:
    """It ends its own transaction and the answer; what an earlier one wrote stays, and a handler may catch it."""

    async def two(call: Call) -> None:
        await call.transact(lambda inside: inside.create(Room, {"name": "One"}))

        def fails(inside: Call) -> None:
            inside.db.add(Room(name="Two", owner="cleo"))
            inside.db.flush()
            raise Conflict("No more.")

        await call.transact(fails)

    refused(awaited(client("cleo"), two), 409, "action_conflict")
    assert rows(data, "SELECT name FROM rooms WHERE id > 4") == [("One",)]
    assert len(audit(data)) == 2


def test_an_async_result_is_read_under_the_rules(client: As) -> None:
    """A row that came out of `transact` is read again under READ, like any other."""

    async def own(call: Call) -> Any:
        return await call.transact(lambda inside: inside.db.get(Room, 1))

    async def anothers(call: Call) -> Any:
        return await call.transact(lambda inside: inside.unrestricted("a test").get(Room, 3))

    assert awaited(client("cleo"), own).json() == {"id": 1, "name": "North", "owner": "cleo", "seats": 5}
    assert awaited(client("cleo"), anothers).status_code == 204


# At the same time -----------------------------------------------------------------------


def test_a_capacity_holds(client: As, data: Path) -> None:
    """Of many calls at once that each count and then add, exactly as many succeed as there are places."""

    def take(call: Call, room: Room) -> dict[str, int]:
        taken = call.db.scalar(select(func.count()).select_from(Desk).where(Desk.room_id == room.id)) or 0
        if taken >= 10:
            raise Conflict("Full.")
        call.db.add(Desk(room_id=room.id, author="cleo"))
        return {"taken": taken + 1}

    cleo = client("cleo")
    assert cleo.token
    before = rows(data, "SELECT count(*) FROM desks WHERE room_id = 1")[0][0]
    with ThreadPoolExecutor(12) as pool:
        codes = sorted(answer.status_code for answer in pool.map(lambda _: acted(cleo, take), range(20)))
    assert codes == [200] * (10 - before) + [409] * (10 + before)
    assert rows(data, "SELECT count(*) FROM desks WHERE room_id = 1") == [(10,)]


@pytest.mark.stores("postgresql")
def test_reading_a_row_locks_it_for_nobody(client: As) -> None:
    """Two handlers have called `call.get` of one row, and neither has ended: each waits for the other here."""
    both = Barrier(2, timeout=20)

    def read(call: Call) -> dict[str, Any]:
        found = call.get(Room, 1)
        both.wait()
        return found

    cleo = client("cleo")
    assert cleo.token
    with ThreadPoolExecutor(2) as pool:
        assert [answer.status_code for answer in pool.map(lambda _: done(cleo, read), range(2))] == [200, 200]
