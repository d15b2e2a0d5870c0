"""CORS: which pages of other origins may call (the Fetch Standard, §3.2). Closed unless configured.

Never with credentials: the API has no cookies, and a token is put into a header by the page's own
code. A request from another origin that is no preflight is answered like any other, without the
headers that would let the page read the answer. Refusing it would protect nothing: nothing travels
with it that the page did not put there, and whatever is not a browser writes any Origin. What could
change something (JSON, Authorization) needs a preflight first, and that one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, final

from vallum import defaults
from vallum.declare.errors import DeclarationError
from vallum.refusals import ORIGIN_FORBIDDEN, Refusal
from vallum.request import Header

Headers = tuple[Header, ...]

# RFC 6454 §6.2, as browsers write it: lower case, no default port. http only for a developer's own machine.
ORIGIN: Final = re.compile(
    r"(?:https://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])|http://(?:localhost|127\.0\.0\.1|\[::1\]))"
    r"(?::[1-9][0-9]{0,4})?"
)
VARY: Final[Header] = (b"vary", b"Origin")
EXPOSED: Final[Header] = (
    b"access-control-expose-headers",
    b"Date, ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id",
)
ASKED_FOR: Final = (
    b"Authorization",
    b"Content-Type",
    b"Idempotency-Key",
    b"If-Match",
    b"If-None-Match",
    b"X-API-Key",
    b"X-Request-Nonce",
    b"X-Request-Timestamp",
)
"""What a page may send that is not on the Fetch Standard's own list."""
PREFLIGHT: Final[Headers] = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b", ".join(ASKED_FOR)),
    (b"access-control-max-age", str(defaults.CORS_MAX_AGE_SECONDS).encode()),
    VARY,
)


@final
class Cors:
    """The configured origins, with their headers made in advance."""

    __slots__ = ("other", "preflights", "simple")

    def __init__(self, origins: Iterable[str] = ()) -> None:
        """
        Args:
            origins: exact, as a browser writes them: `https://app.example.org`, `http://localhost:5173`.

        Raises:
            DeclarationError: `cors-origin` for `*`, `null`, a path, a default port, plain http, upper case.
        """
        self.simple: dict[bytes, Headers] = {}
        self.preflights: dict[bytes, Headers] = {}
        for origin in origins:
            if ORIGIN.fullmatch(origin) is None or re.fullmatch(r"https:.*:443|http:.*:80", origin):
                raise DeclarationError(
                    "cors-origin", f"origin {origin!r}", "Write it exactly: https://app.example.org."
                )
            allowed = (b"access-control-allow-origin", origin.encode())
            self.simple[origin.encode()] = (allowed, EXPOSED, VARY)
            self.preflights[origin.encode()] = (allowed, *PREFLIGHT)
        self.other: Headers = (VARY,) if self.simple else ()


def cors_headers(origin: bytes | None, cors: Cors) -> Headers:
    """What an answer to `origin` (None: the request has none) carries; shared caches must keep origins apart."""
    return cors.other if origin is None else cors.simple.get(origin, cors.other)


def sole_origin(raw: Iterable[Header]) -> bytes | None:
    """The `Origin` of a header section that nobody has accepted; None unless it stands there once (RFC 6454 §7.3)."""
    found = [value for name, value in raw if name == b"origin"]
    return found[0] if len(found) == 1 else None


def preflight_headers(method: str, headers: Mapping[bytes, bytes], cors: Cors) -> Headers | None:
    """The answer to a preflight, the same for every path, or None when the request is none.

    Raises:
        Refusal: ORIGIN_FORBIDDEN.
    """
    if method != "OPTIONS" or b"access-control-request-method" not in headers or b"origin" not in headers:
        return None
    answer = cors.preflights.get(headers[b"origin"])
    if answer is None:
        raise Refusal(ORIGIN_FORBIDDEN)
    return answer
