"""The one thread that writes: it takes what is queued, runs it as one transaction, and tells the event loop once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TypeVar, cast, final

from vallum.refusals import Refusal
from vallum.store.ports import Script
from vallum.store.sqlite_connection import busy
from vallum.store.sqlite_limits import SqliteLimits
from vallum.store.sqlite_transaction import Job, Transactions

log = logging.getLogger(__name__)

T = TypeVar("T")


@final
class SqliteWriter:
    """Belongs to the event loop that started it."""

    def __init__(self, path: Path, limits: SqliteLimits) -> None:
        self._path = path
        self._limits = limits
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._running = False
        self._loop: asyncio.AbstractEventLoop
        self._thread: Thread
        self._transactions: Transactions | None = None
        self._optimized_at = 0.0

    async def start(self) -> None:
        """Open the connection, in its thread.

        Raises:
            StoreError, sqlite3.Error: it cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        opened: Future[None] = Future()
        opened.set_running_or_notify_cancel()  # the thread may tell, even if `start` is cancelled meanwhile
        # A daemon: a process that ends without `stop` loses nothing that was acknowledged.
        self._thread = Thread(target=self._work, args=(opened,), name="vallum-write", daemon=True)
        self._thread.start()
        try:
            await asyncio.wrap_future(opened)
        except asyncio.CancelledError:
            await self._end()
            raise
        self._running = True

    async def stop(self) -> None:
        """Refuse what comes, finish what is queued, close."""
        if self._running:
            self._running = False
            await self._end()

    async def _end(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def write(self, make: Callable[[], Script[T]]) -> T:
        """Queue a script. If its waiter is cancelled before it began, it does not begin; once begun, it is finished.

        Raises:
            Refusal: BUSY when too many wait, or when others (a slow handler) kept it from beginning for too long.
        """
        if not self._running or self._queue.qsize() >= self._limits.write_queue:
            raise busy()
        future: asyncio.Future[T] = self._loop.create_future()
        job = Job(make, future)
        self._queue.put(job)
        try:
            await asyncio.wait((future,), timeout=self._limits.write_wait_seconds)
        except asyncio.CancelledError:
            future.cancel()
            raise
        if not future.done() and not job.started:
            future.cancel()
            raise busy()
        return await future

    def _work(self, opened: Future[None]) -> None:
        try:
            self._transactions = self._open()
        except BaseException as error:  # noqa: BLE001  # told to `start`
            opened.set_exception(error)
            return
        opened.set_result(None)
        self._optimized_at = monotonic()
        goes_on = True
        while goes_on:
            jobs, goes_on = self._take()
            self._run(jobs)
        if self._transactions is not None:
            self._transactions.optimize()
            self._transactions.close()

    def _open(self) -> Transactions:
        return Transactions(self._path, "write", self._limits)

    def _take(self) -> tuple[list[Job], bool]:
        """Wait for a job and take the others that are there; False with the last ones."""
        job = self._queue.get()
        jobs: list[Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._limits.write_group:
                return jobs, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs, True
        return jobs, False

    def _run(self, jobs: Sequence[Job]) -> None:
        try:
            if self._transactions is None:
                self._transactions = self._open()
            self._transactions.run(jobs, self._settle)
            if monotonic() - self._optimized_at > self._limits.optimize_seconds:
                self._transactions.optimize()
                self._optimized_at = monotonic()
        except Exception:
            # The state of the connection is not known: nothing of it is kept, and the next group opens another.
            log.exception("The connection that writes is given up.")
            self._give_up()
            unsettled = [job for job in jobs if not job.settled]
            for job in unsettled:
                job.outcome, job.error = None, busy()
            self._settle(unsettled)

    def _give_up(self) -> None:
        transactions, self._transactions = self._transactions, None
        if transactions is not None:
            with suppress(Exception):
                transactions.close()

    def _settle(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.settled = True
        try:
            self._loop.call_soon_threadsafe(_resolve, jobs)
        except RuntimeError:  # the event loop is closed
            log.warning("Nobody is left to hear of %d writes.", len(jobs))


def _resolve(jobs: Sequence[Job]) -> None:
    """On the event loop: tell those who still wait."""
    for job in jobs:
        future = cast("asyncio.Future[object]", job.future)
        error = job.error
        if future.done():  # cancelled
            if error is not None and not isinstance(error, Refusal):
                log.error("A write that nobody waits for any more failed.", exc_info=error)
        elif error is None:
            future.set_result(job.outcome)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            future.set_exception(error)
        else:  # sys.exit() in a handler must not end the server; a Future takes no StopIteration
            failed = RuntimeError(f"a script raised {type(error).__name__}")
            failed.__cause__ = error
            future.set_exception(failed)
