"""Ways to misuse the authorization server. Each line of the table is one, and says what would be wrong with success."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.path.oauth import GRANT, INTROSPECT, REVOKE, TOKEN, Desk, as_form, basic
from tests.path.small import NOON
from tests.unit.crypto.forging import forge

from vallum import defaults
from vallum.crypto import api_key, client_secret, signing_key
from vallum.oauth.presented import JWT_BEARER
from vallum.testing import ORIGIN, Answer

HOUR = 3600
FORM = {"content-type": "application/x-www-form-urlencoded"}
CC = b"grant_type=client_credentials"


def get(desk: Desk, path: str) -> Answer:
    return desk.client.get(path, headers=desk.shows("heron"))


def shown(desk: Desk, form: bytes | dict[str, str], path: str = TOKEN, **headers: str) -> Answer:
    """By the client `heron`, with its good secret."""
    return desk.send(path, form, {**desk.shows("heron"), **headers})


def header(desk: Desk, value: str) -> Answer:
    """That as Authorization."""
    return desk.send(TOKEN, GRANT, {"Authorization": value})


def pair(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


def asserted(desk: Desk, **changes: Any) -> Answer:
    """By the client `kite`, with a changed assertion."""
    return desk.send(TOKEN, {**GRANT, **desk.asserted("kite", **changes)})


def headed(desk: Desk, **changes: object) -> Answer:
    """The same, with a changed header."""
    return desk.send(TOKEN, {**GRANT, **desk.asserted("kite", changes)})


def signed_by(desk: Desk, algorithm: str, name: str = "kite", **header: object) -> Answer:
    """By a key that is nobody's."""
    key = signing_key.generate(algorithm)
    text = forge({"alg": algorithm, **header}, desk.claims(name), key.sign)
    return desk.send(TOKEN, {**GRANT, **as_form(text)})


def unsigned(desk: Desk, algorithm: str) -> Answer:
    text = forge({"alg": algorithm}, desk.claims("kite"), lambda _: b"")
    return desk.send(TOKEN, {**GRANT, **as_form(text)})


def by_public_key(desk: Desk) -> Answer:
    """The public key, which everybody has, as the secret of an HMAC."""
    key = desk.keys["kite"]
    text = forge({"alg": "HS256"}, desk.claims("kite"), lambda data: api_hmac(json.dumps(dict(key.public_jwk)), data))
    return desk.send(TOKEN, {**GRANT, **as_form(text)})


def api_hmac(secret: str, data: bytes) -> bytes:
    return hmac.digest(secret.encode(), data, "sha256")


def twice(desk: Desk) -> Answer:
    form = {**GRANT, **desk.asserted("kite")}
    assert desk.send(TOKEN, form).status_code == 200
    return desk.send(TOKEN, form)


def other_key(desk: Desk) -> Answer:
    """`osprey` signs, and says that it is `kite`."""
    desk.add("thief", algorithm="Ed25519")
    text = forge({"alg": "Ed25519", "kid": desk.keys["thief"].kid}, desk.claims("kite"), desk.keys["thief"].sign)
    return desk.send(TOKEN, {**GRANT, **as_form(text)})


def token_as_assertion(desk: Desk) -> Answer:
    return desk.send(TOKEN, {**GRANT, **as_form(desk.token("kite"))})


def altered(desk: Desk, part: int) -> Answer:
    parts = desk.assertion("kite").split(".")
    parts[part] = parts[part][:-2] + ("AA" if parts[part][-2:] != "AA" else "BB")
    return desk.send(TOKEN, {**GRANT, **as_form(".".join(parts))})


def after(desk: Desk, done: Callable[[], object], ask: Callable[[], Answer]) -> Answer:
    done()
    return ask()


def old_secret(desk: Desk) -> Answer:
    old = desk.shows("heron")
    desk.rotate("heron", overlap=0)
    return desk.send(TOKEN, GRANT, old)


def old_key(desk: Desk) -> Answer:
    old = desk.keys["kite"]
    desk.rotate("kite", algorithm="Ed25519", overlap=0)
    desk.keys["kite"] = old
    return desk.ask("kite")


Case = tuple[str, int, str, Callable[[Desk], Answer]]

