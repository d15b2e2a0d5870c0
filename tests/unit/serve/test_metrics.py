"""What is counted, and the listener that gives it to this machine alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.serve.served import free_port

from vallum import defaults
from vallum.serve.metrics import BOUNDS, STAGES, Histogram, Metrics, NotLoopback, Ops


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(metrics)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_prometheus_reads_what_was_counted() -> None:
    """Answers, refusals, durations by stage in seconds, failures, lost lines."""
    metrics = Metrics()
    metrics.answered("GET", "/notes", 200, None, [20_000, 30_000])
    metrics.answered("GET", "/notes", 200, None, [20_000] * len(STAGES))
    metrics.answered("-", "-", 421, "host_unknown", [5_000])
    metrics.failures, metrics.dropped = 2, lambda: 3
    found = samples(metrics)
    of_notes = frozenset({("method", "GET"), ("route", "/notes"), ("status", "200")})
    assert found["vallum_requests_total", of_notes] == 2
    assert found["vallum_refusals_total", frozenset({("code", "host_unknown")})] == 1
    assert found["vallum_stage_seconds_count", frozenset({("stage", "edge")})] == 3
    assert found["vallum_stage_seconds_sum", frozenset({("stage", "authenticate")})] == pytest.approx(5e-5)
    assert found["vallum_request_seconds_count", frozenset()] == 3
    assert found["vallum_failures_total", frozenset()] == 2
    assert found["vallum_log_lines_dropped_total", frozenset()] == 3


def test_a_bucket_takes_its_own_bound() -> None:
    """`le` is "less or equal": a duration on the bound is inside, one nanosecond more is not."""
    histogram = Histogram()
    for bound in BOUNDS:
        histogram.add(round(bound * 1e9))
    histogram.add(round(BOUNDS[-1] * 1e9) + 1)
    assert histogram.counts == [1] * (len(BOUNDS) + 1)
    assert [count for _, count in histogram.buckets()] == list(range(1, len(BOUNDS) + 2))


@asynccontextmanager
async def listening(ready: Callable[[], Awaitable[object]]) -> AsyncIterator[int]:
    port = free_port()
    ops = Ops(port, Metrics(), ready)
    await ops.start()
    yield port
    await ops.stop()


async def well() -> object:
    return None


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_it_answers_three_questions() -> None:
    """Each with a type, a length and a closed connection."""
    async with listening(well) as port:
        for path, inside in (
            (b"/health/live", b"live"),
            (b"/health/ready", b"ready"),
            (b"/metrics", b"vallum_failures"),
        ):
            answer = await ask(port, b"GET %s HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % (path, port))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert inside in answer
            assert b"connection: close" in answer


async def test_ready_means_that_the_database_answers() -> None:
    """An error or a read that does not end is 503; the process is live all the same."""

    async def broken() -> object:
        raise OSError("/secret/path")

    async with listening(broken) as port:
        answer = await ask(port, b"GET /health/ready HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"OSError" in answer
        assert b"secret" not in answer
        assert b" 200 OK" in await ask(port, b"GET /health/live HTTP/1.1\r\nHost: localhost:1\r\n\r\n")


async def test_a_read_that_does_not_end_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """A balancer must hear it in time."""
    monkeypatch.setattr(defaults, "OPS_SECONDS", 0.5)
    async with listening(asyncio.Event().wait) as port:
        answer = await ask(port, b"GET /health/ready HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"TimeoutError" in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421"),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example:80\r\n\r\n", b"421"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"421"),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost:1\r\nHost: localhost:1\r\n\r\n", b"421"),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost:1\r\n\r\n", b"405"),
        (b"GET /notes HTTP/1.1\r\nHost: localhost:1\r\n\r\n", b"404"),
        (b"GET /metrics/../metrics HTTP/1.1\r\nHost: localhost:1\r\n\r\n", b"404"),
    ],
)
async def test_it_refuses_all_else(request_: bytes, status: bytes) -> None:
    """A page in a browser on this machine reaches it only by a name of its own: the host says so."""
    async with listening(well) as port:
        assert (await ask(port, request_)).startswith(b"HTTP/1.1 " + status)


async def test_a_client_that_says_too_much_or_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header section and the time are bounded; the listener goes on."""
    monkeypatch.setattr(defaults, "OPS_SECONDS", 0.1)
    async with listening(well) as port:
        assert await ask(port, b"") == b""
        with contextlib.suppress(ConnectionError):  # closed, with or without a reset
            assert await ask(port, b"x" * 100_000) == b""
        assert b" 200 OK" in await ask(port, b"GET /health/live HTTP/1.1\r\nHost: localhost:1\r\n\r\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost", ""])  # noqa: S104  # it must refuse them
def test_it_binds_to_loopback_only(host: str) -> None:
    """Names are refused too: what they mean is somebody else's choice."""
    with pytest.raises(NotLoopback):
        Ops(1, Metrics(), well, host=host)


async def test_two_workers_may_listen_while_one_takes_over() -> None:
    """After SIGHUP the next worker is there before the old one has gone."""
    port = free_port()
    one, other = Ops(port, Metrics(), well), Ops(port, Metrics(), well)
    await one.start()
    await other.start()
    await one.stop()
    assert b" 200 OK" in await ask(port, b"GET /health/live HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
    await other.stop()
