"""`Idempotency-Key` through the whole path: once, however often it is sent, and each way to misuse it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from tests.path.orders import DEEDS, api, seed
from tests.path.small import NOON, Clock
from tests.path.test_authenticate import change
from tests.unit.serve.served import ROOT

from tests import stores
from vallum import Conflict, defaults
from vallum.store import idempotency, principals
from vallum.testing import ORIGIN, Answer, Client
from vallum.testing.wire import scope_of

As = Callable[[str | None], Client]

KEY: Final = '"8e03978e-40d5-43e8-bc93-6894a57f9324"'
TEA: Final = {"item": "tea"}
DAY: Final = 86_400


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("orders") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - DAY, store=store)
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own."""
    return stores.copied(filled, tmp_path / "data")


@pytest.fixture
def client(data: Path, clock: Clock) -> Iterator[As]:
    """`client("bea")`."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(api, name, data, clock))
    DEEDS.clear()


@pytest.fixture
def bea(client: As) -> Client:
    """A buyer."""
    return client("bea")


def rows(data: Path, text: str) -> list[Any]:
    """What the file holds, read past everything."""
    return stores.rows(data, text)


def made(data: Path) -> int:
    """Orders that were not there in the beginning."""
    found: int = rows(data, "SELECT count(*) FROM orders WHERE id > 3")[0][0]
    return found


def order(client: Client, key: str = KEY, body: Any = TEA, **headers: str) -> Answer:
    """An order under a key."""
    return client.post("/orders", json=body, headers={"Idempotency-Key": key, **headers})


def told(found: Answer) -> tuple[int, bytes, dict[str, str]]:
    """Everything that a first answer and its replay have in common."""
    own = {"x-request-id", "date", "ratelimit", "idempotent-replayed"}
    return found.status_code, found.content, {name: v for name, v in found.headers.items() if name not in own}


def replayed(again: Answer, first: Answer) -> bool:
    """Whether it is the first answer to the byte, and says so."""
    assert told(again) == told(first)
    return again.headers["idempotent-replayed"] == "true" and "idempotent-replayed" not in first.headers


def code(found: Answer) -> tuple[int, str]:
    """Of a refusal."""
    return found.status_code, found.json()["code"]


# What is replayed ---------------------------------------------------------------------------


def test_a_repeated_create_makes_one_row(data: Path, clock: Clock) -> None:
    """Status, body, Location and ETag come again to the byte, after a restart too; one row, one audit row."""
    with stores.client(api, "bea", data, clock) as bea:
        first = order(bea)
        assert first.status_code == 201
        assert first.headers["location"] == "https://testserver/orders/4"
        clock.forward(60)
        assert replayed(order(bea), first)
        assert bea.get("/orders/4").headers["etag"] == first.headers["etag"]
    with stores.client(api, "bea", data, clock) as restarted:
        assert replayed(order(restarted), first)
    assert made(data) == 1
    assert rows(data, "SELECT verb FROM vallum_audit") == [("create",)]


def test_answers_without_a_body(client: As, data: Path) -> None:
    """A 201 of who may not READ, with its Location, and a 204 of an action: both come again, without being done again."""
    dora, bea = client("dora"), client("bea")
    first = order(dora)
    assert (first.status_code, first.content) == (201, b"")
    assert replayed(order(dora), first)
    assert made(data) == 1
    first = bea.post("/orders/1/close", headers={"idempotency-key": KEY})
    assert (first.status_code, first.content) == (204, b"")
    assert replayed(bea.post("/orders/1/close", headers={"idempotency-key": KEY}), first)
    assert code(bea.post("/orders/1/close")) == (409, "action_conflict")


def test_an_action_runs_once_for_each_row(bea: Client, data: Path) -> None:
    """One key on two rows is two requests; each of them is carried out once."""
    paid = [bea.post(f"/orders/{n}/pay", headers={"idempotency-key": KEY}) for n in (1, 2, 1, 2)]
    assert replayed(paid[2], paid[0])
    assert replayed(paid[3], paid[1])
    assert rows(data, "SELECT id, paid FROM orders WHERE id < 3") == [(1, 1), (2, 1)]
    assert len(rows(data, "SELECT 1 FROM vallum_audit WHERE verb = 'act'")) == 2


def test_rows_whose_keys_join_to_one_text(bea: Client) -> None:
    """Two boxes stand under the same decoded path: each of them is opened."""
    opened = [bea.post(f"/boxes/{path}/open", headers={"idempotency-key": KEY}) for path in ("a,b%2Cc", "a%2Cb,c")]
    assert [(found.json()["shelf"], found.json()["opened"]) for found in opened] == [("a", 1), ("a,b", 1)]


def test_an_endpoint_runs_once(bea: Client) -> None:
    """What it returned, whatever it would return now; null is an answer too."""
    ran: list[str] = []

    def count(_: Any, body: Any) -> Any:
        ran.append(body.deed)
        return None if body.deed == "none" else {"ran": len(ran), "ü": "€"}

    DEEDS["count"] = DEEDS["none"] = count
    headers = {"idempotency-key": KEY}
    first = bea.post("/do", json={"deed": "count"}, headers=headers)
    assert first.json() == {"ran": 1, "ü": "€"}
    assert replayed(bea.post("/do", json={"deed": "count"}, headers=headers), first)
    first = bea.post("/do", json={"deed": "none"}, headers={"idempotency-key": "none"})
    assert replayed(bea.post("/do", json={"deed": "none"}, headers={"idempotency-key": "none"}), first)
    assert (first.status_code, ran) == (204, ["count", "none"])


def test_a_replay_is_the_first_answer_whatever_happened_since(bea: Client, data: Path) -> None:
    """The row was changed, then removed: who asks what became of the first request hears it, and it is not made anew."""
    first = order(bea)
    assert bea.patch("/orders/4", json={"item": "ale"}, headers={"if-match": "*"}).status_code == 200
    assert replayed(order(bea), first)
    assert bea.delete("/orders/4").status_code == 204
    assert replayed(order(bea), first)
    assert made(data) == 0


def test_without_a_key_nothing_is_kept(bea: Client, data: Path) -> None:
    """Two requests are two orders."""
    assert bea.post("/orders", json=TEA).content != bea.post("/orders", json=TEA).content
    assert made(data) == 2
    assert rows(data, "SELECT 1 FROM vallum_idempotency") == []


# Which request a key belongs to -------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b'{"item": "jam"}',
        b'{"item":"tea"}',
        b'{"item": "tea"} ',
        b'{"item": "\\u0074ea"}',
        b'{"item": "tea", "place": null}',
    ],
)
def test_another_request_under_a_key(bea: Client, data: Path, content: bytes) -> None:
    """Compared by bytes, white space too: another body is 422, and the first answer is still there."""
    first = order(bea)
    again = bea.request("POST", "/orders", content=content, headers={"idempotency-key": KEY})
    assert code(again) == (422, "idempotency_key_reused")
    assert replayed(order(bea), first)
    assert made(data) == 1


def test_a_query_is_refused_before_the_key_counts(bea: Client, data: Path) -> None:
    """A create takes no query, with a used key as without one."""
    order(bea)
    assert code(bea.post("/orders?x=1", json=TEA, headers={"idempotency-key": KEY})) == (400, "query_invalid")


def test_a_key_is_the_callers_own(client: As, data: Path) -> None:
    """Another caller's key is an unused one: nothing of the first answer is told."""
    first = order(client("bea"))
    other = order(client("bob"))
    assert "idempotent-replayed" not in other.headers
    assert (first.json()["id"], other.json()["id"]) == (4, 5)
    other = order(client("dora"), body={"item": "else"})
    assert other.status_code == 201
    assert made(data) == 3


