"""Digests of SHA-256 (FIPS 180-4); faster than BLAKE2b where the processor has instructions for it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256

from vallum.crypto import base64url

_MARK_BYTES = 6


def etag128(data: bytes) -> str:
    """The first 128 bits of SHA-256 as 32 hex digits: the opaque part of a strong ETag (RFC 9110 §8.8.3)."""
    return sha256(data).hexdigest()[:32]


def cache_key(credential: bytes) -> bytes:
    """32 bytes that stand for a credential in a cache, so that memory holds no usable one.

    Two credentials with one key would be a collision of SHA-256.
    """
    return sha256(credential).digest()


def fingerprint(*parts: bytes) -> bytes:
    """32 bytes that stand for this sequence of texts: no other sequence has them, however its texts are cut."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def hex256(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return sha256(data).hexdigest()


def hex256_of(chunks: Iterable[bytes]) -> str:
    """The same of the bytes that come in pieces."""
    digest = sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def mark48(data: bytes) -> str:
    """The first 48 bits of SHA-256 as 8 characters: enough to say which of a few texts changed, not to rely on alone."""
    return base64url.encode(sha256(data).digest()[:_MARK_BYTES])


def csp_hash(inline: str) -> str:
    """The source expression that lets a page have this inline style or script (CSP Level 3, §2.3.1)."""
    return f"'{integrity(inline.encode())}'"


def nonce_key(caller: str, nonce: bytes) -> bytes:
    """120 bits of SHA-256 that stand for a nonce of this caller; a bytes object of 15 takes 48 bytes of memory.

    A collision would refuse a request of the same caller, who alone chooses the nonces behind the name.
    """
    return sha256(b"%b\n%b" % (caller.encode(), nonce)).digest()[:15]


def integrity(data: bytes) -> str:
    """What a page says of a file that it asks for, so that a browser takes no other (Subresource Integrity, §3.5)."""
    return f"sha256-{b64encode(sha256(data).digest()).decode()}"
