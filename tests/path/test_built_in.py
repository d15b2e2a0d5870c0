"""Routes that Vallum answers itself: they walk the one path, as data that the stages read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.path.conftest import As
from tests.path.small import api
from tests.path.test_authenticate import change
from tests.path.test_respond import failed

from vallum.declare.document import Document
from vallum.declare.route import BodyKind, ErrorForm, Kind, Route, Verb
from vallum.edge.routes import RouteTable
from vallum.execute.service import ServiceCall
from vallum.refusals import FORBIDDEN, Refusal
from vallum.store import principals
from vallum.testing import Answer, Client

FORM = {"content-type": "application/x-www-form-urlencoded"}
PAGE_CSP = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"


async def told(call: ServiceCall) -> Document:
    """Everything that a service is told."""
    seen = {
        "principal": call.principal.id,
        "roles": sorted(call.principal.roles),
        "path": call.request.path,
        "authorization": call.request.header(b"authorization"),
        "form": call.form,
        "parameters": dict(call.parameters),
        "remaining": dict(zip(call.claim.policies, call.claim.remaining, strict=True)),
    }
    return Document(203, "application/json", json.dumps(seen).encode(), ((b"x-own", b"1"),))


async def page(_: ServiceCall) -> Document:
    """A page that may be kept."""
    return Document(200, "text/html; charset=utf-8", b"<p>", ((b"cache-control", b"max-age=60"),))


async def nothing(_: ServiceCall) -> Document:
    """A status alone."""
    return Document()


async def refusing(_: ServiceCall) -> Document:
    """A service says no like a stage."""
    raise Refusal(FORBIDDEN, 'Not "today".')


async def failing(_: ServiceCall) -> Document:
    """An error of ours."""
    raise RuntimeError("secret-of-ours")


GET, POST = {"GET": Verb.SERVE}, {"POST": Verb.SERVE}
FORM_BODY = {"POST": BodyKind.FORM}
ROUTES = [
    Route(
        "/oauth/echo",
        Kind.BUILT_IN,
        POST,
        service=told,
        public="The client authenticates itself.",
        errors=ErrorForm.OAUTH,
        bodies=FORM_BODY,
        costs={"POST": 2},
        max_body_bytes=100,
    ),
    Route("/oauth/no", Kind.BUILT_IN, POST, service=refusing, public="A test.", errors=ErrorForm.OAUTH),
    Route("/oauth/fails", Kind.BUILT_IN, POST, service=failing, public="A test.", errors=ErrorForm.OAUTH),
    Route("/problems/{code}", Kind.BUILT_IN, GET, service=told, public="Clients are pointed to it."),
    Route("/docs", Kind.BUILT_IN, GET, service=page, public="A test.", csp=PAGE_CSP),
    Route("/nothing", Kind.BUILT_IN, GET, service=nothing, public="A test."),
    Route("/limits", Kind.BUILT_IN, GET, service=told),
]


@pytest.fixture
def served(client: As) -> As:
    """The library with these routes beside its own."""
    service = client(None).service
    edge = service.pipeline.edge
    table = RouteTable([*api.routes.values(), *ROUTES])
    service.pipeline = replace(service.pipeline, edge=replace(edge, routes=table))
    return client


def form(client: Client, body: bytes, path: str = "/oauth/echo", **headers: str) -> Answer:
    return client.request("POST", path, content=body, headers={**FORM, **headers})


def test_a_service_is_told_of_the_request(served: As) -> None:
    """A public service gets the form and the header field unread, and its answer is sent with its own status."""
    answer = form(served(None), b"grant_type=client_credentials&scope=a+b%20c&empty=", authorization="Basic eDp5")
    assert answer.status_code == 203
    assert answer.json() == {
        "principal": None,
        "roles": [],
        "path": "/oauth/echo",
        "authorization": "Basic eDp5",
        "form": {"grant_type": "client_credentials", "scope": "a b c"},
        "parameters": {},
        "remaining": {"hour": 4, "day": 6, "burst": 1},
    }
    assert answer.headers["x-own"] == "1"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["ratelimit"] == '"hour";r=4;t=3600'


def test_a_path_parameter(served: As) -> None:
    """What stands in the path is handed over by its name."""
    answer = served(None).get("/problems/not_found")
    assert answer.json()["parameters"] == {"code": "not_found"}
    assert answer.json()["form"] is None


def test_a_page_has_its_own_policy(served: As) -> None:
    """A page's Content-Security-Policy and Cache-Control stand in place of everyone's, once; all others stay."""
    client = served(None)
    answer = client.get("/docs", headers={"accept": "text/html"})
    assert answer.content == b"<p>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == PAGE_CSP
    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["x-frame-options"] == "DENY"
    assert client.get("/docs?x=1").headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_an_answer_without_a_body(served: As) -> None:
    """No body, no Content-Type."""
    answer = served(None).get("/nothing")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers


def test_open_to_every_known_caller(served: As) -> None:
    """A route that is not public takes any known caller, one without a role too, and no stranger."""
    assert served("nina").get("/limits").json()["principal"] == "nina"
    assert served(None).get("/limits").status_code == 401
    assert served("nina").request("PUT", "/limits", json={}).headers["allow"] == "GET"


def test_a_service_knows_its_caller_as_it_is_now(served: As, data: Path) -> None:
    """A change of roles counts for a service from the next request on, though it asks no statement for the epoch."""
    rita = served("rita")
    assert rita.get("/limits").json()["roles"] == ["reader"]
    change(data, principals.alter("rita", "sqlite", roles=["writer"]))
    assert rita.get("/limits").json()["roles"] == ["writer"]
    change(data, principals.disable("rita", "sqlite"))
    assert rita.get("/limits").status_code == 401


def test_an_error_of_ours_is_said_in_oauth_form(served: As) -> None:
    """A failure behind an OAuth endpoint is its 500, and tells nothing."""
    answer = failed(served(None), "POST", "/oauth/fails")
    assert answer.status_code == 500
    assert answer.json()["error"] == "server_error"
    assert "secret" not in answer.text


REFUSED: dict[str, tuple[Callable[[Client], Answer], int, str]] = {
    "form-twice": (lambda c: form(c, b"a=1&a=2"), 400, "invalid_request"),
    "form-twice-and-empty": (lambda c: form(c, b"a=1&a="), 400, "invalid_request"),
    "form-twice-by-escape": (lambda c: form(c, b"a=1&%61=2"), 400, "invalid_request"),
    "form-escape": (lambda c: form(c, b"a=%zz"), 400, "invalid_request"),
    "form-control": (lambda c: form(c, b"a=%00"), 400, "invalid_request"),
    "form-raw-utf8": (lambda c: form(c, "a=ä".encode()), 400, "invalid_request"),
    "form-not-utf8": (lambda c: form(c, b"a=%ff"), 400, "invalid_request"),
    "form-nameless": (lambda c: form(c, b"=1"), 400, "invalid_request"),
    "form-gap": (lambda c: form(c, b"a=1&&b=2"), 400, "invalid_request"),
    "form-long": (lambda c: form(c, b"a=" + b"x" * 99), 413, "invalid_request"),
    "json": (lambda c: form(c, b"{}", **{"content-type": "application/json"}), 415, "invalid_request"),
    "charset": (
        lambda c: form(c, b"a=1", **{"content-type": FORM["content-type"] + "; charset=latin-1"}),
        415,
        "invalid_request",
    ),
    "multipart": (
        lambda c: form(c, b"a=1", **{"content-type": "multipart/form-data; boundary=x"}),
        415,
        "invalid_request",
    ),
    "coding": (lambda c: form(c, b"a=1", **{"content-encoding": "gzip"}), 415, "invalid_request"),
    "query": (lambda c: form(c, b"a=1", "/oauth/echo?a=1"), 400, "invalid_request"),
    "credential-in-query": (lambda c: form(c, b"", "/oauth/echo?access_token=x"), 400, "invalid_request"),
    "get": (lambda c: c.get("/oauth/echo"), 405, "invalid_request"),
    "body-on-get": (lambda c: c.request("GET", "/oauth/echo", content=b"a=1", headers=FORM), 400, "invalid_request"),
    "host": (lambda c: form(c, b"a=1", host="evil.example"), 421, "invalid_request"),
    "headers": (lambda c: form(c, b"a=1", **{"x-a": "a" * 20_000}), 431, "invalid_request"),
    "two-credentials": (
        lambda c: form(c, b"", authorization="Basic eDp5", **{"x-api-key": "vk_x"}),
        400,
        "invalid_request",
    ),
    "quota": (lambda c: [form(c, b"a=1") for _ in range(5)][-1], 429, "temporarily_unavailable"),
    "service": (lambda c: form(c, b"", "/oauth/no"), 403, "invalid_request"),
}


@pytest.mark.parametrize(("ask", "status", "error"), REFUSED.values(), ids=REFUSED)
def test_refusals_of_an_oauth_route(served: As, ask: Callable[[Client], Answer], status: int, error: str) -> None:
    """Whichever stage says no, an OAuth route says so as RFC 6749 §5.2 writes it, never to be stored."""
    answer = ask(served(None))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    document = answer.json()
    assert set(document) == {"error", "error_description"}
    assert document["error"] == error
    allowed = {*range(0x20, 0x22), *range(0x23, 0x5C), *range(0x5D, 0x7F)}
    assert allowed.issuperset(document["error_description"].encode())


def test_other_routes_keep_problems(served: As) -> None:
    """Only a route of the OAuth form answers in it, and only at its own path."""
    for path in ("/limits", "/oauth/other", "/oauth/echo/x"):
        answer = served(None).get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def test_the_body_of_a_known_callers_service_is_refused(served: As) -> None:
    """A route that takes no body refuses one, chunked or counted."""
    nina = served("nina")
    assert nina.request("GET", "/limits", content=b"{}").status_code == 400
