from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.crypto.forging import forge, header_of, keys_of
from tests.unit.crypto.tokens import AUDIENCE, CLAIMS, ISSUER, LEEWAY, NOW, assert_refused, issue, verify, with_claims

from vallum.crypto import NotAuthentic, access_token, jws, signing_key
from vallum.crypto.access_token import AccessToken
from vallum.crypto.signing_key import SigningKey
from vallum.defaults import MAX_CLAIM_CHARACTERS, MAX_SCOPES, MAX_TOKEN_LIFETIME_SECONDS, TOKEN_SECONDS

KEY = signing_key.generate("Ed25519")

# What is issued -------------------------------------------------------------------------


def test_round_trip(key: SigningKey) -> None:
    """What was issued is what is verified, in every field."""
    token = issue(key, scopes=["grades:read", "grades:write"], auth_time=NOW - 60, lifetime_seconds=60)
    read = verify(token, key)
    assert read == AccessToken(
        subject="teacher-17",
        client_id="school-app",
        scopes=frozenset({"grades:read", "grades:write"}),
        issued_at=NOW,
        expires_at=NOW + 60,
        token_id=read.token_id,
        auth_time=NOW - 60,
    )


def test_form(key: SigningKey) -> None:
    """RFC 9068 §2: the header names type, key and algorithm; the claims are the required ones and no more."""
    token = issue(key)
    verified = jws.verify(token, keys_of(key))
    assert verified.header == {"alg": key.algorithm.name, "kid": key.kid, "typ": "at+jwt"}
    claims = verified.claims()
    assert {**claims, "jti": "a1"} == {**CLAIMS, "exp": NOW + TOKEN_SECONDS}
    assert len(str(claims["jti"])) == 32
    assert len(token) < 600


def test_optional_claims_absent(key: SigningKey) -> None:
    """A token without scope and auth_time grants no scope and knows no login."""
    read = verify(issue(key), key)
    assert (read.scopes, read.auth_time) == (frozenset(), None)


def test_token_ids_differ(key: SigningKey) -> None:
    """Each token has an identifier of its own."""
    assert len({verify(issue(key), key).token_id for _ in range(20)}) == 20


def test_fraction_of_a_second(key: SigningKey) -> None:
    """Issued at a fraction of a second, a token is at once valid for a clock that agrees, without leeway."""
    token = issue(key, now=NOW + 0.9, auth_time=NOW + 0.9)
    read = access_token.verify(token, keys_of(key), issuer=ISSUER, audience=AUDIENCE, now=NOW + 0.9, leeway_seconds=0)
    assert (read.issued_at, read.expires_at, read.auth_time) == (NOW, NOW + TOKEN_SECONDS, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"lifetime_seconds": 0},
        {"lifetime_seconds": -1},
        {"lifetime_seconds": MAX_TOKEN_LIFETIME_SECONDS + 1},
        {"issuer": ""},
        {"audience": ""},
        {"subject": ""},
        {"subject": "a\nb"},
        {"subject": "\ud800"},
        {"subject": "x" * (MAX_CLAIM_CHARACTERS + 1)},
        {"client_id": ""},
        {"scopes": ["a b"]},
        {"scopes": [""]},
        {"scopes": ["ä"]},
        {"scopes": ['"']},
        {"scopes": ["\\"]},
        {"scopes": [f"s{number}" for number in range(MAX_SCOPES + 1)]},
        {"scopes": [f"s{number}" + "x" * 100 for number in range(MAX_SCOPES)]},
        {"auth_time": NOW + 1},
        {"auth_time": -1},
        {"auth_time": float("nan")},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_nothing_is_issued_that_would_be_refused(ed25519: SigningKey, change: dict[str, Any]) -> None:
    """Values that `verify` would refuse are an error of the issuer."""
    with pytest.raises(ValueError, match=r"."):
        issue(ed25519, **change)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(str.isprintable)


@given(
    subject=names,
    client_id=names,
    lifetime=st.integers(1, MAX_TOKEN_LIFETIME_SECONDS),
    scopes=st.sets(st.from_regex(r"[!#-\[\]-~]{1,10}", fullmatch=True), max_size=10),
    moment=st.floats(0, 2**39),
)
def test_everything_issued_verifies(
    subject: str, client_id: str, lifetime: int, scopes: set[str], moment: float
) -> None:
    """Whatever can be issued verifies at that moment and until its end, and no longer."""
    token = issue(
        KEY,
        subject=subject,
        client_id=client_id,
        lifetime_seconds=lifetime,
        scopes=scopes,
        now=moment,
        auth_time=moment,
    )
    read = verify(token, KEY, moment)
    assert (read.subject, read.client_id, read.scopes) == (subject, client_id, frozenset(scopes))
    end = read.expires_at + LEEWAY
    assert end == int(moment) + lifetime + LEEWAY
    verify(token, KEY, end - 1)
    assert_refused(token, KEY, "expired", end)


