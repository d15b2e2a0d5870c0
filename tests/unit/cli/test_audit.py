"""`vallum audit`, and the entries that the other commands leave."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.serve.served import vallum

from tests import stores
from vallum.serve.alone import alone

HASHES = "$argon2"

TIME = re.compile(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
"""RFC 3339 in UTC."""


def listed(run: Run, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("audit", "list", "--json", *arguments).json()
    return found


def tamper(place: Path, text: str) -> None:
    """In the database itself, past the triggers."""
    url = stores.database_of(place / "data")
    if url is not None:
        stores.server().script(stores.name_of(url), f"SET session_replication_role = replica; {text}")
        return
    with closing(sqlite3.connect(place / "data" / "vallum.db")) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(text)
        for _, made in triggers:
            connection.execute(made)
        connection.commit()


def test_what_an_operator_does_is_in_the_audit_without_secrets(run: Run, place: Path) -> None:
    """Each command that changes something, with what a reviewer must know; no password, key or attribute's value."""
    (first,) = run("keys", "list", "--json").json()
    run("user", "add", "ada", "--role", "reader", "--attr", "floor=3", "--password-stdin", stdin="corr ect horse\n")
    run("user", "change", "ada", "--role", "writer", "--attr", "floor=4")
    for word in ("disable", "enable", "revoke-tokens"):
        run("user", word, "ada")
    key = run("key", "add", "robot", "--role", "reader", "--json").json()
    further = run("key", "rotate", "robot", "--json").json()
    run("key", "revoke", "robot")
    client = run("client", "add", "desk", "--role", "reader", "--json").json()
    run("client", "rotate", "desk")
    run("client", "revoke", "desk")
    kid = run("keys", "rotate", "--json").json()["kid"]
    run("keys", "revoke", first["kid"])
    entries = list(reversed(listed(run)))
    assert {entry["principal"] for entry in entries} == {"vallum:operator"}
    account, keys = "vallum_principal", "vallum_api_key"
    assert [(e["verb"], e["resource"], e["row_key"]) for e in entries] == [
        ("user add", account, {"id": "ada"}),
        ("user change", account, {"id": "ada"}),
        ("user disable", account, {"id": "ada"}),
        ("user enable", account, {"id": "ada"}),
        ("user revoke-tokens", account, {"id": "ada"}),
        ("key add", keys, {"principal": "robot"}),
        ("key rotate", keys, {"principal": "robot"}),
        ("key revoke", keys, {"principal": "robot"}),
        *((f"client {word}", "vallum_client", {"id": "desk"}) for word in ("add", "rotate", "revoke")),
        ("keys rotate", "vallum_signing_key", {"kid": kid}),
        ("keys revoke", "vallum_signing_key", {"kid": first["kid"]}),
    ]
    assert entries[0]["note"] == {"roles": ["reader"], "plan": "default", "password": True}
    assert entries[1]["note"] == {"roles": ["writer"], "attributes": ["floor"]}
    assert entries[5]["note"]["keys"] == [key["key"]]
    assert entries[7]["note"]["keys"] == sorted([key["key"], further["key"]])
    assert TIME.fullmatch(entries[5]["note"]["expires"])
    assert TIME.fullmatch(entries[6]["note"]["expires"])
    shown = run("audit", "list", "--verb", "user add", COLUMNS="500").out
    assert 'roles=["reader"], plan=default, password=true' in shown
    text = json.dumps(entries)
    assert not any(
        secret in text
        for secret in ("corr ect horse", HASHES, key["api_key"], further["api_key"], client["client_secret"])
    )


def test_a_command_that_is_refused_leaves_no_entry(run: Run) -> None:
    """Nothing was changed."""
    assert run("user", "add", "rita").code != 0
    assert run("user", "disable", "nobody").code == 1
    assert run("db", "migrate").code == 0
    assert listed(run) == []


def test_no_account_can_be_named_like_the_operator(run: Run) -> None:
    """What it did would look like a command."""
    said = run("user", "add", "vallum:operator", "--no-password")
    assert (said.code, "account-name" in said.err) == (1, True)


def test_the_list_can_be_narrowed(run: Run) -> None:
    """By each of its options; the newest first."""
    run("user", "add", "ada", "--no-password")
    run("user", "disable", "ada")
    run("user", "enable", "ada")
    verbs = [entry["verb"] for entry in listed(run)]
    assert verbs == ["user enable", "user disable", "user add"]
    middle = listed(run)[1]
    assert listed(run, "--limit", "1")[0]["verb"] == "user enable"
    assert [e["verb"] for e in listed(run, "--verb", "user add")] == ["user add"]
    assert [e["verb"] for e in listed(run, "--request", middle["request_id"])] == ["user disable"]
    assert len(listed(run, "--principal", "vallum:operator", "--resource", "vallum_principal")) == 3
    assert listed(run, "--principal", "rita") == []
    assert len(listed(run, "--since", "2020-01-01", "--until", "2999-01-01T00:00:00+02:00")) == 3
    assert listed(run, "--since", "2999-01-01") == listed(run, "--until", "2020-01-01") == []
    assert [e["verb"] for e in listed(run, "--since", middle["at"])][-1] in {"user disable", "user enable"}
    assert run("audit", "list", "--since", "yesterday").code == 2
    assert "user disable" in run("audit", "list").out