def test_a_key_belongs_to_its_path(bea: Client, data: Path) -> None:
    """On another path it is an unused one, whatever the body."""
    DEEDS["nothing"] = lambda call, body: "nothing"
    order(bea)
    for path, body in (("/do", {"deed": "nothing"}), ("/orders/1/pay", None), ("/orders/2/pay", None)):
        found = bea.post(path, json=body, headers={"idempotency-key": KEY})
        assert (found.status_code, "idempotent-replayed" in found.headers) == (200, False)


def test_quoted_and_bare_are_one_key(bea: Client, data: Path) -> None:
    """A client that was mended between two tries is not served twice."""
    first = order(bea)
    assert replayed(order(bea, KEY.strip('"')), first)
    assert made(data) == 1


def test_a_path_is_one_however_it_is_spelled(bea: Client, data: Path) -> None:
    """An escaped letter names the same path, and a row has one spelling of its key only."""
    first = order(bea)
    again = bea.post("/%6Frders", json=TEA, headers={"idempotency-key": KEY})
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    paid = [
        bea.post(f"/orders/{n}/pay", headers={"idempotency-key": KEY}).status_code for n in ("1", "%31", "01", "+1")
    ]
    assert paid == [200, 200, 404, 404]
    assert rows(data, "SELECT paid FROM orders WHERE id = 1") == [(1,)]


