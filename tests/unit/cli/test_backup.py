"""`vallum backup` and `vallum restore`."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.serve.served import Said, command

from tests import stores
from vallum.crypto.keyfile import write_secret

pytestmark = pytest.mark.stores("sqlite")
"""A backup is of the file; of a server its own tools make one (docs/backup.md)."""


def test_a_backup_is_told_and_restored(run: Run, place: Path) -> None:
    """Its counts and its digest; what is to be done after a restore; both are in the audit."""
    run("user", "add", "ada", "--role", "reader", "--no-password")
    said = run("backup", "b.db")
    digest = hashlib.sha256((place / "b.db").read_bytes()).hexdigest()
    lines = said.out.splitlines()
    assert lines[0].startswith("b.db: ")
    assert lines[1:] == ["Accounts: 3; the audit: 2 entries.", f"SHA-256: {digest}"]
    said = run("restore", "b.db", "--sha256", digest, "--data", "back")
    assert said.code == 0, said.err
    assert "3 accounts, 2 entries in the audit" in said.out
    assert "Every token and cursor is void" in said.out
    entries = run("audit", "list", "--data", "back", "--json").json()
    assert [entry["verb"] for entry in entries] == ["restore", "backup", "user add"]
    assert run("audit", "verify", "--data", "back").code == 0
    assert not (place / "back" / "development.json").exists()


def test_a_token_of_before_is_of_no_use_after_a_restore_for_development(run: Run, place: Path) -> None:
    """And a new one can be made there: --dev marks the directory, as at its making."""
    run("backup", "b.db")
    assert run("restore", "b.db", "--data", "back", "--dev").code == 0
    assert run("token", "rita", "--data", "back").code == 0
    assert (place / "back" / "dev-ca.pem").exists()


def test_what_a_restore_makes_lies_under_the_master_key(run: Run, place: Path) -> None:
    """Every file of the keys, but for the audit's public ones."""
    write_secret(place / "master", b"nVtq4cdrZ6gy8bF2KpWmXhYs")
    run("backup", "b.db")
    assert run("restore", "b.db", "--data", "back", VALLUM_MASTER_KEY_FILE=str(place / "master")).code == 0
    files = {path.name: path.read_bytes() for path in (place / "back" / "keys").iterdir() if path.name != "audit.jwks"}
    assert len(files) == 3
    assert files.pop("secret").startswith(b"vallum-wrapped-1.")
    assert all(b"BEGIN ENCRYPTED" in content for content in files.values())


def test_a_directory_that_is_missing_is_no_name_of_a_file(run: Run, place: Path) -> None:
    """`backups/` means a directory; a file of that name would be refused as "exists" the next night."""
    said = run("backup", "backups/")
    assert (said.code, "backup-directory (backups/)" in said.err) == (1, True), said.err
    assert not (place / "backups").exists()
    (place / "backups").mkdir()
    assert run("backup", "backups/").code == 0
    assert len(list((place / "backups").iterdir())) == 1


def test_programs_are_answered_in_json(run: Run, place: Path) -> None:
    """Both commands."""
    run("key", "add", "robot")
    made = run("backup", ".", "--json").json()
    assert (made["tables"]["vallum_principal"], made["audit"]) == (3, {"whole": True, "entries": 0, "unsealed": 2})
    done = run("restore", made["file"], "--data", "back", "--void-credentials", "--json").json()
    assert (done["accounts"], done["voided"], done["audit"]["whole"]) == (3, 1, True)
    assert done["audit_key"] in (place / "back" / "keys" / "audit.jwks").read_text()


def test_a_falsified_audit_is_told_with_the_backup(run: Run, place: Path) -> None:
    """It is made all the same: it may be all that is left."""
    run("user", "add", "ada", "--no-password")
    run("audit", "checkpoint")
    with closing(sqlite3.connect(place / "data" / "vallum.db")) as connection:
        connection.execute("DROP TRIGGER vallum_audit_no_update")
        connection.execute("UPDATE vallum_audit SET note = 'x'")
        connection.commit()
    said = run("backup", "b.db")
    assert (said.code, "The audit is not as it was sealed" in said.err) == (0, True)
    said = run("restore", "b.db", "--data", "back")
    assert (said.code, "audit-broken" in said.err) == (1, True)
    assert run("restore", "b.db", "--data", "back", "--broken-audit").code == 0


