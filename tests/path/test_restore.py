"""A service from a restored directory: what was signed in is not, what was written is there, and the audit goes on."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.path.small import NOON, Clock, api
from tests.path.test_audit import verified

from tests import stores
from vallum.audit import keys
from vallum.crypto import api_key
from vallum.declare.accounts import Account
from vallum.serve.after_restore import Wanted, end_everything
from vallum.serve.alone import alone
from vallum.serve.backup import make_backup
from vallum.serve.database import command_database
from vallum.serve.errors import SettingsError
from vallum.serve.restore import Restored, restore
from vallum.store import api_keys, migrations, restored, sqlite_copy
from vallum.store.api_keys import Limits
from vallum.store.errors import StoreError
from vallum.store.postgres_address import parse
from vallum.store.schema import METADATA
from vallum.store.sqlite import SqliteFile
from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite")
"""A backup is of a file; a server has tools of its own (docs/deployment.md)."""

LATER = NOON + 3600
KEY = '"8e03978e-40d5-43e8-bc93-6894a57f9324"'


@pytest.fixture
def robot(data: Path) -> str:
    """An API key."""
    made = api_key.generate()
    account = Account("robot", frozenset({"reader"}), {}, "default")
    with SqliteFile(data / "vallum.db") as file:
        file.write(api_keys.add(account, made, Limits(), NOON - 10, "sqlite"))
    return made.text


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty place for what is restored."""
    return tmp_path / "restored"


def backed_up(data: Path, tmp_path: Path, now: float = NOON) -> Path:
    """A backup."""
    return make_backup(data, tmp_path / "backup.db", now).file


def restoring(backup: Path, target: Path, **wanted: Any) -> Restored:
    """An hour later."""
    return restore(backup, target, Wanted(**wanted), LATER)


@contextlib.contextmanager
def serving(data: Path, name: str | None, at: float = LATER + 60) -> Iterator[Client]:
    with Client(api, as_=name, data=data, clock=Clock(at)) as client:
        yield client


def rows(data: Path, text: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(data / "vallum.db")) as connection:
        return connection.execute(text).fetchall()


def test_what_was_written_is_there_and_nobody_is_signed_in(
    data: Path, tmp_path: Path, target: Path, clock: Clock
) -> None:
    """Taken while it is served; the token of then, though it has not expired, is refused, and a new one is not."""
    with Client(api, as_="walt", data=data, clock=clock) as walt:
        token, cursor = walt.token, walt.get("/books?limit=1").json()["next"]
        assert walt.post("/books", json={"title": "kept"}).status_code == 201
        backup = backed_up(data, tmp_path)
        assert walt.post("/books", json={"title": "lost"}).status_code == 201
    # A minute later, when every token of then would still be good.
    done = restore(backup, target, Wanted(), NOON + 60)
    with serving(target, "walt", NOON + 120) as walt:
        refused = walt.get("/books", headers={"authorization": f"Bearer {token}"})
        assert (refused.status_code, refused.json()["code"]) == (401, "credential_invalid")
        page = walt.get("/books?limit=100")
        assert page.status_code == 200, page.text
        titles = [row["title"] for row in page.json()["items"]]
        assert ("kept" in titles, "lost" in titles) == (True, False)
        assert walt.get(f"/books?limit=1&after={cursor}").json()["code"] == "cursor_invalid"
    assert rows(target, "SELECT key FROM vallum_meta WHERE key = 'backup'") == []
    assert done.backup_at == NOON
    assert done.tables["books"] == len(rows(target, "SELECT * FROM books"))


def test_no_epoch_and_no_signing_key_of_before_counts(data: Path, tmp_path: Path, target: Path) -> None:
    """A process that went on after the backup may remember higher epochs than the backup has; none as high as now."""
    backup = backed_up(data, tmp_path)
    before = dict(rows(data, "SELECT id, epoch FROM vallum_principal"))
    restoring(backup, target)
    after = rows(target, "SELECT id, epoch, tokens_from FROM vallum_principal")
    assert {name for name, _, _ in after} == before.keys()
    assert {(epoch, since) for _, epoch, since in after} == {(int(LATER), int(LATER) + 1)}
    states = rows(target, "SELECT kid, revoked IS NULL FROM vallum_signing_key ORDER BY created")
    assert [valid for _, valid in states] == [0, 1]
    assert {path.name for path in (target / "keys").iterdir()} == {
        f"{states[1][0]}.pem",
        "audit.pem",
        "audit.jwks",
        "secret",
    }
    # What was restored is backed up and restored once more, within the same second.
    third = target.with_name("third")
    restoring(make_backup(target, tmp_path, LATER).file, third)
    assert {epoch for (epoch,) in rows(third, "SELECT epoch FROM vallum_principal")} == {int(LATER) + 1}