def test_a_key_is_remembered_for_a_day(bea: Client, data: Path, clock: Clock) -> None:
    """Just below 24 hours it is a replay, at 24 hours an unused key, and that one has a day of its own."""
    first = order(bea)
    clock.now = NOON + DAY - 0.001
    assert replayed(order(bea), first)
    clock.now = NOON + DAY
    second = order(bea, body={"item": "new"})
    assert second.json()["id"] == 5
    clock.forward(DAY - 1)
    assert replayed(order(bea, body={"item": "new"}), second)
    assert made(data) == 2


@pytest.mark.stores("sqlite")
def test_what_is_over_is_dropped_in_portions(bea: Client, data: Path, clock: Clock, monkeypatch: Any) -> None:
    """By the loop that writes behind, once a minute, by expiry; what is not over stays."""
    counters = bea.service.counters
    with sqlite3.connect(data / "vallum.db") as connection:
        connection.executemany(
            "INSERT INTO vallum_idempotency (id, fingerprint, rights, expires) VALUES (?, x'00', x'00', ?)",
            [(n.to_bytes(4, "big"), NOON + n) for n in range(2 * defaults.IDEMPOTENCY_ROWS + 10)],
        )
    connection.close()
    counters._swept = NOON
    clock.now = NOON + 2 * defaults.IDEMPOTENCY_ROWS - 1
    ran: list[Any] = []
    write = counters._database.write

    def counted(_: Any, script: Any) -> Any:
        if script.__qualname__.startswith("forget."):  # the sealer writes, too
            ran.append(script)
        return write(script)

    monkeypatch.setattr(type(counters._database), "write", counted)
    bea._running.run(counters._sweep(NOON + defaults.IDEMPOTENCY_SWEEP_SECONDS - 1))
    assert ran == []
    bea._running.run(counters._sweep(clock()))
    assert len(ran) == 3
    assert rows(data, "SELECT count(*), min(expires) FROM vallum_idempotency") == [(10, clock() + 1)]
    plan = rows(data, f"EXPLAIN QUERY PLAN {idempotency._FORGET['sqlite'].text.replace('?', '1')}")
    assert not [step for *_, step in plan if step.startswith("SCAN")]