CASES: list[Case] = [
    # Grants
    ("No grant type at all.", 400, "invalid_request", lambda d: shown(d, {"scope": "texts"})),
    ("An empty grant type counts as omitted.", 400, "invalid_request", lambda d: shown(d, b"grant_type=")),
    (
        "The password grant is gone from OAuth 2.1.",
        400,
        "unsupported_grant_type",
        lambda d: shown(d, {"grant_type": "password", "username": "rita", "password": "x"}),
    ),
    ("So is the implicit one.", 400, "unsupported_grant_type", lambda d: shown(d, {"grant_type": "implicit"})),
    (
        "A code that nobody issued.",
        400,
        "unsupported_grant_type",
        lambda d: shown(d, {"grant_type": "authorization_code", "code": "x"}),
    ),
    (
        "A refresh token that nobody issued.",
        400,
        "unsupported_grant_type",
        lambda d: shown(d, {"grant_type": "refresh_token", "refresh_token": "x"}),
    ),
    (
        "An assertion as a grant would be anybody's token.",
        400,
        "unsupported_grant_type",
        lambda d: shown(d, {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"}),
    ),
    (
        "Token exchange would change whom a token is for.",
        400,
        "unsupported_grant_type",
        lambda d: shown(d, {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": "x"}),
    ),
    (
        "A grant type is compared to the letter.",
        400,
        "unsupported_grant_type",
        lambda d: shown(d, {"grant_type": "Client_Credentials"}),
    ),
    # Forms
    (
        "A repeated parameter: one reader's first is another's last.",
        400,
        "invalid_request",
        lambda d: shown(d, CC + b"&scope=texts&scope=more"),
    ),
    ("A repeated grant type.", 400, "invalid_request", lambda d: shown(d, CC + b"&" + CC)),
    ("A repeated secret.", 400, "invalid_request", lambda d: d.send(TOKEN, CC + b"&client_secret=a&client_secret=b")),
    (
        "The parameters in the query, where logs keep them.",
        400,
        "invalid_request",
        lambda d: shown(d, b"", f"{TOKEN}?grant_type=client_credentials"),
    ),
    (
        "The secret in the query.",
        400,
        "invalid_request",
        lambda d: d.send(f"{TOKEN}?client_id=heron&client_secret={d.secrets['heron']}", GRANT),
    ),
    ("GET would put it all into the query.", 405, "invalid_request", lambda d: get(d, TOKEN)),
    ("PUT is no way to ask.", 405, "invalid_request", lambda d: d.send(TOKEN, b"", d.shows("heron"), method="PUT")),
    (
        "A JSON body.",
        415,
        "invalid_request",
        lambda d: shown(d, b'{"grant_type":"client_credentials"}', **{"content-type": "application/json"}),
    ),
    (
        "A multipart body.",
        415,
        "invalid_request",
        lambda d: shown(d, b"--x", **{"content-type": "multipart/form-data; boundary=x"}),
    ),
    (
        "A text body, as a page of any origin may send.",
        415,
        "invalid_request",
        lambda d: shown(d, CC, **{"content-type": "text/plain"}),
    ),
    (
        "A form in another charset.",
        415,
        "invalid_request",
        lambda d: shown(d, CC, **{"content-type": FORM["content-type"] + "; charset=utf-16"}),
    ),
    (
        "A compressed form: its size would not be known.",
        415,
        "invalid_request",
        lambda d: shown(d, CC, **{"content-encoding": "gzip"}),
    ),
    ("A huge form.", 413, "invalid_request", lambda d: shown(d, CC + b"&x=" + b"y" * defaults.MAX_OAUTH_FORM_BYTES)),
    (
        "A form of a thousand parameters.",
        400,
        "invalid_request",
        lambda d: shown(d, CC + b"".join(b"&a%d=" % n for n in range(1000))),
    ),
    ("A control character in a scope.", 400, "invalid_request", lambda d: shown(d, CC + b"&scope=texts%0aadmin")),
    ("Bytes that are not UTF-8.", 400, "invalid_request", lambda d: shown(d, CC + b"&scope=%ff")),
    ("A scope beyond the client's.", 400, "invalid_scope", lambda d: shown(d, {**GRANT, "scope": "texts admin"})),
    (
        "A token for another service.",
        400,
        "invalid_target",
        lambda d: shown(d, {**GRANT, "resource": "https://testserver.evil.example"}),
    ),
    # Who asks
    ("Nobody.", 401, "invalid_client", lambda d: d.send(TOKEN, GRANT)),
    ("A client id without a proof.", 401, "invalid_client", lambda d: d.send(TOKEN, {**GRANT, "client_id": "heron"})),
    (
        "A good secret in the form: client_secret_post is refused.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, {**GRANT, "client_id": "heron", "client_secret": d.secrets["heron"]}),
    ),
    (
        "A wrong secret.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("heron", client_secret.generate().text)),
    ),
    ("An unknown client.", 401, "invalid_client", lambda d: d.send(TOKEN, GRANT, basic("nobody", d.secrets["heron"]))),
    (
        "The secret of another client.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("heron", d.secrets["osprey"])),
    ),
    ("No secret.", 401, "invalid_client", lambda d: header(d, pair(b"heron:"))),
    (
        "A secret without its last character.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("heron", d.secrets["heron"][:-1])),
    ),
    (
        "A secret and something behind it.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("heron", d.secrets["heron"] + "x")),
    ),
    ("A client with a key has no secret.", 401, "invalid_client", lambda d: d.send(TOKEN, GRANT, basic("kite", "x"))),
    ("An account that is no client.", 401, "invalid_client", lambda d: d.send(TOKEN, GRANT, basic("rita", "x"))),
    (
        "A client id in other letters.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("HERON", d.secrets["heron"])),
    ),
    (
        "A client id with SQL in it.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("heron' OR '1'='1", "x")),
    ),
    (
        "A client id with a NUL.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("heron\0", d.secrets["heron"])),
    ),
    (
        "A client id with a line feed.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("heron\n", d.secrets["heron"])),
    ),
    ("A client id of emoji.", 401, "invalid_client", lambda d: d.send(TOKEN, GRANT, basic("🔑", "x"))),
    (
        "A client id of 10,000 characters.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, basic("a" * 10_000, "x")),
    ),
    ("An empty client id.", 401, "invalid_client", lambda d: header(d, pair(b":" + d.secrets["heron"].encode()))),
    ("No colon.", 401, "invalid_client", lambda d: header(d, pair(b"heron"))),
    ("Not base64.", 401, "invalid_client", lambda d: header(d, "Basic ===")),
    (
        "Base64 with a space in it.",
        401,
        "invalid_client",
        lambda d: header(d, d.shows("heron")["Authorization"][:-4] + " " + d.shows("heron")["Authorization"][-4:]),
    ),
    (
        "Bytes that are not ASCII in the header's text.",
        401,
        "invalid_client",
        lambda d: header(d, pair("heron:ä".encode())),
    ),
    ("Nothing behind the scheme.", 401, "invalid_client", lambda d: header(d, "Basic")),
    ("Another scheme.", 401, "invalid_client", lambda d: header(d, "Digest username=heron")),
    ("An access token proves no client.", 401, "invalid_client", lambda d: header(d, f"Bearer {d.token('heron')}")),
    ("An API key proves no client.", 401, "invalid_client", lambda d: header(d, f"Bearer {api_key.generate().text}")),
    (
        "An API key in its own header proves none either.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, GRANT, {"X-API-Key": api_key.generate().text}),
    ),
    (
        "A secret and an API key.",
        400,
        "invalid_request",
        lambda d: shown(d, GRANT, **{"X-API-Key": api_key.generate().text}),
    ),
    (
        "A secret in both places.",
        400,
        "invalid_request",
        lambda d: shown(d, {**GRANT, "client_secret": d.secrets["heron"]}),
    ),
    (
        "A secret and an assertion: two methods at once.",
        400,
        "invalid_request",
        lambda d: shown(d, {**GRANT, **d.asserted("kite")}),
    ),
    (
        "A secret in the form and an assertion.",
        400,
        "invalid_request",
        lambda d: d.send(TOKEN, {**GRANT, **d.asserted("kite"), "client_secret": "x"}),
    ),
    (
        "client_id names another client than the secret.",
        401,
        "invalid_client",
        lambda d: shown(d, {**GRANT, "client_id": "osprey"}),
    ),
    (
        "client_id names another client than the assertion.",
        401,
        "invalid_client",
        lambda d: d.send(TOKEN, {**GRANT, **d.asserted("kite"), "client_id": "heron"}),
    ),
    ("A secret that a rotation has ended.", 401, "invalid_client", old_secret),
    (
        "The secret of a revoked client.",
        401,
        "invalid_client",
        lambda d: after(d, lambda: d.revoke("heron"), lambda: d.ask("heron")),
    ),
    # Assertions
    ("An assertion used twice.", 401, "invalid_client", twice),
    (
        "An assertion of no type.",
        400,
        "invalid_request",
        lambda d: d.send(TOKEN, {**GRANT, "client_assertion": d.assertion("kite")}),
    ),
    (
        "An assertion of another type.",
        400,
        "invalid_request",
        lambda d: d.send(
            TOKEN,
            {
                **GRANT,
                "client_assertion": d.assertion("kite"),
                "client_assertion_type": JWT_BEARER.replace("jwt", "saml2"),
            },
        ),
    ),
    (
        "A type without an assertion.",
        400,
        "invalid_request",
        lambda d: d.send(TOKEN, {**GRANT, "client_assertion_type": JWT_BEARER}),
    ),
    ("An assertion for another server.", 401, "invalid_client", lambda d: asserted(d, aud="https://elsewhere.example")),
    (
        "An assertion for this and another server.",
        401,
        "invalid_client",
        lambda d: asserted(d, aud=[ORIGIN, "https://elsewhere.example"]),
    ),
    ("An audience that begins like ours.", 401, "invalid_client", lambda d: asserted(d, aud=ORIGIN + ".evil.example")),
    (
        "Our audience with a slash: it is compared to the letter.",
        401,
        "invalid_client",
        lambda d: asserted(d, aud=ORIGIN + "/"),
    ),
    ("The audience of another endpoint.", 401, "invalid_client", lambda d: asserted(d, aud=ORIGIN + REVOKE)),
    ("No audience.", 401, "invalid_client", lambda d: asserted(d, aud=None)),
    ("An audience in a list in a list.", 401, "invalid_client", lambda d: asserted(d, aud=[[ORIGIN]])),
    ("No end.", 401, "invalid_client", lambda d: asserted(d, exp=None)),
    ("Past its end.", 401, "invalid_client", lambda d: asserted(d, exp=int(NOON) - defaults.ASSERTION_LEEWAY_SECONDS)),
    (
        "An end so far away that the assertion is a password.",
        401,
        "invalid_client",
        lambda d: asserted(d, exp=int(NOON) + HOUR + 31),
    ),
    ("An end that is a text.", 401, "invalid_client", lambda d: asserted(d, exp=str(int(NOON) + 60))),
    ("An end that is true.", 401, "invalid_client", lambda d: asserted(d, exp=True)),
    ("Issued in the future.", 401, "invalid_client", lambda d: asserted(d, iat=int(NOON) + 31)),
    ("Good from a later time on.", 401, "invalid_client", lambda d: asserted(d, nbf=int(NOON) + 31)),
    ("No jti: it could be used again.", 401, "invalid_client", lambda d: asserted(d, jti=None)),
    ("A jti that is a number.", 401, "invalid_client", lambda d: asserted(d, jti=1)),
    ("An endless jti.", 401, "invalid_client", lambda d: asserted(d, jti="j" * 257)),
    ("Issued by somebody else.", 401, "invalid_client", lambda d: asserted(d, iss="heron")),
    ("No issuer.", 401, "invalid_client", lambda d: asserted(d, iss=None)),
    ("About another client.", 401, "invalid_client", lambda d: asserted(d, sub="heron")),
    ("About nobody.", 401, "invalid_client", lambda d: asserted(d, sub=None)),
    ("Signed by nobody's key.", 401, "invalid_client", lambda d: signed_by(d, "Ed25519")),
    (
        "Signed by nobody's key under the kid of the client's.",
        401,
        "invalid_client",
        lambda d: signed_by(d, "Ed25519", kid=d.keys["kite"].kid),
    ),
    ("Signed with another algorithm.", 401, "invalid_client", lambda d: signed_by(d, "ES256")),
    ("Of a client that does not exist.", 401, "invalid_client", lambda d: signed_by(d, "Ed25519", "nobody")),
    ("Of a client that has a secret.", 401, "invalid_client", lambda d: signed_by(d, "Ed25519", "heron")),
    ("Signed by another client.", 401, "invalid_client", other_key),
    ("Signed by a key that a rotation has ended.", 401, "invalid_client", old_key),
    ("Not signed: alg none.", 401, "invalid_client", lambda d: unsigned(d, "none")),
    ("Not signed: alg None.", 401, "invalid_client", lambda d: unsigned(d, "None")),
    ("The deprecated name of the algorithm, RFC 9864.", 401, "invalid_client", lambda d: headed(d, alg="EdDSA")),
    ("The public key used as a secret.", 401, "invalid_client", by_public_key),
    ("A kid that is a path.", 401, "invalid_client", lambda d: headed(d, kid="../../keys/x")),
    ("A kid that is a list.", 401, "invalid_client", lambda d: headed(d, kid=["x"])),
    ("A kid that is a query.", 401, "invalid_client", lambda d: headed(d, kid="x' OR '1'='1")),
    (
        "A key of its own in the header.",
        401,
        "invalid_client",
        lambda d: signed_by(d, "Ed25519", jwk={"kty": "OKP"}, jku="https://evil.example/jwks.json"),
    ),
    ("A critical extension.", 401, "invalid_client", lambda d: headed(d, crit=["exp"])),
    ("The type of an access token.", 401, "invalid_client", lambda d: headed(d, typ="at+jwt")),
    ("An access token of ours as an assertion.", 401, "invalid_client", token_as_assertion),
    ("A changed header.", 401, "invalid_client", lambda d: altered(d, 0)),
    ("A changed payload.", 401, "invalid_client", lambda d: altered(d, 1)),
    ("A changed signature.", 401, "invalid_client", lambda d: altered(d, 2)),
    ("Four parts.", 401, "invalid_client", lambda d: d.send(TOKEN, {**GRANT, **as_form(d.assertion("kite") + ".x")})),
    ("An assertion of 5,000 characters.", 401, "invalid_client", lambda d: asserted(d, note="x" * 5000)),
    ("No assertion in the assertion.", 401, "invalid_client", lambda d: d.send(TOKEN, {**GRANT, **as_form("..")})),
    # The other endpoints
    ("Revoking without saying who.", 401, "invalid_client", lambda d: d.send(REVOKE, {"token": d.token("heron")})),
    (
        "Revoking with the token itself.",
        401,
        "invalid_client",
        lambda d: d.send(REVOKE, {"token": d.token("heron")}, {"Authorization": f"Bearer {d.token('heron')}"}),
    ),
    (
        "Revoking the token of another client.",
        400,
        "invalid_grant",
        lambda d: d.endpoint(REVOKE, "osprey", token=d.token("heron")),
    ),
    ("Revoking nothing.", 400, "invalid_request", lambda d: d.endpoint(REVOKE, "heron")),
    ("Revoking two.", 400, "invalid_request", lambda d: shown(d, b"token=a&token=b", REVOKE)),
    ("Revoking by GET.", 405, "invalid_request", lambda d: get(d, REVOKE)),
    (
        "Asking about a token without saying who.",
        401,
        "invalid_client",
        lambda d: d.send(INTROSPECT, {"token": d.token("heron")}),
    ),
    ("Asking about nothing.", 400, "invalid_request", lambda d: d.endpoint(INTROSPECT, "heron")),
    ("Asking with the token in the query.", 400, "invalid_request", lambda d: shown(d, b"", f"{INTROSPECT}?token=x")),
    (
        "Asking as a revoked client.",
        401,
        "invalid_client",
        lambda d: after(d, lambda: d.revoke("heron"), lambda: d.endpoint(INTROSPECT, "heron", token="x")),
    ),
]


@pytest.mark.parametrize(("sentence", "status", "error", "ask"), CASES, ids=[case[0] for case in CASES])
def test_misuse(desk: Desk, sentence: str, status: int, error: str, ask: Callable[[Desk], Answer]) -> None:
    """Each is refused in the form of RFC 6749 §5.2, is not kept, and tells nothing of what was sent or of who exists."""
    answer = ask(desk)
    document = answer.json()
    assert (answer.status_code, document["error"]) == (status, error), sentence
    assert set(document) == {"error", "error_description"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert not {
        name for name in ("heron", "osprey", "kite", "nobody", "rita", "vc_", "evil", "OR") if name in answer.text
    }


def test_the_table_is_a_table() -> None:
    """Every case has a sentence of its own."""
    assert len({case[0] for case in CASES}) == len(CASES) > 100
