"""`vallum client`."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_key import rows, seconds

from vallum.crypto import client_secret, signing_key

DAY = 86_400
SECRET = re.compile(r"vc_[0-9A-Za-z]{65}")


def listed(run: Run, name: str = "app") -> list[dict[str, Any]]:
    return [row for row in run("client", "list", "--json").json() if row["client_id"] == name]


def test_a_secret_is_printed_once_and_alone(run: Run, place: Path) -> None:
    """Standard output can go into a file; the database has no secret, only its digest."""
    said = run("client", "add", "app", "--role", "reader")
    assert said.code == 0
    text = said.out.removesuffix("\n")
    assert SECRET.fullmatch(text)
    assert text not in said.err
    assert "shown this once" in said.err
    ((digest,),) = rows(place, "SELECT digest FROM vallum_client_credential WHERE client = ?", "app")
    assert client_secret.verify(text, [bytes.fromhex(digest)]).hex() == digest
    for file in (place / "data").glob("vallum.db*"):
        assert text[19:].encode() not in file.read_bytes()
    assert text[19:] not in run("client", "list").out + run("client", "list", "--json").out + run("user", "list").out


def test_a_client_is_what_was_given(run: Run) -> None:
    """An account of the kind `client` with roles, attributes and a plan; scopes and the right to ask, on the client."""
    given = (
        "--role",
        "reader",
        "--attr",
        "floor=3",
        "--plan",
        "default",
        "--scope",
        "b",
        "--scope",
        "a",
        "--introspect",
    )
    answer = run("client", "add", "app", *given, "--json").json()
    assert set(answer) == {"client_id", "credential", "client_secret"}
    account = next(row for row in run("user", "list", "--json").json() if row["name"] == "app")
    assert (account["kind"], account["roles"], account["attributes"]) == ("client", ["reader"], {"floor": 3})
    (row,) = listed(run)
    assert (row["kind"], row["state"], row["scopes"], row["introspects"]) == ("secret", "valid", ["a", "b"], True)
    assert (row["credential"], row["expires"], row["revoked"]) == (answer["credential"], None, None)
    assert abs(seconds(row["created"]) - time.time()) < 60
    assert answer["credential"] in run("client", "list").out


def test_without_scopes_it_is_not_limited(run: Run) -> None:
    """As it is with API keys; and it may ask about its own tokens only."""
    run("client", "add", "app", "--role", "reader")
    (row,) = listed(run)
    assert (row["scopes"], row["introspects"]) == (None, False)


@pytest.mark.parametrize("form", ["jwk", "pem"])
@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
def test_a_public_key_is_registered(run: Run, place: Path, form: str, algorithm: str) -> None:
    """As a JWK or PEM file: there is no secret then, and the key is known by its kid."""
    key = signing_key.generate(algorithm)
    pem = key._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (place / "key").write_bytes(pem if form == "pem" else json.dumps(dict(key.public_jwk)).encode())
    said = run("client", "add", "app", "--role", "reader", "--public-key", "key")
    assert said.code == 0, said.err
    assert said.out == f"app authenticates itself with the key {key.kid}.\n"
    assert SECRET.search(said.out + said.err) is None
    (row,) = listed(run)
    assert (row["kind"], row["credential"]) == ("key", key.kid)
    ((jwk,),) = rows(place, "SELECT public_jwk FROM vallum_client_credential WHERE client = ?", "app")
    assert json.loads(jwk) == dict(key.public_jwk)


def test_a_private_key_is_refused(run: Run, place: Path) -> None:
    """Whose private key is in our database is not the only one who has it."""
    private = Ed25519PrivateKey.generate()
    (place / "key").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    said = run("client", "add", "app", "--role", "reader", "--public-key", "key")
    assert said.code == 1
    assert "public-key-private" in said.err
    assert listed(run) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--role", "king"), "account-role"),
        (("--plan", "golden"), "account-plan"),
        (("--attr", "floor=high"), "account-attribute"),
        (("--scope", 'a"b'), "--scope"),
        (("--public-key", "nowhere.pem"), "No such file"),
        (("--redirect-uri", "https://app.example/"), "No such option"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, arguments: tuple[str, ...], told: str) -> None:
    """With a word of what is wrong, and nothing is made."""
    said = run("client", "add", "app", *arguments)
    assert said.code != 0
    assert told in said.err
    assert listed(run) == []


def test_a_name_is_given_once(run: Run) -> None:
    """Users, keys and clients share one name space: `sub` would be ambiguous."""
    run("user", "add", "ann", "--password-stdin", stdin="correct horse battery\n")
    run("key", "add", "robot")
    run("client", "add", "app")
    for name in ("ann", "robot", "app"):
        said = run("client", "add", name)
        assert (said.code, said.out, "account-exists" in said.err) == (1, "", True)


def test_an_account_that_is_declared_becomes_a_client(run: Run) -> None:
    """One that has no way in yet, as it is and not as something else."""
    said = run("client", "add", "rita", "--role", "writer")
    assert (said.code, said.out, "account-exists" in said.err) == (1, "", True)
    assert run("client", "add", "rita").code == 0
    (row,) = listed(run, "rita")
    assert (row["roles"], row["plan"]) == (["reader"], "wide")


def test_rotate_overlaps(run: Run) -> None:
    """A further secret; the one before ends in a week, or when it is said."""
    old = run("client", "add", "app", "--role", "reader", "--json").json()
    new = run("client", "rotate", "app", "--json").json()
    assert new["client_secret"] != old["client_secret"]
    states = {row["credential"]: row for row in listed(run)}
    assert abs(seconds(states[old["credential"]]["expires"]) - time.time() - 7 * DAY) < 60
    assert states[new["credential"]]["expires"] is None
    run("client", "rotate", "app", "--overlap", "0")
    assert sorted(row["state"] for row in listed(run)) == ["expired", "expired", "valid"]
    assert run("client", "rotate", "app", "--overlap", "soon").code == 2
    assert "client-unknown" in run("client", "rotate", "nobody").err


def test_rotate_to_a_key(run: Run, place: Path) -> None:
    """From a secret to a key, once: the same key again is no rotation, and ends nothing."""
    run("client", "add", "app", "--role", "reader")
    (place / "key").write_text(json.dumps(dict(signing_key.generate("ES256").public_jwk)))
    assert run("client", "rotate", "app", "--public-key", "key").code == 0
    before = listed(run)
    assert "client-key-exists" in run("client", "rotate", "app", "--public-key", "key", "--overlap", "0").err
    assert listed(run) == before


def test_revoke_ends_all_of_it(run: Run, place: Path) -> None:
    """Every credential, and every token by the account; only a rotation gives it a new one."""
    made = run("client", "add", "app", "--role", "reader", "--json").json()
    said = run("client", "revoke", "app", "--json").json()
    assert said == {"client_id": "app", "revoked": [made["credential"]]}
    ((epoch, tokens_from),) = rows(place, "SELECT epoch, tokens_from FROM vallum_principal WHERE id = ?", "app")
    assert epoch == 2
    assert abs(tokens_from - time.time()) < 60
    assert [row["state"] for row in listed(run)] == ["revoked"]
    assert "client-unknown" in run("client", "revoke", "app").err
    run("client", "rotate", "app")
    assert "app can get no token any more" in run("client", "revoke", "app").out


def test_a_disabled_account_shows(run: Run) -> None:
    """`vallum user disable` is for clients too."""
    run("client", "add", "app", "--role", "reader")
    run("user", "disable", "app")
    assert [row["state"] for row in listed(run)] == ["disabled"]