def test_the_loop_drops_by_itself(data: Path, clock: Clock, monkeypatch: Any) -> None:
    """A server that is left alone forgets, too; one failure does not end it."""
    monkeypatch.setattr(defaults, "COUNTER_FLUSH_SECONDS", 0.01)
    with stores.client(api, "bea", data, clock) as bea:
        order(bea)
        failed: list[str] = []
        forget = idempotency.forget

        def broken(*arguments: Any) -> Any:
            monkeypatch.setattr(idempotency, "forget", forget)
            failed.append("once")
            raise OSError

        monkeypatch.setattr(idempotency, "forget", broken)
        for _ in range(2):
            clock.forward(DAY)
            until = time.monotonic() + 10
            while not failed or (clock.now > NOON + DAY and rows(data, "SELECT 1 FROM vallum_idempotency")):
                assert time.monotonic() < until
                time.sleep(0.01)
        assert bea._running.journal.errors.pop().__class__ is OSError


# What is not remembered ---------------------------------------------------------------------


def test_a_refused_request_may_be_corrected(bea: Client, data: Path) -> None:
    """Nothing was written, the key included: it is free for the mended request, by 4xx of each stage."""
    DEEDS["conflict"] = _conflict
    headers = {"idempotency-key": KEY}
    assert code(order(bea, body={"item": 5})) == (422, "body_invalid")
    assert code(order(bea, body={"item": "tea", "owner": "bob"})) == (422, "body_invalid")
    assert bea.post("/orders", json={"item": "one", "place": "here"}).status_code == 201
    assert code(order(bea, body={"item": "two", "place": "here"})) == (409, "conflict")
    assert order(bea, body={"item": "two", "place": "there"}).status_code == 201
    assert code(bea.post("/do", json={"deed": "conflict"}, headers=headers)) == (409, "action_conflict")
    assert code(bea.post("/orders/99/pay", headers=headers)) == (404, "not_found")
    assert len(rows(data, "SELECT 1 FROM vallum_idempotency")) == 1
    DEEDS["conflict"] = lambda call, body: "settled"
    assert bea.post("/do", json={"deed": "conflict"}, headers=headers).json() == "settled"


def _conflict(*_: Any) -> None:
    raise Conflict("Not now.")


def test_an_error_of_ours_is_not_remembered(bea: Client, data: Path) -> None:
    """A handler that fails leaves the key free for the retry."""
    DEEDS["fail"] = lambda call, body: 1 // (body.count - 1)
    with pytest.raises(ZeroDivisionError):
        bea.post("/do", json={"deed": "fail"}, headers={"idempotency-key": KEY})
    assert rows(data, "SELECT 1 FROM vallum_idempotency") == []
    assert bea.post("/do", json={"deed": "fail", "count": 2}, headers={"idempotency-key": KEY}).json() == 1


# Rights -------------------------------------------------------------------------------------


def test_other_rights_are_no_replay(bea: Client, data: Path) -> None:
    """After any change of the account 409, and the route's own rules come first; nothing is written."""
    first = order(bea)
    change(data, principals.alter("bea", "sqlite", roles=["buyer", "dropper"]))
    again = order(bea)
    assert code(again) == (409, "idempotency_rights_changed")
    assert "retry-after" not in again.headers
    assert code(order(bea, body={"item": "jam"})) == (422, "idempotency_key_reused")
    paid = bea.post("/orders/1/pay", headers={"idempotency-key": KEY})
    change(data, principals.alter("bea", "sqlite", roles=[]))
    assert code(bea.post("/orders/1/pay", headers={"idempotency-key": KEY})) == (403, "forbidden")
    change(data, principals.disable("bea", "sqlite"))
    assert order(bea).status_code == 401
    change(data, principals.enable("bea", "sqlite"))
    change(data, principals.alter("bea", "sqlite", roles=["buyer"]))
    assert code(order(bea)) == (409, "idempotency_rights_changed")
    assert made(data) == 1
    assert (first.status_code, paid.status_code) == (201, 200)


def test_the_epoch_moves_while_a_request_is_on_its_way(bea: Client, data: Path) -> None:
    """The path runs once more, under one key: one row, and its replay belongs to the rights of after."""
    assert bea.get("/orders").status_code == 200  # now the account is remembered
    change(data, principals.alter("bea", "sqlite", plan="default"))
    first = order(bea)
    assert first.status_code == 201
    assert replayed(order(bea), first)
    assert made(data) == 1


