"""kill -9 under load over TLS: of what was accepted before, nothing is accepted again. And two hundred at once are one."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from tests.path.load import Asked, Load, library
from tests.path.test_crash import SEEDED, kill, rows
from tests.unit.serve.served import Served, eventually

from vallum.crypto.random import request_id

pytestmark = pytest.mark.stores("sqlite")
"""The mark on the disk is SQLite's; on PostgreSQL a nonce is in the database before its request goes on."""

ROUNDS: Final = 2
LOAD_SECONDS: Final = 1.0
CLOCKS: Final = (0, 0, 0, -1, -120, 1, 2, 3, 28)
"""By how much the clocks of the clients differ from ours, seconds: most are right, one is far ahead of the mark."""
CROWD: Final = 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with library(tmp_path_factory.mktemp("library")) as running:
        yield running


def stamped(at: float, nonce: str) -> dict[str, str]:
    """The two fields."""
    return {"x-request-timestamp": str(int(at)), "x-request-nonce": nonce}


def sent_again(server: Served, token: str, sent: Mapping[str, Mapping[str, str]]) -> Counter[int]:
    """Each request of before once more, to the byte; how often each status came."""
    statuses: Counter[int] = Counter()
    own = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = http.client.HTTPSConnection("localhost", server.port, context=server.context(), timeout=20)
    with contextlib.closing(connection):
        for mark, fields in sent.items():
            connection.request("POST", "/books", body=json.dumps({"title": mark}), headers={**own, **fields})
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
    return statuses


def under_load(server: Served, token: str, name: str) -> tuple[Sequence[Asked], dict[str, dict[str, str]]]:
    """Requests from clients with different clocks, until the server is killed; and what each of them sent."""
    sent: dict[str, dict[str, str]] = {}
    clocks = itertools.cycle(CLOCKS)

    def fields(mark: str) -> dict[str, str]:
        sent[mark] = stamped(time.time() + next(clocks), request_id())
        return sent[mark]

    load = Load(server, token, "POST", "/books", name, lambda mark: {"title": mark}, headers=fields)
    with load:
        time.sleep(LOAD_SECONDS)
        kill(server)
    return load.asked, sent


def test_a_stop_in_order_refuses_nothing_new(server: Served) -> None:
    """SIGTERM and a start: what was accepted is refused by its nonce, and the next request of every clock is served."""
    token, now = server.token("wim"), time.time()
    sent = {f"stop-{n}": stamped(now + clock, request_id()) for n, clock in enumerate(CLOCKS * 5)}
    assert sent_again(server, token, sent) == {201: len(sent)}
    assert server.stop() == 0
    server.start()
    assert sent_again(server, token, sent) == {409: len(sent)}
    now = time.time()
    new = {f"start-{n}": stamped(now + clock, request_id()) for n, clock in enumerate(CLOCKS)}
    assert sent_again(server, token, new) == {201: len(new)}


def test_kill_9_lets_nothing_in_again(server: Served) -> None:
    """Every request that was accepted, and every one that was cut off, is sent again after the restart: none counts twice.

    Timestamps of the last moments before the kill are refused; two seconds after it all clocks but the one that is
    far behind are served again.
    """
    token = server.token("wim")
    counted: Counter[str] = Counter()
    for number in range(ROUNDS):
        asked, sent = under_load(server, token, f"kill-{number}")
        accepted = {one.mark: sent[one.mark] for one in asked if one.status == 201}
        cut = {one.mark: sent[one.mark] for one in asked if one.status == 0}
        killed = time.time()
        server.start()
        again, late = sent_again(server, token, accepted), sent_again(server, token, cut)
        assert len(accepted) > 50, "the load was none"
        assert set(again) <= {400, 409}
        assert {400, 409} <= set(again), "both ways to refuse are met: below the mark, and by a nonce that was kept"
        assert set(late) <= {201, 400, 409}
        titles = Counter(title for (title,) in rows(server, f"SELECT title FROM books WHERE id > {SEEDED}"))
        assert set(titles.values()) == {1}
        assert accepted.keys() <= titles.keys()
        counted.update({f"accepted again: {status}": n for status, n in again.items()})
        counted.update({f"cut off, sent again: {status}": n for status, n in late.items()}, accepted=len(accepted))
        time.sleep(max(0.0, killed + 4 - time.time()))
        fresh = stamped(time.time(), request_id())
        assert server.ask("POST", "/books", token, {"title": f"after-{number}"}, fresh)[0] == 201
    print(dict(counted))


def test_a_reload_refuses_nothing_new(server: Served) -> None:
    """SIGHUP in the middle of it: the new process begins when the old one has written what it accepted."""
    token = server.token("wim")
    sent: dict[str, dict[str, str]] = {}
    (before,) = server.workers()

    def fields(mark: str) -> dict[str, str]:
        sent[mark] = stamped(time.time(), request_id())
        return sent[mark]

    with Load(server, token, "POST", "/books", "reload", lambda mark: {"title": mark}, 2, fields) as load:
        os.kill(server.pid, signal.SIGHUP)
        assert eventually(lambda: server.workers() and before not in server.workers())
        time.sleep(0.5)
    statuses = Counter(one.status for one in load.asked)
    assert statuses[201] > 50
    assert set(statuses) <= {201, 0}, "refused by nobody; a connection of the old process may have ended"
    accepted = {one.mark: sent[one.mark] for one in load.asked if one.status == 201}
    assert sent_again(server, token, accepted) == {409: len(accepted)}


def test_two_hundred_at_once_are_one(server: Served) -> None:
    """The same request over two hundred connections at the same moment: one row, and 199 refusals."""
    token, fields = server.token("wim"), stamped(time.time(), request_id())
    together = threading.Barrier(CROWD)

    def ask(_: int) -> int:
        connection = http.client.HTTPSConnection("localhost", server.port, context=server.context(), timeout=60)
        with contextlib.closing(connection):
            connection.connect()
            together.wait(timeout=60)
            own = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/books", body=b'{"title": "crowd"}', headers={**own, **fields})
            return connection.getresponse().status

    with ThreadPoolExecutor(CROWD) as threads:
        statuses = Counter(threads.map(ask, range(CROWD)))
    assert statuses == {201: 1, 409: CROWD - 1}
    assert rows(server, "SELECT count(*) FROM books WHERE title = 'crowd'") == [(1,)]


def test_no_nonce_is_written_down(server: Served, tmp_path: Path) -> None:
    """Neither in the log nor in the database, whatever became of the request; the number of live ones is a metric."""
    token, nonce = server.token("wim"), "hunter2-hunter2-hunter2"
    fields = stamped(time.time(), nonce)
    for status in (201, 409):
        assert server.ask("POST", "/books", token, {"title": "quiet"}, fields)[0] == status
    for at in (0, time.time() - 500, time.time() + 29):
        server.ask("POST", "/books", token, {"title": "quiet"}, stamped(at, nonce + "x"))
    server.ask("GET", "/books", None, None, fields)
    _, metrics = server.ops("/metrics")
    assert 'vallum_refusals_total{code="nonce_reused"}' in metrics
    assert float(metrics.split("\nvallum_live_nonces ")[1].split("\n")[0]) > 0
    assert server.stop() == 0
    for path in (server.log, *(server.place / "data").glob("vallum.db*")):
        assert b"hunter2" not in path.read_bytes(), path
    server.start()
