"""Stage 1: every way in which the edge refuses, and what it hands on, from ASGI scopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults, refusals
from vallum.crypto.random import request_id
from vallum.declare.document import Document
from vallum.declare.route import BodyKind, Kind, Route, Verb
from vallum.edge.cors import Cors
from vallum.edge.host import allowed_hosts
from vallum.edge.proxy import Proxy
from vallum.edge.routes import RouteTable
from vallum.edge.stage import Admitted, Edge, Preflight, admit
from vallum.refusals import Reason, Refusal
from vallum.store.memory import AddressLimiter
from vallum.throttle.gcra import conform

NOW = 1_800_000_000.0
APP = b"https://app.example.org"
HOST = (b"host", b"api.example.org")
JSON = (b"content-type", b"application/json")
CHUNKED = (b"transfer-encoding", b"chunked")
TOKEN = (b"authorization", b"Bearer x")

STUDENTS = Route("/students", Kind.COLLECTION, {"GET": Verb.LIST, "POST": Verb.CREATE}, bodies={"POST": BodyKind.JSON})
STUDENT = Route(
    "/students/{id}", Kind.ITEM, {"GET": Verb.ITEM}, bodies={"PATCH": BodyKind.MERGE_PATCH}, max_body_bytes=9
)
ENROL = Route("/students/{id}/enrol", Kind.ACTION, {"POST": Verb.ACT})


async def answer(_: object) -> Document:
    raise AssertionError("only the edge is tested")


KEYS = Route(
    "/.well-known/jwks.json", Kind.BUILT_IN, {"GET": Verb.SERVE}, service=answer, public="public keys are public"
)


def new_edge(proxy: Proxy | None = None, limiter: AddressLimiter | None = None) -> Edge:
    return Edge(
        routes=RouteTable([STUDENTS, STUDENT, ENROL, KEYS]),
        hosts=allowed_hosts(["api.example.org"]),
        limiter=limiter or AddressLimiter(conform),
        request_id=request_id,
        proxy=proxy,
        cors=Cors([APP.decode()]),
    )


async def receive() -> Mapping[str, object]:
    raise AssertionError("the edge reads no body")


def scope(*headers: tuple[bytes, bytes], host: bool = True, **given: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "raw_path": b"/students",
        "query_string": b"",
        "client": ("192.0.2.1", 4711),
        "headers": [HOST, *headers] if host else list(headers),
        **given,
    }


def admitted(*headers: tuple[bytes, bytes], edge: Edge | None = None, **given: Any) -> Admitted:
    ticket = admit(scope(*headers, **given), receive, edge or new_edge(), NOW)
    assert isinstance(ticket, Admitted)
    return ticket


def refused(*headers: tuple[bytes, bytes], edge: Edge | None = None, **given: Any) -> Reason:
    with pytest.raises(Refusal) as caught:
        admit(scope(*headers, **given), receive, edge or new_edge(), NOW)
    return caught.value.reason


def test_what_is_handed_on() -> None:
    """An ordinary request becomes a Request with its route and keys, and nothing of its body is read."""
    ticket = admitted(TOKEN, raw_path=b"/students/a%20b%2C%C3%A9", query_string=b"fields=id")
    request = ticket.request
    assert ticket.route is STUDENT
    assert ticket.keys == ("a b,é",)
    assert (request.method, request.path, request.query) == ("GET", "/students/a b,é", "fields=id")
    assert (request.address, request.received_at) == ("192.0.2.1", NOW)
    assert request.header(b"authorization") == "Bearer x"
    assert len(request.id) == 32
    assert request.id != admitted().request.id


def test_an_unknown_path_is_admitted() -> None:
    """Only `authorise` says that nothing is there."""
    for path in (b"/nothing", b"/students/1,2", b"/students/", b"/%C3%A9"):
        ticket = admitted(raw_path=path)
        assert (ticket.route, ticket.keys) == (None, ())


def test_an_unknown_method_is_admitted() -> None:
    """Only `authorise` says that a method does not exist."""
    assert admitted(method="PROPFIND").request.method == "PROPFIND"


# 1. address and transport


def test_plain_http() -> None:
    """Plain HTTP is refused, whatever a header claims."""
    assert refused(scheme="http") is refusals.HTTPS_REQUIRED
    assert refused((b"x-forwarded-proto", b"https"), scheme="http") is refusals.HTTPS_REQUIRED


def test_behind_a_proxy() -> None:
    """A configured proxy names the client; its https counts."""
    edge = new_edge(Proxy.of(["10.0.0.0/24"]))
    lines = ((b"x-forwarded-for", b"192.0.2.66, 192.0.2.7"), (b"x-forwarded-proto", b"https"))
    assert admitted(*lines, edge=edge, scheme="http", client=("10.0.0.1", 1)).request.address == "192.0.2.7"
    assert refused(lines[0], edge=edge, scheme="http", client=("10.0.0.1", 1)) is refusals.HTTPS_REQUIRED
    assert refused(lines[1], edge=edge, scheme="http", client=("10.0.0.1", 1)) is refusals.REQUEST_MALFORMED
    assert refused(*lines, edge=edge, scheme="http") is refusals.HTTPS_REQUIRED


def test_a_spoofed_address() -> None:
    """Without a proxy in the configuration the socket alone says who calls."""
    assert admitted((b"x-forwarded-for", b"192.0.2.66")).request.address == "192.0.2.1"


# 2. floods


def test_flood() -> None:
    """An address has a burst; beyond it the answer is 429 with Retry-After, and others are not touched."""
    edge = new_edge()
    for _ in range(defaults.ADDRESS_BURST):
        admitted(edge=edge)
    with pytest.raises(Refusal) as caught:
        admit(scope(), receive, edge, NOW)
    assert caught.value.reason is refusals.ADDRESS_LIMITED
    assert caught.value.retry_after_seconds == 1
    admitted(edge=edge, client=("192.0.2.2", 1))
    assert isinstance(admit(scope(), receive, edge, NOW + 1), Admitted)


def test_refused_requests_count_as_well() -> None:
    """Malformed requests use up the same burst."""
    edge = new_edge()
    for _ in range(defaults.ADDRESS_BURST):
        assert refused(edge=edge, host=False) is refusals.REQUEST_MALFORMED
    assert refused(edge=edge, host=False) is refusals.ADDRESS_LIMITED


# 3. headers, framing, host


def test_too_many_headers() -> None:
    """One header more than allowed."""
    lines = [(b"x-%d" % n, b"") for n in range(defaults.MAX_HEADER_COUNT)]
    assert refused(*lines) is refusals.HEADERS_TOO_LARGE
    admitted(*lines[1:])


def test_too_large_headers() -> None:
    """One long header."""
    assert refused((b"cookie", b"c" * defaults.MAX_HEADERS_BYTES)) is refusals.HEADERS_TOO_LARGE


def test_long_target() -> None:
    """Path and query share their length, to the byte."""
    query = b"q" * (defaults.MAX_TARGET_BYTES - len(b"/students"))
    admitted(query_string=query)
    assert refused(query_string=query + b"q") is refusals.TARGET_TOO_LONG
    assert refused(raw_path=b"/" + b"a" * defaults.MAX_TARGET_BYTES) is refusals.TARGET_TOO_LONG


SMUGGLING = {
    "length and chunks": [(b"content-length", b"3"), CHUNKED],
    "chunks and length": [CHUNKED, (b"content-length", b"3")],
    "two lengths": [(b"content-length", b"3"), (b"content-length", b"30")],
    "two equal lengths": [(b"content-length", b"3"), (b"content-length", b"3")],
    "length list": [(b"content-length", b"3, 3")],
    "signed length": [(b"content-length", b"+3")],
    "length with a tail": [(b"content-length", b"3 ")],
    "hexadecimal length": [(b"content-length", b"0x3")],
    "overflowing length": [(b"content-length", b"18446744073709551619")],
    "two codings": [CHUNKED, CHUNKED],
    "coding list": [(b"transfer-encoding", b"gzip, chunked")],
    "identity": [(b"transfer-encoding", b"identity")],
    "vertical tab before chunked": [(b"transfer-encoding", b"\x0bchunked")],
    "chunked in quotes": [(b"transfer-encoding", b'"chunked"')],
    "two hosts": [HOST],
    "another host": [(b"host", b"evil.net")],
    "space before the colon": [(b"content-length ", b"3")],
    "space before the name": [(b" content-length", b"3")],
    "folded line": [(b"x-a", b"b\r\n content-length: 3")],
    "bare line feed": [(b"x-a", b"b\ncontent-length: 3")],
    "bare carriage return": [(b"x-a", b"b\rc")],
    "NUL in a value": [(b"x-a", b"b\x00")],
    "colon in a name": [(b"x-a:b", b"c")],
    "upper case name": [(b"Content-Length", b"3")],
    "pseudo-header": [(b":path", b"/admin")],
    "non-ASCII value": [(b"x-a", b"caf\xc3\xa9")],
    "two credentials of a kind": [TOKEN, TOKEN],
    "two content types": [JSON, JSON],
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling(name: str) -> None:
    """Whatever two readers could read as two requests, or as two different ones, is refused."""
    assert refused(*SMUGGLING[name], method="POST") is refusals.REQUEST_MALFORMED


def test_chunks_outside_http_1_1() -> None:
    """HTTP/1.0 knows no chunks."""
    assert refused(CHUNKED, JSON, method="POST", http_version="1") is refusals.REQUEST_MALFORMED
    admitted(CHUNKED, JSON, method="POST")


@pytest.mark.parametrize("version", ["1", "1.0", "1.1", "2"])
def test_missing_host(version: str) -> None:
    """Without Host, or with the empty one that Granian makes of it, nothing is answered."""
    assert refused(host=False, http_version=version) is refusals.REQUEST_MALFORMED
    assert refused((b"host", b""), host=False, http_version=version) is refusals.REQUEST_MALFORMED


def test_unknown_host() -> None:
    """A request for another service, as DNS rebinding makes them."""
    assert refused((b"host", b"evil.net"), host=False) is refusals.HOST_UNKNOWN
    admitted((b"host", b"API.example.org:443"), host=False)


def test_userinfo_in_host() -> None:
    """Userinfo is no part of a host."""
    assert refused((b"host", b"x@api.example.org"), host=False) is refusals.REQUEST_MALFORMED


# 4. request line


@pytest.mark.parametrize("path", [b"/a/../b", b"/a/%2e%2e/b", b"/a%2Fb", b"/a%5cb", b"/a%00", b"//a", b"/a;b", b"/%zz"])
def test_ambiguous_paths(path: bytes) -> None:
    """Dot segments, encoded separators, empty segments and broken encoding are refused, not mended."""
    assert refused(raw_path=path) is refusals.REQUEST_MALFORMED


@pytest.mark.parametrize("path", [b"", None, b"*", b"api.example.org:443", b"https://evil.net/students", b"students"])
def test_target_forms(path: bytes | None) -> None:
    """Asterisk form, authority form, another authority and no path at all are refused."""
    assert refused(raw_path=path) is refusals.REQUEST_MALFORMED


def test_absolute_form() -> None:
    """The absolute form of the same authority is its path."""
    assert admitted(raw_path=b"https://api.example.org/students").route is STUDENTS
    assert refused(raw_path=b"https://api.example.org/students/../x") is refusals.REQUEST_MALFORMED


def test_odd_query() -> None:
    """Bytes that cannot stand in a query."""
    assert refused(query_string=b"a=\xe9") is refusals.REQUEST_MALFORMED


def test_lower_case_method() -> None:
    """`get` is no method of HTTP."""
    assert refused(method="get") is refusals.REQUEST_MALFORMED


# 5. what must not be ignored


@pytest.mark.parametrize(
    "name",
    ["signature", "signature-input", "dpop", "upgrade"],
)
def test_unsupported_headers(name: str) -> None:
    """A protection that is asked for and not there is refused, never ignored."""
    assert refused((name.encode(), b"x"), method="POST") is refusals.HEADER_UNSUPPORTED


def test_expectation() -> None:
    """Only 100-continue."""
    assert refused((b"expect", b"x")) is refusals.EXPECTATION_FAILED
    admitted((b"expect", b"100-continue"))


@pytest.mark.parametrize("name", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_method_override(name: str) -> None:
    """A method-override header changes nothing."""
    assert admitted((name.encode(), b"DELETE")).request.method == "GET"


# 7. body and answer


def test_large_body() -> None:
    """By its declared length, to the byte, before anyone knows who calls."""
    limit = defaults.MAX_BODY_BYTES
    admitted(JSON, (b"content-length", b"%d" % limit), method="POST")
    assert refused(JSON, (b"content-length", b"%d" % (limit + 1)), method="POST") is refusals.BODY_TOO_LARGE


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("framing", [(b"content-length", b"1"), CHUNKED])
def test_unexpected_body(method: str, framing: tuple[bytes, bytes]) -> None:
    """These methods take no body."""
    assert refused(JSON, framing, method=method) is refusals.BODY_UNEXPECTED


@pytest.mark.parametrize("path", [b"/students", b"/students/1", b"/students/1/enrol", b"/nothing"])
def test_media_type(path: bytes) -> None:
    """JSON without a coding, wherever it goes."""
    body = (b"content-length", b"2")
    assert refused(body, method="POST", raw_path=path) is refusals.MEDIA_TYPE_UNSUPPORTED
    assert (
        refused(body, (b"content-type", b"text/plain"), method="POST", raw_path=path) is refusals.MEDIA_TYPE_UNSUPPORTED
    )
    gzip = (b"content-encoding", b"gzip")
    assert refused(body, JSON, gzip, method="POST", raw_path=path) is refusals.MEDIA_TYPE_UNSUPPORTED
    admitted(body, JSON, method="POST", raw_path=path)
    admitted(body, (b"content-type", b"application/merge-patch+json"), method="PATCH", raw_path=path)


def test_accept() -> None:
    """A client that reads no JSON is told so; a public route answers what it has."""
    html = (b"accept", b"text/html")
    assert refused(html) is refusals.NOT_ACCEPTABLE
    assert refused(html, raw_path=b"/nothing") is refusals.NOT_ACCEPTABLE
    assert admitted(html, raw_path=b"/.well-known/jwks.json").route is KEYS


# 8. other origins


def test_preflight() -> None:
    """A configured origin's preflight is answered the same for every path, with nothing of it looked up."""
    ask = (b"access-control-request-method", b"DELETE")
    answers = set()
    for path in (b"/students", b"/nothing"):
        ticket = admit(scope((b"origin", APP), ask, method="OPTIONS", raw_path=path), receive, new_edge(), NOW)
        assert isinstance(ticket, Preflight)
        answers.add(ticket.headers)
    assert len(answers) == 1
    assert (b"access-control-allow-origin", APP) in answers.pop()


