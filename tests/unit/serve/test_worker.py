"""The process that serves: how it starts, and how it says that it cannot."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.serve import tiny
from tests.unit.serve.served import free_port

from vallum.declare.app import API
from vallum.declare.errors import DeclarationError
from vallum.serve.create import create_database
from vallum.serve.errors import SettingsError
from vallum.serve.settings import Settings, load
from vallum.serve.worker import Worker, application, place_of


@pytest.fixture(autouse=True)
def logs_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker takes over the process's logging."""
    monkeypatch.chdir(tmp_path)
    root, own, granian = logging.getLogger(), logging.getLogger("vallum"), logging.getLogger("_granian")
    before = root.handlers, root.level, own.level, granian.handlers, granian.propagate
    yield
    root.handlers, own.level, granian.handlers, granian.propagate = before[0], before[2], before[3], before[4]
    root.setLevel(before[1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a database that is there."""
    create_database(tiny.api, tmp_path / "data", now=time.time())
    return load({"dev": True, "data": tmp_path / "data", "ops_port": 0, "log_format": "json"})


class Lifespan:
    """The server's side of the ASGI lifespan."""

    def __init__(self, worker: Worker) -> None:
        self.sent: list[str] = []
        self._inbox: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._told = asyncio.Event()
        self._task = asyncio.ensure_future(worker({"type": "lifespan"}, self._inbox.get, self._send))

    async def _send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(message["type"].removeprefix("lifespan."))
        self._told.set()

    async def say(self, what: str) -> None:
        self._told.clear()
        await self._inbox.put({"type": f"lifespan.{what}"})
        await asyncio.wait_for(self._told.wait(), 20)

    async def end(self) -> None:
        await asyncio.wait_for(self._task, 20)


async def test_it_is_ready_after_its_start(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Then `ready` is called, once; a stop writes what is left of the log."""
    ready: list[bool] = []
    lifespan = Lifespan(Worker(tiny.api, settings, ready=lambda: ready.append(True)))
    await lifespan.say("startup")
    assert (lifespan.sent, ready) == (["startup.complete"], [True])
    await lifespan.say("shutdown")
    await lifespan.end()
    assert lifespan.sent == ["startup.complete", "shutdown.complete"]
    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == ["started", "stopped"]


async def test_a_start_that_is_refused_is_reported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a database: the server is told, the operator reads what to do, and there is no traceback."""
    settings = load({"dev": True, "data": tmp_path / "nothing", "ops_port": 0, "log_format": "json"})
    lifespan = Lifespan(Worker(tiny.api, settings))
    await lifespan.say("startup")
    await lifespan.end()
    assert lifespan.sent == ["startup.failed"]
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "start refused"
    assert "vallum db create" in line


async def test_a_start_that_fails_is_reported(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Granian would serve on without a start if the lifespan merely raised."""
    api, secret = API("Failing", roles=["reader"], plans=tiny.api.plans), "hunter" + "2"

    @api.on_start
    def fail() -> None:
        raise ValueError(secret)

    lifespan = Lifespan(Worker(api, settings))
    await lifespan.say("startup")
    await lifespan.end()
    assert lifespan.sent == ["startup.failed"]
    written = capfd.readouterr().err
    assert "builtins.ValueError" in written
    assert secret not in written


async def test_accounts_of_a_plan_that_is_gone_stop_the_start(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before anything else is begun: their name, their plan and what to do; and no thread is left behind."""
    lifespan = Lifespan(Worker(API("Shrunk", roles=["reader"]), settings))
    await lifespan.say("startup")
    await lifespan.end()
    assert lifespan.sent == ["startup.failed"]
    (line,) = capfd.readouterr().err.splitlines()
    why = json.loads(line)["why"]
    assert why.startswith("account-plan: account 'rita' and 1 more: Unknown plan 'wide'; known are ['anonymous', 'def")
    assert "vallum-write" not in {thread.name for thread in threading.enumerate()}


async def test_a_port_of_health_that_is_taken_is_refused_by_name(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """By a listener that does not share it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = settings.model_copy(update={"ops_port": other.getsockname()[1]})
        lifespan = Lifespan(Worker(tiny.api, taken))
        await lifespan.say("startup")
        await lifespan.end()
    assert lifespan.sent == ["startup.failed"]
    assert "ops-port-taken" in capfd.readouterr().err


async def test_it_stops_when_its_parent_is_gone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It sends itself the signal that its parent would have sent."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: killed.append(arguments))
    lifespan = Lifespan(Worker(tiny.api, settings, parent=os.getppid() + 1))
    await lifespan.say("startup")
    while not killed:  # noqa: ASYNC110  # the worker's own task does it
        await asyncio.sleep(0.01)
    await lifespan.say("shutdown")
    await lifespan.end()
    assert killed == [(os.getpid(), 15)]


async def test_what_libraries_log_gets_into_the_same_log(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Warnings of others and information of ours, as lines of the same form."""
    worker = Worker(tiny.api, settings)
    logging.getLogger("library").info("chatter")
    logging.getLogger("library").warning("look here")
    logging.getLogger("vallum.store").info("for your information")
    logging.getLogger("_granian").error("worker failed")
    worker.journal.stop()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "look here"),
        ("info", "for your information"),
        ("error", "worker failed"),
    ]


def test_another_server_cannot_run_what_is_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The factory for other ASGI servers makes the same checks as `vallum serve`."""
    monkeypatch.setenv("VALLUM_APP", "tests.unit.serve.tiny:api")
    with pytest.raises(SettingsError) as caught:
        application()
    assert caught.value.identifier == "public-url-missing"


def test_another_server_cannot_serve_a_declaration_with_errors(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resource without a rule stops the factory too."""
    monkeypatch.setenv("VALLUM_APP", "tests.unit.serve.tiny:api")
    monkeypatch.setenv("VALLUM_DATA", str(settings.data))
    monkeypatch.setenv("VALLUM_PUBLIC_URL", "https://api.example.org")
    monkeypatch.setenv("VALLUM_TRUSTED_PROXIES", "10.0.0.0/24")
    bare = API("Bare", roles=["reader"])
    bare.resource(tiny.Note)
    monkeypatch.setattr(tiny, "api", bare)
    with pytest.raises(DeclarationError) as caught:
        application()
    assert caught.value.identifier == "resource-without-rules"


async def test_another_server_may_run_what_is_safe(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """From variables alone, behind a proxy that terminates TLS."""
    for name, value in {
        "APP": "tests.unit.serve.tiny:api",
        "DATA": str(settings.data),
        "PUBLIC_URL": "https://api.example.org",
        "TRUSTED_PROXIES": "10.0.0.0/24",
        "OPS_PORT": str(free_port()),
    }.items():
        monkeypatch.setenv(f"VALLUM_{name}", value)
    lifespan = Lifespan(application())
    await lifespan.say("startup")
    await lifespan.say("shutdown")
    await lifespan.end()
    assert lifespan.sent == ["startup.complete", "shutdown.complete"]


def test_the_path_gets_what_the_settings_say(tmp_path: Path) -> None:
    """Every field of `Place` has its value from the settings of the same name."""
    given = load({"dev": True, "data": tmp_path, "address_per_second": 7.5, "address_burst": 9, "unix_socket": "s"})
    place = place_of(given)
    assert (place.address_per_second, place.address_burst, place.unix_socket) == (7.5, 9, Path("s"))
    assert (place.public_url, tuple(place.allowed_hosts)) == (given.public_url, given.allowed_hosts)
    assert place.passphrase is None
