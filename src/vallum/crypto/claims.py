"""Members of a JWT's claims set (RFC 7519 §4): each is there, of its type and bounded, or the token is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeGuard

from vallum.crypto.errors import NotAuthentic
from vallum.defaults import MAX_CLAIM_CHARACTERS

_LAST_SECOND: Final = 2**40  # of a NumericDate; beyond it arithmetic with floats loses seconds


def is_name(value: object) -> TypeGuard[str]:
    """Printable: without control characters (they forge log lines) and lone surrogates (they have no UTF-8)."""
    return isinstance(value, str) and 0 < len(value) <= MAX_CLAIM_CHARACTERS and value.isprintable()


def name_in(claims: Mapping[str, object], name: str) -> str:
    """The text that this claim is.

    Raises:
        NotAuthentic: `claim_` and its name.
    """
    value = claims.get(name)
    if not is_name(value):
        raise NotAuthentic(f"claim_{name}")
    return value


def time_in(claims: Mapping[str, object], name: str) -> float:
    """RFC 7519 §2, NumericDate: a JSON number, fractions allowed; `true` is none although Python counts with it.

    Raises:
        NotAuthentic: `claim_` and its name.
    """
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LAST_SECOND:
        raise NotAuthentic(f"claim_{name}")
    return value
