"""The log: one line a request, one line and a traceback for an error of ours.

A line holds the request's id, who called and by which API key, the method, the route's pattern, the status, the stage and code of a
refusal, and microseconds by stage. It never holds what a client wrote: no path, query, header or body.

A request's line is made on the event loop by one format expression (about 3 µs; structlog's processors take about
ten times that) and is written by a thread, in batches. Everything else goes through structlog.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from operator import floordiv, sub
from time import perf_counter_ns
from typing import Any, Final, final

import structlog
from structlog.typing import Processor

from vallum import defaults
from vallum.authenticate.stage import ANONYMOUS, Identified
from vallum.authorise.stage import Authorised
from vallum.pipeline import Passage
from vallum.respond.stage import Reply, Ticket
from vallum.serve.logs import Handler, safe_traceback
from vallum.serve.metrics import METHODS, STAGES, Metrics
from vallum.store.ports import Principal
from vallum.throttle.stage import Metered

STDERR: Final = 2
CHECKPOINT: Final = "audit checkpoint "
"""How the line of `audit_sealer` begins."""
_ALL_STAGES: Final = ",".join(f'"{name}":%d' for name in STAGES)


@final
class Journal:
    """Where each answer and each failure of ours is written down (`pipeline.Journal`).

    Args:
        metrics: counts the same answers.
        pretty: for people instead of JSON.
        messages: show the messages of all exceptions, not only of those that cannot hold a client's data: on a
            developer's screen only.
        descriptor: of the file that is written to; standard error.
    """

    def __init__(
        self, metrics: Metrics, *, pretty: bool = False, messages: bool = False, descriptor: int = STDERR
    ) -> None:
        self._metrics = metrics
        self._pretty = pretty
        self._messages = messages
        self._descriptor = descriptor
        self._lines: deque[str] = deque()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._second = (-1, "")
        self.dropped = 0
        metrics.dropped = lambda: self.dropped
        self._log = structlog.wrap_logger(_Sink(self.add), processors=_processors(pretty))

    def start(self) -> None:
        """Begin to write. In the process that serves: threads do not survive a fork."""
        self._thread = threading.Thread(target=self._write_behind, name="vallum-journal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=defaults.OPS_SECONDS)
        self._flush()

    def answered(self, passage: Passage, reply: Reply) -> None:
        """One line a request."""
        marks = passage.marks
        durations = list(map(sub, (*marks[1:], perf_counter_ns()), marks))
        principal, method, route = _caller(passage.ticket)
        refusal = passage.refusal
        code = None if refusal is None else refusal.reason.code
        self._metrics.answered(method, route, reply.status, code, durations)
        make = _pretty_line if self._pretty else _json_line
        self.add(make(self._time(passage.now), passage, method, route, principal, reply.status, durations))

    def failed(self, request_id: str, error: BaseException) -> None:
        """An exception that is an error of this program."""
        self._metrics.failures += 1
        self.error("failed", error, request_id=request_id)

    def event(self, event: str, **fields: Any) -> None:
        """Something that happened to the service itself."""
        self.record("info", event, fields)

    def error(self, event: str, error: BaseException, **fields: Any) -> None:
        """Something that went wrong with it."""
        self.record("error", event, {**fields, "exception": safe_traceback(error, messages=self._messages)})

    def record(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Any other line."""
        self._log.info(event, level=level, **fields)

    def handler(self) -> Handler:
        """For what libraries log by `logging`. Nobody collects checkpoints from a log for people, and they are long."""
        handler = Handler(self.record, messages=self._messages)
        if self._pretty:
            handler.addFilter(lambda record: not record.getMessage().startswith(CHECKPOINT))
        return handler

    def add(self, line: str) -> None:
        """Have a line written."""
        if len(self._lines) < defaults.JOURNAL_LINES:
            self._lines.append(line)
        else:
            self.dropped += 1

    def _time(self, now: float) -> str:
        """RFC 3339 in UTC with milliseconds; the part up to the second is made once a second."""
        second = int(now)
        if second != self._second[0]:
            self._second = (second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
        return f"{self._second[1]}.{int((now - second) * 1000):03d}Z"

    def _write_behind(self) -> None:
        while not self._stopping.wait(defaults.JOURNAL_SECONDS):
            self._flush()

    def _flush(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if not lines:
            return
        content = memoryview(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError:  # nobody reads our standard error any more, or the disk is full
            self.dropped += len(lines)


def _caller(ticket: Ticket) -> tuple[Principal, str, str]:
    """Principal, method and route, as far as the path went."""
    principal = ANONYMOUS
    if ticket is None:
        return principal, "-", "-"
    metered = ticket.metered if isinstance(ticket, Authorised) else ticket
    admitted = metered.identified if isinstance(metered, Metered) else metered
    if isinstance(admitted, Identified):
        principal, admitted = admitted.principal, admitted.admitted
    request, route, _ = admitted
    method = request.method if request.method in METHODS else "OTHER"
    return principal, method, "-" if route is None else route.path


@lru_cache(maxsize=defaults.JOURNAL_NAMES)
def _quoted(text: str | None) -> str:
    return json.dumps(text)


def _json_line(
    time: str, passage: Passage, method: str, route: str, principal: Principal, status: int, durations: list[int]
) -> str:
    if len(durations) == len(STAGES):
        stages = _ALL_STAGES % tuple(map(floordiv, durations, repeat(1000)))
    else:
        stages = ",".join([f'"{name}":{ns // 1000}' for name, ns in zip(STAGES, durations, strict=False)])
    refusal = passage.refusal
    refused = "" if refusal is None else f',"stage":"{refusal.reason.stage}","code":"{refusal.reason.code}"'
    key = "" if principal.key is None else f',"api_key":"{principal.key}"'
    return (
        f'{{"event":"request","time":"{time}","request_id":"{passage.request_id}","principal":{_quoted(principal.id)}{key},'
        f'"method":"{method}","route":{_quoted(route)},"status":{status}{refused},"us":{{{stages}}}}}'
    )


def _pretty_line(
    time: str, passage: Passage, method: str, route: str, principal: Principal, status: int, durations: list[int]
) -> str:
    milliseconds, who, refusal = sum(durations) / 1e6, principal.id or "-", passage.refusal
    who = who if principal.key is None else f"{who} (key {principal.key})"
    refused = "" if refusal is None else f" {refusal.reason.stage}: {refusal.reason.code}"
    return f"{time[11:23]} {status} {method:<6} {route} {who} {milliseconds:.1f} ms {passage.request_id}{refused}"


def _processors(pretty: bool) -> list[Processor]:
    if pretty:
        return [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True, key="timestamp"),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


@final
class _Sink:
    """Where structlog's rendered lines go."""

    def __init__(self, info: Callable[[str], None]) -> None:
        self.info = info
