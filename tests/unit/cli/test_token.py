"""`vallum token`."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.serve.served import ROOT, command, vallum

from vallum.cli.token import lifetime


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def test_it_is_for_the_address_that_was_served_last(run: Run) -> None:
    """Issuer and audience come from the data directory, so `--data` is enough."""
    found = claims(run("token", "rita").out.strip())
    assert (found["sub"], found["iss"], found["aud"]) == ("rita", "https://localhost:9443", "https://localhost:9443")
    assert found["exp"] - found["iat"] == 900
    assert abs(found["iat"] - time.time()) < 60
    assert claims(run("token", "rita", VALLUM_PUBLIC_URL="https://other.example").out)["iss"] == "https://other.example"


def test_its_life_and_scopes_are_chosen(run: Run) -> None:
    """And told, with --json, as RFC 6749 §5.1 has it."""
    made = run("token", "rita", "--ttl", "1h", "--scope", "read", "--scope", "write", "--json").json()
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 3600)
    assert claims(made["access_token"])["scope"] == "read write"
    assert run("token", "rita", "--scope", "two words").code == 2


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("90s", 90), ("15m", 900), ("24h", 86_400)])
def test_lifetimes(text: str, seconds: int) -> None:
    """Seconds, minutes, hours; a day is the longest."""
    assert lifetime(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "0s", "-1m", "86401s", "25h", "1d", "1.5h", "15 m", "15m\n", "١m"])
def test_lifetimes_that_are_none(run: Run, text: str) -> None:
    """Usage, not a guess."""
    assert run("token", "rita", f"--ttl={text}").code == 2


def test_it_is_refused_on_other_data(run: Run, place: Path) -> None:
    """Without the mark of development there is no token, `--dev` or not: the mark is made with the data only."""
    (place / "data" / "development.json").unlink()
    for arguments in ([], ["--dev"]):
        said = run("token", "rita", *arguments)
        assert (said.code, said.out) == (1, "")
        assert "token-development" in said.err


def test_it_is_for_accounts_that_are_there(run: Run) -> None:
    """Unknown and disabled ones get none."""
    assert "account-unknown" in run("token", "nobody").err
    assert run("user", "disable", "rita").code == 0
    assert "account-unknown" in run("token", "rita").err


@pytest.mark.stores("sqlite")  # whose database is a file that can be missing
def test_it_says_what_is_missing(run: Run, place: Path, tmp_path: Path) -> None:
    """The database, or the file of the key."""
    assert "database-missing" in command("token", "rita", "--data", "nowhere", cwd=tmp_path).err
    for file in (place / "data" / "keys").glob("*.pem"):
        file.unlink()
    assert "key-missing" in run("token", "rita").err


def test_it_opens_a_key_under_a_master_key(tmp_path: Path) -> None:
    """The file's content encrypts the signing key; without it there is no token."""
    master = tmp_path / "master"
    master.write_text("nVtq4cdrZ6gy8bF2KpWmXhYs\n")
    master.chmod(0o600)
    given = {"VALLUM_MASTER_KEY_FILE": str(master)}
    assert command("db", "create", "--dev", cwd=tmp_path, **given).code == 0
    assert command("token", "rita", cwd=tmp_path, **given).code == 0
    assert "pem-passphrase" in command("token", "rita", cwd=tmp_path).err


def test_it_loads_little() -> None:
    """It stands inside other commands: SQLAlchemy alone would take longer than all of it."""
    heavy = "sqlalchemy", "pydantic", "rich", "granian", "structlog", "importlib.metadata"
    code = f"import sys, vallum.cli, vallum.cli.token; print([m for m in {heavy!r} if m in sys.modules])"
    environment = {"PYTHONPATH": str(ROOT / "src")}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_it_runs_as_a_command_of_its_own(place: Path) -> None:
    """One line on standard output and nothing else: it is pasted into a header."""
    said = vallum("token", "rita", cwd=place)
    assert (said.returncode, said.stderr, said.stdout.count("\n"), said.stdout.count(".")) == (0, "", 1, 2)
