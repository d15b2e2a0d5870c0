"""Stage 2 through the whole path: every credential that is refused, and whom the others stand for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from tests.path import small
from tests.path.conftest import As
from tests.path.small import NOON, Clock
from tests.unit.crypto.forging import encode, forge

from tests import stores
from vallum import defaults
from vallum.audit.keys import PRIVATE_FILE
from vallum.crypto import jws, signing_key
from vallum.crypto.keyfile import read_secret
from vallum.crypto.signing_key import SigningKey
from vallum.serve import keyring
from vallum.store import principals
from vallum.store.ports import Principal
from vallum.testing import ORIGIN, Answer, Client

ISSUED = int(NOON)
LIFE, LEEWAY = defaults.TOKEN_SECONDS, defaults.TOKEN_LEEWAY_SECONDS
ABSENT = object()
CHALLENGE, METADATA = 'Bearer realm="api"', f', resource_metadata="{ORIGIN}/.well-known/oauth-protected-resource"'

PATHS = ["/books", "/books/1", "/books/999", "/books/1/publish", "/loans/1,rita", "/notes", "/nothing", "/", "/oauth/x"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW-TEA"]


def change(data: Path, script: Callable[[], Any]) -> None:
    """What an operator's command does, over a connection of its own."""
    stores.change(data, script)


def key_of(data: Path) -> SigningKey:
    """The newest signing key of the data directory."""
    files = [
        path for path in (data / "keys").glob("*.pem") if path.name != PRIVATE_FILE
    ]  # that of the audit signs none
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    return signing_key.load(read_secret(newest))


def claims(**changes: object) -> dict[str, object]:
    """Those of a good token of `rita`, issued at noon."""
    good: dict[str, object] = {
        "iss": ORIGIN,
        "sub": "rita",
        "aud": ORIGIN,
        "exp": ISSUED + LIFE,
        "iat": ISSUED,
        "jti": "a1",
        "client_id": "rita",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ABSENT}


def signed(data: Path, **changes: object) -> str:
    """A token of ours with other claims."""
    return jws.sign(claims(**changes), key_of(data), typ="at+jwt")


def shown(stranger: Client, token: str, path: str = "/hello") -> Answer:
    """The answer to a request with that token."""
    return stranger.get(path, headers={"Authorization": f"Bearer {token}"})


def comparable(answer: Answer) -> tuple[int, dict[str, str], str]:
    """All of an answer but its request id."""
    request_id = answer.headers["x-request-id"]
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, headers, answer.text.replace(request_id, "ID")


def assert_invalid(answer: Answer) -> None:
    """The 401 that says nothing about why."""
    assert answer.status_code == 401
    assert answer.json()["code"] == "credential_invalid"
    assert answer.headers["www-authenticate"] == CHALLENGE + ', error="invalid_token"' + METADATA
    assert "ratelimit" not in answer.headers


def test_without_a_credential_every_path_and_method_gives_the_same_401(client: As) -> None:
    """A stranger cannot tell a path or method that exists from one that does not."""
    stranger = client(None)
    expected = comparable(stranger.get("/books"))
    status, headers, body = expected
    assert (status, headers["www-authenticate"]) == (401, CHALLENGE + METADATA)
    assert json.loads(body)["code"] == "credential_missing"
    assert "allow" not in headers
    for method in METHODS:
        for path in PATHS:
            assert comparable(stranger.request(method, path)) == expected, (method, path)


def test_a_body_or_a_query_changes_nothing_about_that_401(client: As) -> None:
    """Neither is read before the caller is known: broken JSON and unknown parameters meet the same refusal."""
    stranger = client(None)
    expected = comparable(stranger.get("/books"))
    assert comparable(stranger.request("POST", "/books", content=b"{broken")) == expected
    assert comparable(stranger.post("/nothing", json={"a": 1})) == expected
    assert comparable(stranger.get("/books?no=such&limit=-1&after=x")) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer", "Bearer ", "Bearer  {token}", "Bearer {token} x", "Token {token}", "{token}"),
        *("Basic cml0YTpyaXRh", "Digest a=b", "DPoP {token}", "Negotiate x", "Bearer vk_{token}", "Bearer x.y.z"),
    ],
)
def test_a_credential_of_another_form_is_refused(client: As, value: str) -> None:
    """Only `Bearer SP token` is read; no other scheme falls through to it, not even around a good token."""
    token = client("rita").token
    assert client("rita").get("/books").status_code == 200
    assert_invalid(client(None).get("/books", headers={"Authorization": value.format(token=token)}))


