"""Connections that are lent and given back, without a statement in between.

asyncpg's own pool resets each connection on release, which doubles the time of a point read. Nothing of ours leaves
anything behind, so there is nothing to reset; what comes back in a transaction, or after an error that leaves its state
open, is closed instead of lent again.

1. At most so many connections are open, those that are being closed included.
2. Who finds none free waits in a queue of bounded length, for a bounded time.
3. A connection that is lent for longer than the server itself would take is given up: its network is gone.
4. When one turns out to be lost, those that lie idle are not trusted either: a server that was restarted took all.
5. The log says once that the server is gone, and once that it is there again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final, NoReturn, final

from vallum.refusals import Refusal
from vallum.store.postgres_connection import busy, is_lost, meaning
from vallum.store.postgres_limits import PostgresLimits

log = logging.getLogger(__name__)

NEVER: Final = float("inf")


@final
class Lent:
    """A connection of the pool.

    Attributes:
        connection: asyncpg's.
        until: given up from then on (monotonic clock); `NEVER` while it lies idle.
        overdue: it was given up.
        sessions: what lends it to SQLAlchemy, made when it is first needed.
    """

    __slots__ = ("connection", "overdue", "sessions", "until")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.until = NEVER
        self.overdue = False
        self.sessions: Any = None

    def meaning(self, error: BaseException) -> BaseException:
        """See `postgres_connection`."""
        return meaning(error, closed=self.connection.is_closed(), overdue=self.overdue)

    def surface(self, error: BaseException) -> NoReturn:
        """Raise its :meth:`meaning`."""
        told = self.meaning(error)
        if told is error:
            raise error
        raise told from error


@final
class Pool:
    """Belongs to one event loop."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], limits: PostgresLimits) -> None:
        self._connect = connect
        self._limits = limits
        self._idle: list[Lent] = []
        self._all: set[Lent] = set()
        self._open = 0
        self._waiting: deque[asyncio.Future[Lent | None]] = deque()
        self._closing: set[asyncio.Task[None]] = set()
        self._running = False
        self._is_down = False
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the first connection.

        Raises:
            Exception: it cannot be opened.
        """
        self._running = True
        self._open += 1
        try:
            self.release(await self._opened())
        except BaseException:
            self._running = False
            raise
        self._watch = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Refuse what comes and close what is idle; what is lent is closed when it comes back."""
        self._running = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(busy())
        self.expire()
        while self._closing:
            await asyncio.wait(self._closing)

    async def acquire(self, seconds: float) -> Lent:
        """Borrow a connection for so long.

        Raises:
            Refusal: BUSY when there is none in time.
        """
        lent = None
        while self._idle:
            lent = self._idle.pop()  # the last one: its caches are warm
            if not lent.connection.is_closed():
                break
            self._gone(lent)
            lent = None
        if lent is None:
            lent = await self._wait()
        lent.until = monotonic() + seconds + self._limits.grace_seconds if seconds else NEVER
        return lent

    def release(self, lent: Lent) -> None:
        """Give it back."""
        connection = lent.connection
        if not self._running or connection.is_closed() or connection.is_in_transaction():
            self.discard(lent)
            return
        lent.until = NEVER
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(lent)
                return
        self._idle.append(lent)

    def give_up(self, lent: Lent, error: BaseException) -> bool:
        """Give it back after a statement, outside a transaction, failed; whether it was the connection that failed."""
        lost = not lent.overdue and is_lost(error, closed=lent.connection.is_closed())
        if lost:
            self.expire()
        if lost or not isinstance(error, Exception):  # cancelled: what runs in the server is to be cancelled too
            self.discard(lent)
        else:
            self.release(lent)
        return lost

    def discard(self, lent: Lent) -> None:
        """Close it, which ends what runs on it in the server too, and let another take its place."""
        lent.until = NEVER
        if lent.connection.is_closed():
            self._gone(lent)
            return
        task = asyncio.get_running_loop().create_task(self._close(lent))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def expire(self) -> None:
        """Close those that lie idle."""
        idle, self._idle = self._idle, []
        for lent in idle:
            self.discard(lent)

    async def _wait(self) -> Lent:
        if not self._running:
            raise busy()
        try:
            async with asyncio.timeout(self._limits.acquire_seconds):
                if self._open < self._limits.connections:
                    self._open += 1
                    return await self._opened()
                return await self._turn() or await self._opened()
        except TimeoutError:
            raise busy() from None
        except Refusal:
            raise
        except Exception as error:
            if not self._is_down:
                self._is_down = True
                log.exception("The database is not available.")
            raise meaning(error, closed=True, overdue=False) from error

    async def _turn(self) -> Lent | None:
        """Wait for a connection that is given back, or for the place of one that is gone (None): it is kept for us."""
        if len(self._waiting) >= self._limits.queue:
            raise busy()
        waiting: asyncio.Future[Lent | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._passed_on(waiting.result())
            raise

    def _passed_on(self, given: Lent | None) -> None:
        """It came for somebody who does not wait any more."""
        if given is None:
            self._vacate()
        else:
            self.release(given)

    async def _opened(self) -> Lent:
        """At a place that is counted already."""
        try:
            lent = Lent(await self._connect())
        except BaseException:
            self._vacate()
            raise
        self._all.add(lent)
        if self._is_down:
            self._is_down = False
            log.info("The database is available again.")
        return lent

    async def _close(self, lent: Lent) -> None:
        """Steps: 1. a statement that runs is cancelled in the server; 2. the connection is closed, or torn down."""
        try:
            await lent.connection.close(timeout=self._limits.grace_seconds)
        except Exception:  # noqa: BLE001  # whatever it says, the connection is not used again
            lent.connection.terminate()
        finally:
            self._gone(lent)

    def _gone(self, lent: Lent) -> None:
        self._all.discard(lent)
        self._vacate()

    def _vacate(self) -> None:
        """A place is for the next who waits, who may connect; without one it is free."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return
        self._open -= 1

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._limits.look_seconds)
            now = monotonic()
            for lent in self._all:
                if lent.until < now:
                    lent.overdue = True
                    lent.connection.terminate()
