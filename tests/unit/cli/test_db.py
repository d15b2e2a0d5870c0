"""`vallum db`."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.serve.served import Said, command
from tests.unit.store.test_migrations import FIRST_VERSION

from tests import stores
from vallum.crypto.keyfile import write_secret
from vallum.store.migrations import VERSION


def rows(place: Path, text: str) -> list[tuple[object, ...]]:
    return stores.rows(place / "data", text)


def files(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def test_it_makes_everything_that_is_needed(tmp_path: Path) -> None:
    """Both sorts of tables, the accounts, the keys, the cursors' secret; for the owner alone; without seed no rows."""
    said = command("db", "create", "--json", cwd=tmp_path)
    told = {"data": "data", "accounts": 2, "seeded": False, "development": False}
    url = stores.database_of(tmp_path / "data")
    assert said.json() == (told if url is None else {**told, "database": url})
    assert rows(tmp_path, "SELECT id FROM vallum_principal ORDER BY id") == [("rita",), ("will",)]
    assert rows(tmp_path, "SELECT count(*) FROM notes") == [(0,)]
    ((kid,),) = rows(tmp_path, "SELECT kid FROM vallum_signing_key")
    keys = {f"data/keys/{name}" for name in ("secret", f"{kid}.pem", "audit.pem", "audit.jwks")}
    assert files(tmp_path) - {"data/vallum.db"} == keys
    assert (tmp_path / "data" / "vallum.db").exists() is (url is None)
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_nothing_secret_opens_without_the_master_key(tmp_path: Path) -> None:
    """Every file of the keys is encrypted, but for the audit's public ones."""
    write_secret(tmp_path / "master", b"nVtq4cdrZ6gy8bF2KpWmXhYs")
    assert command("db", "create", cwd=tmp_path, VALLUM_MASTER_KEY_FILE=str(tmp_path / "master")).code == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "data" / "keys").iterdir()}
    assert b'"d":' not in files.pop("audit.jwks")
    assert len(files) == 3
    assert files.pop("secret").startswith(b"vallum-wrapped-1.")
    assert all(b"BEGIN ENCRYPTED" in content for content in files.values())


def test_it_is_seeded_when_asked(place: Path) -> None:
    """By the functions of `on_seed`."""
    assert rows(place, "SELECT count(*) FROM notes") == [(5,)]


@pytest.mark.stores("sqlite")  # PostgreSQL counts by itself, too
def test_what_is_seeded_is_counted(place: Path) -> None:
    """So that SQLite chooses the right index."""
    assert rows(place, "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'notes'") == [(1,)]


def test_development_has_certificates_and_a_mark(place: Path) -> None:
    """So that the demonstration can name the authority before the server runs."""
    assert {"data/dev-ca.pem", "data/development.json", "data/keys/dev-server.key"} <= files(place)


def test_it_does_not_touch_a_database_that_is_there(run: Run, place: Path) -> None:
    """Nor its keys."""
    before = files(place)
    said = run("db", "create", "--dev", "--seed")
    assert (said.code, "-exists" in said.err) == (1, True)
    assert files(place) == before
    assert rows(place, "SELECT count(*) FROM notes") == [(5,)]


FAILING = """
from vallum import API
api = API("Failing", roles=["r"])
@api.on_seed
def fail(db):
    raise ValueError("not today")
"""


def test_a_seed_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The next attempt finds no half-made database in its way."""
    (tmp_path / "failing.py").write_text(FAILING)

    def attempt(*arguments: str) -> Said:
        return command("db", "create", *arguments, cwd=tmp_path, VALLUM_APP="failing:api")

    with pytest.raises(ValueError, match="not today"):
        attempt("--seed")
    assert not (tmp_path / "data" / "vallum.db").exists()
    assert attempt().code == 0


def test_migrate_says_from_where_to_where(run: Run) -> None:
    """A database of this version stays as it is."""
    assert run("db", "migrate").out == f"Schema {VERSION}, as it was.\n"
    assert run("db", "migrate", "--json").json() == {"before": VERSION, "after": VERSION}


@pytest.mark.stores("sqlite")  # the script of the first version is; tests/unit/store/test_migrations.py has the other's
def test_an_old_database_is_refused_until_it_is_migrated(run: Run, place: Path) -> None:
    """`serve` names the command; after it a key can be made."""
    with closing(sqlite3.connect(place / "data" / "vallum.db")) as connection:
        connection.executescript(FIRST_VERSION)
        connection.executescript("UPDATE vallum_meta SET value = '1' WHERE key = 'schema'")
    said = run("serve", "--dev", "--port", "9443")
    assert (said.code, "schema-old" in said.err, "vallum db migrate" in said.err) == (1, True, True)
    assert run("db", "migrate").out == f"Schema 1 is now {VERSION}.\n"
    assert run("key", "add", "robot").code == 0


def test_migrate_refuses_a_newer_database(run: Run, place: Path) -> None:
    """It was written by a newer Vallum."""
    rows(place, "UPDATE vallum_meta SET value = '99' WHERE key = 'schema'")
    said = run("db", "migrate")
    assert (said.code, "schema-new" in said.err) == (1, True)


@pytest.mark.stores("sqlite")  # whose database is a file that can be missing
def test_a_mend_leads_to_what_was_wanted(tmp_path: Path) -> None:
    """What serves for development asks for data of development; data that is there is no call to migrate it."""
    for arguments, named in [
        (["serve", "--dev"], "`vallum db create --dev`."),
        (["token", "rita"], "`vallum db create --dev`."),
        (["user", "list"], "`vallum db create` (for development: `--dev`)."),
    ]:
        said = command(*arguments, cwd=tmp_path)
        assert ("database-missing" in said.err, said.err.strip().endswith(named)) == (True, True), said.err
    assert command("db", "create", "--dev", cwd=tmp_path).code == 0
    again = command("db", "create", "--dev", cwd=tmp_path).err
    assert ("database-exists" in again, "remove this directory" in again) == (True, True)
    (tmp_path / "data" / "vallum.db").unlink()
    for arguments in (["user", "list"], ["token", "rita"]):
        assert "name the server that has it: VALLUM_DATABASE" in command(*arguments, cwd=tmp_path).err
