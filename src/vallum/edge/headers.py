"""Reads the header section: how many, how long, which bytes, and what stands twice.

What is ambiguous is refused, not repaired: two readers of one request that repair it
differently are how requests are smuggled and caches poisoned (RFC 9112 §11.1, §11.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from vallum import defaults
from vallum.refusals import EXPECTATION_FAILED, HEADER_UNSUPPORTED, HEADERS_TOO_LARGE, REQUEST_MALFORMED, Refusal
from vallum.request import Header

RawHeaders = Sequence[Header]
"""ASGI's list, before anything of it was looked at."""

VALUE_BYTES: Final = bytes(range(0x20, 0x7F))
"""Space and visible ASCII. RFC 9110 §5.5 also allows HTAB and bytes above 127; nothing that we read has any."""

# RFC 9110 §5.6.2: token = 1*tchar; lower case, as ASGI hands names over.
NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")

USUAL_NAMES: Final = frozenset(
    b"accept accept-encoding accept-language authorization cache-control connection content-length content-type"
    b" cookie dnt forwarded host idempotency-key if-match if-none-match origin pragma priority referer"
    b" sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user te traceparent tracestate"
    b" transfer-encoding upgrade-insecure-requests user-agent via x-api-key x-forwarded-for x-forwarded-host"
    b" x-forwarded-proto x-real-ip x-request-id x-request-nonce x-request-timestamp".split()
)
"""Names known to be tokens, so that an ordinary request needs no pattern."""

LISTS: Final = {
    b"accept": b", ",
    b"accept-encoding": b", ",
    b"accept-language": b", ",
    b"cookie": b"; ",  # RFC 9113 §8.2.3
    b"forwarded": b", ",
    b"via": b", ",
    b"x-forwarded-for": b", ",
}
"""Names that may stand more than once, with what joins their values (RFC 9110 §5.3). Any other repeated
name is refused, even where RFC 9110 would join it: one reader's first is another's last."""

UNSUPPORTED: Final = {
    # Each asks for a protection or a part of the resource. Ignored, the client would believe that it has it.
    b"signature": "Signature: request signatures are not checked yet.",
    b"signature-input": "Signature-Input: request signatures are not checked yet.",
    b"dpop": "DPoP: proofs of possession are not checked yet.",
    b"content-range": "Content-Range: only whole representations are taken (RFC 9110 §14.5).",
    # h2c and websockets leave the path of a request, and with it every check.
    b"upgrade": "Upgrade: no other protocol is spoken here.",
    b"http2-settings": "HTTP2-Settings: no other protocol is spoken here.",
}
"""Refused until they are built, never ignored; name → what the client reads."""

WATCHED: Final = frozenset({*UNSUPPORTED, b"expect"})
FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})

MAX_LENGTH_DIGITS: Final = 18
"""Of a Content-Length: below 2^63 everywhere (RFC 9110 §8.6 warns of overflow)."""


def read_headers(raw: RawHeaders) -> dict[bytes, bytes]:
    """Name → value of the whole section.

    Raises:
        Refusal: HEADERS_TOO_LARGE; REQUEST_MALFORMED for a byte outside printable ASCII, a name
            that is no token, or a repeated name that is not in `LISTS`.
    """
    if len(raw) > defaults.MAX_HEADER_COUNT:
        raise Refusal(HEADERS_TOO_LARGE)
    everything = b"".join(chain.from_iterable(raw))
    if len(everything) > defaults.MAX_HEADERS_BYTES:
        raise Refusal(HEADERS_TOO_LARGE)
    if everything.translate(None, VALUE_BYTES):
        raise Refusal(REQUEST_MALFORMED, "A header has a byte outside printable ASCII.")
    headers = dict(raw)
    if len(headers) != len(raw):
        headers = _joined(raw)
    if not USUAL_NAMES.issuperset(headers):
        _check_names(headers)
    return headers


def _check_names(headers: Mapping[bytes, bytes]) -> None:
    for name in headers:
        if NAME.fullmatch(name) is None:
            raise Refusal(REQUEST_MALFORMED, "A header name is not a lower-case token.")


def _joined(raw: RawHeaders) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        present = headers.get(name)
        if present is None:
            headers[name] = value
        elif name in LISTS:
            headers[name] = present + LISTS[name] + value
        else:
            raise Refusal(REQUEST_MALFORMED, "A header stands more than once.")
    return headers


def body_length(headers: Mapping[bytes, bytes], http_version: str) -> int | None:
    """Bytes of the body by its framing: 0 without one, None when it is chunked (RFC 9112 §6.3).

    Raises:
        Refusal: REQUEST_MALFORMED for both framings at once, another coding than `chunked`,
            a coding outside HTTP/1.1, or a length that is not 1 to 18 digits.
    """
    if FRAMING.isdisjoint(headers):
        return 0
    coding = headers.get(b"transfer-encoding")
    if coding is not None:
        # RFC 9112 §6.1: both at once may be an attempt to smuggle; HTTP/1.0 and 2 have no transfer codings.
        if b"content-length" in headers:
            raise Refusal(REQUEST_MALFORMED, "Content-Length and Transfer-Encoding exclude each other.")
        if coding.lower() != b"chunked" or http_version != "1.1":
            raise Refusal(REQUEST_MALFORMED, "The only transfer coding is chunked, in HTTP/1.1.")
        return None
    length = headers[b"content-length"]
    # bytes.isdigit is ASCII only: no sign, space, underscore or list.
    if not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
        raise Refusal(REQUEST_MALFORMED, "Content-Length is not a number.")
    return int(length)


def refuse_unsupported(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what asks for something that is not done here. Range and method overrides need no refusal:
    ignoring a Range is its definition (RFC 9110 §14.2), and an override is no part of HTTP.

    Raises:
        Refusal: HEADER_UNSUPPORTED; EXPECTATION_FAILED for another expectation than 100-continue.
    """
    if WATCHED.isdisjoint(headers):
        return
    for name, detail in UNSUPPORTED.items():
        if name in headers:
            raise Refusal(HEADER_UNSUPPORTED, detail)
    if headers[b"expect"].lower() != b"100-continue":  # RFC 9110 §10.1.1
        raise Refusal(EXPECTATION_FAILED)
