"""PostgreSQL fails under the whole path: 503 with `Retry-After` within a bound, and the next request is as if nothing were.

After each test every connection of the pool is looked at: none is in a transaction, and nothing is set in its session.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.unit.serve.served import eventually, serving

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Call, Plan, allow
from vallum.defaults import POSTGRES_CONNECTIONS, READ_SECONDS
from vallum.serve.asgi import Application
from vallum.store.ports import Statement
from vallum.store.postgres import PostgresDatabase
from vallum.testing import Answer, Client, create_database
from vallum.testing.wire import freshness, scope_of


class Base(DeclarativeBase):
    """All tables."""


class Parcel(Base):
    """Something that must not get lost, nor be sent twice."""

    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(String(40))
    weight: Mapped[int] = mapped_column(default=1)


api = API("Post", roles=["clerk"], plans={"default": Plan(burst="100000/s")})
api.resource(Parcel, allow("clerk", CREATE | READ | UPDATE | DELETE), filters=["word"])
runs: list[int] = []
"""The backend of each time that the action ran."""


@api.action(Parcel, "weigh", allow("clerk"))
def weigh(call: Call, parcel: Parcel) -> Parcel:
    """Two statements, and between them time for an accident: `word` says what happens."""
    parcel.weight += 1
    db = call.unrestricted("an accident")
    db.execute(text("SET search_path = pg_catalog, public"))
    runs.append(db.execute(text("SELECT pg_backend_pid()")).scalar_one())
    if parcel.word == "often" or len(runs) == 1:
        db.execute(text("SELECT pg_terminate_backend(pg_backend_pid(), 1000)"))
    return parcel


@api.post("/fetched", allow("clerk"))
async def fetched(call: Call) -> None:
    """A parcel that somebody else knows of."""
    await call.transact(lambda inside: inside.create(Parcel, {"word": "new"}))


api.accounts.add("carl", roles=["clerk"])


def seed(db: Session) -> None:
    """Three."""
    db.add_all(Parcel(id=n, word=word) for n, word in enumerate(("once", "often", "never"), 1))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("post") / "data"
    stores.create(api, data, seed=seed, store=stores.POSTGRESQL)
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own."""
    runs.clear()
    return stores.copied(filled, tmp_path / "data")


@pytest.fixture
def carl(data: Path) -> Iterator[Client]:
    """Who calls; in the end the pool is looked at."""
    with stores.client(api, "carl", data) as client:
        assert client.get("/parcels/1").status_code == 200
        yield client
        assert_clean(client)


CLEAN = Statement(
    "SELECT (SELECT count(*) FROM pg_settings WHERE source = 'session'), current_user,"
    " (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),"
    " (SELECT count(*) FROM pg_cursors WHERE name <> ''), current_setting('search_path'),"
    " pg_current_xact_id_if_assigned() IS NULL, current_setting('transaction_isolation')",
    (),
)


def assert_clean(client: Client) -> None:
    """On each connection that the pool lends: no transaction of another request, nothing that one had set."""
    database = client.service.database
    assert isinstance(database, PostgresDatabase)
    pool = database._pool

    async def look() -> set[tuple[Any, ...]]:
        lent = [await pool.acquire(1.0) for _ in range(POSTGRES_CONNECTIONS)]
        try:
            for each in lent:  # in one transaction it would be one instant
                first, second = [await each.connection.fetchval("SELECT now()") for _ in range(2)]
                assert first < second
            return {tuple((await each.connection.fetch(CLEAN.text))[0]) for each in lent}
        finally:
            for each in lent:
                pool.release(each)

    assert client._running.run(look()) == {
        (0, "postgres", 0, 0, '"$user", public', True, "read committed"),
    }


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Future[Answer]]]:
    """Calls a client in a thread of its own."""
    with ThreadPoolExecutor(POSTGRES_CONNECTIONS + 4) as threads:
        yield threads.submit


@contextlib.contextmanager
def locked(data: Path, mode: str = "ACCESS EXCLUSIVE") -> Iterator[None]:
    """Nobody comes at the parcels: whatever asks for them is in the middle of its statement."""
    server, name = stores.server(), stores.name_of(stores.database_of(data) or "")
    connection = server.wait(server.connect(name))
    try:
        server.wait(connection.execute(f"BEGIN; LOCK TABLE parcels IN {mode} MODE"))
        yield
    finally:
        server.wait(connection.close())