def test_keys_and_checkpoints_from_elsewhere_are_asked_for(run: Run, place: Path) -> None:
    """Who forges a backup whole can put its own public key into it; not into the auditor's hands."""
    run("user", "add", "ada", "--no-password")
    (place / "kept").write_text(run("audit", "checkpoint").out)
    (place / "keys.json").write_text(run("audit", "key").out)
    (place / "data" / "keys" / "audit.pem").unlink()
    (place / "data" / "keys" / "audit.jwks").unlink()
    (place / "data" / "audit.checkpoint").unlink()
    run("audit", "rekey")
    run("backup", "forged.db")
    assert run("restore", "forged.db", "--data", "back").code == 0
    for given in (["--trust", "keys.json"], ["--checkpoint", "kept"]):
        said = run("restore", "forged.db", "--data", "never", *given)
        assert (said.code, "audit-broken" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["backup"], 2, "FILE|DIR"),
        (["restore"], 2, "name the file"),
        (["restore", "nowhere.db", "--data", "back"], 1, "backup-unreadable"),
        (["restore", "data/vallum.db", "--data", "back"], 1, "backup-unknown"),
        (["restore", "data/vallum.db"], 1, "restore-not-empty"),
        (["backup", "data/vallum.db"], 1, "backup-exists"),
        (["backup", "no/where"], 1, "backup-directory"),
    ],
)
def test_what_cannot_be_done_is_told(run: Run, arguments: list[str], code: int, words: str) -> None:
    """With the word that the pages explain."""
    said = run(*arguments)
    assert (said.code, words in said.err) == (code, True), said.err


@pytest.fixture
def url() -> Iterator[str]:
    """A PostgreSQL database of this test's own."""
    name = stores.server().database()
    yield stores.server().url(name)
    stores.server().drop(name)


@pytest.fixture
def server(tmp_path: Path, url: str) -> Callable[..., Said]:
    """A command on it."""

    def call(*arguments: str) -> Said:
        return command(*arguments, cwd=tmp_path, VALLUM_DATABASE=url)

    assert call("db", "create", "--dev", "--seed").code == 0
    return call


def test_on_postgresql_its_own_tools_do_it(server: Callable[..., Said]) -> None:
    """Backups are pg_dump's; after pg_restore the same things end as after a restore of SQLite."""
    said = server("backup", "b.db")
    assert (said.code, "backup-postgresql" in said.err, "pg_dump" in said.err) == (1, True, True)
    said = server("restore", "b.db")
    assert (said.code, "restore-postgresql" in said.err) == (1, True)
    server("user", "add", "ada", "--no-password")
    server("audit", "checkpoint")
    (before,) = [key["kid"] for key in server("keys", "list", "--json").json()]
    done = server("restore", "--json")
    assert done.code == 0, done.err
    assert (done.json()["accounts"], done.json()["backup_at"]) == (3, None)
    states = {key["kid"]: key["state"] for key in server("keys", "list", "--json").json()}
    assert (states[before], sorted(states.values())) == ("revoked", ["revoked", "signs"])
    assert server("audit", "verify").code == 0
    assert [entry["verb"] for entry in server("audit", "list", "--json").json()] == ["restore", "user add"]


def test_what_pg_restore_brought_back_is_made_one_of_today(
    server: Callable[..., Said], url: str, tmp_path: Path
) -> None:
    """By the three commands of the page: what was changed since is as it was, and the audit, with its triggers, is whole."""
    server("user", "add", "ada", "--no-password")
    server("audit", "checkpoint")
    tools = Path(stores.server()._handle.bin_path)
    dump = str(tmp_path / "school.dump")
    subprocess.run([tools / "pg_dump", "--format=custom", f"--file={dump}", url], check=True, timeout=60)
    server("user", "disable", "ada")
    server("audit", "checkpoint")
    cursors = (tmp_path / "data" / "keys" / "secret").read_bytes()
    subprocess.run([tools / "pg_restore", "--clean", "--if-exists", f"--dbname={url}", dump], check=True, timeout=60)
    said = server("audit", "verify")
    assert (said.code, "chain-truncated" in said.out) == (1, True)
    assert server("restore").code == 0
    accounts = {row["name"]: row["disabled"] for row in server("user", "list", "--json").json()}
    assert accounts == {"ada": False, "rita": False, "will": False}
    assert server("audit", "verify").code == 0
    assert len(list((tmp_path / "data").glob("audit.checkpoint.*"))) == 1
    assert (tmp_path / "data" / "keys" / "secret").read_bytes() != cursors
    assert server("user", "disable", "ada").code == 0
