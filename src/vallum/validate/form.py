"""Form encoding (WHATWG URL §5.1) as queries and form bodies have it, read without mercy."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from vallum import defaults
from vallum.refusals import FORM_MALFORMED, Refusal

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def decode(text: str) -> str:
    """`text` without form encoding (RFC 3986 §2.1, and `+` for a space).

    Raises:
        ValueError: an escape that is not one, bytes that are not UTF-8, a control character.
    """
    text = text.replace("+", " ")
    if "%" not in text:
        if not text.isprintable():  # control characters as they are; all of this is ASCII
            raise ValueError
        return text
    if _BAD_ESCAPE.search(text):
        raise ValueError
    decoded = unquote_to_bytes(text).decode()
    if _CONTROL.search(decoded):
        raise ValueError
    return decoded


def read_form(data: bytes) -> dict[str, str]:
    """Name → value of a form body (RFC 6749 appendix B).

    A parameter without a value counts as omitted, and one that comes twice is refused, empty or not: RFC 6749 §3.2.

    Raises:
        Refusal: FORM_MALFORMED.
    """
    if not data:
        return {}
    pieces = data.split(b"&", defaults.MAX_FORM_PARAMETERS)
    if len(pieces) > defaults.MAX_FORM_PARAMETERS:
        raise Refusal(FORM_MALFORMED, f"At most {defaults.MAX_FORM_PARAMETERS} parameters.")
    form: dict[str, str] = {}
    for piece in pieces:
        name, _, value = piece.partition(b"=")
        try:
            key, text = decode(name.decode("ascii")), decode(value.decode("ascii"))
        except ValueError:
            raise Refusal(
                FORM_MALFORMED, "A parameter is not form encoded UTF-8, or has a control character."
            ) from None
        if not key:
            raise Refusal(FORM_MALFORMED, "A parameter has no name.")
        if key in form:
            raise Refusal(FORM_MALFORMED, "A parameter comes twice.")
        form[key] = text
    return {key: text for key, text in form.items() if text}