def test_api_keys_are_credentials_and_stay(data: Path, tmp_path: Path, target: Path, robot: str) -> None:
    """Unless it is asked to void them; who gets another one then is known as before."""
    backup = backed_up(data, tmp_path)
    assert restoring(backup, target).ended.voided == 0
    with serving(target, None) as stranger:
        assert stranger.get("/hello", headers={"x-api-key": robot}).status_code == 200
    other = target.with_name("voided")
    assert restoring(backup, other, void_credentials=True).ended.voided == 1
    with serving(other, None) as stranger:
        assert stranger.get("/hello", headers={"x-api-key": robot}).status_code == 401


@pytest.mark.stores(stores.SQLITE, stores.POSTGRESQL)
def test_a_request_that_was_recorded_before_is_not_accepted_after(data: Path, clock: Clock) -> None:
    """The backup cannot know its nonce; it is refused by its time, even if the client's clock was ahead by what is granted."""
    made = api_key.generate()
    account = Account("robot", frozenset({"writer"}), {}, "default")
    url = stores.database_of(data)
    address = None if url is None else parse(url)
    with command_database(address, data) as database:
        database.write(api_keys.add(account, made, Limits(), NOON - 10, database.dialect))
        end_everything(database, data, Wanted(), {}, NOON + 10)
    with stores.client(api, None, data, clock) as stranger:

        def sent(timestamp: float, number: int) -> int:
            fresh = {"x-request-timestamp": f"{int(timestamp)}", "x-request-nonce": f"{number:032x}"}
            return stranger.post("/books", json={"title": "T"}, headers={"x-api-key": made.text, **fresh}).status_code

        clock.now = NOON + 12
        recorded = (NOON, NOON + 10, NOON + 40, NOON + 41)
        assert [sent(timestamp, number) for number, timestamp in enumerate(recorded)] == [400, 400, 400, 400]
        assert sent(NOON + 42, 9) == 201
        assert sent(NOON + 42, 9) == 409


def test_quotas_and_answers_of_then_are_kept(data: Path, tmp_path: Path, target: Path, clock: Clock) -> None:
    """A retry of a write that is in the backup is not carried out twice, and the hour is not given twice."""
    with Client(api, as_="walt", data=data, clock=clock) as walt:
        assert walt.post("/books", json={"title": "kept"}, headers={"idempotency-key": KEY}).status_code == 201
    backup = backed_up(data, tmp_path)
    restore(backup, target, Wanted(), NOON + 60)
    with serving(target, "walt", NOON + 120) as walt:
        again = walt.post("/books", json={"title": "kept"}, headers={"idempotency-key": KEY})
        assert (again.status_code, again.json()["code"]) == (409, "idempotency_rights_changed")
        assert "r=9998;" in again.headers["ratelimit"]
    assert rows(target, "SELECT count(*) FROM books WHERE title = 'kept'") == [(1,)]


def test_the_audit_goes_on_under_a_new_key(data: Path, tmp_path: Path, target: Path, clock: Clock) -> None:
    """One chain: what was sealed before, what was not, the restore itself, and what comes; an old checkpoint fits."""
    with Client(api, as_="walt", data=data, clock=clock) as walt:
        walt.post("/books", json={"title": "T"})
    kept = (data / "audit.checkpoint").read_text()
    done = restoring(backed_up(data, tmp_path), target, checkpoints={"of the auditor": kept})
    assert (done.ended.audit.whole, done.ended.audit.entries) == (True, 1)
    with serving(target, "walt") as walt:
        walt.post("/books", json={"title": "U"})
    report = verified(target, LATER)
    assert (report.faults, report.entries, report.unsealed) == ((), 3, 0)
    public = [key["kid"] for key in keys.public_jwks(target / "keys")]
    assert public == [keys.public_jwks(data / "keys")[0]["kid"], done.ended.audit_key]
    ((by, note),) = rows(target, "SELECT principal, note FROM vallum_audit WHERE verb = 'restore'")
    facts = json.loads(note)
    assert (by, facts["backup_at"], facts["audit_faults"], facts["audit_key"]) == (
        "vallum:operator",
        NOON,
        0,
        done.ended.audit_key,
    )


