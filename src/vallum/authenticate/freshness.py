"""`X-Request-Timestamp` with `X-Request-Nonce`: when a request was made, and the word under which it counts once.

    timestamp = Unix seconds, ten digits, or date-time of RFC 3339 §5.6
    nonce     = 16 to 128 of ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" / "="

The characters of a nonce are those of token68 (RFC 9110 §11.2): hex digits, base64 of both alphabets and UUIDs fit; a
comma does not, so that two fields which somebody joined are no nonce.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple, final

from vallum import defaults
from vallum.refusals import FRESHNESS_MALFORMED, FRESHNESS_MISSING, TIMESTAMP_STALE, Refusal

TIMESTAMP: Final = b"x-request-timestamp"
NONCE: Final = b"x-request-nonce"

# Ten digits are the years 2001 to 2286. Milliseconds have thirteen and are refused by their form, not as the year 58000.
UNIX: Final = re.compile(rb"[1-9][0-9]{9}")
# RFC 3339 §5.6: full-date "T" partial-time time-offset; both letters may be lower case. A blank for the T is not taken.
DATE_TIME: Final = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,9})?"
    rb"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
NONCE_FORM: Final = re.compile(
    rb"[A-Za-z0-9._~+/=-]{%d,%d}" % (defaults.MIN_NONCE_CHARACTERS, defaults.MAX_NONCE_CHARACTERS)
)


@final
class Stamp(NamedTuple):
    """When the client says it made the request (Unix seconds), and the word that no other request has."""

    at: float
    nonce: bytes


def read_stamp(headers: Mapping[bytes, bytes], now: float, window_seconds: int) -> Stamp:
    """Both fields, each well formed, and a timestamp from `now - window_seconds` to `now + FRESH_SKEW_SECONDS`.

    Args:
        now: Unix seconds.

    Raises:
        Refusal: FRESHNESS_MISSING when one of them is not there, FRESHNESS_MALFORMED, TIMESTAMP_STALE.
    """
    timestamp, nonce = headers.get(TIMESTAMP), headers.get(NONCE)
    if timestamp is None or nonce is None:
        raise Refusal(FRESHNESS_MISSING)
    if NONCE_FORM.fullmatch(nonce) is None:
        raise Refusal(FRESHNESS_MALFORMED)
    at = read_timestamp(timestamp)
    if at < now - window_seconds:
        raise Refusal(TIMESTAMP_STALE, _far(now - at, "behind", window_seconds))
    if at > now + defaults.FRESH_SKEW_SECONDS:
        raise Refusal(TIMESTAMP_STALE, _far(at - now, "ahead of", defaults.FRESH_SKEW_SECONDS))
    return Stamp(at, nonce)


def read_timestamp(text: bytes) -> float:
    """Unix seconds.

    A second 60 is refused: Unix time has no place for it, and a clock that counts in Unix time never shows one.

    Raises:
        Refusal: FRESHNESS_MALFORMED for another form, and for a day or time that there is not.
    """
    if UNIX.fullmatch(text) is not None:
        return float(text)
    match = DATE_TIME.fullmatch(text)
    if match is None:
        raise Refusal(FRESHNESS_MALFORMED)
    try:
        year, month, day, hour, minute, second = map(int, match.groups()[:6])
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        raise Refusal(FRESHNESS_MALFORMED) from None
    offset = int(match[9] or 0) * 3600 + int(match[10] or 0) * 60
    return at + float(match[7] or 0) - (-offset if match[8] == b"-" else offset)


def _far(seconds: float, where: str, most: int) -> str:
    clock = "the clock of this service, which is in Date"
    return f"X-Request-Timestamp is {seconds:.1f} s {where} {clock}; at most {most} are accepted."
