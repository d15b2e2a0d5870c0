"""Reads: inline on the event loop while they are short, in a few threads when they are not.

A point read takes about 25 µs and a hop to a thread more than that, so a read starts where it is. SQLite
calls back every so many steps of its virtual machine; a read that used up its steps is stopped and
run again in a thread, where time bounds it. A step may be one of `instr` over half a megabyte, so inline a read has
little time as well, and what searches in texts, or follows
relations to rows of long ones, begins in a thread. Its text is remembered and goes to a thread at once
the next time, until it was quick there often enough.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, thread_time
from typing import Final, NoReturn, final

from vallum.refusals import QUERY_INVALID, QUERY_TIMEOUT, Fault, Refusal
from vallum.store.ports import WIDE, Row, Statement
from vallum.store.sqlite_connection import busy, connect, primary_code, surface
from vallum.store.sqlite_limits import SqliteLimits

_BLOCKED: Final = frozenset({sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
"""Too long, or waiting for a lock: a thread may wait, the event loop may not."""
_SEARCH: Final = "instr("
"""What a text contains takes its length times the pattern's: at worst 7 ms a row, for 512 KiB and 100 characters."""

_TOO_DEEP: Final = ("parser stack overflow", "Expression tree is too large")
"""SQLite's words where it takes no statement of so many levels; it has no code for them. A list by itself is far from that."""
TOO_DEEP: Final = Fault(
    "#query",
    "too_deep",
    "With the rules that hold for this caller, too much for one statement: follow fewer relations.",
)


@final
class _Run:
    """How long one read may take (monotonic clock); 0 when nobody waits for it any more."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until


@final
class _Bounded:
    """A read-only connection. A statement is stopped when its time is over; inline also when its ticks are used up."""

    def __init__(self, path: Path, limits: SqliteLimits, *, busy_seconds: float, any_thread: bool) -> None:
        steps = limits.progress_steps if any_thread else limits.inline_progress_steps
        # SQLite counts a statement's steps from where its last run ended, so the first tick may come at once.
        self._allowed = limits.inline_read_steps // steps
        self._inline = not any_thread
        self._inline_seconds = limits.inline_read_seconds
        self._inline_until = 0.0
        self._connection = connect(path, "read", busy_seconds=busy_seconds, any_thread=any_thread)
        self._connection.set_progress_handler(self._tick, steps)
        self._cursor = self._connection.cursor()  # one for all: every result is fetched whole
        self.execute = self._cursor.execute
        self.ticks = 0
        self.run = _Run(0.0)

    def begin(self) -> None:
        """A read as long as may be inline begins; `ticks` falls below 0 with one that is longer."""
        self.ticks = self._allowed

    def close(self) -> None:
        self._cursor.close()  # a statement that it still held would keep the file open
        self._connection.close()

    def _tick(self) -> bool:
        self.ticks -= 1
        if not self._inline:
            return monotonic() > self.run.until
        if self.ticks == self._allowed - 1:  # the first one: most reads end before it and ask no clock
            self._inline_until = thread_time() + self._inline_seconds
        return self.ticks < 0 or thread_time() > self._inline_until


@final
class SqliteReader:
    """Opened and used on one thread, that of the event loop."""

    def __init__(self, path: Path, limits: SqliteLimits) -> None:
        self._path = path
        self._limits = limits
        self._inline: _Bounded | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._places = threading.BoundedSemaphore(limits.read_queue)
        self._local = threading.local()
        self._opened: list[_Bounded] = []
        self._stopping = False
        self._slow: OrderedDict[str, int] = OrderedDict()

    def open(self) -> None:
        """Open the inline connection; threads open theirs when they are first needed."""
        # The event loop must not wait for a lock: a read that meets one goes to a thread.
        self._inline = _Bounded(self._path, self._limits, busy_seconds=0.0, any_thread=False)
        self._pool = ThreadPoolExecutor(self._limits.read_threads, thread_name_prefix="vallum-read")

    def close(self) -> None:
        """Stop what runs; later reads are refused as busy."""
        inline, pool = self._inline, self._pool
        self._inline = self._pool = None
        self._stopping = True
        for opened in self._opened:
            opened.run.until = 0.0
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        for bounded in (*self._opened, *(() if inline is None else (inline,))):
            bounded.close()
        self._opened.clear()

    async def read(self, statement: Statement) -> list[Row]:
        inline = self._inline
        if inline is None:
            raise busy()
        if statement.text not in self._slow and _SEARCH not in statement.text and WIDE not in statement.text:
            inline.begin()
            try:
                return inline.execute(statement.text, statement.arguments).fetchall()
            except sqlite3.Error as error:
                self._leaves(error, statement.text)
        return await self._in_thread(statement)

    def _leaves(self, error: sqlite3.Error, text: str) -> None:
        """Return when a thread is to try again; remember a text that was too long."""
        code = primary_code(error)
        if code not in _BLOCKED:
            _surface(error)
        if code == sqlite3.SQLITE_INTERRUPT:
            self._remember(text)

    def _remember(self, text: str) -> None:
        self._slow[text] = 0
        self._slow.move_to_end(text)
        if len(self._slow) > self._limits.slow_statements:
            self._slow.popitem(last=False)

    def _judge(self, text: str, *, was_quick: bool) -> None:
        """A text that was quick often enough in a row is forgotten: it may run inline again."""
        if text not in self._slow:
            return
        quick_runs = self._slow[text] + 1 if was_quick else 0
        if quick_runs >= self._limits.slow_pardon:
            del self._slow[text]
        else:
            self._slow[text] = quick_runs
            self._slow.move_to_end(text)

    async def _in_thread(self, statement: Statement) -> list[Row]:
        if self._pool is None or not self._places.acquire(blocking=False):
            raise busy()
        run = _Run(monotonic() + self._limits.read_seconds)
        future = self._pool.submit(self._execute, statement, run)
        future.add_done_callback(lambda _: self._places.release())
        try:
            rows, was_quick = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            run.until = 0.0
            raise
        self._judge(statement.text, was_quick=was_quick)
        return rows

    def _execute(self, statement: Statement, run: _Run) -> tuple[list[Row], bool]:
        """The rows, and whether they came within the steps of an inline read."""
        if monotonic() > run.until:  # it waited in the queue for as long as it might have run
            raise Refusal(QUERY_TIMEOUT)
        try:
            bounded = self._mine()
            bounded.run = run
            if self._stopping:  # asked after `run` is in its place: `close` sees the one or this the other
                raise busy()
            bounded.begin()
            rows = bounded.execute(statement.text, statement.arguments).fetchall()
        except sqlite3.Error as error:
            _surface(error)
        return rows, bounded.ticks >= 0

    def _mine(self) -> _Bounded:
        bounded: _Bounded | None = getattr(self._local, "bounded", None)
        if bounded is None:
            # Handed to the closing thread at the end, when this one is gone.
            seconds = self._limits.read_seconds
            bounded = _Bounded(self._path, self._limits, busy_seconds=seconds, any_thread=True)
            self._local.bounded = bounded
            self._opened.append(bounded)
        return bounded


def _surface(error: sqlite3.Error) -> NoReturn:
    if str(error).startswith(_TOO_DEEP):
        raise Refusal(QUERY_INVALID, faults=(TOO_DEEP,)) from error
    surface(error)
