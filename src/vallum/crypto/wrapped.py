"""Secrets at rest: random bytes in a file that only the master key opens.

The passphrase is stretched by Argon2id (RFC 9106); what it gives seals the secret (RFC 5297).
"""

from __future__ import annotations

from typing import Final

from argon2.low_level import Type, hash_secret_raw

from vallum.crypto import base64url
from vallum.crypto.errors import BadKey, NotAuthentic
from vallum.crypto.random import token_bytes
from vallum.crypto.sealed import Sealer

MARK: Final = "vallum-wrapped-1"
"""Says how the file is to be opened: other parameters are another number."""
SALT_BYTES: Final = 16  # RFC 9106 §3.1
# OWASP Password Storage Cheat Sheet (m=19456, t=2, p=1), like passwords today; but what was wrapped must open for ever,
# whatever those cost one day.
_PASSES: Final = 2
_MEMORY_KIB: Final = 19 * 1024
_LANES: Final = 1
_KEY_BYTES: Final = 32


def wrap(secret: bytes, passphrase: bytes) -> bytes:
    """The content of a file from which :func:`unwrap` gives the secret back; another one each time."""
    salt = token_bytes(SALT_BYTES)
    return f"{MARK}.{base64url.encode(salt)}.{_sealer(passphrase, salt).seal(secret)}\n".encode()


def is_wrapped(content: bytes) -> bool:
    """Whether :func:`wrap` made it; random bytes begin like that once in 2^136."""
    return content.startswith(f"{MARK}.".encode())


def unwrap(content: bytes, passphrase: bytes) -> bytes:
    """The secret.

    Raises:
        BadKey: `wrapped_passphrase`: another passphrase, or not what `wrap` made.
    """
    try:
        _, salt, sealed = content.decode("ascii").removesuffix("\n").split(".")
        return _sealer(passphrase, base64url.decode(salt)).open(sealed)
    except (ValueError, NotAuthentic):
        raise BadKey("wrapped_passphrase", "it does not open with this master key") from None


def _sealer(passphrase: bytes, salt: bytes) -> Sealer:
    if len(salt) != SALT_BYTES:
        raise ValueError("not the salt of `wrap`")
    key = hash_secret_raw(
        passphrase,
        salt,
        time_cost=_PASSES,
        memory_cost=_MEMORY_KIB,
        parallelism=_LANES,
        hash_len=_KEY_BYTES,
        type=Type.ID,
    )
    return Sealer(key, MARK)