def test_the_scheme_has_no_case(client: As) -> None:
    """RFC 9110 §11.1: `bearer` and `BEARER` are the same scheme."""
    for scheme in ("bearer", "BEARER"):
        answer = client(None).get("/hello", headers={"Authorization": f"{scheme} {client('rita').token}"})
        assert answer.json()["id"] == "rita"


@pytest.mark.parametrize("path", ["/books", "/hello", "/nothing", "/.well-known/jwks.json"])
def test_two_credentials_are_refused_as_ambiguous(client: As, path: str) -> None:
    """Which of the two would count is not for the server to guess, not even where none is needed."""
    answer = client("rita").get(path, headers={"X-API-Key": "vk_1"})
    assert (answer.status_code, answer.json()["code"]) == (400, "credential_ambiguous")


@pytest.mark.parametrize("path", ["/books", "/hello", "/nothing", "/.well-known/jwks.json"])
@pytest.mark.parametrize(
    "query",
    ["access_token=x", "a=1&access_token=x", "ACCESS_TOKEN=x", "api_key=x", "token=", "x-api-key=x", "authorization=x"],
)
def test_a_credential_in_the_query_is_refused(client: As, path: str, query: str) -> None:
    """URLs end up in logs, so none is accepted there, however it is written, also beside a good one in the header."""
    for caller in (client(None), client("rita")):
        answer = caller.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "credential_in_query")


def test_an_api_key_header_is_no_way_around(client: As) -> None:
    """A token in X-API-Key is no credential, also when the same text is known from the Authorization header."""
    rita = client("rita")
    assert rita.get("/hello").json()["id"] == "rita"
    for value in (f"Bearer {rita.token}", str(rita.token), "vk_1", ""):
        assert_invalid(client(None).get("/hello", headers={"X-API-Key": value}))


def test_a_token_dies_at_the_end_of_its_leeway_to_the_second(client: As, clock: Clock, data: Path) -> None:
    """`exp` plus five seconds is the first instant at which it is refused (RFC 7519 §4.1.4), cached or not."""
    stranger = client(None)
    seen, unseen = signed(data), signed(data, jti="a2")
    assert shown(stranger, seen).status_code == 200
    clock.now = ISSUED + LIFE + LEEWAY - 0.001
    assert shown(stranger, seen).status_code == 200
    clock.now = ISSUED + LIFE + LEEWAY
    assert_invalid(shown(stranger, seen))
    assert_invalid(shown(stranger, unseen))


def test_a_token_lives_until_then_when_it_comes_late(client: As, clock: Clock, data: Path) -> None:
    """The last moment of the leeway is the same for a token that was never seen before."""
    clock.now = ISSUED + LIFE + LEEWAY - 0.001
    assert shown(client(None), signed(data)).status_code == 200


@pytest.mark.parametrize("name", ["iat", "nbf", "auth_time"])
def test_a_token_from_the_future_is_granted_the_leeway_and_no_more(
    client: As, clock: Clock, data: Path, name: str
) -> None:
    """Issued, valid or logged in up to five seconds ahead of our clock."""
    token = signed(data, **{"iat": ISSUED, "exp": ISSUED + LIFE, name: ISSUED})
    clock.now = ISSUED - LEEWAY - 0.001
    assert_invalid(shown(client(None), token))
    clock.now = ISSUED - LEEWAY
    assert shown(client(None), token).status_code == 200


