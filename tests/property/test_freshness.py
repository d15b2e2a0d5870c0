"""Whatever is accepted, whenever a process dies, stops or is followed by another: no request is accepted twice."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vallum import defaults
from vallum.refusals import Refusal
from vallum.serve.high_water import HighWater
from vallum.serve.shared_nonces import SharedNonces
from vallum.store import migrations
from vallum.store.nonces import Nonces
from vallum.store.ports import Script, Statement
from vallum.store.sqlite import SqliteFile

T = TypeVar("T")

BEGIN: Final = 1_800_000_000.0
CALLERS: Final = ("ann", "ben", "\n192.0.2.1")
ALIVE: Final = 2
"""Processes at once: at a reload the new one begins before the old one ends."""


@cache
def template() -> Path:
    """An empty database, made once."""
    path = Path(tempfile.mkdtemp(prefix="vallum-freshness-")) / "vallum.db"
    with SqliteFile.create(path) as file:
        file.write(migrations.create("sqlite"))
    return path


class Store:
    """A real SQLite file, of which one write may fail: before it is committed, or after, when nobody hears of it."""

    dialect = "sqlite"

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="vallum-freshness-"))
        self.file = SqliteFile(Path(shutil.copy(template(), self.place)))
        self.fault: Literal["before", "after"] | None = None

    async def write(self, script: Callable[[], Script[T]]) -> T:
        """One transaction."""
        fault, self.fault = self.fault, None
        if fault == "before":
            raise OSError("not written")
        found = self.file.write(script)
        if fault == "after":
            raise OSError("written")
        return found

    async def run(self, statement: Statement) -> list[Any]:
        """One statement that writes."""

        def script() -> Script[list[Any]]:
            rows: list[Any] = yield statement
            return rows

        return await self.write(script)

    async def read(self, statement: Statement) -> list[Any]:
        """One SELECT."""
        return self.file.read(statement)

    def close(self) -> None:
        """And remove the file."""
        self.file.close()
        shutil.rmtree(self.place)


class Silent:
    """A journal that nobody reads."""

    def answered(self, *_: object) -> None:
        """No request is answered here."""

    def failed(self, *_: object) -> None:
        """As was meant."""


class Processes(RuleBasedStateMachine):
    """One after the other on one file, with an overlap; the newest is the last."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store: Any = Store()
        self.now = BEGIN
        self.alive: list[HighWater | SharedNonces] = []
        self.accepted: set[tuple[str, bytes, float]] = set()

    def make(self, nonces: Nonces) -> HighWater | SharedNonces:
        """A process on a file of its own."""
        return HighWater(nonces, self.store, Silent(), lambda: self.now)

    def run(self, work: Any) -> Any:
        """On the one event loop."""
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        """There is one."""
        self.start(180)

    @precondition(lambda self: len(self.alive) < ALIVE)
    @rule(window=st.sampled_from([60, 180, 600]))
    def start(self, window: int) -> None:
        """A process begins, perhaps with another window; with a store that fails it does not begin."""
        process = self.make(Nonces(window, per_caller=30, known=60, strangers=40))
        try:
            # Its rounds are `tend`.
            self.run(process._take_over() if isinstance(process, HighWater) else process.start())
        except OSError:
            return
        self.alive.append(process)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """Kill -9: what is in memory is gone."""
        process = self.alive.pop(data.draw(st.integers(0, len(self.alive) - 1)))
        for task in asyncio.all_tasks(self.loop):
            if process._task is task:
                task.cancel()
        self.run(asyncio.sleep(0))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        """In order."""
        self.run(self.alive.pop(data.draw(st.integers(0, len(self.alive) - 1))).stop())

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 0.999, 1.0, 2.0, 2.5, 3.0, 31.0, 59.5, 60.0, 180.0, 211.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(seconds=st.sampled_from([0.3, 1.0, 5.0, 200.0]))
    def set_back(self, seconds: float) -> None:
        """Somebody sets the clock back."""
        self.now -= seconds

    @rule(fault=st.sampled_from(["before", "after"]))
    def fail(self, fault: Literal["before", "after"]) -> None:
        """The next write."""
        self.store.fault = fault

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def tend(self, data: st.DataObject) -> None:
        """What happens each half second."""
        process = data.draw(st.sampled_from(self.alive))
        process.nonces.forget(self.now)
        if isinstance(process, HighWater):
            self.run(process._moved(self.now))

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(),
        caller=st.sampled_from(CALLERS),
        nonce=st.sampled_from([b"a", b"b", b"c"]),
        ahead=st.sampled_from([0.0, 0.25, -0.25, -1.0, -59.0, -60.0, -179.5, -180.0, 1.0, 2.0, 2.75, 3.0, 29.5, 30.0]),
    )
    def ask(self, data: st.DataObject, caller: str, nonce: bytes, ahead: float) -> None:
        """A request, of a client whose clock is right, behind or ahead."""
        request = caller, nonce, self.now + ahead
        if self.passes(data.draw(st.sampled_from(self.alive)), *request):
            self.accepted.add(request)

    @invariant()
    def nothing_counts_twice(self) -> None:
        """Every request that was accepted is shown to every process again, after each step."""
        for process in self.alive:
            for request in self.accepted:
                assert not self.passes(process, *request), f"accepted twice: {request}"

    def passes(self, process: HighWater | SharedNonces, caller: str, nonce: bytes, at: float) -> bool:
        """What authenticate and throttle do with it."""
        if not self.now - process.nonces.window_seconds <= at <= self.now + defaults.FRESH_SKEW_SECONDS:
            return False
        try:
            row = process.nonces.claim(caller, nonce, at, self.now)
            if row is not None:
                self.run(process.cover(row, self.now))
        except Refusal:
            return False
        return True

    def teardown(self) -> None:
        """Nothing is left running."""
        for process in self.alive:
            if process._task is not None:
                process._task.cancel()
        self.run(asyncio.sleep(0))
        self.loop.close()
        self.store.close()


class Servers(Processes):
    """Several at once on one database, each of which writes every nonce down."""

    def make(self, nonces: Nonces) -> HighWater | SharedNonces:
        """One of them."""
        return SharedNonces(nonces, self.store, Silent())


_SETTINGS: Final = settings(
    stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TestProcesses = Processes.TestCase
TestProcesses.settings = _SETTINGS
TestServers = Servers.TestCase
TestServers.settings = settings(_SETTINGS, max_examples=30)
