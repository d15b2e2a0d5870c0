"""Which store the settings choose, and which way to a server they may."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vallum.serve import posture
from vallum.serve.database import address_of, command_database, dialect_of, served_database
from vallum.serve.development import mark
from vallum.serve.engine import postgres_engine
from vallum.serve.errors import SettingsError
from vallum.serve.settings import Settings, load
from vallum.store.errors import StoreError
from vallum.store.postgres_address import parse
from vallum.store.sqlite import SqliteDatabase

PLAIN = "postgresql://127.0.0.1/school?sslmode=disable"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No vallum.toml."""
    monkeypatch.chdir(tmp_path)


def refused(settings: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        address_of(settings)
    assert caught.value.identifier in {finding.identifier for finding in posture.findings(settings, 0.0)}
    return caught.value.identifier


def test_sqlite_is_the_default(tmp_path: Path) -> None:
    """Without a URL it is the file in the data directory."""
    assert address_of(load()) is None
    assert (dialect_of(None), dialect_of(parse(PLAIN))) == ("sqlite", "postgresql")
    assert isinstance(served_database(None, tmp_path), SqliteDatabase)


def test_without_tls_only_a_socket_or_the_loopback_of_development_is_asked(tmp_path: Path) -> None:
    """In production not even the loopback; development is what says `--dev`, or data that was made with it."""
    assert refused(load({"database": PLAIN})) == "database-plain"
    assert refused(load({"database": "postgresql://db.example/s?sslmode=disable", "dev": True})) == "database-plain"
    assert address_of(load({"database": PLAIN, "dev": True})) == parse(PLAIN)
    assert address_of(load({"database": "postgresql:///s?host=/run"})) is not None
    mark(tmp_path / "data", "https://localhost")
    assert address_of(load({"database": PLAIN})) == parse(PLAIN)


def test_the_password_comes_from_a_file_of_its_own(tmp_path: Path) -> None:
    """Of the owner alone, without the line break that editors add."""
    file = tmp_path / "password"
    settings = load({"database": "postgresql:///s?host=/run", "database_password_file": file})
    assert refused(settings) == "database-password-file"
    file.write_text("hunter2\n")
    file.chmod(0o644)
    assert refused(settings) == "database-password-file"
    file.chmod(0o600)
    address = address_of(settings)
    assert address is not None
    assert address.password == "hunter2"
    file.write_bytes(b"\xff")
    assert refused(settings) == "database-password-file"


def test_a_malformed_url_is_a_malformed_setting() -> None:
    """By the identifier that says why, and without the value."""
    for url, identifier in (("postgresql://ann:hunter2@db/s", "database-password"), ("school", "database-form")):
        with pytest.raises(SettingsError) as caught:
            load({"database": url})
        assert (caught.value.identifier, caught.value.place) == (identifier, "--database")
        assert "hunter2" not in str(caught.value)


def test_what_postgresql_needs_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the error says what to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    for name in [name for name in sys.modules if name.startswith("vallum.store.postgres") and "address" not in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("vallum.store.postgres", raising=False)  # an import finds it there too
    address = parse("postgresql://127.0.0.1/school")
    for opened in (served_database, command_database, lambda address, _: postgres_engine(address)):
        with pytest.raises(StoreError, match=r"postgres-missing: asyncpg: .*requirements/run.txt"):
            opened(address, tmp_path)
