"""The JSON of headers and claims: one object, without the freedoms that parsers disagree on."""

from __future__ import annotations

import json
from typing import NoReturn


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name is repeated")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def encode(members: dict[str, object]) -> bytes:
    """The object as compact ASCII JSON.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(members, separators=(",", ":"), allow_nan=False).encode("ascii")


def decode(data: bytes) -> dict[str, object]:
    """The object that `data` (UTF-8, bounded by the caller) spells.

    RFC 7515 §5.2 step 3 and §10.12: it must be an object, the member names must be
    unique at every depth, and nothing may follow it.

    Raises:
        ValueError: anything else.
    """
    try:
        value: object = _decoder.decode(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the text is at fault, not the caller's type
    return value
