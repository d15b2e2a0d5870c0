from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.crypto.forging import forge
from tests.unit.crypto.tokens import (
    ABSENT,
    AUDIENCE,
    CLAIMS,
    ISSUER,
    LEEWAY,
    NOW,
    assert_refused,
    issue,
    verify,
    with_claims,
)

from vallum.crypto import NotAuthentic, access_token, jws, signing_key
from vallum.crypto.jwk import KeySet
from vallum.crypto.signing_key import SigningKey
from vallum.defaults import MAX_CLAIM_CHARACTERS, MAX_SCOPES

KEY = signing_key.generate("Ed25519")

# Claims ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("iss", "issuer"),
        ("aud", "audience"),
        ("sub", "claim_sub"),
        ("client_id", "claim_client_id"),
        ("jti", "claim_jti"),
        ("iat", "claim_iat"),
        ("exp", "claim_exp"),
    ],
)
def test_required_claims(key: SigningKey, claim: str, reason: str) -> None:
    """RFC 9068 §2.2: each required claim, when absent, refuses the token."""
    assert_refused(with_claims(key, **{claim: ABSENT}), key, reason)


@pytest.mark.parametrize(
    "issuer", ["", ISSUER + "/", ISSUER.upper(), "http://localhost:8443", [ISSUER], None, 1, {}], ids=repr
)
def test_issuer(key: SigningKey, issuer: object) -> None:
    """The issuer is compared character by character (RFC 9068 §4), and another type is not equal."""
    assert_refused(with_claims(key, iss=issuer), key, "issuer")


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]], ids=repr)
def test_audience(key: SigningKey, audience: object) -> None:
    """RFC 7519 §4.1.3: ours alone, or among others."""
    assert verify(with_claims(key, aud=audience), key).subject == "teacher-17"


@pytest.mark.parametrize(
    "audience",
    [
        "",
        "other",
        AUDIENCE + "x",
        AUDIENCE[:-1],
        [],
        ["other"],
        [[AUDIENCE]],
        [AUDIENCE, 1],
        [AUDIENCE, None],
        {AUDIENCE: 1},
        None,
        1,
    ],
    ids=repr,
)
def test_other_audiences(key: SigningKey, audience: object) -> None:
    """For somebody else, for nobody, a part of ours, and lists that hold anything but texts."""
    assert_refused(with_claims(key, aud=audience), key, "audience")


@pytest.mark.parametrize("claim", ["sub", "client_id", "jti"])
@pytest.mark.parametrize(
    "value",
    ["", None, 1, True, ["a"], "a\nb", "a\0", "a\u202eb", "\ud800", "x" * (MAX_CLAIM_CHARACTERS + 1)],
    ids=lambda v: repr(v)[:12],
)
def test_names(key: SigningKey, claim: str, value: object) -> None:
    """Names are texts that can be printed in one line of a log, and have UTF-8."""
    assert_refused(with_claims(key, **{claim: value}), key, f"claim_{claim}")


def test_longest_name(key: SigningKey) -> None:
    """Exactly 256 characters are accepted, blanks and letters of any script among them."""
    name = "Ä ж" + "x" * (MAX_CLAIM_CHARACTERS - 3)
    assert verify(with_claims(key, sub=name), key).subject == name


@pytest.mark.parametrize(
    "scope",
    ["", " ", "a  b", " a", "a ", "a\tb", 'a"b', "a\\b", "ä", None, 1, ["a"], "s " * MAX_SCOPES + "s"],
    ids=lambda v: repr(v)[:12],
)
def test_scope_grammar(key: SigningKey, scope: object) -> None:
    """RFC 6749 §3.3: words with one space between them; a list, an empty text and a 65th are refused."""
    assert_refused(with_claims(key, scope=scope), key, "claim_scope")


def test_scope_words(key: SigningKey) -> None:
    """A repeated scope counts once, and as many as are allowed are accepted."""
    assert verify(with_claims(key, scope="a b a"), key).scopes == {"a", "b"}
    many = [f"s{number}" for number in range(MAX_SCOPES)]
    assert verify(with_claims(key, scope=" ".join(many)), key).scopes == set(many)


def test_other_claims_are_ignored(key: SigningKey) -> None:
    """RFC 9068 §2.2.3: further claims do not harm; roles in a token grant nothing here."""
    assert verify(with_claims(key, roles=["head"], act={"sub": "x"}), key).subject == "teacher-17"


# Header ---------------------------------------------------------------------------------


@pytest.mark.parametrize("typ", ["at+jwt", "AT+jwt", "application/at+jwt", "APPLICATION/AT+JWT"])
def test_type(key: SigningKey, typ: str) -> None:
    """RFC 9068 §4: both spellings of the type, in any case."""
    assert verify(jws.sign(CLAIMS, key, typ=typ), key).subject == "teacher-17"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at", "dpop+jwt", "logout+jwt", "secevent+jwt", ""])
def test_other_types(key: SigningKey, typ: str) -> None:
    """An ID token, a proof or a logout token of the same key is no access token."""
    assert_refused(jws.sign(CLAIMS, key, typ=typ), key, "type")


def test_key_must_be_named(key: SigningKey) -> None:
    """Without `kid` a token is refused even when there is only one key."""
    token = forge({"alg": key.algorithm.name, "typ": "at+jwt"}, CLAIMS, key.sign)
    assert_refused(token, key, "kid_missing")


def test_only_our_algorithms() -> None:
    """A right signature by a symmetric key is refused even when that key is in the set."""
    secret = {"kty": "oct", "alg": "HS256", "kid": "s", "k": "A" * 43}
    keys = KeySet.read([secret], symmetric=True)
    token = forge({"alg": "HS256", "kid": "s", "typ": "at+jwt"}, CLAIMS, lambda _: bytes(32))
    with pytest.raises(NotAuthentic, match=r"^algorithm$"):
        access_token.verify(token, keys, issuer=ISSUER, audience=AUDIENCE, now=NOW)


def test_revoked_key(key: SigningKey) -> None:
    """A token of a key that has left the set is refused although it has time left."""
    other = signing_key.generate(key.algorithm.name)
    assert_refused(issue(key), other, "key_unknown")


def test_signature_comes_first(key: SigningKey) -> None:
    """An expired token with a broken signature is broken: nothing is said about what was not verified."""
    header, payload, _ = issue(key).split(".")
    _, _, signature = issue(key, subject="other").split(".")
    assert_refused(f"{header}.{payload}.{signature}", key, "signature", NOW + 10**6)


json_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.lists(st.text(max_size=3), max_size=2)
)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "scope", "nbf", "auth_time"]), json_values), st.floats(0, 2**40))
def test_arbitrary_claims(changes: dict[str, object], now: float) -> None:
    """Whatever a trusted key signs is a token or NotAuthentic; no other error escapes."""
    try:
        read = verify(with_claims(KEY, **changes), KEY, now)
    except NotAuthentic:
        return
    assert read.issued_at - LEEWAY <= now < read.expires_at + LEEWAY
