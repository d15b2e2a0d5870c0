"""Lines of the log."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from vallum import defaults
from vallum.authenticate.stage import Identified
from vallum.declare.route import Kind, Route
from vallum.edge.stage import Admitted
from vallum.pipeline import Passage
from vallum.refusals import CREDENTIAL_INVALID, HOST_UNKNOWN, Refusal
from vallum.request import Request
from vallum.respond.stage import Reply, Ticket
from vallum.serve.journal import Journal
from vallum.serve.metrics import STAGES, Metrics
from vallum.store.errors import StoreError
from vallum.store.ports import Principal

NOW = datetime(2026, 11, 22, 10, 30, 5, 250_000, UTC).timestamp()
SECRET = "hunter2-5e7d"


async def nothing() -> dict[str, object]:
    return {}


def passage(
    *, ticket: Ticket = None, refusal: Refusal | None = None, marks: int = 7, request_id: str = "ab" * 16
) -> Passage:
    """As the pipeline leaves it; the marks are 10 µs apart, long ago."""
    found = Passage.__new__(Passage)
    found.marks = [10_000 * number for number in range(marks)]
    found.ticket, found.refusal, found.now, found.request_id = ticket, refusal, NOW, request_id
    return found


def admitted(method: str = "GET", path: str = "/notes/{id}") -> Admitted:
    request = Request("ab" * 16, method, f"/notes/{SECRET}", SECRET, {b"x": SECRET.encode()}, "192.0.2.1", NOW, nothing)
    return Admitted(request, Route(path=path, kind=Kind.ITEM, methods={}), (SECRET,))


def identified(name: str | None = "rita") -> Identified:
    return Identified(admitted(), Principal(name), None)


Made = tuple[Journal, Callable[[], list[str]]]


@pytest.fixture
def made() -> Iterator[Callable[..., Made]]:
    """Makes journals that write into pipes."""
    open_: list[int] = []

    def make(**options: Any) -> Made:
        reader, writer = os.pipe()
        open_.extend((reader, writer))
        journal = Journal(options.pop("metrics", Metrics()), descriptor=writer, **options)

        def lines() -> list[str]:
            journal.stop()
            return os.read(reader, 1_000_000).decode().splitlines()

        return journal, lines

    yield make
    for descriptor in open_:
        os.close(descriptor)


REPLY = Reply(200, [], SECRET.encode())


def test_a_whole_request_is_one_json_object(made: Callable[..., Made]) -> None:
    """Who, what, how it ended and how long each stage took, in microseconds; and nothing that was sent."""
    journal, lines = made()
    journal.answered(passage(ticket=identified()), REPLY)
    (line,) = lines()
    assert SECRET not in line
    entry = json.loads(line)
    times = entry.pop("us")
    assert entry == {
        "event": "request",
        "time": "2026-11-22T10:30:05.250Z",
        "request_id": "ab" * 16,
        "principal": "rita",
        "method": "GET",
        "route": "/notes/{id}",
        "status": 200,
    }
    assert list(times) == list(STAGES)
    assert list(times.values())[:-1] == [10] * 6


def test_an_api_key_is_named_by_its_identifier(made: Callable[..., Made]) -> None:
    """Beside its account, for a program and for a person; of other callers nothing is said."""
    by_key = Identified(admitted(), Principal("robot", credential="key", key="K" * 16), None)
    journal, lines = made()
    journal.answered(passage(ticket=by_key), REPLY)
    journal.answered(passage(ticket=identified()), REPLY)
    first, second = map(json.loads, lines())
    assert (first["principal"], first["api_key"]) == ("robot", "K" * 16)
    assert "api_key" not in second
    journal, lines = made(pretty=True)
    journal.answered(passage(ticket=by_key), REPLY)
    assert f" robot (key {'K' * 16}) " in lines()[0]


def test_a_refusal_has_its_stage_and_code(made: Callable[..., Made]) -> None:
    """Only the stages that were entered have a time."""
    journal, lines = made()
    refused = passage(ticket=admitted(), refusal=Refusal(CREDENTIAL_INVALID), marks=2)
    journal.answered(refused, Reply(401, [], b""))
    entry = json.loads(lines()[0])
    assert (entry["stage"], entry["code"], entry["principal"]) == ("authenticate", "credential_invalid", None)
    assert list(entry["us"]) == ["edge", "authenticate"]


def test_what_the_edge_refuses_has_no_method_and_no_route(made: Callable[..., Made]) -> None:
    """They were not looked at, or were not well formed."""
    journal, lines = made()
    journal.answered(passage(refusal=Refusal(HOST_UNKNOWN), marks=1), Reply(421, [], b""))
    entry = json.loads(lines()[0])
    assert (entry["method"], entry["route"], entry["principal"], list(entry["us"])) == ("-", "-", None, ["edge"])


def test_a_way_that_was_gone_twice_is_a_line_too(made: Callable[..., Made]) -> None:
    """After a change of the caller there are more marks than stages."""
    journal, lines = made()
    journal.answered(passage(ticket=identified(), marks=9), REPLY)
    assert list(json.loads(lines()[0])["us"]) == list(STAGES)


def test_a_name_cannot_forge_a_line(made: Callable[..., Made]) -> None:
    """Quotes and backslashes of an account's name are escaped; a method that a client invents is one word."""
    journal, lines = made()
    journal.answered(passage(ticket=Identified(admitted("FORGED"), Principal('a","x":"\\'), None)), REPLY)
    entry = json.loads(lines()[0])
    assert (entry["principal"], entry["method"]) == ('a","x":"\\', "OTHER")


