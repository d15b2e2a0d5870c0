"""What a body may be and what a client must accept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.declare.document import Document
from vallum.declare.route import BodyKind, Kind, Route, Verb
from vallum.edge.media import BODILESS, check_accept, check_body
from vallum.edge.routes import RouteTable
from vallum.refusals import (
    BODY_TOO_LARGE,
    BODY_UNEXPECTED,
    MEDIA_TYPE_UNSUPPORTED,
    NOT_ACCEPTABLE,
    Reason,
    Refusal,
)


async def answer(_: object) -> Document:
    raise AssertionError("only the edge is tested")


TOKEN = Route(
    "/token",
    Kind.BUILT_IN,
    {"POST": Verb.SERVE},
    service=answer,
    public="the client authenticates itself",
    bodies={"POST": BodyKind.FORM},
    max_body_bytes=100,
)
UPLOAD = Route(
    "/upload",
    Kind.ENDPOINT,
    {"POST": Verb.ACT},
    bodies={"POST": BodyKind.JSON},
    max_body_bytes=2 * defaults.MAX_BODY_BYTES,
)
SMALL = Route("/small", Kind.ENDPOINT, {"POST": Verb.ACT}, bodies={"POST": BodyKind.JSON}, max_body_bytes=10)
PLAIN = RouteTable([TOKEN, SMALL])
LARGE = RouteTable([TOKEN, SMALL, UPLOAD])
JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
PATCH = b"application/merge-patch+json"


def check(
    method: str,
    content_type: bytes | None,
    *,
    length: int | None = 1,
    route: Route | None = None,
    coding: bytes | None = None,
    table: RouteTable = PLAIN,
) -> Reason | None:
    """The reason of the refusal, or None."""
    headers = {b"host": b"a"}
    if content_type is not None:
        headers[b"content-type"] = content_type
    if coding is not None:
        headers[b"content-encoding"] = coding
    try:
        check_body(method, route, headers, length, table)
    except Refusal as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json;charset=utf-8",
        b"application/json; charset=UTF-8",
        b'application/json ; charset="utf-8"',
        b"application/json;",
    ],
)
def test_json(content_type: bytes) -> None:
    """JSON in UTF-8, in any case of letters; the one parameter is one that changes nothing."""
    assert check("POST", content_type) is None
    assert check("PUT", content_type) is None
    assert check("PATCH", content_type) is None
    assert check("POST", content_type, length=None) is None


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b"text/plain",
        b"text/json",
        b"application/jsonx",
        b"application/json, text/plain",
        b"application/json text/plain",
        b"application/json; charset=latin-1",
        b"application/json; charset=utf-16",
        b"application/json; charset=",
        b"application/json; charset=utf-8; charset=utf-8",
        b"application/json; charset=utf-8; charset=utf-7",
        b"application/json; charset='utf-8'",
        b"application/json; charset = utf-8",
        b"application/json; version=1",
        b"application/json; boundary=x",
        b"application/json;;;;;charset=utf-7",
        b"multipart/form-data; boundary=x",
        PATCH,
        FORM,
    ],
)
def test_not_json(content_type: bytes | None) -> None:
    """Another type, another charset, any other parameter, or no type at all."""
    assert check("POST", content_type) is MEDIA_TYPE_UNSUPPORTED
    assert check("PUT", content_type) is MEDIA_TYPE_UNSUPPORTED


def test_merge_patch() -> None:
    """PATCH takes both names of a merge patch (RFC 7396 §4), and no form."""
    assert check("PATCH", PATCH) is None
    assert check("PATCH", PATCH + b"; charset=utf-8") is None
    assert check("PATCH", b"application/json-patch+json") is MEDIA_TYPE_UNSUPPORTED
    assert check("PATCH", FORM) is MEDIA_TYPE_UNSUPPORTED


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"identity, gzip", b"", b"x-gzip"])
def test_content_codings(coding: bytes) -> None:
    """A compressed body is refused: what it decompresses to is not bounded by its length."""
    assert check("POST", JSON, coding=coding) is MEDIA_TYPE_UNSUPPORTED
    assert check("POST", JSON, coding=b"Identity") is None


@pytest.mark.parametrize("method", sorted(BODILESS))
def test_methods_without_body(method: str) -> None:
    """A length or chunks on a method without body is refused; a length of 0 is none."""
    assert check(method, JSON, length=1) is BODY_UNEXPECTED
    assert check(method, None, length=None) is BODY_UNEXPECTED
    assert check(method, b"text/plain", length=0) is None


def test_size_boundary() -> None:
    """The largest route measures all that ask for a credential, to the byte, known or not."""
    for route in (None, SMALL):
        assert check("POST", JSON, length=defaults.MAX_BODY_BYTES, route=route) is None
        assert check("POST", JSON, length=defaults.MAX_BODY_BYTES + 1, route=route) is BODY_TOO_LARGE
        assert check("POST", JSON, length=2 * defaults.MAX_BODY_BYTES, route=route, table=LARGE) is None
        assert check("POST", JSON, length=2 * defaults.MAX_BODY_BYTES + 1, route=route, table=LARGE) is BODY_TOO_LARGE


def test_public_route() -> None:
    """A public route is measured by what it takes itself."""
    assert check("POST", FORM, length=100, route=TOKEN) is None
    assert check("POST", FORM, length=101, route=TOKEN) is BODY_TOO_LARGE
    assert check("POST", JSON, route=TOKEN) is MEDIA_TYPE_UNSUPPORTED
    assert check("PUT", FORM, route=TOKEN) is BODY_UNEXPECTED
    assert check("GET", None, length=0, route=TOKEN) is None


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]),
    content_type=st.none()
    | st.sampled_from([JSON, FORM, PATCH, b"text/plain", JSON + b"; charset=utf-8"])
    | st.binary(),
    length=st.none() | st.integers(0, 3 * defaults.MAX_BODY_BYTES),
    coding=st.none() | st.sampled_from([b"gzip", b"identity"]),
    route=st.sampled_from([UPLOAD, SMALL]),
)
def test_a_stranger_learns_no_route(
    method: str, content_type: bytes | None, length: int | None, coding: bytes | None, route: Route
) -> None:
    """Whatever the body claims to be, a path with a route and one without get the same verdict."""
    with_route = check(method, content_type, length=length, coding=coding, route=route, table=LARGE)
    without = check(method, content_type, length=length, coding=coding, route=None, table=LARGE)
    assert with_route is without


@pytest.mark.parametrize(
    "accept",
    [
        None,
        b"*/*",
        b"application/*",
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b"application/json;q=0.001",
        b"application/problem+json",
        b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        b"application/json, text/plain, */*",
        b"text/html;q=1.000, application/json;q=0.5",
        b"application/*;q=0, application/json",
        b"*/*;q=0, application/json;q=1.",
        b",application/json",
        b'text/html;level="1,2", application/json',
    ],
)
def test_acceptable(accept: bytes | None) -> None:
    """What ordinary clients send, Java's own client included, leads to JSON."""
    check_accept(accept)


