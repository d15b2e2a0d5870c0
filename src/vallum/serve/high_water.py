"""Keeps on disk which nonces were accepted, at the price of one small write each half second.

A mark runs `MARK_AHEAD_SECONDS` ahead of the clock. Whatever was accepted with a timestamp up to it needs no row of its
own: who starts after a crash refuses all such timestamps, which are then a few seconds old at most. A client whose clock
is further ahead than the mark waits until its nonce is written down. While nothing is accepted, nothing is written; the
first request after that waits for the mark to be moved. When the mark cannot be moved, it is passed by the clock, and
nothing is accepted any more.

At a reload the process before still serves: then this one begins without the mark, and requests that need it wait until
their turn has come.

The task is its own: counters of a hundred thousand callers may take longer to be written than the mark can wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from itertools import islice
from math import ceil
from typing import Final, final

from vallum import defaults
from vallum.crypto.random import request_id
from vallum.pipeline import Journal
from vallum.refusals import NONCES_UNAVAILABLE, Refusal
from vallum.store.nonce_rows import keep, move_mark, take_over
from vallum.store.nonces import NonceRow, Nonces
from vallum.store.ports import Database, Script

log = logging.getLogger(__name__)

ORDINARY_WAIT_SECONDS: Final = 60
"""A mark that is further ahead of the clock than this was written under another clock."""
AT_ONCE_SECONDS: Final = 0.5
"""How long a start waits for it; then it goes on without, and the service answers what need not be fresh."""
OPENED_SECONDS: Final = 8.0
"""How long a request waits for it; a little longer than `alone.TURN_SECONDS`."""


@final
class HighWater:
    """The mark and the rows of one process (`store.nonce_rows`).

    Args:
        clock: Unix seconds.

    Attributes:
        turn: returns when the process before has ended; None: there is none.
    """

    def __init__(self, nonces: Nonces, database: Database, journal: Journal, clock: Callable[[], float]) -> None:
        self.nonces = nonces
        self._database = database
        self._journal = journal
        self._clock = clock
        self.turn: Callable[[], Awaitable[None]] | None = None
        self._holder = request_id()
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._moving: asyncio.Task[bool] | None = None

    async def start(self) -> None:
        """Take over from the process before; if that one still serves, in a while."""
        self._task = asyncio.create_task(self._run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AT_ONCE_SECONDS):
                await self._taken.wait()

    async def opened(self) -> None:
        """Return when nonces can be accepted.

        Raises:
            Refusal: NONCES_UNAVAILABLE when that takes too long.
        """
        try:
            async with asyncio.timeout(OPENED_SECONDS):
                await self._taken.wait()
        except TimeoutError:
            raise Refusal(NONCES_UNAVAILABLE) from None

    async def _take_over(self) -> None:
        """From now on the process before accepts nothing beyond its mark."""
        if self.turn is not None:
            await self.turn()
        now = self._clock()
        taking = take_over(self._holder, _ahead(now), self._database.dialect)
        floor, mark, rows = await self._database.write(taking)
        self.nonces.restore(floor, mark, rows)
        if floor > now + ORDINARY_WAIT_SECONDS:
            log.warning("The clock was ahead: fresh requests are refused for another %d seconds.", floor - now)
        self._taken.set()

    async def stop(self) -> None:
        """Accept nothing more, write down what is live, and leave a mark that refuses nothing else."""
        self.nonces.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._moving is not None:
            await self._moving
        dialect, floor, rows = self._database.dialect, self.nonces.floor, self.nonces.rows()
        while some := list(islice(rows, defaults.NONCE_ROWS)):
            if not await self._written(keep(self._holder, some, dialect)):
                return
        await self._written(move_mark(self._holder, floor, floor, dialect))

    async def cover(self, row: NonceRow, now: float) -> None:
        """Move the mark beyond the clock again, if that is enough; else write the nonce itself down.

        Raises:
            Refusal: NONCES_UNAVAILABLE.
        """
        *_, second = row
        if second <= _ahead(now) and not await self._moved(now):
            raise Refusal(NONCES_UNAVAILABLE)
        if second > self.nonces.mark and not await self._written(keep(self._holder, [row], self._database.dialect)):
            raise Refusal(NONCES_UNAVAILABLE)

    async def _run(self) -> None:
        while not self._taken.is_set():
            try:
                await self._take_over()
            except Exception as error:  # noqa: BLE001  # whatever it is, nothing is accepted before it goes
                self._journal.failed("freshness", error)
                await asyncio.sleep(defaults.MARK_SECONDS)
        while True:
            await asyncio.sleep(defaults.MARK_SECONDS)
            now = self._clock()
            self.nonces.forget(now)
            if self.nonces.used and self.nonces.mark < _ahead(now):
                self.nonces.used = False
                await self._moved(now)

    async def _moved(self, now: float) -> bool:
        """Whether the mark is on disk; who comes while it is being written waits for the same write."""
        if self._moving is None or self._moving.done():
            self._moving = asyncio.create_task(self._move(now))
        return await asyncio.shield(self._moving)

    async def _move(self, now: float) -> bool:
        nonces = self.nonces
        mark = max(nonces.mark, nonces.floor, _ahead(now))
        if not await self._written(move_mark(self._holder, mark, nonces.floor, self._database.dialect)):
            return False
        nonces.mark = mark
        return True

    async def _written(self, script: Callable[[], Script[bool]]) -> bool:
        """False when the store fails, and when another process has taken over."""
        try:
            return await self._database.write(script)
        except Refusal:  # it is busy, and has said why where that is its own fault
            return False
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing is accepted that is not covered
            self._journal.failed("freshness", error)
            return False


def _ahead(now: float) -> int:
    return ceil(now) + defaults.MARK_AHEAD_SECONDS
