"""Access tokens: the JWT profile of RFC 9068, issued and verified.

Signed with Ed25519 or ES256 only, always with a `kid`. Absent means refused: every
claim that the profile requires is checked for presence, type and value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from vallum.crypto import jws, random
from vallum.crypto.algorithms import SIGNING_ALGORITHMS
from vallum.crypto.claims import is_name, name_in, time_in
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet
from vallum.crypto.signing_key import SigningKey
from vallum.defaults import (
    MAX_CLAIM_CHARACTERS,
    MAX_SCOPES,
    MAX_TOKEN_BYTES,
    MAX_TOKEN_LIFETIME_SECONDS,
    TOKEN_LEEWAY_SECONDS,
    TOKEN_SECONDS,
)

_TYPE: Final = "at+jwt"
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3: scope-token


@final
@dataclass(frozen=True, slots=True)
class AccessToken:
    """A verified access token. Times are Unix times in seconds.

    Attributes:
        subject: `sub`, the principal.
        client_id: the client that it was issued to.
        scopes: `scope`; empty when the token carries none.
        issued_at: `iat`.
        expires_at: `exp`; it is refused from `expires_at` plus leeway on.
        token_id: `jti`.
        auth_time: when the user signed in; None for a client of its own.
    """

    subject: str
    client_id: str
    scopes: frozenset[str]
    issued_at: float
    expires_at: float
    token_id: str
    auth_time: float | None


def issue(
    key: SigningKey,
    *,
    issuer: str,
    audience: str,
    subject: str,
    client_id: str,
    now: float,
    lifetime_seconds: int = TOKEN_SECONDS,
    scopes: Iterable[str] = (),
    auth_time: float | None = None,
) -> str:
    """A signed access token with a new `jti` (RFC 9068 §2).

    `iat` is `now` in whole seconds, rounded down, so that no verifier with the same clock
    finds it in the future.

    Raises:
        ValueError: a value that `verify` would refuse.
    """
    if not 0 < lifetime_seconds <= MAX_TOKEN_LIFETIME_SECONDS:
        raise ValueError(f"lifetime_seconds must be 1 to {MAX_TOKEN_LIFETIME_SECONDS}")
    if not (issuer and audience and is_name(subject) and is_name(client_id)):
        raise ValueError(f"names have 1 to {MAX_CLAIM_CHARACTERS} printable characters")
    if auth_time is not None and not 0 <= auth_time <= now:
        raise ValueError("auth_time must not be after now")
    issued_at = math.floor(now)
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "exp": issued_at + lifetime_seconds,
        "iat": issued_at,
        "jti": random.token_bytes(16).hex(),
        "client_id": client_id,
    }
    if granted := checked_scopes(scopes):
        claims["scope"] = " ".join(sorted(granted))
    if auth_time is not None:
        claims["auth_time"] = math.floor(auth_time)
    token = jws.sign(claims, key, typ=_TYPE)
    if len(token) > MAX_TOKEN_BYTES:
        raise ValueError(f"the token would be longer than {MAX_TOKEN_BYTES} bytes")
    return token


def verify(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    audience: str,
    now: float,
    leeway_seconds: float = TOKEN_LEEWAY_SECONDS,
) -> AccessToken:
    """The content of `token`, after each of these steps (RFC 9068 §4):

    1. A JWS whose `typ` is `at+jwt`, signed with Ed25519 or ES256 by the key of `keys` that its `kid` names.
    2. `iss` is `issuer`, character by character.
    3. `aud` is `audience` or a list of texts that contains it.
    4. `sub`, `client_id`, `jti` are present, printable and bounded; `scope` follows its grammar.
    5. `iat`, `exp` and, when present, `nbf` and `auth_time` are times.
    6. `exp` is after `iat` and at most a day later.
    7. `iat`, `nbf` and `auth_time` are not after `now` + leeway.
    8. `now` is before `exp` + leeway (RFC 7519 §4.1.4: "on or after" is refused).

    Args:
        token: as received.
        keys: the issuer's keys that are not revoked.
        issuer: the only acceptable `iss`.
        audience: the identifier of this API.
        now: Unix time in seconds.
        leeway_seconds: clock difference granted.

    Raises:
        NotAuthentic: a reason of `jws.verify`, or `claims_malformed`, `issuer`, `audience`,
            `claim_sub`, `claim_client_id`, `claim_jti`, `claim_scope`, `claim_iat`, `claim_exp`,
            `claim_nbf`, `claim_auth_time`, `lifetime`, `not_yet_valid` or `expired`.
    """
    claims = jws.verify(token, keys, typ=_TYPE, algorithms=SIGNING_ALGORITHMS, kid_required=True).claims()  # 1
    if claims.get("iss") != issuer:  # 2
        raise NotAuthentic("issuer")
    _check_audience(claims.get("aud"), audience)  # 3
    subject, client_id, token_id = name_in(claims, "sub"), name_in(claims, "client_id"), name_in(claims, "jti")  # 4
    scopes = _scopes(claims)
    issued_at, expires_at, auth_time = _times(claims, now, leeway_seconds)  # 5 to 8
    return AccessToken(subject, client_id, scopes, issued_at, expires_at, token_id, auth_time)


def _times(claims: Mapping[str, object], now: float, leeway_seconds: float) -> tuple[float, float, float | None]:
    """Steps 5 to 8 of :func:`verify`: `iat`, `exp` and `auth_time`."""
    issued_at, expires_at = time_in(claims, "iat"), time_in(claims, "exp")  # 5
    not_before = time_in(claims, "nbf") if "nbf" in claims else issued_at
    auth_time = time_in(claims, "auth_time") if "auth_time" in claims else None
    if not 0 < expires_at - issued_at <= MAX_TOKEN_LIFETIME_SECONDS:  # 6
        raise NotAuthentic("lifetime")
    if max(issued_at, not_before, auth_time or 0) > now + leeway_seconds:  # 7
        raise NotAuthentic("not_yet_valid")
    if now >= expires_at + leeway_seconds:  # 8
        raise NotAuthentic("expired")
    return issued_at, expires_at, auth_time


def _check_audience(value: object, audience: str) -> None:
    """RFC 7519 §4.1.3: one text, or a list of them."""
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in listed) or audience not in listed:
        raise NotAuthentic("audience")


def checked_scopes(given: Iterable[str]) -> frozenset[str]:
    """The scopes of a credential that is being made.

    Raises:
        ValueError: too many of them, or one that is not of the grammar.
    """
    scopes = frozenset(given)
    if len(scopes) > MAX_SCOPES or not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise ValueError(f"at most {MAX_SCOPES} scopes in the grammar of RFC 6749 §3.3")
    return scopes


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    """RFC 6749 §3.3: scope-token *( SP scope-token ); an absent claim grants none."""
    if "scope" not in claims:
        return frozenset()
    value = claims["scope"]
    if not isinstance(value, str):
        raise NotAuthentic("claim_scope")
    scopes = value.split(" ")
    if len(scopes) > MAX_SCOPES or not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise NotAuthentic("claim_scope")
    return frozenset(scopes)
