"""Numbers about the service, and the loopback listener that gives them and the health of the process.

`prometheus_client` renders; the counting is ours. Its histogram costs about 1.5 µs an observation, and a request
makes eight of them: here one costs a bisection and an addition, and they are made in batches. Everything happens on the event loop's thread,
so nothing is locked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final, final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from vallum import defaults

OPS_HOST: Final = "127.0.0.1"
STAGES: Final = ("edge", "authenticate", "throttle", "authorise", "validate", "execute", "respond")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other is counted as OTHER: a label must not be what a client invents."""
BOUNDS: Final = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Of the histograms, seconds: a stage takes microseconds, a bad day seconds."""
BATCH: Final = 256
"""Requests whose durations are kept until they are counted: they take half a millisecond then."""
_BOUNDS_NS: Final = tuple(round(bound * 1e9) for bound in BOUNDS)


@final
class Histogram:
    """Durations by size."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0

    def add(self, nanoseconds: int) -> None:
        """One duration."""
        self.counts[bisect_left(_BOUNDS_NS, nanoseconds)] += 1
        self.total += nanoseconds

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Upper bound → how many are not above it, as Prometheus wants them."""
        below = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            below += count
            yield bound, below


@final
class Metrics(Collector):
    """What is counted. Labels are routes, methods and codes of the program: their number is bounded."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.failures = 0
        self._whole = Histogram()
        self._stages = [Histogram() for _ in STAGES]
        self._durations: list[Sequence[int]] = []
        self.dropped: Callable[[], int] = int
        self.live_nonces: Callable[[], int] = int

    def answered(self, method: str, route: str, status: int, refusal: str | None, durations: Sequence[int]) -> None:
        """One request; `durations` has nanoseconds of the stages that were entered."""
        self.requests[method, route, status] += 1
        if refusal is not None:
            self.refusals[refusal] += 1
        self._durations.append(durations)
        if len(self._durations) >= BATCH:
            self._sort_in()

    @property
    def whole(self) -> Histogram:
        """From the first stage to the reply."""
        self._sort_in()
        return self._whole

    @property
    def stages(self) -> Sequence[Histogram]:
        """Of each stage."""
        self._sort_in()
        return self._stages

    def _sort_in(self) -> None:
        """Count what was kept: eight histograms for one request after another find nothing in the processor's caches."""
        waiting, self._durations = self._durations, []
        for durations in waiting:
            self._whole.add(sum(durations))
            for stage, duration in zip(self._stages, durations, strict=False):  # the way may have ended early
                stage.add(duration)

    def collect(self) -> Iterable[Metric]:
        """For Prometheus."""
        requests = CounterMetricFamily("vallum_requests", "Answers.", labels=("method", "route", "status"))
        for (method, route, status), count in self.requests.items():
            requests.add_metric((method, route, str(status)), count)
        refusals = CounterMetricFamily("vallum_refusals", "Refusals by code.", labels=("code",))
        for code, count in self.refusals.items():
            refusals.add_metric((code,), count)
        whole = HistogramMetricFamily("vallum_request_seconds", "From the first stage to the reply.")
        whole.add_metric((), list(self.whole.buckets()), self.whole.total / 1e9)
        stages = HistogramMetricFamily("vallum_stage_seconds", "Time in each stage.", labels=("stage",))
        for name, histogram in zip(STAGES, self.stages, strict=True):
            stages.add_metric((name,), list(histogram.buckets()), histogram.total / 1e9)
        yield from (requests, refusals, whole, stages)
        yield CounterMetricFamily("vallum_failures", "Errors of this program.", value=self.failures)
        yield GaugeMetricFamily("vallum_live_nonces", "Nonces that count as used.", value=self.live_nonces())
        yield CounterMetricFamily("vallum_log_lines_dropped", "Log lines that nobody took.", value=self.dropped())


class NotLoopback(Exception):
    """The listener was told to answer to the network."""


@final
class Ops:
    """`/health/live`, `/health/ready` and `/metrics`, over plain HTTP, for this machine alone.

    Args:
        port: on 127.0.0.1.
        ready: a read of the database; what it raises means that we are not ready.

    Raises:
        NotLoopback: for any other host.
    """

    def __init__(
        self, port: int, metrics: Metrics, ready: Callable[[], Awaitable[object]], host: str = OPS_HOST
    ) -> None:
        if host not in {"127.0.0.1", "::1"}:
            raise NotLoopback(host)
        self._host = host
        self._port = port
        self._ready = ready
        self._registry = CollectorRegistry()
        self._registry.register(metrics)
        ProcessCollector(registry=self._registry)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        # reuse_port: after SIGHUP the next worker listens before this one stops.
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=defaults.OPS_REQUEST_BYTES, reuse_port=True
        )

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(defaults.OPS_SECONDS * 2):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._answer(head))
                    await writer.drain()
        finally:
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
        request, *fields = head.decode("latin-1").split("\r\n")
        hosts = [field[5:].strip() for field in fields if field[:5].lower() == "host:"]
        if len(hosts) != 1 or hosts[0].rpartition(":")[0] not in {"127.0.0.1", "localhost", "[::1]"}:
            return _reply("421 Misdirected Request", "{}")  # a page in a browser that calls us by its own name
        method, _, rest = request.partition(" ")
        if method != "GET":
            return _reply("405 Method Not Allowed", "{}")
        match rest.partition(" ")[0]:
            case "/health/live":
                return _reply("200 OK", '{"status":"live"}')
            case "/health/ready":
                return await self._readiness()
            case "/metrics":
                return _reply("200 OK", generate_latest(self._registry).decode(), CONTENT_TYPE_LATEST)
            case _:
                return _reply("404 Not Found", "{}")

    async def _readiness(self) -> bytes:
        try:
            async with asyncio.timeout(defaults.OPS_SECONDS):
                await self._ready()
        except Exception as error:  # noqa: BLE001  # whatever it is, we are not ready
            return _reply("503 Service Unavailable", json.dumps({"status": "not ready", "why": type(error).__name__}))
        return _reply("200 OK", '{"status":"ready"}')


def _reply(status: str, body: str, media_type: str = "application/json") -> bytes:
    content = body.encode()
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(content)}\r\n"
        "cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + content
