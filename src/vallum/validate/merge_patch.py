"""JSON Merge Patch (RFC 7396) of the documents in JSON columns.

The body of a PATCH is a merge patch of the row: a field that is absent stays as it is, and null writes NULL, since
a column has no "absent" (`models.Models.change`). Inside the document of a JSON column null removes, as the RFC says.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Final

from vallum import defaults
from vallum.validate.strict_json import Json, depth_of

WHITESPACE: Final = " \t\n\r"
"""RFC 8259 §2."""


def target_of(text: str | None) -> Json:
    """The stored document into which an object is merged; None for all that is no object (RFC 7396 §2), or no JSON.

    Another program may have stored what cannot be written back: what a patch does not name must not be lost by it.

    Args:
        text: as the store has it.

    Raises:
        ValueError: it holds an integer that Python does not read, a number that no double is, or is too deep.
    """
    if text is None or not text.lstrip(WHITESPACE).startswith("{"):
        return None
    if depth_of(text.encode(errors="surrogatepass")) > defaults.MAX_STORED_JSON_DEPTH:
        raise ValueError("nested too deeply")
    try:
        target: Json = json.loads(text, parse_float=_double, parse_constant=_no_number)
    except json.JSONDecodeError:
        return None
    return target


def _double(text: str) -> float:
    value = float(text)
    vanished = value == 0 and text.lower().partition("e")[0].strip("-0.")
    if vanished or not isfinite(value):
        raise ValueError("a number beyond the range of a double")
    return value


def _no_number(_: str) -> None:
    """NaN and Infinity, which Python's own `json` writes: they are shown as null."""


def merge(target: Json, patch: Json) -> Json:
    """What `target` becomes by `patch` (RFC 7396 §2); neither is changed, unchanged parts are shared.

    It recurses as deep as `patch`, whose depth the parser has bounded.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