def stuck(data: Path) -> list[int]:
    """Backends of ours that wait for the lock."""
    text = "SELECT pid FROM pg_stat_activity WHERE application_name = 'vallum' AND wait_event_type = 'Lock'"
    return [pid for (pid,) in stores.rows(data, f"{text} AND datname = current_database()")]


def kill_stuck(data: Path, but: int = 0) -> int:
    """As an administrator ends the one that waits; which it was."""
    assert eventually(lambda: [pid for pid in stuck(data) if pid != but])
    (pid,) = (pid for pid in stuck(data) if pid != but)
    stores.rows(data, "SELECT pg_terminate_backend(?, 5000)", pid)
    return pid


def is_busy(answer: Answer, code: str = "busy") -> bool:
    """Come again."""
    return (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "1", code)


def parcels(data: Path, word: str) -> int:
    """How many there are of that word."""
    ((count,),) = stores.rows(data, "SELECT count(*) FROM parcels WHERE word = ?", word)
    return int(count)


# A killed backend ---------------------------------------------------------------------------


def test_a_backend_that_is_killed_while_it_reads(
    carl: Client, data: Path, elsewhere: Callable[..., Future[Answer]]
) -> None:
    """The read runs once more, on another connection, and nobody notices; when that is killed too it is refused."""
    for kills in (1, 2):
        with locked(data):
            asked = elsewhere(carl.get, "/parcels/1")
            pid = 0
            for _ in range(kills):
                pid = kill_stuck(data, but=pid)
            if kills == 2:
                assert is_busy(asked.result(timeout=5))
        assert asked.result(timeout=5).status_code == (200 if kills == 1 else 503)
    assert carl.get("/parcels/1").status_code == 200


def test_a_backend_that_is_killed_while_it_writes(
    carl: Client, data: Path, elsewhere: Callable[..., Future[Answer]]
) -> None:
    """A write in one statement may have been made or not, so it is not made again: its client is told to come again."""
    for method, path, body in (
        ("POST", "/parcels", {"word": "new"}),
        ("PATCH", "/parcels/1", {"weight": 9}),
        ("DELETE", "/parcels/1", None),
    ):
        with locked(data):
            asked = elsewhere(carl.request, method, path, json=body, headers={"if-match": "*"} if path[8:] else {})
            kill_stuck(data)
            assert is_busy(asked.result(timeout=5)), method
    assert carl.get("/parcels/1").json() == {"id": 1, "word": "once", "weight": 1}
    assert parcels(data, "new") == 0
    assert stores.rows(data, "SELECT count(*) FROM vallum_audit") == [(0,)]


def test_a_backend_that_is_killed_under_an_idempotency_key(
    carl: Client, data: Path, elsewhere: Callable[..., Future[Answer]]
) -> None:
    """The transaction begins anew by itself, and the parcel is sent once; a repetition gets the same answer."""
    once = {"idempotency-key": "once"}
    with locked(data, "SHARE ROW EXCLUSIVE"):
        asked = elsewhere(carl.post, "/parcels", json={"word": "new"}, headers=once)
        kill_stuck(data)
        kill_stuck(data)
    made = asked.result(timeout=5)
    assert made.status_code == 201
    again = carl.post("/parcels", json={"word": "new"}, headers=once)
    assert (again.content, again.headers["idempotent-replayed"]) == (made.content, "true")
    assert parcels(data, "new") == 1


def test_a_backend_that_is_killed_between_two_statements(carl: Client, data: Path) -> None:
    """The handler runs once more from its beginning, on another connection; what it had written is not there twice."""
    answer = carl.post("/parcels/1/weigh")
    assert (answer.status_code, answer.json()["weight"], len(runs)) == (200, 2, 2)
    assert len(set(runs)) == 2
    runs.clear()
    assert is_busy(carl.post("/parcels/2/weigh"))
    assert len(runs) == 3
    assert stores.rows(data, "SELECT weight FROM parcels ORDER BY id") == [(2,), (1,), (1,)]
    assert stores.rows(data, "SELECT count(DISTINCT request_id) FROM vallum_audit") == [(1,)]


