"""Media types: what a body may be, and what the client must be ready to read. JSON in UTF-8, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from vallum import defaults
from vallum.declare.route import BodyKind, Route
from vallum.edge.routes import RouteTable
from vallum.refusals import BODY_TOO_LARGE, BODY_UNEXPECTED, MEDIA_TYPE_UNSUPPORTED, NOT_ACCEPTABLE, Refusal

TYPES: Final[Mapping[BodyKind, frozenset[bytes]]] = {
    BodyKind.NONE: frozenset(),
    BodyKind.JSON: frozenset({b"application/json"}),
    BodyKind.MERGE_PATCH: frozenset({b"application/merge-patch+json", b"application/json"}),
    BodyKind.FORM: frozenset({b"application/x-www-form-urlencoded"}),
}

CHARSETS: Final = frozenset({b"charset=utf-8", b'charset="utf-8"'})
"""RFC 8259 §8.1 knows no charset parameter; many clients send this one, and it is true."""

MAX_PARAMETERS: Final = 4
"""Looked at in one media type; what comes after is one parameter that nobody knows."""

BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""RFC 9110 §9.3.1 and §9.3.5: a body here has no meaning and is used to smuggle requests."""

USUAL_ACCEPTS: Final = frozenset(
    {None, b"*/*", b"application/json", b"application/*", b"application/json, text/plain, */*"}
)
# RFC 9110 §12.4.2: qvalue. Java's own client sends ".2"; it is understood.
QUALITY: Final = re.compile(rb"0?\.[0-9]{1,3}|0\.?|1(?:\.0{0,3})?")


def check_body(
    method: str, route: Route | None, headers: Mapping[bytes, bytes], length: int | None, table: RouteTable
) -> None:
    """Refuse a body by what its headers declare.

    A public route is measured by what it takes itself. All others are measured alike, by method,
    whether there is a route or not: a stranger must not learn from a 413 or 415 what exists. What
    one of them takes in particular is for `validate`, after the caller is authorised.

    Args:
        length: as `body_length` gives it.

    Raises:
        Refusal: BODY_UNEXPECTED, BODY_TOO_LARGE, MEDIA_TYPE_UNSUPPORTED.
    """
    if length == 0:
        return
    if route is not None and route.public is not None:
        kind = route.bodies.get(method, BodyKind.NONE)
        limit = route.max_body_bytes
    else:
        kind = BodyKind.NONE if method in BODILESS else BodyKind.MERGE_PATCH if method == "PATCH" else BodyKind.JSON
        limit = table.largest_body_bytes
    if kind is BodyKind.NONE:
        raise Refusal(BODY_UNEXPECTED)
    if length is not None and length > limit:
        raise Refusal(BODY_TOO_LARGE)
    _check_type(headers.get(b"content-type", b""), TYPES[kind])
    # RFC 9110 §15.5.16: an unknown content coding is a 415 too. Decompression would undo the size limit.
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refusal(MEDIA_TYPE_UNSUPPORTED, "Send the body without a content coding.")


def _check_type(value: bytes, types: frozenset[bytes]) -> None:
    if value in types:
        return
    media, *parameters = [part.strip(b" \t") for part in value.lower().split(b";", MAX_PARAMETERS)]
    given = [parameter for parameter in parameters if parameter]
    if media not in types or len(given) > 1 or not CHARSETS.issuperset(given):
        names = " or ".join(sorted(name.decode() for name in types))
        raise Refusal(MEDIA_TYPE_UNSUPPORTED, f"Send the body as {names} in UTF-8.")


def check_accept(value: bytes | None) -> None:
    """Refuse a client that would not read JSON (RFC 9110 §12.5.1).

    The most specific range decides; one that cannot be read, or asks for a parameter that our
    JSON does not have, matches nothing.

    Raises:
        Refusal: NOT_ACCEPTABLE.
    """
    if value not in USUAL_ACCEPTS and not _accepts_json(value or b""):
        raise Refusal(NOT_ACCEPTABLE)


def _accepts_json(value: bytes) -> bool:
    wanted: dict[bytes, bool] = {}
    for element in value.lower().split(b",", defaults.MAX_ACCEPT_RANGES)[: defaults.MAX_ACCEPT_RANGES]:
        media, *parameters = [part.strip(b" \t") for part in element.split(b";", MAX_PARAMETERS)]
        weights = [parameter[2:] for parameter in parameters if parameter.startswith(b"q=")]
        others = [parameter for parameter in parameters if parameter and not parameter.startswith(b"q=")]
        if len(weights) > 1 or not CHARSETS.issuperset(others):
            continue
        weight = weights[0] if weights else b"1"
        if QUALITY.fullmatch(weight) is not None:
            wanted[media] = wanted.get(media, False) or float(weight) > 0
    for media in (b"application/json", b"application/*", b"*/*"):
        if media in wanted:
            return wanted[media] or wanted.get(b"application/problem+json", False)
    return wanted.get(b"application/problem+json", False)