def test_a_credential_with_other_scopes_is_no_replay(client: As, data: Path) -> None:
    """Tokens of one account: the one without the scope does not see the price that the other was told."""
    stranger = client(None)
    issue = stranger.service.keyring.issue

    def token(*scopes: str) -> dict[str, str]:
        issued = issue("bea", issuer=ORIGIN, audience=ORIGIN, lifetime_seconds=60, scopes=scopes)
        return {"Authorization": f"Bearer {stranger._running.run(issued)}"}

    first = order(stranger, **token("prices"))
    assert first.json()["price"] == 7
    assert code(order(stranger, **token("other"))) == (409, "idempotency_rights_changed")
    assert replayed(order(stranger, **token("prices", "more")), first)
    assert "price" not in stranger.get("/orders/4", headers=token("other")).json()


def test_a_stranger_has_no_keys(client: As, data: Path) -> None:
    """Anyone may order, but nobody is there whom a key could belong to; where nobody may, a stranger is told that first."""
    assert client(None).post("/orders", json=TEA).status_code == 201
    assert code(order(client(None))) == (400, "idempotency_key_unsupported")
    assert code(client(None).post("/do", json={}, headers={"idempotency-key": KEY})) == (401, "credential_missing")
    assert made(data) == 1


# Where a key is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("GET", "/orders", None, 400, "idempotency_key_unsupported"),
        ("GET", "/orders/1", None, 400, "idempotency_key_unsupported"),
        ("PATCH", "/orders/1", {"item": "x"}, 400, "idempotency_key_unsupported"),
        ("DELETE", "/orders/1", None, 400, "idempotency_key_unsupported"),
        ("PUT", "/do", {"deed": "x"}, 400, "idempotency_key_unsupported"),
        ("POST", "/send", {"deed": "x"}, 400, "idempotency_key_unsupported"),
        ("GET", "/.well-known/jwks.json", None, 400, "idempotency_key_unsupported"),
        ("HEAD", "/orders", None, 405, "method_not_allowed"),
        ("POST", "/orders/1", TEA, 405, "method_not_allowed"),
        ("POST", "/nothing", TEA, 404, "not_found"),
    ],
)
def test_where_a_key_is_refused(
    bea: Client, data: Path, method: str, path: str, body: Any, status: int, word: str
) -> None:
    """Where it could not be kept it is refused, never ignored, and nothing is carried out."""
    found = bea.request(method, path, json=body, headers={"idempotency-key": KEY, "if-match": "*"})
    assert code(found) == (status, word)
    assert rows(data, "SELECT count(*), max(item) FROM orders") == [(3, "x")]


def test_the_refusal_says_what_to_do(bea: Client) -> None:
    """PATCH is guarded otherwise; an async endpoint is not one transaction."""
    headers = {"idempotency-key": KEY, "if-match": "*"}
    assert "If-Match" in bea.patch("/orders/1", json={"item": "x"}, headers=headers).json()["detail"]
    sent = bea.post("/send", json={"deed": "x"}, headers={"idempotency-key": KEY})
    assert "transaction" in sent.json()["detail"]


