"""`vallum serve`, up to where it serves: what it refuses. The rest is in tests/path/test_served.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.serve.served import command, free_port

from vallum.cli import serve
from vallum.serve.keyring import cursor_secret


@pytest.mark.stores("sqlite")  # whose database is a file that can be missing
@pytest.mark.parametrize(
    ("arguments", "identifier"),
    [
        (["--dev"], "database-missing"),
        ([], "public-url-missing"),
        (["--public-url", "http://api.example.org"], "public-url-http"),
        (["--public-url", "https://api.example.org"], "tls-missing"),
        (["--dev", "--host", "192.0.2.1"], "development-open"),
        (["--dev", "--workers", "2"], "workers-counters"),
        (["nowhere:api", "--dev"], "app-import"),
        (["--app", "nowhere:api", "--dev"], "app-import"),
    ],
)
def test_an_unsafe_start_is_refused_by_name(tmp_path: Path, arguments: list[str], identifier: str) -> None:
    """It leaves with 1, says the identifier and the mend, and makes nothing."""
    refused = command("serve", *arguments, cwd=tmp_path)
    assert refused.code == 1
    assert identifier in refused.err
    assert list(tmp_path.iterdir()) == []


def test_a_secret_under_another_master_key_is_told_before_a_worker_starts(run: Run, place: Path) -> None:
    """By name and file, not by the traceback of a process."""
    cursor_secret(place / "data" / "keys", b"nVtq4cdrZ6gy8bF2KpWmXhYs")
    refused = run("serve", "--dev", "--port", str(free_port()))
    assert (refused.code, "wrapped-passphrase" in refused.err) == (1, True)
    assert "data/keys/secret" in refused.err
    assert "Traceback" not in refused.err


def test_a_refusal_can_be_read_by_programs(run: Run) -> None:
    """The first as every command tells it, on standard error; and every error at once."""
    said = run("serve", "--json")
    told = json.loads(said.err)
    assert (said.code, said.out, told["error"]) == (1, "", told["errors"][0])
    assert [error["identifier"] for error in told["errors"]] == [
        "public-url-missing",
        "tls-missing",
        "development-data",
    ]
    assert set(told["error"]) == {"identifier", "place", "mend"}


def test_it_announces_itself_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With title and address; as JSON when asked for."""
    monkeypatch.setattr(serve, "run", lambda _, announce: announce())
    assert run("serve", "--dev", "--port", "9999").out == "Tiny is served at https://localhost:9999 for development\n"
    said = run("serve", "--dev", "--json").json()
    assert said == {"serving": "https://localhost:8443", "title": "Tiny", "development": True}
