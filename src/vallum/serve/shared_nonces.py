"""Keeps accepted nonces in a database that several servers share: each nonce is a row before its request goes on.

The row's key decides between two servers that are shown one request at the same moment. Rows are removed by the clock
of the database, long after the last server would accept their timestamps: servers whose clocks differ by up to
`FRESH_SKEW_SECONDS` agree, whatever window each of them has.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, final

from vallum import defaults
from vallum.pipeline import Journal
from vallum.refusals import NONCE_REUSED, NONCES_UNAVAILABLE, Refusal
from vallum.store.nonce_rows import claim_row, forget_old, present_mark
from vallum.store.nonces import NEVER, NonceRow, Nonces
from vallum.store.ports import Database

KEPT_SECONDS: Final = defaults.FRESH_SECONDS_MAX + 2 * defaults.FRESH_SKEW_SECONDS


@final
class SharedNonces:
    """The nonces of one of several servers, and the rows of all of them (`store.nonce_rows`)."""

    def __init__(self, nonces: Nonces, database: Database, journal: Journal) -> None:
        self.nonces = nonces
        self._database = database
        self._journal = journal
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to remove rows that nobody asks for any more; a restore has left a mark, below which it knows none."""
        self.nonces.restore(NEVER, NEVER, ())
        for (floor,) in await self._database.read(present_mark(self._database.dialect)):
            self.nonces.restore(floor, floor, ())
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Accept nothing more; everything is on disk already."""
        self.nonces.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def opened(self) -> None:
        """It was closed for good."""

    async def cover(self, row: NonceRow, _: float) -> None:
        """Write the nonce down, unless another server has accepted it.

        Raises:
            Refusal: NONCE_REUSED, NONCES_UNAVAILABLE.
        """
        try:
            is_first = await self._database.run(claim_row(row, self._database.dialect))
        except Refusal as busy:
            raise Refusal(NONCES_UNAVAILABLE) from busy
        except Exception as error:
            self._journal.failed("freshness", error)
            raise Refusal(NONCES_UNAVAILABLE) from error
        if not is_first:
            raise Refusal(NONCE_REUSED)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(defaults.FRESH_SECONDS_MIN)
            try:
                await self._database.write(forget_old(KEPT_SECONDS, self._database.dialect))
            except Exception as error:  # noqa: BLE001  # whatever it is, the next round tries again
                self._journal.failed("freshness", error)