LONGEST: Final = "k" * defaults.MAX_IDEMPOTENCY_KEY_CHARACTERS


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("", "idempotency_key_malformed"),
        ('""', "idempotency_key_malformed"),
        ('"', "idempotency_key_malformed"),
        ('"open', "idempotency_key_malformed"),
        ('open"', "idempotency_key_malformed"),
        ('"a";p=1', "idempotency_key_malformed"),
        ('"a", "b"', "idempotency_key_malformed"),
        ('"a"b', "idempotency_key_malformed"),
        ('"a\\b"', "idempotency_key_malformed"),
        ('"a\\"', "idempotency_key_malformed"),
        ("a b", "idempotency_key_malformed"),
        ("a,b", "idempotency_key_malformed"),
        ("a;b", "idempotency_key_malformed"),
        ("(a)", "idempotency_key_malformed"),
        (f"{LONGEST}k", "idempotency_key_malformed"),
        (f'"{LONGEST}k"', "idempotency_key_malformed"),
        ("k" * 15_000, "idempotency_key_malformed"),
        ("k" * 17_000, "headers_too_large"),
        ('"schlüssel"', "request_malformed"),
        ('"a\tb"', "request_malformed"),
        ('"a\x00b"', "request_malformed"),
        ("a\r\nX-API-Key: k", "request_malformed"),
    ],
)
def test_what_is_no_key(bea: Client, data: Path, value: str, word: str) -> None:
    """Each is refused, and nothing is written."""
    found = order(bea, value)
    assert found.json()["code"] == word
    assert found.status_code in {400, 431}
    assert made(data) == 0


@pytest.mark.parametrize(
    "value",
    ["k", LONGEST, f'"{LONGEST}"', '"a \\"b\\" \\\\"', '" "', "8e03978e40d543e8bc936894a57f9324", "aGVs/bG8+=="],
)
def test_what_is_a_key(bea: Client, data: Path, value: str) -> None:
    """Quoted as the draft has it, and bare as most clients send it."""
    first = order(bea, value)
    assert replayed(order(bea, value), first)


def test_a_repeated_header(bea: Client, data: Path) -> None:
    """Twice the same or two different ones: which one counts is nobody's guess."""
    content = json.dumps(TEA).encode()
    for second in (KEY, '"other"'):
        headers = [
            ("host", "testserver"),
            ("authorization", f"Bearer {bea.token}"),
            ("content-type", "application/json"),
        ]
        headers += [("content-length", str(len(content))), ("idempotency-key", KEY), ("idempotency-key", second)]
        scope = scope_of("POST", "/orders", "", [(k.encode(), v.encode()) for k, v in headers])
        assert code(bea.send(scope, content)) == (400, "request_malformed")
    assert made(data) == 0


# At the same time ---------------------------------------------------------------------------


def together(client: Client, count: int, path: str = "/orders", body: Any = TEA) -> list[Answer]:
    """The same request so often, all on their way at once."""
    with ThreadPoolExecutor(count) as pool:
        post = lambda _: client.post(path, json=body, headers={"idempotency-key": KEY})  # noqa: E731
        return list(pool.map(post, range(count)))


def test_a_hundred_at_once_make_one_row(bea: Client, data: Path) -> None:
    """One of them is the first, ninety-nine have its bytes."""
    assert bea.token
    answers = together(bea, 100)
    (first,) = [found for found in answers if "idempotent-replayed" not in found.headers]
    assert first.status_code == 201
    assert sum(replayed(found, first) for found in answers if found is not first) == 99
    assert made(data) == 1
    assert rows(data, "SELECT count(*) FROM vallum_audit") == [(1,)]


def test_of_refused_ones_the_next_is_the_first(bea: Client) -> None:
    """The first ones are refused one after the other, the one that is carried out answers for those after it."""
    ran: list[int] = []

    def third(*_: Any) -> int:
        ran.append(len(ran))
        if len(ran) < 3:
            raise Conflict("Not yet.")
        return len(ran)

    DEEDS["third"] = third
    answers = together(bea, 10, "/do", {"deed": "third"})
    assert sorted(found.status_code for found in answers) == [200] * 8 + [409] * 2
    assert {found.content for found in answers if found.status_code == 200} == {b"3"}
    assert len(ran) == 3


class Slow:
    """A handler that stays until it is let go."""

    def __init__(self) -> None:
        self.began, self.end = threading.Event(), threading.Event()
        self.ran = 0

    def __call__(self, *_: Any) -> str:
        """Once more."""
        self.ran += 1
        self.began.set()
        assert self.end.wait(20)
        return "done"