def falsified(data: Path) -> None:
    """Past the triggers."""
    with contextlib.closing(sqlite3.connect(data / "vallum.db")) as connection:
        connection.execute("DROP TRIGGER vallum_audit_no_update")
        connection.execute("UPDATE vallum_audit SET principal = 'nobody'")
        connection.commit()


def test_a_falsified_audit_is_restored_only_when_that_is_said(
    data: Path, tmp_path: Path, target: Path, clock: Clock
) -> None:
    """The backup holds it as it is; the entry of the restore says how many faults there were."""
    with Client(api, as_="walt", data=data, clock=clock) as walt:
        walt.post("/books", json={"title": "T"})
    falsified(data)
    made = make_backup(data, tmp_path / "backup.db", NOON)
    assert [fault.kind for fault in made.audit.faults] == ["trigger-missing", "entry-changed"]
    with pytest.raises(StoreError, match="audit-broken"):
        restoring(made.file, target)
    assert {path.name for path in target.iterdir()} == {"serving"}
    assert len(restoring(made.file, target, broken_audit=True).ended.audit.faults) == 2
    ((note,),) = rows(target, "SELECT note FROM vallum_audit WHERE verb = 'restore'")
    assert json.loads(note)["audit_faults"] == 2


def test_a_backup_is_one_file_for_its_owner_without_a_private_key(data: Path, tmp_path: Path, robot: str) -> None:
    """And its digest is that of the file."""
    made = make_backup(data, tmp_path / "backup.db", NOON)
    content = made.file.read_bytes()
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == ["backup.db"]
    assert (made.bytes, made.tables["vallum_api_key"]) == (len(content), 1)
    assert content[18:20] == b"\x01\x01"  # no write-ahead log (sqlite.org/fileformat.html §1.3.3)
    for secret in (data / "keys").iterdir():
        if secret.name != "audit.jwks":
            assert secret.read_bytes() not in content
    assert robot.encode() not in content
    assert restore(made.file, tmp_path / "r", Wanted(sha256=made.sha256.upper()), LATER).backup_at == NOON


def test_in_a_directory_a_backup_is_named_after_its_time(data: Path, tmp_path: Path) -> None:
    """Nothing is ever written over."""
    made = make_backup(data, tmp_path, NOON)
    assert made.file.name == "vallum-20270115T120000Z.db"
    with pytest.raises(StoreError, match="backup-exists"):
        make_backup(data, tmp_path, NOON)
    with pytest.raises(StoreError, match="backup-exists"):
        make_backup(data, data / "vallum.db", NOON)
    with pytest.raises(StoreError, match="backup-directory"):
        make_backup(data, tmp_path / "no" / "where", NOON)