WRONG: Mapping[str, Mapping[str, object]] = {
    "other issuer": {"iss": "https://elsewhere.example"},
    "issuer with a slash": {"iss": ORIGIN + "/"},
    "issuer in a list": {"iss": [ORIGIN]},
    "no issuer": {"iss": ABSENT},
    "other audience": {"aud": "https://elsewhere.example"},
    "audiences of others": {"aud": ["https://elsewhere.example"]},
    "audience among numbers": {"aud": [ORIGIN, 7]},
    "no audience": {"aud": ABSENT},
    "null audience": {"aud": None},
    "no subject": {"sub": ABSENT},
    "empty subject": {"sub": ""},
    "subject in a list": {"sub": ["rita"]},
    "subject as an object": {"sub": {"id": "rita"}},
    "subject true": {"sub": True},
    "subject with NUL": {"sub": "rita\x00"},
    "subject in another case": {"sub": "Rita"},
    "subject with a space": {"sub": "rita "},
    "unknown account": {"sub": "nobody"},
    "no exp": {"exp": ABSENT},
    "exp as text": {"exp": str(ISSUED + LIFE)},
    "exp null": {"exp": None},
    "exp true": {"exp": True},
    "exp before iat": {"exp": ISSUED - 1},
    "exp at iat": {"exp": ISSUED},
    "lives over a day": {"exp": ISSUED + 86_401},
    "lives for ever": {"exp": 2**53},
    "no iat": {"iat": ABSENT},
    "iat as text": {"iat": str(ISSUED)},
    "iat false": {"iat": False},
    "nbf as text": {"nbf": "0"},
    "nbf later": {"nbf": ISSUED + 60},
    "auth_time as text": {"auth_time": "1"},
    "no jti": {"jti": ABSENT},
    "jti a number": {"jti": 7},
    "no client": {"client_id": ABSENT},
    "client a number": {"client_id": 7},
    "scope as a list": {"scope": ["a"]},
    "scope with two spaces": {"scope": "a  b"},
    "scope null": {"scope": None},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_token_with_a_wrong_claim_is_refused(client: As, data: Path, changes: Mapping[str, object]) -> None:
    """Each claim is required, of its type and of its value; the good token differs in nothing else."""
    assert shown(client(None), signed(data)).json()["id"] == "rita"
    assert_invalid(shown(client(None), signed(data, **changes)))


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"rita"', b"{", b"", b'{"sub":"rita","sub":"ada"}'])
def test_a_token_whose_claims_are_no_object_is_refused(client: As, data: Path, payload: bytes) -> None:
    """Signed by our own key and still no token."""
    key = key_of(data)
    header = {"alg": key.algorithm.name, "kid": key.kid, "typ": "at+jwt"}
    assert_invalid(shown(client(None), forge(header, payload, key.sign)))


HEADERS: Mapping[str, Mapping[str, object]] = {
    "typ JWT": {"typ": "JWT"},
    "typ logout": {"typ": "logout+jwt"},
    "no typ": {"typ": ABSENT},
    "alg none": {"alg": "none"},
    "alg None": {"alg": "None"},
    "alg HS256": {"alg": "HS256"},
    "alg ES256 on an Ed25519 key": {"alg": "ES256"},
    "alg EdDSA": {"alg": "EdDSA"},
    "alg in a list": {"alg": ["Ed25519"]},
    "no alg": {"alg": ABSENT},
    "other kid": {"kid": "other"},
    "no kid": {"kid": ABSENT},
    "kid a path": {"kid": "../../../dev/null"},
    "kid SQL": {"kid": "' OR 1=1 --"},
    "kid a number": {"kid": 1},
    "crit": {"crit": ["exp"]},
    "b64 false": {"b64": False},
    "zip": {"zip": "DEF"},
}


@pytest.mark.parametrize("changes", HEADERS.values(), ids=HEADERS)
def test_a_token_with_a_wrong_header_is_refused(client: As, data: Path, changes: Mapping[str, object]) -> None:
    """The signature is good for exactly these bytes: what is wrong is what they say."""
    key = key_of(data)
    header = {"alg": key.algorithm.name, "kid": key.kid, "typ": "at+jwt", **changes}
    token = forge({name: value for name, value in header.items() if value is not ABSENT}, claims(), key.sign)
    assert_invalid(shown(client(None), token))


def test_alg_none_without_a_signature_is_refused(client: As, data: Path) -> None:
    """RFC 8725 §3.1, in each spelling and with and without our kid."""
    for alg in ("none", "None", "NONE", "nOnE", ""):
        for header in ({"alg": alg, "typ": "at+jwt"}, {"alg": alg, "typ": "at+jwt", "kid": key_of(data).kid}):
            assert_invalid(shown(client(None), forge(header, claims(), lambda _: b"")))


def test_the_public_key_is_no_secret_to_sign_with(client: As, data: Path) -> None:
    """RFC 8725 §2.1: HS256 keyed with any form of the published key."""
    import hashlib
    import hmac

    key = key_of(data)
    public = load_pem_private_key(key.private_pem(), None).public_key()
    forms = [
        json.dumps(dict(key.public_jwk)).encode(),
        key.public_jwk["x"].encode(),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        b"",
    ]
    header = {"alg": "HS256", "kid": key.kid, "typ": "at+jwt"}
    for secret in forms:
        token = forge(header, claims(), lambda signed, secret=secret: hmac.digest(secret, signed, hashlib.sha256))  # type: ignore[misc]  # a lambda with a default
        assert_invalid(shown(client(None), token))


def test_a_stranger_s_key_is_refused_whatever_the_token_says_about_it(client: As, data: Path) -> None:
    """Signed by a key of one's own under our kid, or with that key in the header (RFC 8725 §3.10)."""
    own, ours = signing_key.generate("Ed25519"), key_of(data)
    extras: list[dict[str, object]] = [
        {"kid": ours.kid},
        {"kid": own.kid, "jwk": dict(own.public_jwk)},
        {"kid": ours.kid, "jwk": dict(own.public_jwk)},
        {"kid": ours.kid, "jku": "https://elsewhere.example/jwks.json"},
        {"kid": ours.kid, "x5u": "https://elsewhere.example/chain.pem"},
    ]
    for extra in extras:
        token = forge({"alg": "Ed25519", "typ": "at+jwt", **extra}, claims(), own.sign)
        assert_invalid(shown(client(None), token))


def test_a_token_that_was_changed_anywhere_is_refused(client: As, data: Path, clock: Clock) -> None:
    """One character of header, claims or signature, a part too many or too few, another encoding of the same bytes."""
    token = signed(data)
    stranger = client(None)
    head, body, signature = token.split(".")
    assert shown(stranger, token).json()["id"] == "rita"
    ada = encode(json.dumps(claims(sub="ada")).encode())
    for changed in (
        f"{head}.{ada}.{signature}",
        f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        f"{head}.{body}",
        f"{head}.{body}.",
        f"{token}.",
        f"{token}.{signature}",
        f"{token}=",
        f"{token}==",
        f".{token}",
        "..",
        token[:-1],
        token + "x" * defaults.MAX_TOKEN_BYTES,
    ):
        assert_invalid(shown(stranger, changed))
        clock.forward(15)  # nobody's guesses are used up by this test
    assert shown(stranger, token).json()["id"] == "rita"


def test_a_revoked_key_is_void_at_once_for_tokens_that_are_known_and_for_new_ones(
    client: As, data: Path, clock: Clock
) -> None:
    """`vallum keys revoke` moves every epoch: no cached token outlives it by one request."""
    known, unknown = signed(data), signed(data, jti="a2")
    stranger = client(None)
    assert shown(stranger, known).status_code == 200
    old = key_of(data).kid
    change(data, keyring.rotate(data / "keys", clock(), "sqlite"))
    assert shown(stranger, known).status_code == 200
    change(data, keyring.revoke(old, clock(), "sqlite"))
    assert_invalid(shown(stranger, known))
    assert_invalid(shown(stranger, unknown))
    assert shown(stranger, signed(data)).json()["id"] == "rita"


def test_a_rotated_key_verifies_until_its_overlap_ends_and_no_longer(client: As, data: Path, clock: Clock) -> None:
    """Tokens of a longer life show that it is the key that ends, not the token."""
    long = {"exp": ISSUED + 3600}
    first, second = signed(data, **long), signed(data, jti="a2", **long)
    change(data, keyring.rotate(data / "keys", clock(), "sqlite"))
    renewed = signed(data, **long)
    clock.now = ISSUED + keyring.OVERLAP_SECONDS - 0.001
    assert shown(client(None), first).status_code == 200
    clock.now = ISSUED + keyring.OVERLAP_SECONDS
    assert_invalid(shown(client(None), second))
    assert shown(client(None), renewed).status_code == 200


def test_the_public_keys_are_public_and_only_the_public_half(client: As, data: Path, clock: Clock) -> None:
    """RFC 7517: the set without a private member; a rotated key is in it during the overlap, a revoked one never."""
    stranger = client(None)
    answer = stranger.get("/.well-known/jwks.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jwk-set+json")
    old = key_of(data)
    assert answer.json() == {"keys": [dict(old.public_jwk)]}
    assert not {"d", "p", "q", "k"} & answer.json()["keys"][0].keys()
    change(data, keyring.rotate(data / "keys", clock(), "sqlite"))
    new = key_of(data)
    kids = [key["kid"] for key in stranger.get("/.well-known/jwks.json").json()["keys"]]
    assert sorted(kids) == sorted([old.kid, new.kid])
    clock.forward(keyring.OVERLAP_SECONDS)
    assert [key["kid"] for key in stranger.get("/.well-known/jwks.json").json()["keys"]] == [new.kid]


@pytest.mark.parametrize("value", ["Bearer x.y.z", "Basic cml0YTpyaXRh", "Bearer {token}"])
def test_a_public_route_looks_at_no_credential(client: As, value: str) -> None:
    """Whoever fetches the keys is not asked who it is, so a bad credential does not matter and is no guess."""
    value = value.format(token=client("rita").token)
    for _ in range(3):
        answer = client(None).get("/.well-known/jwks.json", headers={"Authorization": value})
        assert answer.status_code == 200


def test_a_route_open_to_anyone_knows_who_comes_with_a_credential(client: As) -> None:
    """Without one the caller is nobody; with a good one somebody; a bad one is refused and never ignored."""
    assert client(None).get("/hello").json() == {"id": None, "roles": []}
    assert client("both").get("/hello").json() == {"id": "both", "roles": ["reader", "writer"]}
    assert_invalid(shown(client(None), "x.y.z"))
    assert client(None).get("/shelves").json()["items"] == [
        {"id": 1, "name": "Novels"},
        {"id": 2, "name": "Science"},
    ]
    assert client("ada").get("/shelves").json()["items"][0] == {"id": 1, "name": "Novels", "code": "N"}


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "BREW"])
def test_a_route_open_to_anyone_is_open_by_its_method_only(client: As, method: str) -> None:
    """What anyone may GET is not opened by that for anything else."""
    expected = comparable(client(None).get("/books"))
    assert comparable(client(None).request(method, "/shelves")) == expected