DYING = """CREATE FUNCTION dies() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"""
AT_COMMIT = """CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON parcels DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.word = 'new') EXECUTE FUNCTION dies()"""
LATER = """CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN NEW; END $$"""
NOT_BEFORE = "CREATE TRIGGER later BEFORE INSERT ON parcels FOR EACH ROW EXECUTE FUNCTION later()"
"""Vallum has such triggers speak with their statement."""


def test_a_backend_that_is_killed_in_the_commit(carl: Client, data: Path) -> None:
    """Nobody knows what became of it: refused, not repeated. Here it was not made, and the same request makes it."""
    for line in (DYING, AT_COMMIT, LATER, NOT_BEFORE):
        stores.rows(data, line)
    once = {"idempotency-key": "once"}
    assert is_busy(carl.post("/parcels", json={"word": "new"}, headers=once))
    assert is_busy(carl.post("/parcels", json={"word": "new"}))
    assert carl.post("/fetched").json()["code"] == "partly_done"  # it takes no key, so nothing invites to repeat it
    assert parcels(data, "new") == 0
    stores.rows(data, "DROP TRIGGER dies ON parcels")
    made = carl.post("/parcels", json={"word": "new"}, headers=once)
    assert (made.status_code, "idempotent-replayed" in made.headers) == (201, False)
    assert parcels(data, "new") == 1


