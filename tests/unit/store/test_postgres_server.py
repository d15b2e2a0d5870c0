"""A server of these tests' own: stopped and started under load, over the network, with TLS and passwords."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.path.small import api, seed
from tests.unit.serve.served import command, eventually, free_port

from tests import stores
from vallum.refusals import Refusal
from vallum.serve.tls import development_files
from vallum.store.errors import StoreError
from vallum.store.ports import Script, Statement
from vallum.store.postgres import PostgresCommands, PostgresDatabase
from vallum.store.postgres_address import parse
from vallum.store.postgres_limits import PostgresLimits
from vallum.testing import Client, create_database

ONE = Statement("SELECT 1", ())
QUICK = PostgresLimits(connections=2, acquire_seconds=0.5, read_seconds=1.0, write_seconds=1.0, grace_seconds=0.3)
SECRET = "hunter2-5e7d"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""PostgreSQL 18, 54.7: the length, and 1234 and 5679."""


@pytest.fixture(scope="module")
def own_server() -> Iterator[stores.Server]:
    """For what stops it."""
    server = stores.Server()
    yield server
    server.stop()


async def test_a_server_that_is_stopped_and_started_under_load(
    own_server: stores.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Each request is answered or refused as busy, within the bound; soon after the start all are answered again. The
    log has a line for either.
    """
    caplog.set_level("INFO", "vallum")
    name = own_server.database()
    own_server.rows(name, "CREATE TABLE kept (id serial PRIMARY KEY, word text)")
    outcomes: list[tuple[float, float, str]] = []
    stopping = asyncio.Event()

    async def load(work: Callable[[], Awaitable[Any]]) -> None:
        while not stopping.is_set():
            began = time.monotonic()
            try:
                await work()
                outcome = "done"
            except Refusal as refusal:
                outcome = refusal.reason.code
                await asyncio.sleep(0.01)
            outcomes.append((began, time.monotonic(), outcome))

    def write() -> Script[Any]:
        return (yield Statement("INSERT INTO kept (word) VALUES ('x')", ()))

    database = PostgresDatabase(parse(own_server.url(name)), QUICK)
    await database.connect()
    tasks = [asyncio.create_task(load(lambda: database.read(ONE))) for _ in range(4)]
    tasks += [asyncio.create_task(load(lambda: database.write(write))) for _ in range(4)]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(own_server.control, "stop")
    await asyncio.sleep(0.3)
    await asyncio.to_thread(own_server.control, "start")
    started = time.monotonic()
    await asyncio.sleep(1.0)
    stopping.set()
    await asyncio.gather(*tasks)
    await database.stop()
    assert {outcome for _, _, outcome in outcomes} == {"done", "busy"}
    assert max(ended - began for began, ended, _ in outcomes) < QUICK.acquire_seconds + QUICK.read_seconds + 1.0
    assert {outcome for began, _, outcome in outcomes if began > started + 0.3} == {"done"}
    assert [record.message for record in caplog.records] == [
        "The database is not available.",
        "The database is available again.",
    ]
    made = sum(outcome == "done" for _, _, outcome in outcomes)
    assert 0 < own_server.rows(name, "SELECT count(*) FROM kept")[0][0] <= made + len(tasks)


# TLS and passwords --------------------------------------------------------------------------


class Front:
    """What the wheel's server is built without: it answers PostgreSQL's SSLRequest, and speaks TLS for the server.

    Args:
        context: None refuses TLS, as a server without a certificate does.
    """

    def __init__(self, socket: str, context: ssl.SSLContext | None) -> None:
        self.socket = socket
        self.context = context
        self.plain: list[bytes] = []

    async def start(self) -> int:
        """Listen on two addresses of the loopback; the port."""
        self.server = await asyncio.start_server(self.serve, ["127.0.0.1", "127.0.0.2"], free_port())
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Listen no more."""
        self.server.close()
        await self.server.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(8)
            if first == SSL_REQUEST:
                writer.write(b"N" if self.context is None else b"S")
                await writer.drain()
                if self.context is None:
                    self.plain.append(await reader.read())
                else:
                    await writer.start_tls(self.context)
                    await self.pass_on(b"", reader, writer)
            else:
                await self.pass_on(first, reader, writer)
        writer.transport.abort()

    async def pass_on(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To the server and back."""
        answers, requests = await asyncio.open_unix_connection(self.socket)
        requests.write(first)
        try:
            await asyncio.gather(piped(reader, requests), piped(answers, writer))
        finally:
            requests.transport.abort()


async def piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From one to the other until it ends."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
def place(own_server: stores.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, int, Path]]:
    """The server behind TLS, the port, and the authority of its certificate; `ann` needs a password."""
    files = tmp_path_factory.mktemp("tls")
    made = development_files(files, time.time())
    own_server.execute(f"CREATE USER ann PASSWORD '{SECRET}'")
    hba = Path(own_server.directory, "pg_hba.conf")
    hba.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
    own_server.execute("SELECT pg_reload_conf()")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)
    front = Front(f"{own_server.directory}/.s.PGSQL.5432", context)
    yield front, own_server.wait(front.start()), files / "dev-ca.pem"
    own_server.wait(front.stop())


def asked(url: str, password: str | None = None) -> list[Any]:
    """Who is connected."""
    address = parse(url)
    object.__setattr__(address, "password", password)
    with closing(PostgresCommands(address)) as commands:
        return [tuple(row) for row in commands.read(Statement("SELECT current_user", ()))]


def refused(url: str, password: str | None = None) -> str:
    """Why not."""
    with pytest.raises(StoreError) as caught:
        asked(url, password)
    assert SECRET not in str(caught.value)
    return caught.value.identifier


def test_the_server_is_verified(place: tuple[Front, int, Path]) -> None:
    """By an authority that the operator trusts, and by its name; the password is not told before."""
    _, port, authority = place
    trusting = f"postgres?sslrootcert={authority}"
    assert asked(f"postgresql://ann@localhost:{port}/{trusting}", SECRET) == [("ann",)]
    assert refused(f"postgresql://ann@localhost:{port}/postgres", SECRET) == "database-tls"
    assert refused(f"postgresql://ann@127.0.0.2:{port}/{trusting}", SECRET) == "database-tls"
    assert refused(f"postgresql://ann@localhost:{port}/{trusting}", "wrong") == "database-login"
    assert refused(f"postgresql://ann@localhost:{port}/{trusting}") == "database-login"


def test_a_server_without_tls_is_told_nothing(place: tuple[Front, int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the URL says so; `address_of` decides who may say it."""
    front, port, authority = place
    monkeypatch.setattr(front, "context", None)
    assert refused(f"postgresql://ann@localhost:{port}/postgres?sslrootcert={authority}", SECRET) == "database-tls"
    assert eventually(lambda: front.plain == [b""])
    assert asked(f"postgresql://ann@localhost:{port}/postgres?sslmode=disable", SECRET) == [("ann",)]


def test_the_environment_of_libpq_does_not_weaken_it(
    place: tuple[Front, int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGSSLMODE and its likes count for nothing; a password may come from there, or from a password file."""
    _, port, authority = place
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv("PGHOST", "nowhere.example")
    assert refused(f"postgresql://ann@localhost:{port}/postgres", SECRET) == "database-tls"
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert asked(f"postgresql://ann@localhost:{port}/postgres?sslrootcert={authority}") == [("ann",)]


def test_a_command_with_a_password_file(place: tuple[Front, int, Path], tmp_path: Path) -> None:
    """It connects, and says nothing of the password when it cannot."""
    _, port, authority = place
    password = tmp_path / "password"
    password.touch(0o600)
    given = {
        "VALLUM_DATABASE": f"postgresql://ann@localhost:{port}/postgres?sslrootcert={authority}",
        "VALLUM_DATABASE_PASSWORD_FILE": str(password),
    }
    password.write_text(SECRET)
    said = command("user", "list", cwd=tmp_path, **given)
    assert "vallum_principal" not in said.out
    assert said.err.startswith("vallum: schema-missing")
    password.write_text(f"not {SECRET}")
    said = command("user", "list", cwd=tmp_path, **given)
    assert said.err.startswith("vallum: database-login")
    assert SECRET not in said.out + said.err


# The path ------------------------------------------------------------------------------------


def test_a_request_while_the_server_is_gone(own_server: stores.Server, tmp_path: Path) -> None:
    """503 with `Retry-After`, for reads and writes, with a token that is remembered and with one that is not; then 200."""
    url = own_server.url(own_server.database())
    create_database(api, tmp_path / "data", seed, database=url)
    with (
        Client(api, "walt", tmp_path / "data", database=url) as walt,
        Client(api, "rita", tmp_path / "data", database=url) as rita,
    ):
        assert walt.get("/books/1").status_code == 200
        assert rita.token is not None
        own_server.control("stop")
        for answer in (
            walt.get("/books/1"),
            walt.post("/books", json={"title": "x"}),
            walt.delete("/books/1"),
            rita.get("/books"),
            rita.get("/nowhere"),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["code"] == "busy"
        own_server.control("start")
        assert walt.get("/books/1").status_code == 200
        assert rita.get("/books").status_code == 200
