"""API keys: `vk_`, an identifier, a secret and a checksum, all of one alphabet. Nothing else knows their form.

    vk_ 7Qm2…(16) …(43)… …(6)
        │         │      └ CRC-32 of all before it: a typing error is seen without a lookup, and a scanner that
        │         │        finds a leaked text knows offline that it is a key
        │         └ 256 random bits
        └ finds the row; no secret

The store holds the SHA-256 of the whole text. A slow hash protects what people choose; nobody tries 2^256 secrets,
and a slow one would let a stranger spend our processor with each wrong key.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import Final, NamedTuple, final
from zlib import crc32

from vallum.crypto.errors import NotAuthentic

PREFIX: Final = "vk_"
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
IDENTIFIER_CHARACTERS: Final = 16
"""95 bits: no two keys meet by accident."""
SECRET_CHARACTERS: Final = 43
"""62^43 is more than 2^256."""
CHECKSUM_CHARACTERS: Final = 6
"""62^6 is more than 2^32."""

_BODY: Final = len(PREFIX) + IDENTIFIER_CHARACTERS + SECRET_CHARACTERS
_FORM: Final = re.compile(f"{PREFIX}[0-9A-Za-z]{{{IDENTIFIER_CHARACTERS + SECRET_CHARACTERS + CHECKSUM_CHARACTERS}}}")
_NOBODY: Final = bytes(32)
"""Compared with when no key has the identifier; no known text has this digest."""


@final
class NewKey(NamedTuple):
    """A key at the only moment at which its text is known.

    Attributes:
        text: for its holder; stored nowhere.
        identifier: its public part.
        digest: what the store keeps.
    """

    text: str
    identifier: str
    digest: bytes


def generate(prefix: str = PREFIX) -> NewKey:
    """A new key, from the operating system's generator; with another prefix, another secret of the same form."""
    identifier, secret = _random(IDENTIFIER_CHARACTERS), _random(SECRET_CHARACTERS)
    body = f"{prefix}{identifier}{secret}"
    text = body + _checksum(body)
    return NewKey(text, identifier, _digest(text))


def identifier_of(text: str) -> str:
    """The identifier of a well-formed key; whether there is such a key is not known by that.

    Raises:
        NotAuthentic: `api_key_form`, `api_key_checksum`.
    """
    if _FORM.fullmatch(text) is None:
        raise NotAuthentic("api_key_form")
    if _checksum(text[:_BODY]) != text[_BODY:]:  # a checksum is no secret
        raise NotAuthentic("api_key_checksum")
    return text[len(PREFIX) : len(PREFIX) + IDENTIFIER_CHARACTERS]


def verify(text: str, digest: bytes | None) -> None:
    """Compare a key with what is stored under its identifier, in constant time.

    Args:
        text: of which :func:`identifier_of` has read the identifier.
        digest: as stored; None when there is no such key, which takes the same work and is the same refusal.

    Raises:
        NotAuthentic: `api_key_secret`.
    """
    matches = hmac.compare_digest(_digest(text), _NOBODY if digest is None else digest)
    if digest is None or not matches:
        raise NotAuthentic("api_key_secret")


def _digest(text: str) -> bytes:
    return sha256(text.encode("ascii")).digest()


def _random(count: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def _checksum(body: str) -> str:
    rest, digits = crc32(body.encode("ascii")), ""
    for _ in range(CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
