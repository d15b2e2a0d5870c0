"""A client for tests: it walks the whole path of a request, in the process, without a socket."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self, TypeVar, final
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from vallum import defaults
from vallum.declare.app import API
from vallum.declare.checks import check_api
from vallum.declare.checks_finding import refuse
from vallum.declare.errors import DeclarationError
from vallum.pipeline import Passage, answer
from vallum.respond.stage import Reply
from vallum.serve import create
from vallum.serve.database import dialect_of
from vallum.serve.wire import Place, Service, build_service
from vallum.store.postgres_address import parse
from vallum.testing.wire import FRESHNESS, Answer, Headers, dumped, freshness, receiver, scope_of

__all__ = ["ORIGIN", "Answer", "Client", "Failures", "Headers", "create_database"]

T = TypeVar("T")
Clock = Callable[[], float]

ORIGIN: Final = "https://testserver"
PLENTY: Final = 1_000_000
SAME_TIME: Final = 5.0
"""Seconds by which two clocks may differ that tell the same time: two calls of the real one lie apart."""


@final
@dataclass(slots=True)
class Failures:
    """The journal of a test: what went wrong on our side is raised in the test."""

    errors: list[BaseException] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)

    def answered(self, passage: Passage, _: Reply) -> None:
        """Keep the last hundred."""
        self.passages.append(passage)
        del self.passages[:-100]

    def failed(self, _: str, error: BaseException) -> None:
        """Keep it for the client to raise."""
        self.errors.append(error)


@final
class _Running:
    """A service on an event loop of its own, shared by all clients of one data directory."""

    open: ClassVar[dict[Path, _Running]] = {}
    lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, api: API, data: Path, clock: Clock, database: str | None) -> None:
        _check(api, database)
        self.users = 0
        self.api = api
        self.data = data
        self.clock = clock
        self.database = database
        self.journal = Failures()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="vallum-testing", daemon=True)
        self.thread.start()
        try:
            self.service: Service = build_service(api, _place(data, database), self.journal, clock)
            self.run(self.service.start())
        except BaseException:
            self._end()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)

    def tells(self, clock: Clock | None) -> bool:
        """Whether that is the time here."""
        return clock is None or clock == self.clock or abs(clock() - self.clock()) <= SAME_TIME

    def stop(self) -> None:
        try:
            self.run(self.service.stop())
        finally:
            self._end()

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    @classmethod
    def join(cls, api: API, data: Path, clock: Clock | None, database: str | None) -> _Running:
        with cls.lock:
            running = cls.open.get(data)
            if running is None:
                running = cls.open[data] = cls(api, data, clock or time.time, database)
            elif (running.api, running.database) != (api, database) or not running.tells(clock):
                raise ValueError(
                    f"{data} is served already, with another api, clock or database: close that client first"
                )
            running.users += 1
            return running

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                del self.open[self.data]
                self.stop()


@final
class Client:
    """Calls an API as one of its accounts, through every stage of the path.

    Every request has a timestamp and a nonce of its own, unless it is given one of the two in `headers`.

    A declaration that a start refuses by itself is refused here, too; what only the compiler or the database shows is not:
    let `vallum check` stand beside the tests.

    Args:
        api: the API.
        as_: name of the account; None for a caller without a credential.
        data: a data directory made by :func:`create_database`; a temporary one with `api.accounts` when omitted.
        clock: Unix seconds. All clients of a data directory have that of the first; the real time when it has none.
        database: `postgresql://…`, made by :func:`create_database`; SQLite in `data` when omitted.
        fresh: False for a client that sends neither timestamp nor nonce by itself.

    Raises:
        DeclarationError: the declaration has an error, such as a rule of a role that there is not.
        ValueError: a client of another `api` or `database`, or whose clock tells another time, has this data directory
            open.
    """

    def __init__(
        self,
        api: API,
        as_: str | None = None,
        data: Path | None = None,
        clock: Clock | None = None,
        database: str | None = None,
        *,
        fresh: bool = True,
    ) -> None:
        with ExitStack() as opened:
            if data is None:
                place = opened.enter_context(tempfile.TemporaryDirectory(prefix="vallum-"))
                data = Path(place) / "data"
                create_database(api, data, clock=clock or time.time, database=database)
            self._running = _Running.join(api, data.resolve(), clock, database)
            opened.callback(self._running.leave)
            self._closing = opened.pop_all()
        self._as = as_
        self._fresh = fresh
        self._token: tuple[str, float] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the service when this was its last client. A second time does nothing."""
        self._closing.close()

    @property
    def service(self) -> Service:
        """The service behind the client, for tests that look inside."""
        return self._running.service

    @property
    def token(self) -> str | None:
        """An access token of the account."""
        if self._as is None:
            return None
        now = self._running.clock()
        if self._token is None or now >= self._token[1]:
            issued = self._running.service.keyring.issue(
                self._as, issuer=ORIGIN, audience=ORIGIN, lifetime_seconds=defaults.TOKEN_SECONDS
            )
            self._token = (self._running.run(issued), now + defaults.TOKEN_SECONDS / 2)
        return self._token[0]

    def get(
        self, path: str, *, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`GET path?params`."""
        return self.request("GET", path, params=params, headers=headers)

    def post(self, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """`POST path` with a JSON body."""
        return self.request("POST", path, json=json, headers=headers)

    def patch(self, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """`PATCH path` with a merge patch."""
        return self.request("PATCH", path, json=json, headers=headers)

    def delete(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """`DELETE path`."""
        return self.request("DELETE", path, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any request. `content` is sent as it is; `json` is serialised. Header values override the client's own.

        Raises:
            BaseException: what went wrong on our side, when the answer is a 500.
        """
        given = {name.lower(): value for name, value in (headers or {}).items()}
        body = content if content is not None else (b"" if json is None else dumped(json))
        sent = {"host": "testserver"}
        if self._as is not None and "authorization" not in given:
            sent["authorization"] = f"Bearer {self.token}"
        if body:
            sent["content-type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
            sent["content-length"] = str(len(body))
        if self._fresh and FRESHNESS.isdisjoint(given):
            sent |= freshness(self._running.clock())
        sent |= given
        where, _, query = path.partition("?")
        if params:
            query = "&".join(filter(None, [query, urlencode({k: str(v) for k, v in params.items()})]))
        scope = scope_of(method, where, query, [(k.encode(), v.encode()) for k, v in sent.items()])
        return self.send(scope, body)

    def send(self, scope: Mapping[str, Any], body: bytes = b"") -> Answer:
        """A raw ASGI scope and body, for requests that no client would send."""
        running = self._running
        reply = running.run(answer(scope, receiver(body), running.service.pipeline, running.clock()))
        if reply.status == 500 and running.journal.errors:
            raise running.journal.errors.pop()
        return Answer(reply.status, Headers(reply.headers), reply.body)


def create_database(
    api: API,
    data: Path,
    seed: Callable[[Session], Any] | None = None,
    clock: Callable[[], float] = time.time,
    database: str | None = None,
) -> None:
    """Make a data directory for tests, filled by `seed(db)` and with `api.accounts`; its rows in `database` if given."""
    address = None if database is None else parse(database)
    create.create_database(api, data, now=clock(), seeders=() if seed is None else (seed,), address=address)


def _check(api: API, database: str | None) -> None:
    """What the declaration shows by itself, an index apart: it stands in nobody's way."""
    found = check_api(api, dialect=dialect_of(None if database is None else parse(database)))
    refuse([finding for finding in found if finding.identifier != "rule-index"], DeclarationError)


def _place(data: Path, database: str | None) -> Place:
    """A service under a name of its own, whose one address makes more requests than an ordinary one may."""
    return Place(
        data=data,
        dev=True,
        public_url=ORIGIN,
        allowed_hosts=("testserver",),
        database=None if database is None else parse(database),
        address_per_second=PLENTY,
        address_burst=PLENTY,
    )
