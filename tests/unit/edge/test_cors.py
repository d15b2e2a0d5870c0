"""Which pages of other origins may call."""

from __future__ import annotations

import pytest

from vallum.declare.errors import DeclarationError
from vallum.edge.cors import Cors, cors_headers, preflight_headers
from vallum.refusals import ORIGIN_FORBIDDEN, Refusal

APP = "https://app.example.org"
CORS = Cors([APP, "http://localhost:5173"])
CLOSED = Cors()
OTHERS = [
    b"https://evil.net",
    b"http://app.example.org",
    b"https://app.example.org:8443",
    b"https://app.example.org.evil.net",
    b"https://xapp.example.org",
    b"https://app.example.org/",
    b"https://APP.example.org",
    b"null",
    b"*",
    b"",
    b"https://app.example.org https://evil.net",
]


def preflight(origin: bytes) -> dict[bytes, bytes]:
    return {b"origin": origin, b"access-control-request-method": b"PATCH"}


def test_configured_origin() -> None:
    """The exact origin is echoed, answers are told apart by it, and useful headers can be read."""
    headers = dict(cors_headers(APP.encode(), CORS))
    assert headers[b"access-control-allow-origin"] == APP.encode()
    assert headers[b"vary"] == b"Origin"
    assert {b"ETag", b"Link", b"RateLimit"} <= set(headers[b"access-control-expose-headers"].split(b", "))


@pytest.mark.parametrize("origin", [None, *OTHERS])
def test_other_origin(origin: bytes | None) -> None:
    """Anyone else gets no permission, but a cache is told that the answer depends on the origin."""
    assert cors_headers(origin, CORS) == ((b"vary", b"Origin"),)


@pytest.mark.parametrize("origin", [None, APP.encode(), b"null"])
def test_closed(origin: bytes | None) -> None:
    """Without configuration there is not one CORS header."""
    assert cors_headers(origin, CLOSED) == ()


def test_never_with_credentials() -> None:
    """No answer allows credentials or a wildcard."""
    every = [*CORS.simple.values(), *CORS.preflights.values(), CORS.other]
    for name, value in (pair for headers in every for pair in headers):
        assert name != b"access-control-allow-credentials"
        assert b"*" not in value


def test_preflight() -> None:
    """A preflight of a configured origin is answered from static data: methods, headers, an age."""
    answer = preflight_headers("OPTIONS", preflight(b"http://localhost:5173"), CORS)
    assert answer is not None
    headers = dict(answer)
    assert headers[b"access-control-allow-origin"] == b"http://localhost:5173"
    assert b"PATCH" in headers[b"access-control-allow-methods"].split(b", ")
    assert b"Authorization" in headers[b"access-control-allow-headers"].split(b", ")
    assert headers[b"access-control-max-age"].isdigit()
    assert headers[b"vary"] == b"Origin"


@pytest.mark.parametrize("origin", OTHERS)
def test_foreign_preflight(origin: bytes) -> None:
    """A preflight of anyone else is refused; `null`, which any sandboxed page can send, too."""
    with pytest.raises(Refusal) as caught:
        preflight_headers("OPTIONS", preflight(origin), CORS)
    assert caught.value.reason is ORIGIN_FORBIDDEN


def test_closed_preflight() -> None:
    """Without configuration every preflight is refused."""
    with pytest.raises(Refusal):
        preflight_headers("OPTIONS", preflight(APP.encode()), CLOSED)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", preflight(b"https://evil.net")),
        ("OPTIONS", {b"origin": b"https://evil.net"}),
        ("OPTIONS", {b"access-control-request-method": b"GET"}),
        ("POST", {b"origin": b"https://evil.net"}),
    ],
)
def test_no_preflight(method: str, headers: dict[bytes, bytes]) -> None:
    """Only OPTIONS with both headers is a preflight; a foreign Origin elsewhere is not refused."""
    assert preflight_headers(method, headers, CORS) is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://a",
        "https://a.b-c.example",
        "https://a:8443",
        "https://[::1]:8443",
        "http://localhost",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
    ],
)
def test_origins_that_can_be_configured(origin: str) -> None:
    """Pages over https anywhere; http on the developer's own machine only."""
    assert cors_headers(origin.encode(), Cors([origin]))[0] == (b"access-control-allow-origin", origin.encode())


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "",
        "https://*.example.org",
        "https://a/",
        "https://a/path",
        "https://a:443",
        "http://localhost:80",
        "https://a:0",
        "https://a:123456",
        "https://A.example.org",
        "https://user@a",
        "http://a.example.org",
        "http://localhost.evil.net",
        "ftp://a",
        "a.example.org",
        "https://é.example",
        "https://a https://b",
        "https://a\n",
    ],
)
def test_origins_that_cannot(origin: str) -> None:
    """A wildcard, `null`, plain http, or what a browser would never send stops start-up."""
    with pytest.raises(DeclarationError) as caught:
        Cors([origin])
    assert caught.value.identifier == "cors-origin"