def test_a_disabled_account_is_unknown_from_the_next_request_on(client: As, data: Path) -> None:
    """Its token is refused whether it was seen before or not, and is good again when it is enabled."""
    known, unknown = signed(data), signed(data, jti="a2")
    stranger = client(None)
    assert shown(stranger, known).status_code == 200
    change(data, principals.disable("rita", "sqlite"))
    assert_invalid(shown(stranger, known))
    assert_invalid(shown(stranger, unknown))
    change(data, principals.enable("rita", "sqlite"))
    assert shown(stranger, known).status_code == 200


def test_revoked_tokens_are_void_at_once_and_new_ones_are_good_a_second_later(
    client: As, data: Path, clock: Clock
) -> None:
    """`iat` has whole seconds, so those of the running second are revoked too; other accounts keep theirs."""
    known, unknown, other = signed(data), signed(data, jti="a2"), signed(data, sub="walt", client_id="walt")
    stranger = client(None)
    assert shown(stranger, known).status_code == shown(stranger, other).status_code == 200
    change(data, principals.revoke_tokens("rita", clock(), "sqlite"))
    assert_invalid(shown(stranger, known))
    assert_invalid(shown(stranger, unknown))
    assert shown(stranger, other).status_code == 200
    clock.forward(1)
    assert shown(stranger, signed(data, iat=ISSUED + 1)).status_code == 200