class Cut:
    """Between Vallum and the server: passes everything on, until the answer to a word must not arrive."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.word = b""
        self.after = b""
        """What the connection must have sent before: others commit, too."""

    async def start(self) -> int:
        """Listen on the loopback; the port."""
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """On its own event loop: from another thread it could meet the end of a connection."""
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        answers, requests = await asyncio.open_unix_connection(self.socket)

        async def ask() -> None:
            met = False
            while data := await reader.read(65_536):
                requests.write(data)
                met = met or (self.after in data and self.word != b"")
                if met and self.word and self.word in data:
                    self.word = b""
                    back.cancel()
                    await asyncio.wait([back])
                    await answers.read(1)  # it is carried out by now
                    break
            requests.transport.abort()
            writer.transport.abort()

        async def tell() -> None:
            while data := await answers.read(65_536):
                writer.write(data)
                await writer.drain()

        back = asyncio.create_task(tell())
        with contextlib.suppress(OSError):
            await ask()
        back.cancel()


@pytest.mark.parametrize(("word", "headers"), [(b"COMMIT", {"idempotency-key": "once"}), (b"new", {})])
def test_an_answer_that_is_lost_on_its_way_back(data: Path, word: bytes, headers: Mapping[str, str]) -> None:
    """The server had committed: refused like one that had not, not repeated, and under its key answered when asked again."""
    server = stores.server()
    cut = Cut(f"{server.directory}/.s.PGSQL.5432")
    port = server.wait(cut.start())
    name = stores.name_of(stores.database_of(data) or "")
    with Client(api, "carl", data, database=f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable") as carl:
        assert carl.post("/parcels", json={"word": "other"}).status_code == 201
        cut.after, cut.word = b"new", word
        assert is_busy(carl.post("/parcels", json={"word": "new"}, headers=headers))
        assert parcels(data, "new") == 1
        if headers:
            again = carl.post("/parcels", json={"word": "new"}, headers=headers)
            assert (again.status_code, again.headers["idempotent-replayed"], again.json()["word"]) == (
                201,
                "true",
                "new",
            )
            assert parcels(data, "new") == 1
        assert_clean(carl)
    server.wait(cut.stop())


def test_an_async_endpoint_whose_commit_is_not_answered(data: Path) -> None:
    """It is done, and nobody knows: nothing invites to send it again."""
    server = stores.server()
    cut = Cut(f"{server.directory}/.s.PGSQL.5432")
    port = server.wait(cut.start())
    name = stores.name_of(stores.database_of(data) or "")
    with Client(api, "carl", data, database=f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable") as carl:
        assert carl.post("/parcels", json={"word": "other"}).status_code == 201
        cut.word = b"SELECT 1; COMMIT"
        answer = carl.post("/fetched")
        assert (answer.status_code, answer.json()["code"], parcels(data, "new")) == (409, "partly_done", 1)
        assert "retry-after" not in answer.headers
        assert_clean(carl)
    server.wait(cut.stop())


# Too long, too many ---------------------------------------------------------------------------


def test_a_read_that_runs_over_is_cancelled_in_the_server(
    carl: Client, data: Path, elsewhere: Callable[..., Future[Answer]]
) -> None:
    """After `READ_SECONDS`; lists, items, counts and writes in one statement alike."""
    with locked(data):
        began = time.monotonic()
        asked = [elsewhere(carl.get, path) for path in ("/parcels/1", "/parcels?word=x&count=exact", "/parcels")]
        asked.append(elsewhere(carl.post, "/parcels", json={"word": "late"}))
        assert eventually(lambda: len(stuck(data)) == len(asked))
        assert all(is_busy(each.result(timeout=READ_SECONDS + 5), "query_timeout") for each in asked)
        assert READ_SECONDS <= time.monotonic() - began < READ_SECONDS + 2
        assert stuck(data) == []
    assert parcels(data, "late") == 0


def test_all_connections_are_in_use(carl: Client, data: Path, elsewhere: Callable[..., Future[Answer]]) -> None:
    """Who has waited as long as may be is told to come again; who is there when one comes back is answered."""
    database = carl.service.database
    assert isinstance(database, PostgresDatabase)
    database._pool._limits = replace(database._limits, acquire_seconds=0.4)
    with locked(data):
        working = [elsewhere(carl.get, "/parcels/1") for _ in range(POSTGRES_CONNECTIONS)]
        assert eventually(lambda: len(stuck(data)) == POSTGRES_CONNECTIONS)
        began = time.monotonic()
        assert is_busy(carl.get("/parcels/1"))
        assert is_busy(carl.delete("/parcels/1"))
        assert time.monotonic() - began < 2.0
        database._pool._limits = replace(database._limits, acquire_seconds=5.0)
        waiting = elsewhere(carl.get, "/parcels/2")
    assert {each.result(timeout=5).status_code for each in [*working, waiting]} == {200}


# Who hangs up ---------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [{}, {"content-length": "0"}], ids=["no length", "length 0"])
def test_a_read_whose_client_has_gone_ends_in_the_server(carl: Client, data: Path, framing: Mapping[str, str]) -> None:
    """Soon, not after `READ_SECONDS`; it is logged. A write is carried out: nobody knows whether its client asks again."""
    application = Application(carl.service)
    running = carl._running
    sent: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    def request(method: str, body: bytes) -> tuple[Future[None], Callable[[], object]]:
        headers = {"host": "testserver", "authorization": f"Bearer {carl.token}", **freshness(time.time())}
        headers |= {"content-type": "application/json", "content-length": str(len(body))} if body else framing
        scope = scope_of(method, "/parcels", "", [(k.encode(), v.encode()) for k, v in headers.items()])
        gone = asyncio.Event()
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Mapping[str, Any]:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        work = asyncio.run_coroutine_threadsafe(application(scope, receive, send), running.loop)
        return work, lambda: running.loop.call_soon_threadsafe(gone.set)

    looking = asyncio.run_coroutine_threadsafe(application.hang_ups.look(), running.loop)
    with locked(data):
        read, hang_up = request("GET", b"")
        assert eventually(lambda: len(stuck(data)) == 1)
        began = time.monotonic()
        hang_up()
        read.result(timeout=READ_SECONDS)
        assert eventually(lambda: stuck(data) == [], 2.0)
        assert time.monotonic() - began < READ_SECONDS - 1
        assert sent[0]["status"] == 499
        write, hang_up = request("POST", b'{"word":"new"}')
        assert eventually(lambda: len(stuck(data)) == 1)
        hang_up()
        time.sleep(1.2)
        assert len(stuck(data)) == 1
    write.result(timeout=5)
    looking.cancel()
    assert parcels(data, "new") == 1
    assert (application.hang_ups._running, application.hang_ups._watched) == ({}, {})


def test_a_client_that_hangs_up(tmp_path: Path) -> None:
    """Over TLS: the connection is closed in the middle of a list, which waits for a lock; the server's statement ends."""
    server = stores.server()
    name = server.database()
    with serving(tmp_path, VALLUM_DATABASE=server.url(name)) as served:
        token = served.token("will")
        assert served.ask("GET", "/notes", token)[0] == 200
        admin = server.wait(server.connect(name))
        server.wait(admin.execute("BEGIN; LOCK TABLE notes IN ACCESS EXCLUSIVE MODE"))
        waiting = (
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'vallum'"
            " AND wait_event_type = 'Lock'"
        )
        connection = http.client.HTTPSConnection("localhost", served.port, context=served.context())
        connection.request("GET", "/notes", headers={"Authorization": f"Bearer {token}", **freshness(time.time())})
        assert eventually(lambda: server.rows(name, waiting) == [(1,)])
        began = time.monotonic()
        connection.close()
        assert eventually(lambda: server.rows(name, waiting) == [(0,)])
        assert time.monotonic() - began < READ_SECONDS - 1
        server.wait(admin.close())
        assert served.ask("GET", "/notes", token)[0] == 200
        assert eventually(lambda: 499 in [line.get("status") for line in served.lines()])
    server.drop(name)


