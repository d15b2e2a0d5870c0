"""The beginning and the end of a service: whatever fails in between, nothing stays open."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from vallum.declare.app import API
from vallum.pipeline import Journal
from vallum.serve.create import create_database
from vallum.serve.settings import load
from vallum.serve.wire import Service, build_service
from vallum.serve.worker import place_of

Build = Callable[[API], Service]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A service on a database of its own."""
    monkeypatch.chdir(tmp_path)

    def built(api: API) -> Service:
        create_database(api, tmp_path / "data", now=time.time())
        place = place_of(load({"dev": True, "data": tmp_path / "data"}))
        return build_service(api, place, cast("Journal", None), time.time)

    return built


def writers() -> int:
    """Threads that write in a database."""
    return [thread.name for thread in threading.enumerate()].count("vallum-write")


@pytest.mark.parametrize("part", ["counters", "ledger", "audit"])
async def test_a_part_that_cannot_stop(build: Build, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """The others do: the audit is sealed, the store closed."""
    service = build(API("Notes", roles=["reader"]))
    await service.start()
    stopped: list[str] = []

    def watch(name: str) -> None:
        stop = getattr(service, name).stop

        async def fails() -> None:
            stopped.append(name)
            await stop()
            if name == part:
                raise OSError("No space left on device")

        monkeypatch.setattr(getattr(service, name), "stop", fails)

    for name in ("counters", "ledger", "audit", "database"):
        watch(name)
    with pytest.raises(OSError, match="No space"):
        await service.stop()
    assert stopped == ["counters", "ledger", "audit", "database"]
    assert writers() == 0


async def test_a_start_that_is_cancelled(build: Build) -> None:
    """As when the process is told to end while the application still starts: no thread is left that would keep it."""
    api = API("Notes", roles=["reader"])
    began = asyncio.Event()

    @api.on_start
    async def starts() -> None:
        began.set()
        await asyncio.Event().wait()

    starting = asyncio.create_task(build(api).start())
    await began.wait()
    assert writers() == 1
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert writers() == 0


async def test_each_stopper_is_called(build: Build) -> None:
    """In their order, although the first one raises; that is what is told."""
    api = API("Notes", roles=["reader"])
    stopped: list[str] = []

    @api.on_stop
    def first() -> None:
        stopped.append("first")
        raise OSError("first")

    @api.on_stop
    async def second() -> None:
        stopped.append("second")

    service = build(api)
    await service.start()
    with pytest.raises(OSError, match="first"):
        await service.stop()
    assert (stopped, writers()) == (["first", "second"], 0)