def test_a_backup_that_fails_leaves_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a half file under its name nor one under another."""
    present = set(tmp_path.iterdir())

    def fails(*_: Path) -> Any:
        raise KeyboardInterrupt

    for name in ("settle", "counted"):
        with monkeypatch.context() as patch:
            patch.setattr(sqlite_copy, name, fails)
            with pytest.raises(KeyboardInterrupt):
                make_backup(data, tmp_path / "backup.db", NOON)
        assert set(tmp_path.iterdir()) == present


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8192:12288] = bytes(4096)
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_letter(path: Path) -> None:
    path.write_text("Dear reader,")


def gone(path: Path) -> None:
    path.unlink()


def unlabelled(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM vallum_meta WHERE key = 'backup'")
        connection.commit()


def mislabelled(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("""UPDATE vallum_meta SET value = '{"at": "noon", "audit_keys": 3}' WHERE key = 'backup'""")
        connection.commit()


def of_the_future(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE vallum_meta SET value = '999' WHERE key = 'schema'")
        connection.commit()


def of_another_form(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE vallum_meta SET value = json_set(value, '$.format', 2) WHERE key = 'backup'")
        connection.commit()


@pytest.mark.parametrize(
    ("harm", "identifier"),
    [
        (damaged, "backup-damaged"),
        (cut, "backup-damaged"),
        (emptied, "backup-damaged"),
        (a_letter, "backup-damaged"),
        (gone, "backup-unreadable"),
        (unlabelled, "backup-unknown"),
        (mislabelled, "backup-unknown"),
        (of_another_form, "backup-unknown"),
        (of_the_future, "schema-new"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_is_no_backup_is_not_restored(
    data: Path, tmp_path: Path, target: Path, harm: Any, identifier: str
) -> None:
    """Each fault with its word, and the directory is left empty."""
    backup = backed_up(data, tmp_path)
    harm(backup)
    with pytest.raises(StoreError, match=identifier) as caught:
        restoring(backup, target)
    assert ".restoring" not in caught.value.place
    assert {path.name for path in target.iterdir()} == {"serving"}


def test_another_file_than_the_one_that_was_noted_is_refused(data: Path, tmp_path: Path, target: Path) -> None:
    """One byte is enough."""
    made = make_backup(data, tmp_path / "backup.db", NOON)
    with contextlib.closing(sqlite3.connect(made.file)) as connection:
        connection.execute("UPDATE vallum_principal SET roles = '[\"admin\"]' WHERE id = 'rita'")
        connection.commit()
    with pytest.raises(StoreError, match="backup-digest"):
        restoring(made.file, target, sha256=made.sha256)


@pytest.mark.parametrize("name", ["vallum.db", "keys", "anything"])
def test_only_an_empty_directory_is_filled(data: Path, tmp_path: Path, target: Path, name: str) -> None:
    """What is there is somebody's."""
    backup = backed_up(data, tmp_path)
    target.mkdir()
    (target / name).write_text("mine")
    with pytest.raises(StoreError, match="restore-not-empty"):
        restoring(backup, target)
    assert (target / name).read_text() == "mine"


def test_a_directory_that_is_served_is_not_filled(
    data: Path, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of the server holds for the restore too."""
    monkeypatch.setattr("vallum.serve.alone.LOCK_SECONDS", 0.05)
    backup = backed_up(data, tmp_path)
    target.mkdir(mode=0o700)
    with alone(target), pytest.raises(SettingsError, match="data-in-use"):
        restoring(backup, target)


def test_a_restore_that_was_killed_is_begun_again(
    data: Path, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left is in nobody's way, and is no database."""
    backup = backed_up(data, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        patch.setattr("vallum.serve.restore._move", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            restoring(backup, target)
    assert not (target / "vallum.db").exists()
    assert (target / ".restoring" / "vallum.db").exists()
    assert restoring(backup, target).ended.accounts > 0
    assert not (target / ".restoring").exists()


def test_the_database_comes_last(data: Path, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two names that are given a kill leaves a directory without a database."""
    backup = backed_up(data, tmp_path)
    seen = []

    def look(_: Path) -> None:
        seen.append((target / "vallum.db").exists())

    monkeypatch.setattr("vallum.serve.restore.sync_directory", look)
    restoring(backup, target)
    assert seen == [False, False, True]


def test_a_backup_of_an_earlier_version_becomes_one_of_this(data: Path, tmp_path: Path, target: Path) -> None:
    """It is migrated on the way."""
    backup = backed_up(data, tmp_path)
    with contextlib.closing(sqlite3.connect(backup)) as connection:
        connection.executescript(
            "DROP TABLE vallum_audit_segment; UPDATE vallum_meta SET value = '4' WHERE key = 'schema';"
            + "".join(f"DROP TABLE {name};" for name in LATER_TABLES)
        )
    restoring(backup, target)
    assert rows(target, "SELECT value FROM vallum_meta WHERE key = 'schema'") == [(str(migrations.VERSION),)]
    with serving(target, "walt") as walt:
        assert walt.get("/books").status_code == 200


LATER_TABLES = ("vallum_client", "vallum_client_credential", "vallum_client_assertion", "vallum_revoked_token")
"""Made by the steps after version 4, like the segments."""


def test_for_every_table_it_is_said_what_is_right() -> None:
    """A new table asks whether somebody would be signed in through it after a restore."""
    assert restored.TABLES.keys() == METADATA.tables.keys()
