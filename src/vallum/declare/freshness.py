"""Which requests must be fresh: made a moment ago, and never seen before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

from vallum import defaults
from vallum.declare.errors import DeclarationError

Freshness = Literal["writes", "all", "off"]
"""`"writes"`: every method that changes something; `"all"`: reads too; `"off"`: none."""
WORDS: Final = get_args(Freshness)
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""RFC 9110 §9.2.1: they change nothing, so that a repetition does no harm by itself."""


def fresh_methods(freshness: Freshness, methods: Iterable[str]) -> frozenset[str]:
    """Those of a route's methods whose requests must be fresh."""
    if freshness == "off":
        return frozenset()
    return frozenset(method for method in methods if freshness == "all" or method not in SAFE)


def checked_freshness(word: Freshness, place: str) -> Freshness:
    """The word itself.

    Raises:
        DeclarationError: `fresh-word`.
    """
    if word not in WORDS:
        raise DeclarationError("fresh-word", f"{place}, fresh={word!r}", 'Write "writes", "all" or "off".')
    return word


def checked_seconds(seconds: int) -> int:
    """The window in seconds.

    Raises:
        DeclarationError: `fresh-seconds` below 60 or above 600, or no whole number.
    """
    low, high = defaults.FRESH_SECONDS_MIN, defaults.FRESH_SECONDS_MAX
    if type(seconds) is not int or not low <= seconds <= high:
        raise DeclarationError("fresh-seconds", f"fresh_seconds={seconds!r}", f"Write {low} to {high} seconds.")
    return seconds
