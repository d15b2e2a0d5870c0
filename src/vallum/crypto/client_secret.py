"""Secrets of OAuth clients (RFC 6749 §2.3.1): of the form of API keys, with the prefix `vc_`.

256 random bits, kept as SHA-256, for the reasons given in `api_key`.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from vallum.crypto import api_key
from vallum.crypto.api_key import NewKey
from vallum.crypto.errors import NotAuthentic

PREFIX: Final = "vc_"


def generate() -> NewKey:
    """A new secret."""
    return api_key.generate(PREFIX)


def verify(text: str, digests: Iterable[bytes]) -> bytes:
    """Compare a secret with those of a client, in constant time; returns the digest that is its own.

    Args:
        text: as the client sent it.
        digests: of all its secrets; empty for a client that is not there, which takes one hash too.

    Raises:
        NotAuthentic: `client_secret`.
    """
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    matches = [hmac.compare_digest(digest, stored) for stored in digests]  # all are looked at
    if not any(matches):
        raise NotAuthentic("client_secret")
    return digest
