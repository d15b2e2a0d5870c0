"""`vallum key`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Run

from tests import stores
from vallum.crypto import api_key

DAY = 86_400


def rows(place: Path, statement: str, *arguments: str) -> list[Any]:
    return stores.rows(place / "data", statement, *arguments)


def listed(run: Run, name: str) -> list[dict[str, Any]]:
    return [row for row in run("key", "list", "--json").json() if row["name"] == name]


def seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def test_a_key_is_printed_once_and_alone(run: Run, place: Path) -> None:
    """Standard output can go into a file; what is said about it goes elsewhere, and the database has no secret."""
    said = run("key", "add", "robot", "--role", "reader", "--attr", "floor=3")
    assert said.code == 0
    text = said.out.removesuffix("\n")
    identifier = api_key.identifier_of(text)
    assert text not in said.err
    assert "shown this once" in said.err
    ((digest,),) = rows(place, "SELECT digest FROM vallum_api_key WHERE id = ?", identifier)
    api_key.verify(text, bytes.fromhex(digest))
    for file in (place / "data").glob("vallum.db*"):
        assert text[19:].encode() not in file.read_bytes()
    assert text[19:] not in run("key", "list").out + run("key", "list", "--json").out + run("user", "list").out


def test_its_account_has_what_was_given(run: Run) -> None:
    """Of the kind `key`, with roles and attributes by the types of the API, for 90 days unless said otherwise."""
    run("key", "add", "robot", "--role", "reader", "--attr", "floor=3")
    account = next(row for row in run("user", "list", "--json").json() if row["name"] == "robot")
    assert (account["kind"], account["roles"], account["attributes"]) == ("key", ["reader"], {"floor": 3})
    (key,) = listed(run, "robot")
    assert (key["state"], key["scopes"], key["addresses"], key["last_used"]) == ("valid", None, None, None)
    assert seconds(key["expires"]) - seconds(key["created"]) == 90 * DAY


def test_limits_are_kept_and_shown(run: Run) -> None:
    """Scopes, networks in their usual spelling, and an end; as JSON with the key in it."""
    answer = run(
        *("key", "add", "robot", "--expires", "12h", "--scope", "b", "--scope", "a"),
        *("--address", "192.0.2.7", "--address", "2001:DB8::/32", "--json"),
    ).json()
    assert api_key.identifier_of(answer["api_key"]) == answer["key"]
    assert abs(seconds(answer["expires"]) - time.time() - 12 * 3600) < 60
    (key,) = listed(run, "robot")
    assert (key["scopes"], key["addresses"]) == (["a", "b"], ["192.0.2.7/32", "2001:db8::/32"])
    assert key["key"] == answer["key"]
    assert "192.0.2.7/32, 2001:db8::/32" in run("key", "list").out


def test_never_must_be_said(run: Run) -> None:
    """A key without an end is made by that word only."""
    assert run("key", "add", "robot", "--expires", "never", "--json").json()["expires"] is None
    assert "for ever" in run("key", "add", "other", "--expires", "never").err


@pytest.mark.parametrize(
    "wrong",
    [
        *(["--expires", value] for value in ("", "0d", "90", "-1d", "1y", "1.5d", "100000d", "Never", "90d ")),
        *(
            ["--address", value]
            for value in ("", "*", "192.0.2.1/24", "192.0.2", "example.org", "::ffff:192.0.2.0/120")
        ),
        *(["--scope", value] for value in ("", "a b", 'a"', "é")),
    ],
    ids=repr,
)
def test_what_cannot_be_read_makes_no_key(run: Run, wrong: list[str]) -> None:
    """A limit that was misspelt must not become no limit."""
    said = run("key", "add", "robot", *wrong)
    assert (said.code, said.out) == (2, "")
    assert listed(run, "robot") == []


@pytest.mark.parametrize(
    ("wrong", "identifier"),
    [
        (["--role", "king"], "account-role"),
        (["--attr", "floor=x"], "account-attribute"),
        (["--plan", "gold"], "account-plan"),
    ],
)
def test_words_that_the_api_does_not_know_make_no_key(run: Run, wrong: list[str], identifier: str) -> None:
    """As with people's accounts."""
    said = run("key", "add", "robot", *wrong)
    assert (said.code, said.out, identifier in said.err) == (1, "", True)
    assert listed(run, "robot") == []


def test_an_account_that_is_declared_gets_its_key(run: Run, place: Path) -> None:
    """With the roles and the plan that it has, whether they are said again or not; the audit names them."""
    run("user", "add", "mirror", "--role", "reader", "--attr", "floor=3", "--no-password")
    for name, said in (
        ("rita", ["--role", "reader", "--plan", "wide"]),
        ("mirror", []),
        ("will", ["--role", "writer"]),
    ):
        (before,) = (row for row in run("user", "list", "--json").json() if row["name"] == name)
        epoch = rows(place, "SELECT epoch FROM vallum_principal WHERE id = ?", name)[0][0]
        made = run("key", "add", name, *said)
        assert made.code == 0, made.err
        assert listed(run, name)[0]["key"] == api_key.identifier_of(made.out.strip())
        assert (listed(run, name)[0]["roles"], listed(run, name)[0]["plan"]) == (before["roles"], before["plan"])
        assert rows(place, "SELECT epoch FROM vallum_principal WHERE id = ?", name)[0][0] > epoch
        (note,) = rows(place, "SELECT note FROM vallum_audit ORDER BY id DESC LIMIT 1")[0]
        assert (json.loads(note)["roles"], json.loads(note)["plan"]) == (before["roles"], before["plan"])


