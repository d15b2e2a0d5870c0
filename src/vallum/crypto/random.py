"""Random identifiers and secrets, all from the operating system's generator."""

from __future__ import annotations

import os
import secrets


def request_id() -> str:
    """128 random bits as 32 hex digits.

    On the path of every request: 0.6 µs, against 0.8 for `secrets.token_hex` and 2.2
    for `uuid4`. A pool filled in advance takes 0.25, but a forked process would go on
    with the ids of its parent.
    """
    return os.urandom(16).hex()


def token_bytes(count: int) -> bytes:
    """`count` random bytes for a secret; 32 make a key."""
    return secrets.token_bytes(count)
