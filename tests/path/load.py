"""The small library behind `vallum serve`, and threads that keep asking it over TLS."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from tests.unit.serve.served import ROOT, Served

from vallum.testing.wire import freshness

SETTINGS: Final = {
    "VALLUM_APP": "tests.path.small:api",
    "VALLUM_LOG_FORMAT": "json",
    "VALLUM_ADDRESS_PER_SECOND": "1000000",
    "VALLUM_ADDRESS_BURST": "1000000",
    "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
}


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """One request: when it was begun and answered, in Unix seconds, and what came back (0: nothing)."""

    began: float
    ended: float
    status: int
    mark: str
    content: bytes = b""


@contextlib.contextmanager
def library(place: Path) -> Iterator[Served]:
    """The library served on data of its own; stopped in the end whatever happens."""
    server = Served(place, **SETTINGS)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@final
@dataclass(slots=True)
class Load:
    """Threads that each ask one request after the other, on a connection that they keep, until told to stop or nobody listens.

    Args:
        body: makes the body of a request from its mark, a text that no other request has; None for none.
        headers: makes further headers from it.
    """

    server: Served
    token: str
    method: str
    path: str
    name: str
    body: Callable[[str], Any] | None = None
    threads: int = 6
    headers: Callable[[str], dict[str, str]] = field(default=lambda _: {})
    asked: list[Asked] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        for number in range(self.threads):
            thread = threading.Thread(target=self._run, args=(number,))
            self._running.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(timeout=30)

    def _run(self, number: int) -> None:
        connection = http.client.HTTPSConnection(
            "localhost", self.server.port, context=self.server.context(), timeout=20
        )
        own = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with contextlib.closing(connection):
            count = 0
            while not self._stop.is_set():
                mark = f"{self.name}-{number}-{count}"
                count += 1
                content = None if self.body is None else json.dumps(self.body(mark)).encode()
                began = time.time()
                answer = None
                try:
                    fields = {**own, **freshness(began), **self.headers(mark)}
                    connection.request(self.method, self.path, body=content, headers=fields)
                    answer = connection.getresponse()
                    got = answer.read()
                except ConnectionRefusedError:
                    return
                except (OSError, http.client.HTTPException):
                    # Killed; or closed after a refusal whose body had not arrived yet. The next one opens another.
                    self.asked.append(Asked(began, time.time(), 0, mark))
                    if answer is not None:  # cut off in the middle: it holds the socket, too
                        answer.close()
                    connection.close()
                    continue
                self.asked.append(Asked(began, time.time(), answer.status, mark, got))
