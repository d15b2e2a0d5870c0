"""A read whose client has gone is given up, and what runs for it in the database is cancelled.

Who hangs up and asks again would otherwise have as many statements at work as it has patience to begin them. A write is
carried out although nobody waits for it: it is bounded in time, and its client may ask for the answer again
(`Idempotency-Key`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, final

from vallum import defaults
from vallum.request import Receive

BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
"""A request with a body (RFC 9112 §6.3) is read by the path alone. One whose length is 0 has none: nobody else listens."""


@final
class HangUps:
    """The reads that run, and the clients of those that take long.

    Most are answered between two looks, and cost an entry in a dictionary.
    """

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], tuple[Mapping[str, Any], Receive]] = {}
        self._watched: dict[asyncio.Task[Any], asyncio.Task[None]] = {}
        self._seen: set[asyncio.Task[Any]] = set()

    def begin(self, scope: Mapping[str, Any], receive: Receive) -> asyncio.Task[Any] | None:
        """The task of this request, when it is a read."""
        task = asyncio.current_task() if scope["method"] == "GET" else None
        if task is not None:
            self._running[task] = scope, receive
        return task

    def end(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether its client had gone."""
        if task is None or self._running.pop(task, None) is None:
            return task is not None
        if self._watched and (watching := self._watched.pop(task, None)) is not None:
            watching.cancel()
        return False

    async def look(self) -> None:
        """From the second look on that a read is met, its client is listened to."""
        while True:
            await asyncio.sleep(defaults.HANG_UP_SECONDS)
            now = self._running.keys() - self._watched.keys()
            for task in now & self._seen:
                scope, receive = self._running[task]
                if not any(name.lower() in BODY and value.strip(b"0") for name, value in scope["headers"]):
                    self._watched[task] = asyncio.create_task(self._listen(task, receive))
            self._seen = now

    async def _listen(self, task: asyncio.Task[Any], receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        del self._watched[task], self._running[task]
        task.cancel()
