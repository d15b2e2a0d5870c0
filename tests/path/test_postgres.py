"""The port: the same path over a real PostgreSQL gives the status, the JSON and the tags that SQLite gives."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from tests.general.app import api, number, seed
from tests.general.models import Organisation, Tag
from tests.path.small import NOON, Clock

from tests import stores
from vallum import defaults
from vallum.crypto import api_key
from vallum.crypto.digest import fingerprint
from vallum.declare.accounts import Account
from vallum.pipeline import Pipeline, answer
from vallum.refusals import CONFLICT, Refusal
from vallum.respond.stage import Reply
from vallum.store import api_keys, idempotency, principals
from vallum.store.ports import Script, Statement, Violation, WithSession
from vallum.store.postgres import PostgresDatabase
from vallum.store.postgres_address import parse
from vallum.store.postgres_limits import PostgresLimits
from vallum.store.turns import Turns
from vallum.testing import Answer, Client
from vallum.testing.wire import freshness, receiver, scope_of

BRIDGE = number(20)
DIG = f"/tasks/{number(31)}"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The same rows in both stores, which every test copies."""
    made = {}
    for store in (stores.SQLITE, stores.POSTGRESQL):
        made[store] = tmp_path_factory.mktemp(store) / "data"
        stores.create(api, made[store], seed=seed, clock=lambda: NOON - 86_400, store=store)
    return made


