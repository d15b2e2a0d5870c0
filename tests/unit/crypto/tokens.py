"""Access tokens to test with; times in Unix seconds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.crypto.forging import keys_of

from vallum.crypto import NotAuthentic, access_token, jws
from vallum.crypto.access_token import AccessToken
from vallum.crypto.signing_key import SigningKey

ISSUER, AUDIENCE, NOW = "https://localhost:8443", "https://localhost:8443/api", 1_800_000_000
LEEWAY = 5
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "teacher-17",
    "aud": AUDIENCE,
    "exp": NOW + 900,
    "iat": NOW,
    "jti": "a1",
    "client_id": "school-app",
}
ABSENT = object()


def issue(key: SigningKey, **changes: Any) -> str:
    values = {"issuer": ISSUER, "audience": AUDIENCE, "subject": "teacher-17", "client_id": "school-app", "now": NOW}
    return access_token.issue(key, **{**values, **changes})


def verify(token: str, key: SigningKey, now: float = NOW) -> AccessToken:
    return access_token.verify(token, keys_of(key), issuer=ISSUER, audience=AUDIENCE, now=now, leeway_seconds=LEEWAY)


def with_claims(key: SigningKey, **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ABSENT}
    return jws.sign(claims, key, typ="at+jwt")


def assert_refused(token: str, key: SigningKey, reason: str, now: float = NOW) -> None:
    with pytest.raises(NotAuthentic) as caught:
        verify(token, key, now)
    assert caught.value.reason == reason
