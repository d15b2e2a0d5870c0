"""The assertion by which a client authenticates itself with its own key: `private_key_jwt` (RFC 7523 §2.2, §3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Final, NamedTuple, final

from vallum.crypto import base64url, json_object, jws, signing_key
from vallum.crypto.algorithms import SIGNING_ALGORITHMS
from vallum.crypto.claims import name_in, time_in
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet, VerificationKey
from vallum.defaults import (
    ASSERTION_LEEWAY_SECONDS,
    MAX_ASSERTION_LIFETIME_SECONDS,
    MAX_TOKEN_BYTES,
)

_TYPES: Final = frozenset({"jwt", "client-authentication+jwt"})
"""`typ`, when there is one: RFC 7519 §5.1, and draft-ietf-oauth-rfc7523bis. An access token is neither."""


@final
class Assertion(NamedTuple):
    """A verified assertion.

    Attributes:
        token_id: its `jti`; the caller sees to it that it is used once.
        until: Unix seconds from which it would be refused by its own time.
    """

    token_id: str
    until: float


def claimed_client(text: str) -> str:
    """Whose assertion it says it is: nothing is verified by that, it finds the keys to verify it with.

    Raises:
        NotAuthentic: `assertion_malformed`.
    """
    try:
        if len(text) > MAX_TOKEN_BYTES:
            raise ValueError
        _, payload, _ = text.split(".")
        return name_in(json_object.decode(base64url.decode(payload)), "sub")
    except (ValueError, NotAuthentic):
        raise NotAuthentic("assertion_malformed") from None


def verify(
    text: str, client_id: str, keys: Sequence[VerificationKey], *, audiences: Collection[str], now: float
) -> Assertion:
    """The assertion of that client, after each of these steps (RFC 7523 §3):

    1. A JWS with Ed25519 or ES256, by a key of the client whose algorithm `alg` names. `kid` may choose among them;
       without it each is tried. A client without such a key costs one verification too.
    2. `typ` is that of an assertion, when there is one.
    3. `iss` and `sub` are the client.
    4. `aud` is one of `audiences`, alone: an assertion for two servers can be used by one at the other.
    5. `exp` is a time, `now` is before it, and it is near; `iat` and `nbf`, when present, are not in the future.
    6. `jti` is a text.

    Args:
        keys: the client's, those of another client never.
        now: Unix seconds.

    Raises:
        NotAuthentic: a reason of `jws.verify`, or `type`, `issuer`, `claim_sub`, `audience`, `claim_exp`, `expired`,
            `lifetime`, `claim_iat`, `claim_nbf`, `not_yet_valid`, `claim_jti`.
    """
    verified = _verified(text, keys)  # 1
    typ = verified.header.get("typ", "jwt")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:  # 2
        raise NotAuthentic("type")
    claims = verified.claims()
    _check_parties(claims, client_id, audiences)  # 3, 4
    expires = _expiry(claims, now)  # 5
    return Assertion(name_in(claims, "jti"), expires + ASSERTION_LEEWAY_SECONDS)  # 6


def _check_parties(claims: Mapping[str, object], client_id: str, audiences: Collection[str]) -> None:
    """Steps 3 and 4 of :func:`verify`."""
    if claims.get("iss") != client_id:
        raise NotAuthentic("issuer")
    if claims.get("sub") != client_id:
        raise NotAuthentic("claim_sub")
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in audiences:
        raise NotAuthentic("audience")


def _expiry(claims: Mapping[str, object], now: float) -> float:
    """Step 5 of :func:`verify`: `exp`."""
    expires = time_in(claims, "exp")
    if now >= expires + ASSERTION_LEEWAY_SECONDS:
        raise NotAuthentic("expired")
    if expires > now + MAX_ASSERTION_LIFETIME_SECONDS + ASSERTION_LEEWAY_SECONDS:
        raise NotAuthentic("lifetime")
    for name in ("iat", "nbf"):
        if name in claims and time_in(claims, name) > now + ASSERTION_LEEWAY_SECONDS:
            raise NotAuthentic("not_yet_valid")
    return expires


def _verified(text: str, keys: Sequence[VerificationKey]) -> jws.Verified:
    header = _header(text)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in SIGNING_ALGORITHMS:
        raise NotAuthentic("algorithm")
    fitting = [key for key in keys if key.algorithm.name == algorithm and kid in (None, key.kid)]
    *others, last = fitting or [replace(_nobody(algorithm), kid=kid if isinstance(kid, str) else None)]
    for key in others:
        with suppress(NotAuthentic):
            return jws.verify(text, KeySet([key]))
    return jws.verify(text, KeySet([last]))


def _header(text: str) -> Mapping[str, object]:
    try:
        return json_object.decode(base64url.decode(text.partition(".")[0]))
    except ValueError:
        raise NotAuthentic("header_malformed") from None


@cache
def _nobody(algorithm: str) -> VerificationKey:
    """A key that nobody has."""
    return signing_key.generate(algorithm).verification_key
