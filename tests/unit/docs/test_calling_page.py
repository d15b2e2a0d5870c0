"""docs/calling.md: its client is run, sends again what it may, and what is said of lists and connections is so."""

from __future__ import annotations

import itertools
import re
import runpy
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.pages import DOCS, Terminal, assert_said, blocks, commands

from vallum import defaults
from vallum.refusals import REASONS
from vallum.validate.query import OPERATORS, RESERVED


def test_the_client_of_a_page(tmp_path: Path) -> None:
    """docs/calling.md: its program gets a token, writes once, pages to the end, changes under an ETag, and removes."""
    page = DOCS / "calling.md"
    (program,) = blocks(page, "python")
    (block,) = blocks(page, "console")
    with Terminal(tmp_path) as terminal:
        for line, said in commands(block):
            if line.startswith("python "):
                text = program.replace("8443", str(terminal.port))
                (terminal.here / "caller.py").write_text(text, encoding="utf-8")
            assert_said(said, terminal.run(line))


def test_the_client_of_a_page_sends_again_what_may_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong clock is mended, a token renewed in time, 429 and 503 waited for; a POST without a key only after a 429."""
    (program,) = blocks(DOCS / "calling.md", "python")
    (tmp_path / "caller.py").write_text(program, encoding="utf-8")
    caller = runpy.run_path(str(tmp_path / "caller.py"))
    waited: list[float] = []
    now = [1_000.0]
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    seen: list[httpx.Request] = []

    def answers(*replies: httpx.Response) -> Any:
        """A caller that is answered so, one after the other."""
        rest, tokens = list(replies), itertools.count()

        def reply(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/oauth/token":
                return httpx.Response(200, json={"access_token": f"token-{next(tokens)}", "expires_in": 900})
            seen.append(request)
            return rest.pop(0)

        api = httpx.Client(base_url="https://localhost", transport=httpx.MockTransport(reply))
        seen.clear()
        waited.clear()
        return caller["Caller"](api, "robot", "secret")

    def refused(status: int, code: str, **headers: str) -> httpx.Response:
        return httpx.Response(status, json={"code": code}, headers=headers)

    done = httpx.Response(200, json={})
    date = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    robot = answers(
        refused(400, "timestamp_stale", Date=date), refused(429, "quota_exceeded", **{"Retry-After": "7"}), done
    )
    assert robot.send("POST", "/tasks", json={}).status_code == 200
    assert waited == [0, 7]
    stamps = [int(request.headers["X-Request-Timestamp"]) for request in seen]
    assert abs(stamps[1] - stamps[0] - 7_200) <= 2
    assert len({request.headers["X-Request-Nonce"] for request in seen}) == 3
    now[0] += 900 - 60
    robot = answers(done, done)
    robot.send("GET", "/tasks")
    now[0] += 900 - 60
    robot.send("GET", "/tasks")
    assert [request.headers["Authorization"] for request in seen] == ["Bearer token-0", "Bearer token-1"]
    busy = refused(503, "busy")
    assert answers(busy).send("POST", "/tasks").status_code == 503
    assert answers(busy, done).send("POST", "/tasks", {"Idempotency-Key": "k"}).status_code == 200
    assert waited == [1]
    assert answers(refused(429, "quota_exceeded", **{"Retry-After": "3600"})).send("GET", "/tasks").status_code == 429
    assert len(seen) == 1
    assert answers(*[busy] * 5).send("GET", "/tasks").status_code == 503
    assert len(seen) == 5


def test_what_a_page_says_of_idle_connections() -> None:
    """The server's number, wherever it stands; the page's client drops its own sooner."""
    text = (DOCS / "calling.md").read_text(encoding="utf-8")
    assert f"closed after {defaults.HEADER_SECONDS:g} seconds** (`header_seconds`)" in text
    limits = (DOCS / "limitations.md").read_text(encoding="utf-8")
    assert f"Silence is ended after {defaults.HEADER_SECONDS:g} seconds" in limits
    (idle,) = re.findall(r"LONGEST_WAIT, IDLE = 5, 60, (\d+)", text)
    assert int(idle) < defaults.HEADER_SECONDS


def test_what_a_page_says_of_lists_and_of_retries() -> None:
    """Every parameter, operator and code that there is, and the bounds as they are."""
    text = (DOCS / "calling.md").read_text(encoding="utf-8")
    parameters = re.findall(r"^\| `(\w+)=", text, re.MULTILINE)
    assert set(parameters) - {"name"} == RESERVED - {"include"}
    (operators,) = re.findall(r"^\| `name\[operator\]=value` \| (.*) \|$", text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", operators)) - {"true", "false"} == OPERATORS
    assert f"1 to {defaults.PAGE_MAX}; {defaults.PAGE_DEFAULT} when" in text
    assert f"up to {defaults.MAX_IDEMPOTENCY_KEY_CHARACTERS} characters" in text
    assert defaults.MAX_SORTS == 3
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert [(status, code) for status, code in rows if REASONS[code].status != int(status)] == []
    idempotency = {code for code in REASONS if code.startswith("idempotency_")} - {"idempotency_key_malformed"}
    assert idempotency <= {code for _, code in rows}
