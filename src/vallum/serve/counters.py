"""Keeps the meter's hour and day counts over a restart: read at start, written behind while serving.

The last use of each API key goes the same way, and what is kept of requests with an `Idempotency-Key` is dropped here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final, final

from vallum import defaults
from vallum.authenticate.api_keys import Uses
from vallum.pipeline import Journal
from vallum.store import api_keys, idempotency
from vallum.store.ports import Database, Script
from vallum.store.windows import forget_windows, load_windows, save_windows
from vallum.throttle.stage import Meter

LONGEST_WINDOW_SECONDS: Final = 2 * 24 * 3600
"""Two days: no window that began before can still count, whatever the time zone of a plan does."""


@final
class WriteBehind:
    """Writes what changed every `COUNTER_FLUSH_SECONDS`; a crash loses at most that much of the counts."""

    def __init__(
        self, meter: Meter, uses: Uses, database: Database, journal: Journal, clock: Callable[[], float]
    ) -> None:
        self._meter = meter
        self._uses = uses
        self._database = database
        self._journal = journal
        self._clock = clock
        self._swept = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self, now: float) -> None:
        """Take up what an earlier process counted, forget what is over, and begin to write."""
        dialect = self._database.dialect
        since = int(now) - LONGEST_WINDOW_SECONDS
        await self._database.write(forget_windows(since, dialect))
        self._meter.restore(await self._database.write(load_windows(since, dialect)))
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write the last counts."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._save()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(defaults.COUNTER_FLUSH_SECONDS)
            await self._save()
            await self._sweep(self._clock())

    async def _sweep(self, now: float) -> None:
        """Once in a while, in portions: each is a transaction that other writes wait for."""
        if 0 <= now - self._swept < defaults.IDEMPOTENCY_SWEEP_SECONDS:
            return
        self._swept = now
        try:
            while await self._database.write(idempotency.forget(now, self._database.dialect)):
                pass
        except Exception as error:  # noqa: BLE001  # whatever it is, serving goes on, and the next sweep drops them
            self._journal.failed("idempotency", error)

    async def _save(self) -> None:
        """In portions, so that neither the event loop nor the writer stands still for a hundred thousand callers.

        As many as there are now: under load callers count on while a portion is written, and are taken next time.
        """
        for _ in range(-(-self._meter.dirty // defaults.WINDOW_ROWS)):
            rows = self._meter.take_dirty(defaults.WINDOW_ROWS)
            if not await self._written(save_windows(rows, self._database.dialect), partial(self._meter.put_back, rows)):
                return
        while uses := self._uses.take(defaults.WINDOW_ROWS):
            if not await self._written(api_keys.used(uses, self._database.dialect), partial(self._uses.put_back, uses)):
                return

    async def _written(self, script: Callable[[], Script[None]], put_back: Callable[[], None]) -> bool:
        """Whether it is on disk; if not, the next round tries again: it is still in memory."""
        try:
            await self._database.write(script)
        except asyncio.CancelledError:
            put_back()
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, serving goes on
            put_back()
            self._journal.failed("counters", error)
            return False
        return True
