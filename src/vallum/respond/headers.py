"""The header fields of every answer, on errors too. They are bytes built once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from vallum import defaults
from vallum.request import Header

JSON_TYPE: Final = b"application/json"
PROBLEM_TYPE: Final = b"application/problem+json"

# The OWASP REST and HTTP Headers cheat sheets; `no-store` because every answer is one caller's own.
HARDENING: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    # An empty product name: the server would otherwise add its own.
    (b"server", b""),
)


@final
@dataclass(frozen=True, slots=True)
class FixedHeaders:
    """What every answer of this service starts with, by media type."""

    json: tuple[Header, ...]
    problem: tuple[Header, ...]
    bare: tuple[Header, ...]


def fixed_headers(hsts_seconds: int = defaults.HSTS_SECONDS) -> FixedHeaders:
    """The fixed fields with HSTS of that age (RFC 6797; a development host gets a short one)."""
    subdomains = "; includeSubDomains" if hsts_seconds >= defaults.HSTS_SECONDS else ""
    bare = (*HARDENING, (b"strict-transport-security", f"max-age={hsts_seconds}{subdomains}".encode()))
    return FixedHeaders(
        json=(*bare, (b"content-type", JSON_TYPE)),
        problem=(*bare, (b"content-type", PROBLEM_TYPE)),
        bare=bare,
    )
