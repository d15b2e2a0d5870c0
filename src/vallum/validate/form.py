"""Form encoding (WHATWG URL §5.1) as a query has it, read without mercy."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def decode(text: str) -> str:
    """`text` without form encoding (RFC 3986 §2.1, and `+` for a space).

    Raises:
        ValueError: an escape that is not one, bytes that are not UTF-8, a control character.
    """
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise ValueError
    decoded = unquote_to_bytes(text).decode()
    if _CONTROL.search(decoded):
        raise ValueError
    return decoded