# What another process changes ---------------------------------------------------------------


def test_roles_that_are_taken_count_from_the_next_request_on(client: As, data: Path) -> None:
    """A read, a write and a refusal after the change are all decided by the new roles."""
    walt = client("walt")
    assert walt.get("/books").status_code == 200
    change(data, principals.alter("walt", "sqlite", roles=[]))
    assert walt.get("/books").status_code == 403
    assert walt.post("/books", json={"title": "Late"}).status_code == 403
    change(data, principals.alter("walt", "sqlite", roles=["writer"]))
    assert [row["title"] for row in walt.get("/books").json()["items"]] == ["Amber", "Birch"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/books"), ("PATCH", "/books/2"), ("DELETE", "/books/2")])
def test_a_write_on_the_way_is_stopped_by_roles_that_were_taken(client: As, data: Path, method: str, path: str) -> None:
    """The first request after the change is the write itself: nothing of it reaches the table."""
    walt, ada = client("walt"), client("ada")
    before = ada.get("/books").json()
    etag = walt.get("/books/2").headers["etag"]
    change(data, principals.alter("walt", "sqlite", roles=[]))
    body = None if method == "DELETE" else {"title": "Late"}
    assert walt.request(method, path, json=body, headers={"If-Match": etag}).status_code == 403
    assert ada.get("/books").json() == before


def test_attributes_count_from_the_next_request_on(client: As, data: Path) -> None:
    """The shelf of the rule is the present one, in lists and in items."""
    rita = client("rita")
    assert rita.get("/books/5").status_code == 200
    change(data, principals.alter("rita", "sqlite", attributes={"shelf": 2}))
    assert rita.get("/books/5").status_code == 404
    assert rita.get("/books/2").status_code == 200
    change(data, principals.alter("rita", "sqlite", attributes={}))
    assert [row["id"] for row in rita.get("/books").json()["items"]] == [1, 4]


def test_a_refusal_before_any_statement_is_made_by_the_new_roles(client: As, data: Path) -> None:
    """403 and 405 are decided without the database; the epoch is compared first, so a granted role opens at once."""
    nina = client("nina")
    assert nina.get("/books").status_code == 403
    change(data, principals.alter("nina", "sqlite", roles=["reader"]))
    assert nina.get("/books").status_code == 200
    answer = nina.request("PUT", "/books")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    change(data, principals.alter("nina", "sqlite", roles=["writer"]))
    answer = nina.request("PUT", "/books")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


def test_a_caller_over_its_quota_is_let_in_by_its_new_plan(client: As, data: Path, clock: Clock) -> None:
    """The 429 would be by the plan of a moment ago: the caller is loaded anew, and counted once."""
    tim = client("tim")
    for _ in range(6):
        assert tim.get("/hello").status_code == 200
        clock.forward(1)
    assert tim.get("/hello").status_code == 429
    change(data, principals.alter("tim", "sqlite", plan="large"))
    answer = tim.get("/hello")
    assert (answer.status_code, answer.headers["ratelimit"].split(";")[:2]) == (200, ['"hour"', "r=53"])


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/loans", 403), ("PUT", "/books", 405), ("GET", "/nothing", 404)]
)
def test_a_disabled_caller_meets_401_where_it_would_be_refused_anyway(
    client: As, data: Path, method: str, path: str, status: int
) -> None:
    """No refusal says to a disabled account what its roles were."""
    walt = client("walt")
    assert walt.request(method, path).status_code == status
    change(data, principals.disable("walt", "sqlite"))
    assert_invalid(walt.request(method, path))