@pytest.mark.parametrize(
    "other",
    [["--role", "writer"], ["--role", "reader", "--role", "writer"], ["--plan", "default"], ["--attr", "floor=4"]],
)
def test_an_account_that_is_not_as_asked_for_gets_no_key(run: Run, other: list[str]) -> None:
    """Neither more nor less than what was said is handed out, and the account stays what it was."""
    before = run("user", "list", "--json").out
    said = run("key", "add", "rita", *other)
    assert (said.code, said.out, "account-exists" in said.err, "leave them out" in said.err) == (1, "", True, True)
    assert run("user", "list", "--json").out == before
    assert listed(run, "rita") == []


def test_a_name_that_is_taken_gets_no_key(run: Run) -> None:
    """Neither that of a person, nor one that has a key, a client's or a disabled one; nothing is printed like a key."""
    run("key", "add", "robot")
    run("key", "add", "gone")
    run("key", "revoke", "gone")
    run("client", "add", "app")
    run("user", "add", "ann", "--password-stdin", stdin="correct horse battery\n")
    run("user", "disable", "rita")
    assert "`rotate` gives a further credential" in run("key", "add", "robot").err
    for name in ("robot", "gone", "app", "ann", "rita"):
        said = run("key", "add", name)
        assert (said.code, said.out, "account-exists" in said.err) == (1, "", True)
        assert (name, len(listed(run, name))) in {("robot", 1), ("gone", 1), ("app", 0), ("ann", 0), ("rita", 0)}


def test_a_rotation_prints_a_further_key(run: Run) -> None:
    """The old one ends with the overlap, the new one has its limits."""
    old = run("key", "add", "robot", "--scope", "a", "--address", "192.0.2.0/24", "--json").json()
    new = run("key", "rotate", "robot", "--overlap", "2d", "--json").json()
    assert new["api_key"] != old["api_key"]
    by_key = {row["key"]: row for row in listed(run, "robot")}
    assert abs(seconds(by_key[old["key"]]["expires"]) - time.time() - 2 * DAY) < 60
    assert abs(seconds(by_key[new["key"]]["expires"]) - time.time() - 90 * DAY) < 60
    assert (by_key[new["key"]]["scopes"], by_key[new["key"]]["addresses"]) == (["a"], ["192.0.2.0/24"])
    text = run("key", "rotate", "robot", "--overlap", "0", "--expires", "30d").out.strip()
    states = {row["key"]: row["state"] for row in listed(run, "robot")}
    assert states == {old["key"]: "expired", new["key"]: "expired", api_key.identifier_of(text): "valid"}


def test_a_revocation_says_what_it_took(run: Run) -> None:
    """All keys of the account; then there is none to revoke."""
    key = run("key", "add", "robot", "--json").json()["key"]
    assert run("key", "revoke", "robot", "--json").json() == {"name": "robot", "revoked": [key]}
    assert [row["state"] for row in listed(run, "robot")] == ["revoked"]
    said = run("key", "revoke", "robot")
    assert (said.code, "api-key-unknown" in said.err) == (1, True)
    run("key", "rotate", "robot")
    assert key not in run("key", "revoke", "robot").out


def test_one_of_two_keys_is_revoked_alone(run: Run) -> None:
    """By its identifier; an identifier of nobody's is an error that says which, and nothing changes."""
    old = run("key", "add", "robot", "--json").json()["key"]
    new = run("key", "rotate", "robot", "--json").json()["key"]
    assert run("key", "revoke", "robot", "--id", old, "--json").json() == {"name": "robot", "revoked": [old]}
    assert {row["key"]: row["state"] for row in listed(run, "robot")} == {old: "revoked", new: "valid"}
    for wrong in (old, "x" * 16, ""):
        said = run("key", "revoke", "robot", "--id", wrong)
        assert (said.code, f"api-key-unknown (robot, key {wrong})" in said.err) == (1, True)
    text = run("key", "add", "other").out.strip()
    said = run("key", "revoke", "other", "--id", text)
    assert (said.code, "give its identifier" in said.err, text in said.err) == (2, True, False)
    assert run("key", "revoke", "robot", "--id", new).out == f"robot has its other keys as before; revoked: {new}.\n"


def test_a_list_shows_what_an_operator_asks_for(run: Run) -> None:
    """State, plan, networks, end and last use of each key, one line each."""
    run("key", "add", "robot", "--plan", "wide", "--address", "192.0.2.0/24", "--expires", "90d")
    header, line = (text.split() for text in run("key", "list").out.splitlines()[::2])
    assert header == ["name", "key", "state", "roles", "plan", "scopes", "addresses", "created", "expires", "last_used"]
    shown = dict(zip(header, line, strict=True))
    assert (shown["plan"], shown["addresses"], shown["last_used"]) == ("wide", "192.0.2.0/24", "–")
    assert shown["expires"] == listed(run, "robot")[0]["expires"]


@pytest.mark.parametrize("command", [["rotate"], ["revoke"], ["rotate", "--overlap", "0"]])
def test_a_person_has_no_api_key(run: Run, command: list[str]) -> None:
    """Nor has somebody who is unknown: nothing is printed."""
    for name in ("rita", "nobody"):
        said = run("key", *command, name)
        assert (said.code, said.out, "api-key-unknown" in said.err) == (1, "", True)


@pytest.mark.parametrize("wrong", [["--overlap", "1"], ["--overlap", "7 d"], ["--expires", "never"], ["--overlap", ""]])
def test_a_rotation_that_cannot_be_read_changes_nothing(run: Run, wrong: list[str]) -> None:
    """The old key stays as it was."""
    run("key", "add", "robot")
    before = listed(run, "robot")
    assert run("key", "rotate", "robot", *wrong).code == 2
    assert listed(run, "robot") == before
