"""Assertions of clients, beside what the abuse list of the authorization server shows of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.crypto.forging import encode, forge

from vallum import defaults
from vallum.crypto import client_assertion, signing_key
from vallum.crypto.errors import NotAuthentic

NOW = 1_800_000_000.0
KEY = signing_key.generate("Ed25519")
SERVER = "https://api.example.org"
LEEWAY, LIFE = defaults.ASSERTION_LEEWAY_SECONDS, defaults.MAX_ASSERTION_LIFETIME_SECONDS


def signed(**changes: object) -> str:
    claims = {"iss": "app", "sub": "app", "aud": SERVER, "exp": NOW + 60, "jti": "1", **changes}
    return forge({"alg": "Ed25519"}, claims, KEY.sign)


def verified(text: str, client_id: str = "app", now: float = NOW) -> client_assertion.Assertion:
    return client_assertion.verify(text, client_id, [KEY.verification_key], audiences=[SERVER], now=now)


def test_it_is_about_the_client_that_was_asked_for() -> None:
    """Whatever was read from it before it was verified: issuer and subject are both that client."""
    assert verified(signed()) == ("1", NOW + 60 + LEEWAY)
    for text, reason in ((signed(sub="other"), "claim_sub"), (signed(iss="other"), "issuer")):
        with pytest.raises(NotAuthentic, match=reason):
            verified(text)
    with pytest.raises(NotAuthentic, match="issuer"):
        verified(signed(), "other")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - LEEWAY + 0.001}, None),
        ({"exp": NOW - LEEWAY}, "expired"),
        ({"exp": NOW + LIFE + LEEWAY}, None),
        ({"exp": NOW + LIFE + LEEWAY + 0.001}, "lifetime"),
        ({"iat": NOW + LEEWAY}, None),
        ({"iat": NOW + LEEWAY + 0.001}, "not_yet_valid"),
        ({"nbf": NOW + LEEWAY}, None),
        ({"nbf": NOW + LEEWAY + 0.001}, "not_yet_valid"),
        ({"jti": "j" * defaults.MAX_CLAIM_CHARACTERS}, None),
        ({"jti": "j" * (defaults.MAX_CLAIM_CHARACTERS + 1)}, "claim_jti"),
    ],
)
def test_boundaries(changes: dict[str, object], reason: str | None) -> None:
    """RFC 7523 §3, 4 to 7: each bound holds to the millisecond."""
    if reason is None:
        verified(signed(**changes))
    else:
        with pytest.raises(NotAuthentic, match=reason):
            verified(signed(**changes))


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda data: f"{encode(b'{}')}.{encode(data)}."))
def test_any_text(text: str) -> None:
    """Whatever stands in the form, it names no client and verifies for none."""
    for ask in (client_assertion.claimed_client, verified):
        with pytest.raises(NotAuthentic):
            ask(text)
