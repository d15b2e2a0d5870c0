"""Base64url without padding (RFC 7515 §2), where every value has exactly one spelling."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

_PADDING = ("", "===", "==", "=")


def encode(data: bytes) -> str:
    """The text of `data`: A–Z a–z 0–9 - _ and no padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """The bytes of `text`.

    Python's decoder skips foreign characters and ignores unused bits, so two texts
    could mean the same bytes. Encoding the result again and comparing refuses all of
    that at once: padding, whitespace, the other alphabet, trailing bits (RFC 4648 §3.5).

    Raises:
        ValueError: `text` is not what `encode` returns for any bytes.
    """
    data = urlsafe_b64decode(text + _PADDING[len(text) % 4])
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data
