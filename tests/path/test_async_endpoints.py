"""How an async endpoint ends when it cannot be carried out to its end: what is done is said to be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.path.deeds import DEEDS, api
from tests.path.small import NOON, Clock
from tests.path.works import Room, seed

from tests import stores
from vallum import Call, defaults
from vallum.refusals import BUSY, QUERY_TIMEOUT, Reason, Refusal
from vallum.store import principals
from vallum.testing import Answer, Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

MOVES: Final = {
    "disabled": principals.disable("cleo", "sqlite"),
    "of another role": principals.alter("cleo", "sqlite", roles=["agent"]),
}
moved = pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)


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
def cleo(data: Path) -> Iterator[Client]:
    """A clerk."""
    with stores.client(api, "cleo", data, Clock()) as client:
        yield client
    DEEDS.clear()


def awaited(client: Client, deed: Callable[[Call], Any]) -> Answer:
    """The answer of an async `deed`."""
    DEEDS["deed"] = deed
    return client.post("/wait", json={"deed": "deed"})


def add(call: Call) -> Any:
    """One room."""
    return call.create(Room, {"name": "Made"})


def made(data: Path) -> int:
    """How many rooms are there for it."""
    count: int = stores.rows(data, "SELECT count(*) FROM rooms WHERE name = 'Made'")[0][0]
    return count


def ended(answer: Answer, status: int, code: str) -> None:
    """It is this refusal, and nothing invites to send the request again."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert "retry-after" not in answer.headers


@moved
def test_a_caller_that_changed_between_two_transactions(cleo: Client, data: Path, move: Any) -> None:
    """The second is refused, and the answer says that the first is done: repeated, it would be done twice."""

    async def twice(call: Call) -> None:
        await call.transact(add)
        await asyncio.to_thread(stores.change, data, move)
        await call.transact(add)

    ended(awaited(cleo, twice), 409, "partly_done")
    assert made(data) == 1


@moved
def test_a_caller_that_changed_before_the_answer(cleo: Client, data: Path, move: Any) -> None:
    """All is done: 204, and nothing is shown to whom it may not concern any more."""

    async def last(call: Call) -> Any:
        row = await call.transact(add)
        await asyncio.to_thread(stores.change, data, move)
        return row

    answer = awaited(cleo, last)
    assert (answer.status_code, answer.content) == (204, b"")
    assert made(data) == 1


def test_a_caller_that_changed_before_anything_was_done(cleo: Client, data: Path) -> None:
    """Nothing is written, and the same request may be sent again."""

    async def late(call: Call) -> None:
        await asyncio.to_thread(stores.change, data, MOVES["disabled"])
        await call.transact(add)

    answer = awaited(cleo, late)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "1")
    assert made(data) == 0


@pytest.mark.parametrize("reason", [BUSY, QUERY_TIMEOUT])
def test_a_store_that_fails_at_once(cleo: Client, reason: Reason) -> None:
    """Nothing is done, and Retry-After says when to come again."""

    def fails(_: Call) -> None:
        raise Refusal(reason)

    async def first(call: Call) -> None:
        await call.transact(fails)

    answer = awaited(cleo, first)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, reason.code, "1")


@pytest.mark.parametrize("reason", [BUSY, QUERY_TIMEOUT])
def test_a_store_that_fails_after_the_first_transaction(cleo: Client, data: Path, reason: Reason) -> None:
    """No Retry-After: what a client may repeat is another matter now."""

    def fails(_: Call) -> None:
        raise Refusal(reason, retry_after_seconds=1)

    async def second(call: Call) -> None:
        await call.transact(add)
        await call.transact(fails)

    ended(awaited(cleo, second), 409, "partly_done")

    async def alone(call: Call) -> None:
        await call.transact(fails)

    assert awaited(cleo, alone).json()["code"] == reason.code
    assert made(data) == 1


@pytest.mark.parametrize(("works", "status", "code"), [(False, 408, "request_timeout"), (True, 409, "partly_done")])
def test_a_handler_that_takes_too_long(
    cleo: Client, data: Path, monkeypatch: pytest.MonkeyPatch, works: bool, status: int, code: str
) -> None:
    """It is ended; the answer says whether something was done before."""
    monkeypatch.setattr(defaults, "REQUEST_SECONDS", 1.0 if works else 0.01)

    async def slow(call: Call) -> None:
        if works:
            await call.transact(add)
        await asyncio.Event().wait()

    ended(awaited(cleo, slow), status, code)
    assert made(data) == works


def test_a_timeout_of_the_handlers_own_is_its_error(cleo: Client) -> None:
    """A service that did not answer it is no slow request of the client: 500, and one error in the journal."""

    async def given_up(_: Call) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        awaited(cleo, given_up)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), StopIteration(1)])
def test_what_an_endpoint_raises_never_ends_the_server(cleo: Client, error: BaseException) -> None:
    """sys.exit() and its like are errors of the program, as in a plain one: other requests run on the same event loop."""

    async def leaves(_: Call) -> None:
        raise error

    with pytest.raises(RuntimeError):
        awaited(cleo, leaves)
    assert cleo.get("/rooms").status_code == 200
