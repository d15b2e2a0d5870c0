"""The request target: origin form only, decoded once, nothing that two readers could read as two paths.

A path is `/segment/segment`. A segment is any text of printable Unicode, sent as UTF-8 in
percent-encoding (RFC 3986 §2.5), so that a text key such as `é` can be addressed; only keys
match such text, and whether a route stands there is not asked here: a stranger would learn it.

Refused, because some reader treats each as a separator, an end or a step up: an encoded or
real backslash, an encoded slash, NUL and other control characters, `;` (write %3B), dot
segments (encoded too), empty segments, raw non-ASCII bytes. A trailing slash is another path.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from vallum.refusals import REQUEST_MALFORMED, Refusal

ENCODED_COMMA: Final = "\x00"
"""Stands for `%2C` until keys are split at `,`. NUL itself is refused in every form."""

# RFC 3986 §3.3: pchar = unreserved / pct-encoded / sub-delims / ":" / "@", here without ";".
PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)+/?")
ENCODED: Final = re.compile(rb"/(?:[/A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})*")
SEPARATORS: Final = re.compile(rb"%(?:2[Ff]|5[Cc]|00)")
COMMA: Final = re.compile(rb"%2[Cc]")

# RFC 9112 §3.2.2: absolute-form = absolute-URI
ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]://([^/?#@]+)(/[^?#]*)?")

# RFC 3986 §3.4, and what browsers leave unencoded (URL Standard, query percent-encode set).
QUERY_BYTES: Final = bytes(set(range(0x21, 0x7F)) - set(b'"#<>'))

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
# RFC 9110 §9.1: a token; registered names are of these letters.
METHOD: Final = re.compile(r"[A-Z][A-Z-]{0,31}")


def check_method(method: str) -> None:
    """Refuse what cannot be a method; one that merely does not exist here is `authorise`'s business.

    Raises:
        Refusal: REQUEST_MALFORMED.
    """
    if method not in METHODS and METHOD.fullmatch(method) is None:
        raise Refusal(REQUEST_MALFORMED, "The method is not a word in upper case.")


def origin_form(raw: bytes, host: bytes) -> bytes:
    """The path of an absolute-form target, which must name the same authority as `Host` (RFC 9112 §3.2.2).

    A server that drops the authority itself (Granian) leaves nothing to compare.

    Raises:
        Refusal: REQUEST_MALFORMED for authority form, asterisk form or another authority.
    """
    match = ABSOLUTE.fullmatch(raw)
    if match is None or match[1].lower() != host.lower():
        raise Refusal(REQUEST_MALFORMED, "The request target is not a path of this service.")
    return match[2] or b"/"


def read_path(raw: bytes) -> str:
    """The path, decoded once, with `ENCODED_COMMA` for each `%2C`.

    Raises:
        Refusal: REQUEST_MALFORMED.
    """
    # Almost every path: nothing encoded, no segment that is empty or starts with a dot.
    if PLAIN.fullmatch(raw) is not None and b"/." not in raw:
        return raw.decode("ascii")
    if ENCODED.fullmatch(raw) is None:
        raise Refusal(REQUEST_MALFORMED, "The path has a character that must be percent-encoded.")
    if SEPARATORS.search(raw) is not None:
        raise Refusal(REQUEST_MALFORMED, "The path has an encoded slash, backslash or NUL.")
    try:
        path = unquote_to_bytes(COMMA.sub(b"%00", raw)).decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(REQUEST_MALFORMED, "The path is not UTF-8.") from None
    if not shown(path).isprintable():
        raise Refusal(REQUEST_MALFORMED, "The path has a character that is not printable.")
    segments = path[1:].split("/")
    if "." in segments or ".." in segments:
        raise Refusal(REQUEST_MALFORMED, "The path has a dot segment.")
    if "" in segments[:-1]:
        raise Refusal(REQUEST_MALFORMED, "The path has an empty segment.")
    return path


def check_key(text: str) -> None:
    """Refuse a text that no segment can be: a row under such a key would have no path.

    Raises:
        ValueError: empty, a dot segment, a slash, a backslash, or a character that is not printable.
    """
    if text in {"", ".", ".."} or "/" in text or "\\" in text or not text.isprintable():
        raise ValueError


def shown(path: str) -> str:
    """The path as `Request.path`, logs and audit have it."""
    return path.replace(ENCODED_COMMA, ",") if ENCODED_COMMA in path else path


def read_query(raw: bytes) -> str:
    """The query, still encoded; its grammar is `validate`'s business.

    Raises:
        Refusal: REQUEST_MALFORMED for bytes that cannot stand in a query.
    """
    if raw.translate(None, QUERY_BYTES):
        raise Refusal(REQUEST_MALFORMED, "The query has a character that must be percent-encoded.")
    return raw.decode("ascii")