# A restarted server ---------------------------------------------------------------------------


class Load:
    """Three who read and three who write, each until it is told to stop.

    Attributes:
        outcomes: how often which method had which status and code.
        longest: seconds that one answer took.
        made: words of the parcels whose clients have an answer.
    """

    def __init__(self, carl: Client) -> None:
        self.carl = carl
        self.outcomes: Counter[tuple[str, int, str]] = Counter()
        self.longest = 0.0
        self.made: list[str] = []
        self.stopping = threading.Event()

    def ask(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        """One request. A refusal that is not a 503 with `Retry-After` is a failure."""
        began = time.monotonic()
        answer = self.carl.request(method, path, json=body, headers=headers)
        self.longest = max(self.longest, time.monotonic() - began)
        good = answer.status_code < 300
        self.outcomes[method, answer.status_code, "" if good else answer.json()["code"]] += 1
        assert good or any(is_busy(answer, code) for code in CODES), answer.text
        time.sleep(0 if good else 0.02)
        return answer

    def read(self) -> None:
        """Lists."""
        while not self.stopping.is_set():
            self.ask("GET", "/parcels?limit=5", None, {})

    def write(self, name: str) -> None:
        """Creates, each under a key and again until there is an answer."""
        number = 0
        while not self.stopping.is_set():
            word, number = f"{name}-{number}", number + 1
            while self.ask("POST", "/parcels", {"word": word}, {"idempotency-key": word}).status_code != 201:
                pass
            self.made.append(word)


CODES = ("busy", "query_timeout", "nonces_unavailable")


@pytest.fixture(scope="module")
def own_server() -> Iterator[stores.Server]:
    """For what stops it."""
    server = stores.Server()
    yield server
    server.stop()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_restarted_under_load(own_server: stores.Server, tmp_path: Path, mode: str) -> None:
    """Stopped in order, or killed in the middle of everything: each answer is a good one or a 503, within the bound, and a
    parcel whose client comes again until it has an answer is sent exactly once. A database that would acknowledge
    before it writes changes nothing about that.
    """
    server = own_server
    url = server.url(server.database())
    server.execute(f"ALTER DATABASE {stores.name_of(url)} SET synchronous_commit = off")
    create_database(api, tmp_path / "data", seed, database=url)
    with ExitStack() as stack:
        carl = stack.enter_context(Client(api, "carl", tmp_path / "data", database=url))
        threads = stack.enter_context(ThreadPoolExecutor(6))
        load = Load(carl)
        stack.callback(load.stopping.set)
        working = [threads.submit(load.read) for _ in range(3)]
        working += [threads.submit(load.write, f"w{n}") for n in range(3)]
        time.sleep(0.5)
        server.control("stop", mode=mode)
        time.sleep(0.5)
        server.control("start")
        time.sleep(1.0)
        before = dict(load.outcomes)
        time.sleep(0.3)
        after = {outcome for outcome, count in load.outcomes.items() if count > before.get(outcome, 0)}
        load.stopping.set()
        for each in working:
            each.result(timeout=30)
        assert {status for _, status, _ in after} == {200, 201}
        assert_clean(carl)
        sent = server.rows(stores.name_of(url), "SELECT word FROM parcels WHERE word LIKE 'w%'")
    assert sorted(word for (word,) in sent) == sorted(load.made)
    assert any(status == 503 for _, status, _ in load.outcomes)
    assert load.longest < READ_SECONDS + 2
    print(mode, dict(load.outcomes), f"longest {load.longest:.2f} s")
