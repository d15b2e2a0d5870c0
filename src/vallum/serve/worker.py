"""The process that serves: the ASGI application with its journal and its health and metrics listener.

`application` is a factory for any ASGI server; `run` uses `Worker` under granian.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, final

from vallum import defaults
from vallum.declare.app import API
from vallum.declare.checks_finding import refuse
from vallum.declare.errors import DeclarationError
from vallum.errors import OperatorError
from vallum.request import Receive
from vallum.serve.alone import hold, take_turn
from vallum.serve.asgi import Application, Send
from vallum.serve.checks import declared, stored
from vallum.serve.database import address_of, command_database, dialect_of
from vallum.serve.errors import SettingsError
from vallum.serve.high_water import HighWater
from vallum.serve.journal import STDERR, Journal
from vallum.serve.load import load_api
from vallum.serve.master_key import read_master_key
from vallum.serve.metrics import Metrics, Ops
from vallum.serve.posture import refuse_unsafe
from vallum.serve.settings import Settings, load, use
from vallum.serve.stalls import end_stalled
from vallum.serve.wire import Place, build_service
from vallum.store.ports import Statement

PROBE: Final = Statement("SELECT value FROM vallum_meta WHERE key = 'schema'", ())
PARENT_SECONDS: Final = 0.5
LISTENING_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.05


def place_of(settings: Settings) -> Place:
    """What of the settings the path needs.

    Raises:
        SettingsError: the master key or the database's password cannot be used.
    """
    return Place(
        data=settings.data,
        dev=settings.dev,
        public_url=settings.public_url,
        allowed_hosts=settings.allowed_hosts,
        trusted_proxies=settings.trusted_proxies,
        unix_socket=settings.unix_socket,
        database=address_of(settings),
        address_per_second=settings.address_per_second,
        address_burst=settings.address_burst,
        passphrase=read_master_key(settings.master_key_file),
        audit_retention_days=settings.audit_retention_days,
    )


@final
class Worker:
    """`await worker(scope, receive, send)`.

    Args:
        ready: called when requests can be answered.
        parent: the process that must outlive this one, or None.
    """

    def __init__(
        self, api: API, settings: Settings, *, ready: Callable[[], object] = lambda: None, parent: int | None = None
    ) -> None:
        metrics = Metrics()
        on_screen = settings.dev and os.isatty(STDERR)  # what a developer sees is no log
        self.journal = Journal(metrics, pretty=settings.log_format == "pretty", messages=on_screen)
        _capture_logs(self.journal)
        self._service = build_service(api, place_of(settings), self.journal, time.time)
        metrics.live_nonces = self._service.ledger.nonces.__len__
        self._application = Application(self._service)
        self._port = settings.port if settings.unix_socket is None else None
        self._ops = Ops(settings.ops_port, metrics, self._probe) if settings.ops_port else None
        self._data = settings.data
        self._turn: int | None = None
        if isinstance(self._service.ledger, HighWater):
            self._service.ledger.turn = self._take_turn
        self._ready = ready
        self._parent = parent
        self._watch: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        """Not a coroutine function: a request is handed on without a frame of its own."""
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
        return self._application(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.journal.start()
        try:
            await self._start()
        except Exception as error:  # noqa: BLE001  # granian serves on when a lifespan merely raises
            await send({"type": "lifespan.startup.failed", "message": ""})
            if isinstance(error, OperatorError):  # it says what to mend: a traceback would only hide that
                self.journal.record("error", "start refused", {"why": str(error)})
            else:
                self.journal.error("start failed", error)
            self.journal.stop()
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await self._stop()
        finally:
            self.journal.event("stopped")
            self.journal.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        await self._service.start()
        try:
            if self._ops is not None:
                await self._ops.start()
        except OSError as error:
            await self._service.stop()  # its threads would keep the process alive
            raise SettingsError(
                "ops-port-taken", "ops_port", f"{error.strerror}: choose another by `--ops-port`, or 0 for none."
            ) from None
        if self._port is not None:
            self._listening = asyncio.create_task(_end_stalled(self._port))
        self._looking = asyncio.create_task(self._application.hang_ups.look())
        if self._parent is not None:
            self._watch = asyncio.create_task(self._stop_with(self._parent))
        self.journal.event("started", pid=os.getpid())
        _spare_collections()
        self._ready()

    async def _stop(self) -> None:
        for task in (self._watch, self._listening, self._looking):
            if task is not None:
                task.cancel()
        if self._ops is not None:
            await self._ops.stop()
        await self._service.stop()
        if self._turn is not None:
            os.close(self._turn)

    async def _take_turn(self) -> None:
        self._turn = await take_turn(self._data)

    async def _probe(self) -> object:
        return await self._service.database.read(PROBE)

    async def _stop_with(self, parent: int) -> None:
        """Without its parent nobody would stop this process, or start it again."""
        while os.getppid() == parent:  # noqa: ASYNC110  # nobody tells; it is looked at
            await asyncio.sleep(PARENT_SECONDS)
        self.journal.record("error", "the parent process is gone", {})
        os.kill(os.getpid(), signal.SIGTERM)


def _spare_collections() -> None:
    """What was made at start stays; the cyclic collector need not look through it again and again.

    A request makes hardly any cycle, so counted references free what it made.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(defaults.COLLECTION_OBJECTS)


async def _end_stalled(port: int) -> None:
    """The server listens a moment after it was told that this has started."""
    for _ in range(round(LISTENING_SECONDS / LOOK_SECONDS)):
        if end_stalled(port):
            return
        await asyncio.sleep(LOOK_SECONDS)


def _capture_logs(journal: Journal) -> None:
    """What libraries say goes into the same log, from warnings on; our own from information on."""
    root = logging.getLogger()
    root.handlers = [journal.handler()]
    root.setLevel(logging.WARNING)
    logging.getLogger("vallum").setLevel(logging.INFO)
    granian = logging.getLogger("_granian")
    granian.handlers, granian.propagate = [], True


def _compare(api: API, settings: Settings) -> None:
    with command_database(address_of(settings), settings.data) as database:
        refuse(stored(api, database), DeclarationError)


def application() -> Worker:
    """The service of the settings in the environment and vallum.toml: `uvicorn --factory vallum.serve.worker:application`.

    Raises:
        SettingsError, DeclarationError: what cannot be used or is unsafe, or is served already.
    """
    settings = use(load())
    refuse_unsafe(settings, time.time())
    api = load_api(settings.app)
    refuse(declared(api, dialect_of(settings.database)), DeclarationError)
    with ThreadPoolExecutor(1) as thread:  # the server's event loop is running
        thread.submit(_compare, api, settings).result()
    hold(settings.data)  # until this process ends
    return Worker(api, settings)