@dataclasses.dataclass
class Both:
    """A service on each store."""

    data: Mapping[str, Path]
    stack: ExitStack
    clock: Clock = dataclasses.field(default_factory=Clock)
    clients: dict[tuple[str, str], Client] = dataclasses.field(default_factory=dict)

    def client(self, name: str, store: str = stores.SQLITE) -> Client:
        """Of one of them."""
        if (name, store) not in self.clients:
            made = stores.client(api, name, self.data[store], self.clock)
            self.clients[name, store] = self.stack.enter_context(made)
        return self.clients[name, store]

    def postgres(
        self, name: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Of PostgreSQL."""
        return self.client(name, stores.POSTGRESQL).request(method, path, json=body, headers=headers)

    def ask(
        self, name: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """SQLite's answer, after seeing that PostgreSQL's is the same."""
        self.clock.forward(1)
        here = self.client(name).request(method, path, json=body, headers=headers)
        there = self.postgres(name, method, path, body, headers)
        assert (there.status_code, _plain(there)) == (here.status_code, _plain(here))
        # PostgreSQL keeps the spaces of a stored JSON document, and a tag is of the text; `changed` has the time of day.
        same_text = b"settings" not in here.content and b'"changed":"' not in here.content
        for header in ("location", "content-type", "allow", *(["etag"] if same_text else [])):
            assert there.headers.get(header) == here.headers.get(header)
        return there


def _plain(found: Answer) -> Any:
    """The body without what is made anew for each answer."""
    if not found.content:
        return None
    body = found.json()
    if isinstance(body, dict):
        body.pop("request_id", None)
        for name, value in (("next", "a cursor"), ("changed", "a time")):
            if body.get(name) is not None:
                body[name] = value
    return body


@pytest.fixture
def both(filled: Mapping[str, Path], tmp_path: Path) -> Iterator[Both]:
    """Copies of this test's own."""
    with ExitStack() as stack:
        yield Both({store: stores.copied(data, tmp_path / store) for store, data in filled.items()}, stack)


@pytest.mark.parametrize("name", ["mia", "mona", "alex", "otto", "lena"])
def test_every_list_and_item(both: Both, name: str) -> None:
    """Each caller's view of each resource and of each of its rows: rules, masks, every column type, the count."""
    seen = 0
    for resource in api.resources.values():
        found = both.ask(name, "GET", f"{resource.path}?count=exact&limit=100")
        for row in found.json().get("items", []):
            if all(key in row for key in resource.key):
                both.ask(name, "GET", f"{resource.path}/{','.join(str(row[key]) for key in resource.key)}")
                seen += 1
    assert seen > 2


def test_a_list_of_several_rules(both: Both) -> None:
    """Sorted, filtered, in pages of one, with the count: each page the same, by each store's own cursor."""
    for query in (
        "sort=-title&count=exact",
        "sort=title&title[gte]=B",
        "sort=-priority,title&done[isnull]=true",
        "sort=due&title[contains]=u",
        "title[in]=Dig,Build&sort=-title",
        "sort=-due,priority&fields=id,title",
    ):
        seen: list[Any] = []
        cursors: dict[str, str] = {"here": "", "there": ""}
        for _ in range(8):
            here = both.client("mia").get(f"/tasks?{query}&limit=1{cursors['here']}")
            there = both.postgres("mia", "GET", f"/tasks?{query}&limit=1{cursors['there']}")
            assert (there.status_code, _plain(there)) == (here.status_code, _plain(here))
            seen += there.json()["items"]
            if there.json()["next"] is None:
                break
            cursors = {"here": f"&after={here.json()['next']}", "there": f"&after={there.json()['next']}"}
        everything = both.ask("mia", "GET", f"/tasks?{query}").json()["items"]
        assert seen == everything
        assert everything or "contains" not in query


def test_a_change(both: Both) -> None:
    """200 with a new tag, then stale 412; a forbidden field 422, a forbidden row 403, an unreadable one 404."""
    tag = both.ask("mia", "GET", DIG).headers["etag"]
    changed = both.postgres("mia", "PATCH", DIG, {"title": "Dig deeper"}, {"if-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert changed.json()["title"] == "Dig deeper"
    assert both.postgres("mia", "GET", DIG).content == changed.content
    assert both.postgres("mia", "PATCH", DIG, {"title": "x"}, {"if-match": tag}).status_code == 412
    both.client("mia").patch(DIG, json={"title": "Dig deeper"}, headers={"if-match": tag})
    match = {"if-match": "*"}
    for name, path, body, status in (
        ("mia", DIG, {"parent_id": None}, 422),
        ("mia", DIG, {"title": "x" * 81}, 422),
        ("mia", DIG, {"assignee_id": str(number(99))}, 422),
        ("mia", DIG, {"assignee_id": str(number(13))}, 422),
        ("mia", f"/tasks/{number(32)}", {"title": "x"}, None),
        ("mia", f"/tasks/{number(34)}", {"title": "x"}, 404),
        ("mia", f"/tasks/{number(77)}", {"title": "x"}, 404),
        ("otto", DIG, {"title": "x"}, 403),
        ("alex", DIG, {"title": "x"}, 403),
    ):
        answered = both.ask(name, "PATCH", path, body, match)
        assert status is None or answered.status_code == status


def test_creates_removals_and_constraints(both: Both) -> None:
    """The same refusals of the same constraints, the same places of new rows, the same rows gone."""
    comment = {"task_id": str(number(31)), "text": "Dry."}
    assert both.ask("mia", "POST", "/comments", comment).status_code == 201
    invoice = {"year": 2026, "number": 1, "currency": "CHF", "amount": "1.00"}
    both.ask("alex", "POST", "/invoices", invoice)
    assert both.ask("mona", "POST", "/organisations", {"name": "x"}).status_code == 403
    tag = {"id": 1, "name": "again"}
    both.ask("mona", "POST", "/tags", tag)
    assert both.ask("mona", "DELETE", f"/tasks/{number(33)}").status_code in {204, 403, 404, 409}
    assert both.ask("mia", "DELETE", "/comments/1").status_code == 204
    assert both.ask("mia", "GET", "/comments/1").status_code == 404
    both.ask("mona", "DELETE", f"/projects/{number(21)}")
    both.ask("mona", "GET", f"/projects/{number(21)}")


def test_handlers(both: Both) -> None:
    """A Session on either store sees the same rows, changes the same ones and ends with the same conflict."""
    assert both.ask("mona", "GET", "/workload").status_code == 200
    assert both.ask("mona", "POST", f"/projects/{BRIDGE}/close").status_code in {200, 409}
    assert both.ask("mia", "POST", f"/projects/{BRIDGE}/close").status_code == 403


def test_a_violation_in_a_session(both: Both) -> None:
    """It reaches the script as a Violation, as on SQLite; what the session wrote before is undone with it."""

    def work(db: Session) -> None:
        db.add(Tag(id=9, organisation_id=1, name="new"))
        db.commit()
        db.add(Organisation(organisation_id=1, name="twice"))
        db.flush()

    def script() -> Script[str]:
        try:
            yield WithSession(work)
        except Violation as violation:
            raise Refusal(CONFLICT, f"{violation.kind} of {violation.table}") from violation
        return "no violation"

    running = both.client("mia", stores.POSTGRESQL)._running
    with pytest.raises(Refusal) as refused:
        running.run(both.client("mia", stores.POSTGRESQL).service.database.write(script))
    assert refused.value.detail == "unique of organisations"
    assert (
        running.run(
            both.client("mia", stores.POSTGRESQL).service.database.read(
                Statement("SELECT id FROM tags WHERE id = 9", ())
            )
        )
        == []
    )


def test_a_session_gives_its_connection_back(both: Both) -> None:
    """After more sessions than there are connections, committed and failed ones, the store still answers."""

    def kept(n: int) -> Script[None]:
        yield WithSession(lambda db: db.add(Tag(id=100 + n, organisation_id=1, name="t")))
        if n % 2:
            raise Refusal(CONFLICT)

    running = both.client("mia", stores.POSTGRESQL)._running
    for n in range(defaults.POSTGRES_CONNECTIONS * 2):
        with pytest.raises(Refusal) if n % 2 else nullcontext():
            running.run(both.client("mia", stores.POSTGRESQL).service.database.write(partial(kept, n)))
    found = running.run(
        both.client("mia", stores.POSTGRESQL).service.database.read(
            Statement("SELECT id FROM tags WHERE id >= 100 ORDER BY id", ())
        )
    )
    assert [row[0] for row in found] == list(range(100, 100 + defaults.POSTGRES_CONNECTIONS * 2, 2))


def test_api_keys(both: Both) -> None:
    """Made, found, used, rotated, listed and revoked by the statements that SQLite has."""
    running, now = both.client("mia", stores.POSTGRESQL)._running, int(NOON)
    database = running.service.database
    old, new = api_key.generate(), api_key.generate()
    robot = Account("robot", frozenset({"a"}), {}, "default")
    limits = api_keys.Limits(frozenset({"s"}), ("192.0.2.0/24",), now + 100)

    async def states() -> list[tuple[str, str, int | None]]:
        rows = [api_keys.described(row, NOON + 8) for row in await database.read(api_keys.all_keys("postgresql"))]
        return [(row["key"], row["state"], row["last_used"]) for row in rows]

    async def live() -> None:
        await database.write(api_keys.add(robot, old, limits, NOON, "postgresql"))
        for at in (NOON, NOON + 59):
            await database.write(api_keys.used([(old.identifier, at)], "postgresql"))
        rotating = api_keys.rotate("robot", new, NOON + 1, "postgresql", overlap_seconds=7, life_seconds=None)
        assert await database.write(rotating) == now + 101
        found = await api_keys.ApiKeys(database.read, "postgresql").find(old.identifier)
        assert found is not None
        assert found.principal is not None
        assert (found.digest, found.expires, found.principal.epoch) == (old.digest, now + 8, 2)
        assert await states() == [(old.identifier, "expired", now), (new.identifier, "valid", None)]
        assert len(await database.write(api_keys.revoke("robot", NOON, "postgresql"))) == 2
        assert await database.epoch("robot") == 3

    running.run(live())


def test_changes_at_the_same_time(both: Both) -> None:
    """Of many changes with one tag, one is made and all others are stale: the row is locked."""
    tag = both.postgres("mia", "GET", DIG).headers["etag"]
    client = both.client("mia", stores.POSTGRESQL)
    running, token, pipeline = client._running, client.token, client.service.pipeline

    async def change(n: int) -> int:
        body = json.dumps({"title": f"Dig {n}"}).encode()
        sent = {"host": "testserver", "authorization": f"Bearer {token}", "if-match": tag}
        sent |= {"content-type": "application/json", "content-length": str(len(body)), **freshness(running.clock())}
        scope = scope_of("PATCH", DIG, "", [(k.encode(), v.encode()) for k, v in sent.items()])
        return (await answer(scope, receiver(body), pipeline, running.clock())).status

    async def all_of_them() -> list[int]:
        return sorted(await asyncio.gather(*(change(n) for n in range(10))))

    assert running.run(all_of_them()) == [200] + [412] * 9


# Idempotency-Key ----------------------------------------------------------------------------

ONCE = {"idempotency-key": '"once"'}
BILL = {"year": 2027, "number": 5, "currency": "CHF", "amount": "1.00"}


def test_idempotency_keys(both: Both) -> None:
    """The same replays to the byte, the same refusals, and the same end after a day, by the statements of SQLite."""
    for client in (both.client("mia"), both.client("mia", stores.POSTGRESQL)):
        client._running.run(client.service.database.write(_finished))
    comment = {"task_id": str(number(31)), "text": "Dry."}
    done = (("mia", "/comments", comment), ("mona", f"/projects/{BRIDGE}/close", None))
    first = [both.ask(name, "POST", path, body, ONCE) for name, path, body in done]
    assert [answered.status_code for answered in first] == [201, 200]
    for (name, path, body), found in zip(done, first, strict=True):
        again = both.ask(name, "POST", path, body, ONCE)
        assert (again.status_code, again.content) == (found.status_code, found.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert [again.headers.get(n) for n in ("etag", "location")] == [
            found.headers.get(n) for n in ("etag", "location")
        ]
    other = both.ask("mia", "POST", "/comments", {**comment, "text": "Wet."}, ONCE)
    assert other.json()["code"] == "idempotency_key_reused"
    assert both.ask("mia", "POST", "/comments", comment, {"idempotency-key": "else"}).content != first[0].content
    both.clock.forward(defaults.IDEMPOTENCY_SECONDS)
    assert "idempotent-replayed" not in both.ask("mia", "POST", "/comments", comment, ONCE).headers
    now, data = both.clock(), both.data[stores.POSTGRESQL]
    assert client._running.run(client.service.database.write(idempotency.forget(now, "postgresql"))) is False
    left = stores.rows(data, "SELECT count(*), min(expires) FROM vallum_idempotency")
    assert left == [(1, now + defaults.IDEMPOTENCY_SECONDS)]
    for client in (both.client("mia"), both.client("mia", stores.POSTGRESQL)):
        store = client.service.database
        client._running.run(store.write(principals.alter("mia", store.dialect, plan="default")))
    again = both.ask("mia", "POST", "/comments", comment, ONCE)
    assert again.json()["code"] == "idempotency_rights_changed"


def test_one_key_in_two_processes_at_the_same_time(both: Both) -> None:
    """The losers wait at the key, not at the bill's own key, which would be a conflict: one row, one text."""
    client = both.client("alex", stores.POSTGRESQL)
    running, token, pipeline = client._running, client.token, client.service.pipeline
    other = dataclasses.replace(pipeline, execution=dataclasses.replace(pipeline.execution, turns=Turns()))

    async def all_of_them() -> list[Reply]:
        return await asyncio.gather(*(_posted(token, (pipeline, other)[n % 2], running.clock()) for n in range(20)))

    replies = running.run(all_of_them())
    assert {(reply.status, reply.body) for reply in replies} == {(201, replies[0].body)}
    assert sum((b"idempotent-replayed", b"true") in reply.headers for reply in replies) == 19
    assert stores.rows(both.data[stores.POSTGRESQL], "SELECT count(*) FROM vallum_audit") == [(1,)]


def test_another_process_that_takes_too_long(both: Both) -> None:
    """Past the bound of a statement 409; when the other one gave up, the request is carried out."""
    client = both.client("alex", stores.POSTGRESQL)
    running, token, pipeline, now = client._running, client.token, client.service.pipeline, both.clock()
    key = fingerprint(b"alex", b"POST", b"/invoices", b"once")
    url = stores.database_of(both.data[stores.POSTGRESQL]) or ""
    hasty = PostgresDatabase(parse(url), PostgresLimits(write_seconds=0.2))

    async def live() -> list[Reply]:
        await hasty.start()
        execution = dataclasses.replace(pipeline.execution, database=hasty)
        impatient = dataclasses.replace(pipeline, execution=execution)

        def holding() -> Script[None]:
            yield idempotency.claim(key, b"", b"", now, "postgresql")
            yield Statement("SELECT pg_sleep(0.5)", ())
            raise Refusal(CONFLICT)

        async def hold() -> None:
            with pytest.raises(Refusal):
                await pipeline.execution.database.write(holding)

        held = asyncio.create_task(hold())
        await asyncio.sleep(0.1)
        replies = [await _posted(token, impatient, now)]
        await held
        replies.append(await _posted(token, impatient, now))
        await hasty.stop()
        return replies

    waited, made = running.run(live())
    assert (waited.status, json.loads(waited.body)["code"]) == (409, "idempotency_in_flight")
    assert (b"retry-after", b"1") in waited.headers
    assert (made.status, json.loads(made.body)["number"]) == (201, 5)


async def _posted(token: str | None, pipeline: Pipeline, now: float) -> Reply:
    """A bill under a key."""
    content = json.dumps(BILL).encode()
    sent = {"host": "testserver", "authorization": f"Bearer {token}", **ONCE}
    sent |= {"content-type": "application/json", "content-length": str(len(content)), **freshness(now)}
    scope = scope_of("POST", "/invoices", "", [(k.encode(), v.encode()) for k, v in sent.items()])
    scope["client"] = ("10.0.0.7", 50000)  # in the office
    return await answer(scope, receiver(content), pipeline, now)


def _finished() -> Script[None]:
    """Nothing is left to do."""
    yield Statement("UPDATE tasks SET done = (1 = 1)", ())
