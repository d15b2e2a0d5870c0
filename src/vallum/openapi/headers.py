"""Header fields of answers and of requests, as components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vallum import defaults
from vallum.openapi.components import Components, Json
from vallum.openapi.traits import Trait
from vallum.validate.column_schemas import WITHOUT_CONTROLS

ETAG_PATTERN: Final = '^"[0-9a-f]{32}"$'
ETAG_EXAMPLE: Final = '"6f1ed002ab5595859014ebf0951522d9"'

_POLICY = '"[a-z]+";q=[0-9]+;w=[0-9]+'
_HEADERS: Final[Mapping[str, tuple[str, str, int, str]]] = {
    "X-Request-Id": ("Finds the request in the log of the service.", "^[0-9a-f]{32}$", 32, "0" * 31 + "1"),
    "Date": ("When it was answered: with it a client mends its clock.", "GMT$", 29, "Sat, 31 Jan 2026 08:30:00 GMT"),
    "RateLimit-Policy": (
        "The quotas of the caller: units (`q`) in so many seconds (`w`).",
        f"^{_POLICY}(,{_POLICY})*$",
        200,
        '"hour";q=5000;w=3600,"day";q=50000;w=86400',
    ),
    "RateLimit": (
        "The quota that is used up next: units that remain (`r`), seconds until there are more (`t`).",
        '^"[a-z]+";r=[0-9]+;t=[0-9]+$',
        100,
        '"hour";r=4987;t=1805',
    ),
    "Retry-After": ("Seconds to wait.", "^[0-9]+$", 10, "3"),
    "WWW-Authenticate": ("RFC 6750 §3.", "^Bearer ", 2_000, 'Bearer realm="api"'),
    "ETag": (
        "Of all that the caller may read of the row; for `If-Match` and `If-None-Match`.",
        ETAG_PATTERN,
        34,
        ETAG_EXAMPLE,
    ),
    "Location": ("Where the new row is.", "^https://", 9_000, "https://example.org/items/1"),
    "Link": (
        "The next page (RFC 8288), where there is one.",
        '^<https://.*>; rel="next"$',
        9_000,
        '<https://example.org/items?after=AbC>; rel="next"',
    ),
    "Idempotent-Replayed": (
        "It was carried out before, under the same `Idempotency-Key`; this is the answer of then.",
        "^true$",
        4,
        "true",
    ),
    "Access-Control-Allow-Origin": (
        "Only for pages of an origin that this API names; absent for all others.",
        "^https?://",
        300,
        "https://app.example.org",
    ),
}
"""Name → what it says, pattern, greatest length, example."""

# True: it is on every such answer.
Wanted = Mapping[str, bool]
COMMON: Final[Wanted] = {"X-Request-Id": True, "Date": True, "Access-Control-Allow-Origin": False}
ANSWERED: Final = {**COMMON, "RateLimit-Policy": True, "RateLimit": True}
REFUSED: Final = {**COMMON, "RateLimit-Policy": False, "RateLimit": False}
RETRY_AFTER: Final[Mapping[int, dict[str, bool]]] = {
    401: {"WWW-Authenticate": True},
    429: {"Retry-After": True},
    503: {"Retry-After": True},
}
"""What refusals of a status have beyond."""


def headers(components: Components, wanted: Wanted) -> Json:
    """References to these fields."""
    # A reference says nothing beside itself, so a field that is on every such answer is a component of its own.
    return {
        name: components.ref("headers", f"{name}-Always" if needed else name, lambda n=name, r=needed: _header(n, r))  # type: ignore[misc]
        for name, needed in wanted.items()
    }


def _header(name: str, needed: bool) -> Json:
    description, pattern, longest, example = _HEADERS[name]
    return {
        "description": description,
        **({"required": True} if needed else {}),
        "schema": {"type": "string", "maxLength": longest, "pattern": pattern or WITHOUT_CONTROLS},
        "example": example,
    }


# Of requests ------------------------------------------------------------------------------

_TAG: Final = '(?:W/)?"[!#-~]*"'
_TAGS: Final[Json] = {
    "type": "string",
    "maxLength": 4_000,
    "pattern": f"^(?:\\*|{_TAG}(?:, ?{_TAG}){{0,{defaults.MAX_ENTITY_TAGS - 1}}})$",
}
# draft-ietf-httpapi-idempotency-key-header-07 §2.1, or bare (`validate/idempotency.py`)
_KEY: Final = r"""^(?:"(?:[ !#-\[\]-~]|\\["\\])+"|[!#$%&'*+.^_`|~0-9A-Za-z:/=-]+)$"""
# `authenticate/freshness.py`
_TIMESTAMP: Final = (
    r"^(?:[1-9][0-9]{9}|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))$"
)
_NONCE: Final[Json] = {
    "type": "string",
    "minLength": defaults.MIN_NONCE_CHARACTERS,
    "maxLength": defaults.MAX_NONCE_CHARACTERS,
    "pattern": "^[A-Za-z0-9._~+/=-]+$",
}
_OF_REQUESTS: Final[Mapping[str, tuple[str, Trait, Json]]] = {
    "IfMatchRequired": (
        "If-Match",
        "change",
        {
            "required": True,
            "description": "`ETag` of the state that the client means to change.",
            "schema": _TAGS,
            "example": ETAG_EXAMPLE,
        },
    ),
    "IfMatch": (
        "If-Match",
        "remove",
        {
            "description": "`ETag` of the state that the client means to remove.",
            "schema": _TAGS,
            "example": ETAG_EXAMPLE,
        },
    ),
    "IfNoneMatch": (
        "If-None-Match",
        "item",
        {
            "description": "`ETag` of what the client has; when nothing has changed, the answer is 304.",
            "schema": _TAGS,
            "example": ETAG_EXAMPLE,
        },
    ),
    "RequestTimestamp": (
        "X-Request-Timestamp",
        "fresh",
        {
            "required": True,
            "description": "When the request is made: Unix seconds or RFC 3339. `Date` of an answer is our clock.",
            "schema": {"type": "string", "maxLength": 35, "pattern": _TIMESTAMP},
            "example": "1800014400",
        },
    ),
    "RequestNonce": (
        "X-Request-Nonce",
        "fresh",
        {
            "required": True,
            "description": "A random text that no other request of the caller has: the request is carried out once.",
            "schema": _NONCE,
            "example": "5f3c1d0b8a7e4f6290ab13cd57e8f042",
        },
    ),
    "IdempotencyKey": (
        "Idempotency-Key",
        "once",
        {
            "description": (
                "A text of the client's own, a UUID for instance. Sent again with the same body within 24 hours, "
                "the request is not carried out again, and gets the first answer."
            ),
            "schema": {"type": "string", "maxLength": 2 * defaults.MAX_IDEMPOTENCY_KEY_CHARACTERS, "pattern": _KEY},
            "example": '"0198c1a5-0d5e-7d30-9c55-3f1f0f6b2a41"',
        },
    ),
}
"""Name of the component → name of the field, which operations take it, and the rest of its parameter."""


def request_headers(traits: frozenset[Trait], components: Components) -> list[Json]:
    """References to the header fields that an operation with these traits reads."""
    return [
        components.ref("parameters", name, lambda field=field, rest=rest: {"name": field, "in": "header", **rest})  # type: ignore[misc]
        for name, (field, trait, rest) in _OF_REQUESTS.items()
        if trait in traits
    ]
