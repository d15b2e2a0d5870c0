"""Turns: of the requests with one key, this process runs one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final
from weakref import WeakValueDictionary

from vallum.refusals import IDEMPOTENCY_IN_FLIGHT, Refusal


@final
class Turns:
    """Belongs to one event loop. A key is known for as long as somebody has or awaits its turn.

    Without it a repeated request would hold a connection, or a place in the writer's queue, while it waits.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, key: bytes, seconds: float) -> AsyncIterator[None]:
        """Wait for the turn of `key`, and have it.

        Raises:
            Refusal: IDEMPOTENCY_IN_FLIGHT, it did not come within `seconds`.
        """
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        try:
            async with asyncio.timeout(seconds):
                await lock.acquire()
        except TimeoutError:
            raise Refusal(IDEMPOTENCY_IN_FLIGHT, retry_after_seconds=1) from None
        try:
            yield
        finally:
            lock.release()
