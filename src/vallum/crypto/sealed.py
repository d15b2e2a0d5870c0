"""Sealed texts: bytes that a client carries for us, and can neither read nor change nor use elsewhere.

AES-SIV (RFC 5297) with a 512-bit key. It is deterministic and needs no nonce, so nothing
is lost when two processes seal the same bytes; equal contents under equal associated
data give equal texts, and nothing else shows.
"""

from __future__ import annotations

from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vallum.crypto import base64url
from vallum.crypto.errors import BadKey, NotAuthentic

_KEY_BYTES: Final = 64  # RFC 5297 §2.2: half for S2V, half for CTR
_MASTER_BYTES: Final = 32


def derive_key(master: bytes, purpose: str, length_bytes: int = 32) -> bytes:
    """A key for one purpose by HKDF-SHA256 (RFC 5869); knowing it tells nothing about the others.

    The length is part of `info`: otherwise a short key would be the beginning of a long one.

    Args:
        master: at least 32 random bytes.
        purpose: a text of the program, such as `cursor`; never input.
        length_bytes: of the key.

    Raises:
        BadKey: `secret_short`.
    """
    if len(master) < _MASTER_BYTES:
        raise BadKey("secret_short", f"a master secret has at least {_MASTER_BYTES} random bytes: make a new one")
    info = f"vallum {length_bytes} {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=length_bytes, salt=None, info=info).derive(master)


@final
class Sealer:
    """Seals and opens under one key; safe to share between threads."""

    __slots__ = ("_cipher",)

    def __init__(self, master: bytes, purpose: str) -> None:
        """
        Raises:
            BadKey: `secret_short`.
        """
        self._cipher = AESSIV(derive_key(master, purpose, _KEY_BYTES))

    def seal(self, data: bytes, *associated: bytes) -> str:
        """The sealed text of `data`: base64url without padding, 16 bytes longer.

        Args:
            data: what to hide.
            associated: at most 126 parts that `open` must be given again; the boundaries
                between them count (RFC 5297 §2.4).
        """
        return base64url.encode(self._cipher.encrypt(data, list(associated)))

    def open(self, text: str, *associated: bytes) -> bytes:
        """What was sealed, when nothing of it and of `associated` was altered.

        Raises:
            NotAuthentic: `sealed`.
        """
        try:
            return self._cipher.decrypt(base64url.decode(text), list(associated))
        except (InvalidTag, ValueError):
            raise NotAuthentic("sealed") from None