def test_a_disabled_caller_over_its_quota_meets_401(client: As, data: Path) -> None:
    """The 429 comes before any statement too."""
    tim = client("tim")
    for _ in range(3):
        assert tim.get("/hello").status_code == 200
    change(data, principals.disable("tim", "sqlite"))
    assert_invalid(tim.get("/hello"))


# Guessing ---------------------------------------------------------------------------------


def test_an_address_that_guesses_is_stopped_before_any_signature_is_checked(
    client: As, data: Path, clock: Clock
) -> None:
    """Twenty bad ones, then 429 with the time of the next; a good token that is new is not even looked at."""
    stranger = client(None)
    for number in range(defaults.FAILURES_BURST):
        assert_invalid(shown(stranger, f"x.y.{number}"))
    answer = shown(stranger, "x.y.z")
    assert (answer.status_code, answer.json()["code"]) == (429, "failures_limited")
    assert answer.headers["retry-after"] == "15"
    assert shown(stranger, signed(data)).status_code == 429
    clock.forward(14.9)
    assert shown(stranger, signed(data)).status_code == 429
    clock.forward(0.1)
    assert shown(stranger, signed(data)).status_code == 200


def test_whoever_is_known_at_that_address_goes_on(client: As) -> None:
    """Guesses of one do not lock out the others behind the same address: cached tokens and anonymous calls pass."""
    rita, stranger = client("rita"), client(None)
    assert rita.get("/books").status_code == 200
    for number in range(defaults.FAILURES_BURST):
        shown(stranger, f"x.y.{number}")
    assert shown(stranger, "x.y.z").status_code == 429
    assert rita.get("/books").status_code == 200
    assert stranger.get("/shelves").status_code == 200


