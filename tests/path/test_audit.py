"""The audit of a running service: refusals are counted, what was committed is sealed, and a stop leaves nothing open."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.path.conftest import As
from tests.path.small import NOON, Clock, api

from tests import stores
from vallum import defaults
from vallum.audit import anchor, keys
from vallum.audit.fault import Report
from vallum.audit.verify import verify
from vallum.serve.database import command_database
from vallum.store.errors import StoreError
from vallum.store.ports import Script, Statement
from vallum.store.postgres_address import parse
from vallum.testing import Client

pytestmark = pytest.mark.stores(stores.SQLITE, stores.POSTGRESQL)

REFUSED = "SELECT principal, resource, note FROM vallum_audit WHERE verb = 'refuse' ORDER BY id"
ADDRESS = "192.0.2.1"
"""Of the client."""


def verified(data: Path, now: float) -> Report:
    """What a verification says, with the checkpoint that is kept in the directory."""
    url = stores.database_of(data)
    kept = anchor.kept(data)
    trusted = keys.key_set(keys.public_jwks(data / "keys"))
    with command_database(None if url is None else parse(url), data) as database:
        checkpoints = {} if kept is None else {"kept": kept}
        return database.look(lambda: verify(trusted, checkpoints, database.dialect, now))


def refused(data: Path) -> list[tuple[str | None, str, Mapping[str, Any]]]:
    """The entries about refusals: caller, route, note."""
    return [(who, route, json.loads(note)) for who, route, note in stores.rows(data, REFUSED)]


def round_of(client: Client, now: float, *, last: bool = False) -> None:
    """What the service does by itself at that time."""
    client._running.run(client.service.audit.round(now, last=last))


def test_refusals_are_counted_by_caller_route_and_reason(client: As, data: Path, clock: Clock) -> None:
    """A minute of them is an entry each, with the last request; what says nothing of the caller is not counted."""
    rita, stranger = client("rita"), client(None)
    last = [rita.delete("/books/1"), rita.delete("/books/2"), rita.get("/books/999")][1]
    rita.get("/nowhere")
    stranger.get("/books")
    stranger.request("GET", "/shelves", headers={"host": "elsewhere.example"})
    assert rita.get("/books?nothing=1").status_code == 400
    assert client("walt").patch("/books/1", json={}, headers={"if-match": '"x"'}).status_code == 412
    round_of(rita, clock.now + defaults.AUDIT_DENIAL_SECONDS - 1)
    assert refused(data) == []
    round_of(rita, clock.now + defaults.AUDIT_DENIAL_SECONDS)
    assert refused(data) == [
        ("rita", "/books/{id}", {"code": "forbidden", "count": 2, "since": NOON}),
        ("rita", "/books/{id}", {"code": "not_found", "count": 1, "since": NOON}),
        ("rita", "*", {"code": "not_found", "count": 1, "since": NOON}),
        (None, "/books", {"code": "credential_missing", "count": 1, "address": ADDRESS, "since": NOON}),
        (None, "*", {"code": "host_unknown", "count": 1, "address": ADDRESS, "since": NOON}),
    ]
    ids = stores.rows(data, "SELECT request_id FROM vallum_audit WHERE verb = 'refuse' ORDER BY id")
    assert ids[0] == (last.headers["x-request-id"],)


def test_a_stop_leaves_nothing_unsealed(data: Path, clock: Clock) -> None:
    """Writes and counted refusals are sealed and signed, and the checkpoint is kept in the directory."""
    with stores.client(api, "walt", data, clock) as walt:
        for number in range(3):
            assert walt.post("/books", json={"title": f"T{number}"}).status_code == 201
        walt.delete("/books/999")
    report = verified(data, NOON)
    assert (report.faults, report.entries, report.unsealed) == ((), 4, 0)
    assert report.checkpoints == {"in the database": report.segments, "kept": report.segments}
    assert [note["code"] for _, _, note in refused(data)] == ["not_found"]


def test_a_service_goes_on_with_the_chain_of_the_one_before_it(data: Path, clock: Clock) -> None:
    """Three starts: one chain, with one key."""
    for _ in range(3):
        with stores.client(api, "walt", data, clock) as walt:
            assert walt.post("/books", json={"title": "T"}).status_code == 201
    assert (verified(data, NOON).entries, len(keys.public_jwks(data / "keys"))) == (3, 1)
    assert verified(data, NOON).whole


def delete(*tables: str) -> Script[None]:
    """Whoever may write in the database needs no trigger."""
    for table in tables:
        for trigger in ("delete", "rows"):
            yield Statement(DROP[trigger].format(table=table), ())
        yield Statement(f"DELETE FROM {table}", ())


DROP = {"delete": "DROP TRIGGER IF EXISTS {table}_no_delete", "rows": "SELECT 1"}


def test_a_chain_that_was_replaced_is_told_and_not_signed_over(client: As, data: Path, store: str) -> None:
    """The database forgets everything while the service runs: what was kept beside it is evidence, and stays."""
    walt = client("walt")
    walt.post("/books", json={"title": "T"})
    round_of(walt, NOON + 100)
    kept = anchor.kept(data)
    assert kept is not None
    if store == stores.POSTGRESQL:
        stores.rows(data, "ALTER TABLE vallum_audit DISABLE TRIGGER ALL")
        stores.rows(data, "ALTER TABLE vallum_audit_segment DISABLE TRIGGER ALL")
        stores.rows(data, "DELETE FROM vallum_audit")
        stores.rows(data, "DELETE FROM vallum_audit_segment")
    else:
        walt._running.run(walt.service.database.write(lambda: delete("vallum_audit", "vallum_audit_segment")))
    walt.post("/books", json={"title": "U"})
    round_of(walt, NOON + 200)
    (error,) = walt._running.journal.errors
    assert "audit-replaced" in str(error)
    walt._running.journal.errors.clear()
    assert anchor.kept(data) == kept
    assert {fault.kind for fault in verified(data, NOON).faults} >= {"chain-truncated", "trigger-missing"}


def falsify(walt: Client, data: Path, store: str, *statements: str) -> None:
    """As who may write in the database, while the service runs."""
    tables = ("vallum_audit", "vallum_audit_segment")
    if store == stores.POSTGRESQL:
        for text in (*(f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in tables), *statements):
            stores.rows(data, text)
        return
    dropped = [f"DROP TRIGGER IF EXISTS {table}_no_{change}" for table in tables for change in ("update", "delete")]

    def script() -> Script[None]:
        for text in (*dropped, *statements):
            yield Statement(text, ())

    walt._running.run(walt.service.database.write(script))


CUT = ("DELETE FROM vallum_audit_segment WHERE number = 2", "DELETE FROM vallum_audit WHERE id = 2")


@pytest.mark.parametrize("how", ["forged", "cut"])
def test_nothing_is_signed_upon_an_end_that_is_not_the_one_that_was_signed(
    client: As, data: Path, store: str, how: str
) -> None:
    """A segment written anew, or taken away with its checkpoint, before that was kept beside the database."""
    walt = client("walt")
    walt.post("/books", json={"title": "T"})
    round_of(walt, NOON + 100)
    kept = anchor.kept(data)
    walt.post("/books", json={"title": "U"})
    round_of(walt, NOON + 105)  # sealed; the checkpoint in the directory is the one of before
    assert (anchor.kept(data), verified(data, NOON).segments) == (kept, 2)
    if how == "forged":  # the hash stands for a whole segment that fits: hashes need no key
        falsify(walt, data, store, "UPDATE vallum_audit_segment SET hash = 'ff' WHERE number = 2")
    else:
        earlier = f"UPDATE vallum_meta SET value = '{kept}' WHERE key = 'audit_checkpoint'"
        falsify(walt, data, store, *CUT, earlier)
    walt.post("/books", json={"title": "V"})
    round_of(walt, NOON + 110)
    (error,) = walt._running.journal.errors
    assert "audit-replaced" in str(error)
    walt._running.journal.errors.clear()
    sealed = stores.rows(data, "SELECT max(number) FROM vallum_audit_segment")
    assert sealed == [(2 if how == "forged" else 1,)]


def test_a_lost_key_stops_the_start(data: Path, clock: Clock) -> None:
    """A new one in its place would hide that the old one is gone; before anything was signed there is nothing to hide."""
    (data / "keys" / "audit.pem").unlink()
    (data / "keys" / "audit.jwks").unlink()
    with stores.client(api, "walt", data, clock) as walt:
        walt.post("/books", json={"title": "T"})
    assert verified(data, NOON).whole
    (data / "keys" / "audit.pem").unlink()
    with pytest.raises(StoreError, match="audit-key-missing"):
        stores.client(api, "walt", data, clock)


def test_retention_removes_what_is_old(client: As, data: Path) -> None:
    """By whole segments, in the name of the server; the chain holds."""
    walt = client("walt")
    walt.service.audit._retention_days = 30
    walt.post("/books", json={"title": "T"})
    round_of(walt, NOON)
    walt.post("/books", json={"title": "U"})
    later = NOON + 30 * 86_400
    round_of(walt, later)
    assert verified(data, later).pruned == 0
    round_of(walt, later + defaults.AUDIT_PRUNE_SECONDS)
    report = verified(data, later)
    assert (report.whole, report.pruned, report.segments) == (True, 1, 3)
    assert stores.rows(data, "SELECT principal, verb FROM vallum_audit ORDER BY id") == [
        ("walt", "create"),
        ("vallum:server", "prune"),
    ]


def test_counts_that_cannot_be_written_wait(client: As, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is busy loses none of them."""
    rita = client("rita")
    rita.delete("/books/1")
    database = rita.service.database

    async def busy(_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(type(database), "write", lambda *_: busy(None))
        round_of(rita, NOON + 60)
    assert {type(error) for error in rita._running.journal.errors} == {TimeoutError}, "the sealer's own rounds, too"
    rita._running.journal.errors.clear()
    rita.delete("/books/1")
    round_of(rita, NOON + 120)
    assert [note["count"] for _, _, note in refused(data)] == [2]


def test_counting_refusals_costs_next_to_nothing(client: As) -> None:
    """Ten thousand of a caller are one count, in well under a second."""
    rita = client("rita")
    rita.delete("/books/1")
    passage = rita._running.journal.passages[-1]
    assert passage.refusal is not None
    began = time.perf_counter()
    for _ in range(10_000):
        passage.count(passage.refusal.reason)
    assert time.perf_counter() - began < 1
    ((_, count),) = rita.service.pipeline.denials.take()
    assert count.count == 10_001


@pytest.mark.stores(stores.POSTGRESQL)
def test_two_servers_with_one_database_and_one_key_seal_one_chain(data: Path, clock: Clock) -> None:
    """Each with a directory of its own; a third one, to which the key was not copied, does not start."""
    url = stores.database_of(data)
    second, third = data.with_name("second"), data.with_name("third")
    shutil.copytree(data, second)
    shutil.copytree(data, third)
    (third / "keys" / "audit.pem").unlink()
    with Client(api, "walt", data, clock, url) as one, Client(api, "walt", second, clock, url) as other:
        for number in range(1, 4):
            for client in (one, other):
                assert client.post("/books", json={"title": "T"}).status_code == 201
                round_of(client, NOON + 100 * number)
        assert (one._running.journal.errors, other._running.journal.errors) == ([], [])
        with pytest.raises(StoreError, match="audit-key-missing"):
            Client(api, "walt", third, clock, url)
    report = verified(data, NOON)
    assert (report.faults, report.entries, report.unsealed) == ((), 6, 0)
    assert anchor.kept(data) is not None
    assert anchor.kept(second) is not None
