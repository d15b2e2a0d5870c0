"""Whose client is listened to while it is answered, and that nobody is kept in mind for longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vallum import defaults
from vallum.serve.asgi import Application
from vallum.serve.hang_ups import HangUps
from vallum.serve.wire import Service

Headers = list[tuple[bytes, bytes]]


async def gone() -> Mapping[str, Any]:
    """Of a client that has hung up."""
    return {"type": "http.disconnect"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn of the loop is a look."""
    monkeypatch.setattr(defaults, "HANG_UP_SECONDS", 0)


@asynccontextmanager
async def looking(hang_ups: HangUps) -> AsyncIterator[None]:
    """As the worker does."""
    task = asyncio.create_task(hang_ups.look())
    try:
        yield
    finally:
        task.cancel()


async def is_given_up(method: str, headers: Headers) -> bool:
    """Whether such a request ends when its client hangs up; either way nothing is left of it."""
    hang_ups = HangUps()

    async def request() -> bool:
        task = hang_ups.begin({"method": method, "headers": headers}, gone)
        try:
            for _ in range(20):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            return hang_ups.end(task)
        return hang_ups.end(task) and task is not None

    async with looking(hang_ups):
        found = await asyncio.create_task(request())
    assert (hang_ups._running, hang_ups._watched) == ({}, {})
    return found


@pytest.mark.parametrize(
    "headers", [[], [(b"content-length", b"0")], [(b"Content-Length", b"00")], [(b"accept", b"*/*")]]
)
async def test_a_read_without_a_body(headers: Headers) -> None:
    """A length of 0 is no body (RFC 9112 §6.3): who sends it and hangs up gets no statement for nothing."""
    assert await is_given_up("GET", headers)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", [(b"content-length", b"1")]),
        ("GET", [(b"Content-Length", b"10")]),
        ("GET", [(b"content-length", b"0"), (b"content-length", b"7")]),
        ("GET", [(b"transfer-encoding", b"chunked")]),
        ("POST", []),
    ],
)
async def test_a_body_or_a_write(method: str, headers: Headers) -> None:
    """A body is the path's to receive, and a write is carried out."""
    assert not await is_given_up(method, headers)


async def test_a_request_that_fails_is_forgotten() -> None:
    """Whatever is raised past the path, such as by a journal that cannot write: its task does not stay for ever."""

    class Full:
        def answered(self, *_: object) -> None:
            raise OSError("No space left on device")

        failed = answered

    service = SimpleNamespace(pipeline=SimpleNamespace(journal=Full()))
    application = Application(cast("Service", service))
    with pytest.raises(OSError, match="No space"):
        await application({"type": "http", "method": "GET", "headers": []}, gone, cast("Any", None))
    assert application.hang_ups._running == {}