def test_who_is_known_there_goes_on_when_the_token_is_verified_again(client: As, data: Path, clock: Clock) -> None:
    """A minute later, and after a change of rights: to show a token that was good is no guess. One that was revoked is no longer known."""
    rita, walt, stranger = client("rita"), client("walt"), client(None)
    assert (rita.get("/books").status_code, walt.get("/books").status_code) == (200, 200)
    clock.forward(defaults.TOKEN_RECHECK_SECONDS)
    for number in range(defaults.FAILURES_BURST):
        shown(stranger, f"x.y.{number}")
    assert rita.get("/books").status_code == 200
    change(data, principals.alter("rita", "sqlite", attributes={}))
    assert rita.get("/books").status_code == 200
    change(data, principals.revoke_tokens("walt", clock(), "sqlite"))
    assert_invalid(walt.get("/books"))
    assert walt.get("/books").status_code == 429


def test_another_address_is_not_held_for_it(client: As) -> None:
    """IPv4 by itself, IPv6 by its /64."""
    stranger = client(None)

    def guess(address: str) -> int:
        headers = [(b"host", b"testserver"), (b"authorization", b"Bearer x.y.z")]
        return stranger.send(scope("/books", headers, address)).status_code

    for _ in range(defaults.FAILURES_BURST):
        guess("2001:db8:0:1::1")
    assert guess("2001:db8:0:1:ffff::2") == 429
    assert guess("2001:db8:0:2::1") == 401
    assert guess("192.0.2.7") == 401


def test_old_tokens_of_ours_are_no_guesses(client: As, data: Path, clock: Clock) -> None:
    """Many clients behind one address may hold tokens that expired, were revoked or lost their account: none counts."""
    stranger = client(None)
    disabled = signed(data, sub="wilma")
    change(data, principals.disable("wilma", "sqlite"))
    expired = signed(data, iat=ISSUED - 900, exp=ISSUED - 10)
    revoked = signed(data, sub="walt")
    change(data, principals.revoke_tokens("walt", clock(), "sqlite"))
    for _ in range(defaults.FAILURES_BURST):
        assert_invalid(shown(stranger, expired))
        assert_invalid(shown(stranger, revoked))
        assert_invalid(shown(stranger, disabled))
    assert shown(stranger, signed(data)).status_code == 200


def scope(path: str, headers: list[tuple[bytes, bytes]], address: str) -> dict[str, Any]:
    """A request from another address."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": (address, 4711),
    }


def test_a_key_revoked_while_its_token_is_verified_is_not_remembered(data: Path, clock: Clock) -> None:
    """The keys are read again after the account: a revocation in between counts, though the epoch is already new."""
    with stores.client(small.api, "rita", data, clock) as client:
        authenticator, dialect = client.service.pipeline.authenticator, client.service.database.dialect
        token, load = client.token, authenticator.principals.load

        class Slow:
            async def load(self, name: str, token_id: str = "") -> Principal | None:
                (state, *_) = keyring.states(await client.service.database.read(keyring.all_keys(dialect)))
                await client.service.database.write(keyring.revoke(state.kid, clock(), dialect))
                return await load(name, token_id)

            async def epoch(self, name: str) -> int | None:
                return await client.service.database.epoch(name)

        authenticator.principals = Slow()
        answer = client.get("/books", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