def test_a_whole_audit_leaves_with_0_and_a_falsified_one_with_1(run: Run, place: Path) -> None:
    """And says in words, and in JSON, which entry and what."""
    for number in range(3):
        run("user", "add", f"u{number}", "--no-password")
    assert run("audit", "verify").out.splitlines() == [
        "Sealed: 0 entries in 0 segments.",
        "Not sealed yet: 3 entries; it could still be changed unnoticed.",
        "Everything is as it was sealed.",
    ]
    checkpoint = run("audit", "checkpoint").out
    (place / "kept").write_text(checkpoint)
    said = run("audit", "verify", "--checkpoint", "kept")
    assert said.code == 0
    assert said.out.splitlines()[1:] == [
        "The checkpoint in the database signed segment 1.",
        "The checkpoint in the data directory signed segment 1.",
        "The checkpoint kept signed segment 1.",
        "Everything is as it was sealed.",
    ]
    tamper(place, "UPDATE vallum_audit SET note = NULL WHERE id = 2")
    said = run("audit", "verify")
    assert said.code == 1
    assert said.out.splitlines()[-2:] == [
        "Not as it was sealed, 1 fault:",
        "  entry-changed (segment 1, entry 2): it is not what was sealed",
    ]
    said = run("audit", "verify", "--json")
    assert (said.code, said.json()["whole"]) == (1, False)
    assert said.json()["faults"] == [
        {"kind": "entry-changed", "detail": "it is not what was sealed", "segment": 1, "entry": 2}
    ]


@pytest.mark.stores("sqlite")  # what is undone is a sequence of its own
def test_a_chain_from_nothing_is_found_by_what_lies_beside_it(run: Run, place: Path) -> None:
    """Everything in the database is new and whole; the checkpoint in the data directory, or one from outside, tells."""
    run("user", "add", "ada", "--no-password")
    (place / "kept").write_text(run("audit", "checkpoint").out)
    for table in ("vallum_audit", "vallum_audit_segment", "sqlite_sequence"):
        tamper(place, f"DELETE FROM {table}")
    tamper(place, "DELETE FROM vallum_meta WHERE key = 'audit_checkpoint'")
    said = run("audit", "verify", "--checkpoint", "kept", "--json")
    detail = "the checkpoint {} signed segment 1; the chain ends with 0"
    assert [fault["detail"] for fault in said.json()["faults"]] == [
        detail.format("in the data directory"),
        detail.format("kept"),
    ]
    said = run("audit", "checkpoint")
    assert (said.code, "audit-replaced" in said.err) == (1, True)
    (place / "data" / "audit.checkpoint").unlink()
    assert run("audit", "verify").code == 0
    assert run("audit", "verify", "--checkpoint", "kept").code == 1


@pytest.mark.parametrize("command", [["checkpoint"], ["prune", "--before", "2999-01-01"]])
def test_no_command_signs_a_chain_that_was_not_signed(run: Run, place: Path, command: list[str]) -> None:
    """A segment that somebody wrote at the end is told, not sealed upon; `rekey` signs it, when that is wanted."""
    run("user", "add", "ada", "--no-password")
    run("audit", "checkpoint")
    tamper(place, "UPDATE vallum_audit_segment SET hash = 'ff' WHERE number = 1")
    run("user", "add", "bob", "--no-password")
    said = run("audit", *command)
    assert (said.code, "audit-replaced" in said.err) == (1, True)
    assert run("audit", "verify").code == 1
    (place / "data" / "audit.checkpoint").rename(place / "evidence")
    assert run("audit", "rekey").code == 0
    assert run("audit", "checkpoint").code == 0


def test_an_export_verifies_without_the_database(run: Run, place: Path, tmp_path: Path) -> None:
    """With the public keys alone; the file is for its owner, and is never written over."""
    run("user", "add", "ada", "--no-password")
    run("audit", "checkpoint")
    run("user", "add", "bob", "--no-password")
    assert run("audit", "export", "out.jsonl").out == "out.jsonl has 2 entries, of which 1 are not sealed.\n"
    assert stat.S_IMODE((place / "out.jsonl").stat().st_mode) == 0o600
    said = run("audit", "export", "out.jsonl")
    assert (said.code, "file-unwritable" in said.err) == (1, True)
    (place / "keys.json").write_text(run("audit", "key").out)
    (place / "data").rename(place / "elsewhere")
    verify = ("audit", "verify", "--file", "out.jsonl", "--trust", "keys.json")
    assert run(*verify).code == 0
    content = (place / "out.jsonl").read_text()
    (place / "out.jsonl").write_text(content.replace("ada", "eve"))
    said = run(*verify)
    assert (said.code, "entry-changed (segment 1, entry 1)" in said.out) == (1, True)
    said = run("audit", "verify", "--file", "out.jsonl")
    assert (said.code, "checkpoint-forged" in said.out) == (1, True)


