"""Random identifiers and secrets, all from the operating system's generator."""

from __future__ import annotations

import os
import secrets
from typing import Final

ID_BYTES: Final = 16
POOL_BYTES: Final = 256 * ID_BYTES
"""Taken from the generator at once: each call to it gives the interpreter away, to whoever waits for it."""

_pool: list[bytes] = []


def request_id() -> str:
    """128 random bits as 32 hex digits; on the path of every request. Not a secret: it stands in every answer."""
    try:
        return _pool.pop().hex()
    except IndexError:
        data = os.urandom(POOL_BYTES)
        _pool.extend(data[at : at + ID_BYTES] for at in range(ID_BYTES, POOL_BYTES, ID_BYTES))
        return data[:ID_BYTES].hex()


# A forked process would go on with the ids of its parent.
os.register_at_fork(after_in_child=_pool.clear)


def token_bytes(count: int) -> bytes:
    """`count` random bytes for a secret; 32 make a key."""
    return secrets.token_bytes(count)