def test_lines_for_people(made: Callable[..., Made]) -> None:
    """With the same content, and the request's id to find it by."""
    journal, lines = made(pretty=True)
    journal.answered(passage(ticket=identified()), REPLY)
    journal.answered(passage(ticket=admitted(), refusal=Refusal(CREDENTIAL_INVALID), marks=2), Reply(401, [], b""))
    journal.event("started", pid=7)
    answered, refused, started = lines()
    assert answered.startswith("10:30:05.250 200 GET    /notes/{id} rita ")
    assert refused.endswith(f" {'ab' * 16} authenticate: credential_invalid")
    assert "started" in started
    assert "pid=7" in started


def test_an_error_has_its_frames_and_no_values(made: Callable[..., Made]) -> None:
    """A message may repeat what was sent, so it is left out; the types and places are there."""
    journal, lines = made()
    try:
        int(SECRET)
    except ValueError as error:
        journal.failed("cd" * 16, error)
    (line,) = lines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["request_id"]) == ("failed", "error", "cd" * 16)
    assert "builtins.ValueError" in entry["exception"]
    assert "test_journal.py" in entry["exception"]
    assert SECRET not in line


def test_a_screen_shows_messages(made: Callable[..., Made]) -> None:
    """What a developer looks at is no log."""
    journal, lines = made(pretty=True, messages=True)
    try:
        int("abc")
    except ValueError as error:
        journal.failed("cd" * 16, error)
    assert any("invalid literal for int() with base 10: 'abc'" in line for line in lines())


@pytest.mark.parametrize(("pretty", "count"), [(True, 0), (False, 1)])
def test_a_screen_shows_no_checkpoints(made: Callable[..., Made], pretty: bool, count: int) -> None:
    """They are long, for machines, and come every minute."""
    journal, lines = made(pretty=pretty)
    handler = journal.handler()
    for text in ("audit checkpoint eyJhbGciOi", "audit sealed"):
        handler.handle(logging.makeLogRecord({"name": "vallum.serve.audit_sealer", "msg": text, "levelno": 20}))
    assert sum("eyJhbGciOi" in line for line in lines()) == count


def test_our_own_messages_are_shown(made: Callable[..., Made]) -> None:
    """They name files and settings, never what a client sent; of SQLite's, the sort of the error."""
    journal, lines = made()
    journal.failed("1", StoreError("database-missing", "/data", "Make it."))
    journal.failed("2", sqlite3.OperationalError("no such table: notes"))
    first, second = lines()
    assert "database-missing: /data: Make it." in first
    assert "sqlite3.OperationalError: no such table" in second


def test_a_log_that_nobody_takes_is_counted_and_does_not_grow(made: Callable[..., Made]) -> None:
    """Beyond its bound lines are dropped, and the metric says how many."""
    metrics = Metrics()
    journal, _ = made(metrics=metrics)
    for _number in range(defaults.JOURNAL_LINES + 3):
        journal.add("x")
    assert journal.dropped == metrics.dropped() == 3


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """The reader is gone: the lines are counted as dropped."""
    reader, writer = os.pipe()
    os.close(reader)
    journal = Journal(Metrics(), descriptor=writer)
    journal.event("started")
    journal.stop()
    os.close(writer)
    assert journal.dropped == 1


def test_lines_are_written_while_it_runs() -> None:
    """By a thread, without waiting for the end; several parts of one batch are put together."""
    reader, writer = os.pipe()
    journal = Journal(Metrics(), descriptor=writer)
    journal.start()
    journal.event("started", text="é" * 100_000)
    received = b""
    while not received.endswith(b"\n"):
        received += os.read(reader, 65_536)
    assert json.loads(received)["text"] == "é" * 100_000
    journal.stop()
    os.close(reader)
    os.close(writer)


def test_answers_are_counted(made: Callable[..., Made]) -> None:
    """By method, route and status; refusals by code; errors of ours."""
    metrics = Metrics()
    journal, _ = made(metrics=metrics)
    journal.answered(passage(ticket=identified()), REPLY)
    journal.answered(passage(ticket=admitted(), refusal=Refusal(CREDENTIAL_INVALID), marks=2), Reply(401, [], b""))
    journal.failed("1", ValueError())
    assert dict(metrics.requests) == {("GET", "/notes/{id}", 200): 1, ("GET", "/notes/{id}", 401): 1}
    assert dict(metrics.refusals) == {"credential_invalid": 1}
    assert metrics.failures == 1
    assert [sum(stage.counts) for stage in metrics.stages] == [2, 2, 1, 1, 1, 1, 1]


def test_the_journal_is_what_the_pipeline_asks_for() -> None:
    """A Journal of the pipeline, by its protocol (checked by mypy)."""
    from vallum import pipeline

    journal: pipeline.Journal = cast("pipeline.Journal", Journal(Metrics()))
    assert callable(journal.answered)