# Times, to the second -------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-0.001, -1])
def test_last_moment(key: SigningKey, offset: float) -> None:
    """Just before `exp` + leeway a token is valid."""
    assert verify(issue(key), key, NOW + TOKEN_SECONDS + LEEWAY + offset).subject == "teacher-17"


@pytest.mark.parametrize("offset", [0, 0.001, 1, 10**9])
def test_expired(key: SigningKey, offset: float) -> None:
    """At `exp` + leeway exactly, and ever after, it is refused (RFC 7519 §4.1.4)."""
    assert_refused(issue(key), key, "expired", NOW + TOKEN_SECONDS + LEEWAY + offset)


def test_boundaries_without_leeway(key: SigningKey) -> None:
    """Without leeway the token is valid from `iat` up to, and not at, `exp`."""
    token = issue(key, lifetime_seconds=10)

    def at(now: float) -> AccessToken:
        return access_token.verify(token, keys_of(key), issuer=ISSUER, audience=AUDIENCE, now=now, leeway_seconds=0)

    assert at(NOW).expires_at == NOW + 10
    assert at(NOW + 9.999).expires_at == NOW + 10
    for now, reason in ((NOW - 0.001, "not_yet_valid"), (NOW + 10, "expired")):
        with pytest.raises(NotAuthentic, match=f"^{reason}$"):
            at(now)


@pytest.mark.parametrize("claim", ["iat", "nbf", "auth_time"])
def test_times_in_the_future(key: SigningKey, claim: str) -> None:
    """`iat`, `nbf` and `auth_time` are accepted up to exactly now + leeway, and not a second later."""
    assert verify(with_claims(key, **{claim: NOW + LEEWAY}), key).subject == "teacher-17"
    assert_refused(with_claims(key, **{claim: NOW + LEEWAY + 1}), key, "not_yet_valid")
    assert_refused(with_claims(key, **{claim: NOW + LEEWAY + 0.5}), key, "not_yet_valid")


def test_issued_in_the_future_although_valid_already(key: SigningKey) -> None:
    """An `nbf` in the past does not excuse an `iat` in the future."""
    assert_refused(with_claims(key, iat=NOW + LEEWAY + 1, nbf=NOW - 60), key, "not_yet_valid")


@pytest.mark.parametrize("lifetime", [1, MAX_TOKEN_LIFETIME_SECONDS])
def test_lifetime_allowed(key: SigningKey, lifetime: int) -> None:
    """From a second to exactly a day."""
    assert verify(with_claims(key, exp=NOW + lifetime), key).expires_at == NOW + lifetime


@pytest.mark.parametrize("lifetime", [MAX_TOKEN_LIFETIME_SECONDS + 1, MAX_TOKEN_LIFETIME_SECONDS + 0.5, 0, -1])
def test_lifetime_refused(key: SigningKey, lifetime: float) -> None:
    """Longer than a day, nothing, and backwards."""
    assert_refused(with_claims(key, exp=NOW + lifetime), key, "lifetime")


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "auth_time"])
@pytest.mark.parametrize(
    "value", [None, True, False, str(NOW), [NOW], {}, -1, 2**40 + 1, 10**400], ids=lambda v: repr(v)[:12]
)
def test_times_are_numbers(key: SigningKey, claim: str, value: object) -> None:
    """A time of another type, a negative one and an absurd one are refused: `true` is not 1."""
    assert_refused(with_claims(key, **{claim: value}), key, f"claim_{claim}")


def test_number_that_overflows(key: SigningKey) -> None:
    """1e999, which Python reads as infinity, is no time."""
    payload = json.dumps({**CLAIMS, "exp": 0}).replace('"exp": 0', '"exp": 1e999').encode()
    assert_refused(forge(header_of(key), payload, key.sign), key, "claim_exp")


def test_fractional_times(key: SigningKey) -> None:
    """RFC 7519 §2: a NumericDate may have a fraction."""
    assert verify(with_claims(key, exp=NOW + 60.5, iat=NOW - 0.5), key).expires_at == NOW + 60.5
