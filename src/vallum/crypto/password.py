"""Passwords: Argon2id (RFC 9106) with the parameters of the OWASP Password Storage Cheat Sheet.

Each call takes about 25 ms and 19 MiB and lets other threads run: the caller keeps a
semaphore, so that a flood of logins does not become a flood of memory.
"""

from __future__ import annotations

import os
import unicodedata
from base64 import b64encode
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from argon2.low_level import Type

from vallum.crypto.errors import NotAuthentic
from vallum.defaults import ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, MAX_PASSWORD_BYTES

_SALT_BYTES: Final = 16  # RFC 9106 §3.1: recommended for password hashing
_HASH_BYTES: Final = 32

_hasher: Final = PasswordHasher(
    time_cost=ARGON2_PASSES,
    memory_cost=ARGON2_MEMORY_KIB,
    parallelism=ARGON2_LANES,
    hash_len=_HASH_BYTES,
    salt_len=_SALT_BYTES,
    type=Type.ID,
)


def _text(count: int) -> str:
    return b64encode(os.urandom(count)).rstrip(b"=").decode("ascii")


# A hash that nobody computed: random salt, random result, the present parameters. Verifying
# against it costs what a real one costs, and no password is known to match.
_ABSENT: Final = (
    f"$argon2id$v=19$m={ARGON2_MEMORY_KIB},t={ARGON2_PASSES},p={ARGON2_LANES}${_text(_SALT_BYTES)}${_text(_HASH_BYTES)}"
)


def hash_password(password: str) -> str:
    """The text to store: parameters, a new salt and the hash.

    Raises:
        ValueError: the password is empty, longer than `MAX_PASSWORD_BYTES` in UTF-8, or no text (lone surrogate).
    """
    return _hasher.hash(_octets(password))


def verify_password(stored: str | None, password: str) -> None:
    """Return when `password` is the one that `stored` was made from.

    For an account that does not exist, or has no password, pass None: it takes the same
    time and always raises, so that the time does not tell which accounts exist.

    Raises:
        NotAuthentic: `password`.
    """
    try:
        _hasher.verify(_ABSENT if stored is None else stored, _octets(password))
    except (VerificationError, ValueError):  # ValueError: of `_octets`, or `stored` is no hash
        raise NotAuthentic("password") from None
    if stored is None:
        raise NotAuthentic("password")


def needs_rehash(stored: str) -> bool:
    """Whether `stored` was made with other parameters than today's; then hash again at the next login.

    Raises:
        ValueError: `stored` is no Argon2 hash.
    """
    return _hasher.check_needs_rehash(stored)


def _octets(password: str) -> bytes:
    """UTF-8 of the composed form, so that one password typed on two systems is one (RFC 8265 §4.2.2)."""
    if not 0 < len(password) <= MAX_PASSWORD_BYTES:  # before work is spent on it
        raise ValueError(f"a password has 1 to {MAX_PASSWORD_BYTES} bytes")
    octets = unicodedata.normalize("NFC", password).encode("utf-8")
    if len(octets) > MAX_PASSWORD_BYTES:
        raise ValueError(f"a password has 1 to {MAX_PASSWORD_BYTES} bytes")
    return octets
