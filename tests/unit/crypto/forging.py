"""Tokens put together by hand, so that a test can make any mistake."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping

from vallum.crypto.jwk import KeySet
from vallum.crypto.signing_key import SigningKey

Sign = Callable[[bytes], bytes]


def encode(data: bytes) -> str:
    """Base64url without padding, by the standard library."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def plain(text: str) -> bytes:
    """The other way round."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def forge(header: Mapping[str, object] | bytes, payload: Mapping[str, object] | bytes, sign: Sign) -> str:
    """A compact JWS of header and payload (an object, or its exact bytes), signed by any function."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(map(encode, parts))
    return f"{signed}.{encode(sign(signed.encode()))}"


def header_of(key: SigningKey, **changes: object) -> dict[str, object]:
    """The header that our tokens have."""
    return {"alg": key.algorithm.name, "kid": key.kid, "typ": "at+jwt", **changes}


def keys_of(*keys: SigningKey) -> KeySet:
    """The set that is published for `keys`."""
    return KeySet.read(key.public_jwk for key in keys)