def test_an_export_can_go_into_a_pipe(run: Run, place: Path) -> None:
    """`-` writes the lines and nothing else."""
    run("user", "add", "ada", "--no-password")
    done = vallum("audit", "export", "-", cwd=place)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["unsealed", "entry"]


def test_retention_on_command(run: Run) -> None:
    """What was sealed before a date goes; the audit says so and stays whole."""
    for name in ("ada", "bob"):
        run("user", "add", name, "--no-password")
    run("audit", "checkpoint")
    assert run("audit", "prune", "--before", "2020-01-01").out == "No segment was sealed before that.\n"
    said = run("audit", "prune", "--before", "2999-01-01", "--json")
    assert said.json() == {"entries": 2, "segments": 1, "through": 1}
    (entry,) = listed(run)
    assert (entry["verb"], entry["principal"], entry["note"]["entries"]) == ("prune", "vallum:operator", 2)
    assert TIME.fullmatch(entry["note"]["before"])
    said = run("audit", "verify")
    assert (said.code, "of which the first 1 are pruned" in said.out) == (0, True)


def test_a_new_key_takes_over(run: Run, place: Path) -> None:
    """After a loss; and after a theft nothing is believed that the old one signed."""
    run("user", "add", "ada", "--no-password")
    stolen = run("audit", "checkpoint").out
    (place / "kept").write_text(stolen)
    (place / "data" / "keys" / "audit.pem").unlink()
    said = run("audit", "checkpoint")
    assert (said.code, "audit-key-missing" in said.err) == (1, True)
    kid = run("audit", "rekey", "--json").json()["kid"]
    assert listed(run)[0]["row_key"] == {"kid": kid}
    assert run("audit", "verify", "--checkpoint", "kept").code == 0
    assert "are believed no more" in run("audit", "rekey", "--stolen").out
    assert run("audit", "verify").code == 0
    said = run("audit", "verify", "--checkpoint", "kept")
    assert (said.code, "does not verify: key_unknown" in said.out) == (1, True)
    assert len(run("audit", "key").json()["keys"]) == 1


def test_a_key_is_not_changed_under_a_running_server(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would sign on with the old one."""
    monkeypatch.setattr("vallum.serve.alone.LOCK_SECONDS", 0.05)
    held, go = threading.Event(), threading.Event()

    def serve() -> None:
        with alone(place / "data"):
            held.set()
            go.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    held.wait()
    before = (place / "data" / "keys" / "audit.pem").read_bytes()
    said = run("audit", "rekey")
    go.set()
    thread.join()
    assert (said.code, "data-in-use" in said.err) == (1, True)
    assert (place / "data" / "keys" / "audit.pem").read_bytes() == before


def test_a_master_key_that_is_new_asks_for_a_new_audit_key(run: Run, place: Path) -> None:
    """The file of the old one lies there in the clear."""
    (place / "master").write_text("Zk3pPq1R9cW6xV0bT8yLmN4sD7aHfG2j")
    (place / "master").chmod(0o600)
    run("user", "add", "ada", "--no-password")
    given = {"VALLUM_MASTER_KEY_FILE": str(place / "master")}
    said = run("audit", "checkpoint", **given)
    assert (said.code, "vallum audit rekey" in said.err) == (1, True)
    assert run("audit", "rekey", **given).code == 0
    assert b"ENCRYPTED" in (place / "data" / "keys" / "audit.pem").read_bytes()
    assert run("audit", "checkpoint", **given).code == 0
    assert run("audit", "verify").code == 0


@pytest.mark.parametrize(
    ("arguments", "identifier"),
    [
        (["verify", "--checkpoint", "nowhere"], "file-unreadable"),
        (["verify", "--trust", "nowhere"], "file-unreadable"),
        (["verify", "--trust", "vallum.toml"], "audit-key"),
        (["verify", "--file", "nowhere"], "file-unreadable"),
        (["export", "no/such/place"], "file-unwritable"),
        (["checkpoint"], "audit-empty"),
    ],
)
def test_what_cannot_be_done_is_told(run: Run, place: Path, arguments: list[str], identifier: str) -> None:
    """With the file's name and what is the matter."""
    (place / "vallum.toml").write_text('app = "tiny:api"\n')
    said = run("audit", *arguments)
    assert (said.code, identifier in said.err) == (1, True), said.err