@pytest.fixture
def slow() -> Iterator[Slow]:
    """As the deed `slow`."""
    found = DEEDS["slow"] = Slow()
    yield found
    found.end.set()


def test_a_second_one_waits(bea: Client, slow: Slow) -> None:
    """While the first is carried out the second waits, and then has its answer."""
    body, headers = {"deed": "slow"}, {"idempotency-key": KEY}
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(bea.post, "/do", json=body, headers=headers)
        assert slow.began.wait(20)
        second = pool.submit(bea.post, "/do", json=body, headers=headers)
        turns = bea.service.pipeline.execution.turns
        _until(lambda: any(lock._waiters for lock in turns._locks.values()))
        assert not second.done()
        slow.end.set()
        assert replayed(second.result(20), first.result(20))
    assert slow.ran == 1
    assert len(turns._locks) == 0


def test_a_second_one_does_not_wait_for_ever(bea: Client, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound 409 with Retry-After; then, with the same key, the answer."""
    monkeypatch.setattr(defaults, "IDEMPOTENCY_WAIT_SECONDS", 0.05)
    body, headers = {"deed": "slow"}, {"idempotency-key": KEY}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(bea.post, "/do", json=body, headers=headers)
        assert slow.began.wait(20)
        second = bea.post("/do", json=body, headers=headers)
        assert code(second) == (409, "idempotency_in_flight")
        assert second.headers["retry-after"] == "1"
        slow.end.set()
        done = first.result(20)
        assert replayed(bea.post("/do", json=body, headers=headers), done)
    assert slow.ran == 1


def test_a_handler_that_times_out_is_not_in_flight(bea: Client) -> None:
    """The bound is on waiting for the turn: an error inside stays what it is."""

    def late(*_: Any) -> None:
        raise TimeoutError

    DEEDS["late"] = late
    with pytest.raises(TimeoutError):
        bea.post("/do", json={"deed": "late"}, headers={"idempotency-key": KEY})


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


# kill -9 ------------------------------------------------------------------------------------

DYING: Final = """
import os, signal, sys
from pathlib import Path
from tests.path.orders import DEEDS, api
from tests.path.small import Clock
from tests import stores
from vallum import testing

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

moment, data = sys.argv[1], Path(sys.argv[2])
if moment == "before the answer":
    testing.Failures.answered = die
DEEDS["die"] = die
with stores.client(api, "bea", data, Clock()) as bea:
    path, body = ("/orders", {"item": "tea"}) if moment == "before the answer" else ("/do", {"deed": "die"})
    bea.post(path, json=body, headers={"idempotency-key": "crash"})
"""
"""A process that is killed in the moment between the commit and the answer, or inside the transaction."""


def died(moment: str, data: Path) -> None:
    """Run it to its end."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", DYING, moment, str(data)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, done.stderr


def test_killed_between_commit_and_answer(data: Path, clock: Clock) -> None:
    """The client heard nothing and asks again: one row, and the answer that was never sent."""
    died("before the answer", data)
    clock.forward(5)  # timestamps of the last moments before a crash are refused
    assert made(data) == 1
    with stores.client(api, "bea", data, clock) as bea:
        again = order(bea, "crash")
        assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
        assert again.content == bea.get(again.headers["location"].removeprefix("https://testserver")).content
    assert made(data) == 1


def test_killed_inside_the_transaction(data: Path, clock: Clock) -> None:
    """Nothing was carried out, so nothing is remembered: the retry is carried out."""
    died("inside", data)
    clock.forward(5)
    DEEDS["die"] = lambda *_: "lives"
    with stores.client(api, "bea", data, clock) as bea:
        again = bea.post("/do", json={"deed": "die"}, headers={"idempotency-key": "crash"})
        assert (again.json(), "idempotent-replayed" in again.headers) == ("lives", False)
    DEEDS.clear()