@pytest.mark.parametrize(
    "accept",
    [
        b"",
        b"text/html",
        b"application/xml",
        b"application/jsonx",
        b"json",
        b"*",
        b"application/json;q=0",
        b"application/json;q=0.000, */*",
        b"application/json;q=0, application/*;q=1",
        b"application/*;q=0, */*",
        b"*/*;q=0",
        b"application/json;q=2",
        b"application/json;q=0.1234",
        b"application/json;q=-1",
        b"application/json;q=",
        b"application/json;q=nan",
        b"application/json;q=1;q=1",
        b"application/json;version=2",
        b"application/json;charset=utf-16",
        b"application/json;a;b;c;d;e",
        b"text/html," * defaults.MAX_ACCEPT_RANGES + b"*/*",
    ],
)
def test_not_acceptable(accept: bytes) -> None:
    """JSON refused by name or by the most specific range, or asked for with a parameter that it has not."""
    with pytest.raises(Refusal) as caught:
        check_accept(accept)
    assert caught.value.reason is NOT_ACCEPTABLE


@given(st.binary(max_size=60) | st.text(alphabet="aplicton/js*;q=01., \t", max_size=60).map(str.encode))
def test_any_accept(accept: bytes) -> None:
    """Any bytes are acceptable or refused; nothing else is raised."""
    try:
        check_accept(accept)
    except Refusal:
        return
    assert b"/" in accept