@pytest.mark.parametrize("origin", [b"https://evil.net", b"null"])
def test_foreign_origin(origin: bytes) -> None:
    """A foreign preflight is refused; a foreign request is answered, but no page may read it."""
    ask = (b"access-control-request-method", b"GET")
    assert refused((b"origin", origin), ask, method="OPTIONS") is refusals.ORIGIN_FORBIDDEN
    admitted((b"origin", origin))


def test_no_cors() -> None:
    """Without configured origins every preflight is refused."""
    edge = replace(new_edge(), cors=Cors())
    ask = (b"access-control-request-method", b"GET")
    assert refused((b"origin", APP), ask, method="OPTIONS", edge=edge) is refusals.ORIGIN_FORBIDDEN


# the whole stage


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [b"host", b"accept", b"origin", b"content-length", b"content-type", b"expect", b"forwarded"]
            )
            | st.binary(max_size=8),
            st.sampled_from([b"api.example.org", b"application/json", b"5", b"chunked"]) | st.binary(max_size=20),
        ),
        max_size=8,
    ),
    method=st.sampled_from(["GET", "POST", "PATCH", "OPTIONS"]) | st.text(max_size=5),
    path=st.sampled_from([b"/students", b"/students/1"]) | st.binary(max_size=20),
    query=st.binary(max_size=10),
    client=st.none() | st.sampled_from([("192.0.2.1", 1), ("::1", 1), ("", 0), ("10.0.0.1", 1)]),
    scheme=st.sampled_from(["https", "http"]),
)
def test_any_scope(
    headers: list[tuple[bytes, bytes]], method: str, path: bytes, query: bytes, client: Any, scheme: str
) -> None:
    """Whatever a server hands over becomes a ticket or a Refusal of this stage, and nothing else."""
    edge = new_edge(Proxy.of(["10.0.0.0/24"], unix_socket=True))
    given = {"method": method, "raw_path": path, "query_string": query, "client": client, "scheme": scheme}
    try:
        ticket = admit(scope(*headers, **given), receive, edge, NOW)
    except Refusal:
        return
    assert ticket.request.path.startswith("/")
    assert ticket.request.headers[b"host"] == b"api.example.org"


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]),
    headers=st.lists(
        st.sampled_from([JSON, TOKEN, CHUNKED, (b"content-length", b"10"), (b"content-length", b"9999999")])
        | st.sampled_from([(b"accept", b"text/html"), (b"content-type", b"text/plain"), (b"origin", APP)]),
        max_size=4,
    ),
    query=st.sampled_from([b"", b"limit=1", b"\xff"]),
    known=st.sampled_from([b"/students", b"/students/1", b"/students/%C3%A9", b"/students/1/enrol"]),
)
def test_a_stranger_learns_no_path(method: str, headers: list[tuple[bytes, bytes]], query: bytes, known: bytes) -> None:
    """A path that exists and one that does not are told apart by nothing that the edge says."""

    def verdict(path: bytes) -> str:
        try:
            admit(scope(*headers, method=method, raw_path=path, query_string=query), receive, new_edge(), NOW)
        except Refusal as refusal:
            return f"{refusal.reason.code}: {refusal.detail}"
        return "admitted"

    assert verdict(known) == verdict(known.replace(b"students", b"nothings"))
