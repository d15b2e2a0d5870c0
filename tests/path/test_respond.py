"""Stage 7 through the whole path: what every answer carries, and what none of them says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

import pytest
from tests.path.small import NOON, Clock
from tests.path.test_authenticate import CHALLENGE, METADATA
from tests.path.works import Room, seed

from tests import stores
from vallum import ANYONE, API, CREATE, DELETE, READ, UPDATE, Call, Plan, allow
from vallum.declare.route import ErrorForm
from vallum.pipeline import Passage
from vallum.pipeline import answer as answered
from vallum.refusals import QUERY_INVALID, REASONS, Fault, Reason, Refusal
from vallum.respond.stage import Raw, Reply, refuse
from vallum.testing import Answer, Client, Headers
from vallum.testing.wire import receiver, scope_of

As = Callable[[str | None], Client]

RAW: Final = Raw("0" * 32, NOON, None)

APP: Final = "https://app.example.org"

api: Final = API(
    "Answers",
    roles=["clerk", "reader"],
    cors=[APP, "http://localhost:5173"],
    plans={"default": Plan(burst="50/s", hour=1000), "anonymous": Plan(burst="50/s", hour=1000)},
)
api.resource(
    Room,
    allow("clerk", CREATE | READ | UPDATE | DELETE),
    allow("reader", READ),
    sorts=["name"],
)


@api.get("/boom", allow(ANYONE))
def boom(call: Call) -> None:
    """Fails in a way that names what nobody should hear of."""
    raise RuntimeError("SELECT hunter2 FROM vallum_principal")


@api.get("/hello", allow(ANYONE))
def hello(call: Call) -> str:
    """A text."""
    return "hello"


api.accounts.add("cleo", roles=["clerk"])
api.accounts.add("rita", roles=["reader"])

HARDENING: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "strict-transport-security": "max-age=300",
    "server": "",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """One directory for all: no test counts rows."""
    data = tmp_path_factory.mktemp("answers") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture
def client(data: Path) -> Iterator[As]:
    """`client("cleo")`."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(api, name, data, Clock()))


def failed(client: Client, method: str = "GET", path: str = "/boom") -> Answer:
    """The 500 itself, which the client of tests would raise."""
    running = client._running
    errors, running.journal.errors = running.journal.errors, _Swallowing()
    try:
        return client.request(method, path)
    finally:
        running.journal.errors = errors


class _Swallowing(list[BaseException]):
    """Errors that no test is about."""

    def append(self, error: BaseException) -> None:
        """Forget it."""


def answers(client: As) -> Iterator[tuple[str, Answer]]:
    """One answer of each kind, by its name."""
    cleo = client("cleo")
    tag = cleo.get("/rooms/1").headers["etag"]
    yield "200 list", cleo.get("/rooms")
    yield "200 item", cleo.get("/rooms/1")
    yield "200 handler", client(None).get("/hello")
    yield "304", cleo.get("/rooms/1", headers={"if-none-match": tag})
    yield "400 edge", cleo.get("/rooms//1")
    yield "400 query", cleo.get("/rooms?nope=1")
    yield "401 none", client(None).get("/rooms")
    yield "401 bad", client(None).get("/rooms", headers={"authorization": "Bearer x"})
    yield "403", client("rita").delete("/rooms/1")
    yield "404 row", cleo.get("/rooms/99")
    yield "404 path", cleo.get("/nothing")
    yield "405", cleo.request("PUT", "/rooms/1")
    yield "406", cleo.get("/rooms", headers={"accept": "text/html"})
    yield "409", cleo.post("/rooms", json={"name": "South", "owner": "x"})
    yield "412", cleo.patch("/rooms/1", json={}, headers={"if-match": '"x"'})
    yield (
        "413",
        cleo.request("POST", "/rooms", headers={"content-length": "9999999", "content-type": "application/json"}),
    )
    yield "421", cleo.get("/rooms", headers={"host": "evil.example"})
    yield "422", cleo.post("/rooms", json={})
    yield "428", cleo.patch("/rooms/1", json={})
    yield "431", cleo.get("/rooms", headers={"x-a": "a" * 20_000})
    yield "500", failed(cleo)
    yield "200 keys", client(None).get("/.well-known/jwks.json")
    origin = {"origin": APP, "access-control-request-method": "GET"}
    yield "204 preflight", client(None).request("OPTIONS", "/rooms", headers=origin)
    yield (
        "403 preflight",
        client(None).request("OPTIONS", "/rooms", headers={**origin, "origin": "https://evil.example"}),
    )


def is_problem(document: Any, reason: Reason) -> None:
    """RFC 9457 §3, with our own members."""
    assert document["type"] == f"https://testserver/problems/{reason.code}"
    assert urlsplit(document["type"]).scheme == "https"
    assert document["title"] == reason.title
    assert document["status"] == reason.status
    assert isinstance(document["detail"], str)
    assert document["detail"].endswith(".")
    assert document["code"] == reason.code
    assert re.fullmatch(r"[0-9a-f]{32}", document["request_id"])
    assert set(document) <= {"type", "title", "status", "detail", "code", "request_id", "errors", "violated_policies"}


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_every_reason_is_a_problem_document(client: As, reason: Reason) -> None:
    """Each row of the table becomes a valid document with all of its members, whatever stage it is said at."""
    cleo = client("cleo")
    cleo.get("/rooms")
    pipeline, ticket = cleo.service.pipeline, cleo._running.journal.passages[-1].ticket
    for last in (None, ticket):
        reply = refuse(Refusal(reason), last, RAW, pipeline.response, ErrorForm.PROBLEM)
        headers = Headers(reply.headers)
        assert reply.status == reason.status
        assert headers["content-type"] == "application/problem+json"
        assert {name: headers[name] for name in HARDENING} == HARDENING
        is_problem(json.loads(reply.body), reason)
        assert ("www-authenticate" in headers) == (reason.status == 401)
        assert ("allow" in headers) == (reason.status == 405)


def test_reasons_are_told_apart_by_their_code() -> None:
    """A code is a word, stands for one reason and one status of an error."""
    assert len({reason.title for reason in REASONS.values()}) > 20
    for code, reason in REASONS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert 400 <= reason.status < 600


def test_faults_in_a_problem_document(client: As) -> None:
    """Each fault has its pointer, code and detail; characters beyond ASCII arrive."""
    response = client("cleo").service.pipeline.response
    refusal = Refusal(QUERY_INVALID, "Ä", faults=(Fault("/é", "x", "“ü”"),))
    document = json.loads(refuse(refusal, None, RAW, response, ErrorForm.PROBLEM).body)
    assert document["errors"] == [{"pointer": "/é", "code": "x", "detail": "“ü”"}]
    assert document["detail"] == "Ä"


def test_what_every_answer_carries(client: As) -> None:
    """Hardening, an id and the date: on success, on nothing, on each kind of refusal and on a failure of ours."""
    seen = set()
    for name, answer in answers(client):
        assert answer.status_code == int(name[:3]), (name, answer.text)
        assert {key: answer.headers[key] for key in HARDENING} == HARDENING, name
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
        assert parsedate_to_datetime(answer.headers["date"]).timestamp() == NOON
        assert answer.headers["date"].endswith(" GMT")
        seen.add(answer.headers["x-request-id"])
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            is_problem(answer.json(), REASONS[answer.json()["code"]])
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
        elif answer.content:
            assert answer.headers["content-type"].startswith("application/")
            answer.json()
        else:
            assert "content-type" not in answer.headers
    assert len(seen) == 24


def test_no_answer_names_its_makings(client: As) -> None:
    """No product, version, path, statement or stack, in no header and no body."""
    for name, answer in answers(client):
        everything = f"{dict(answer.headers)} {answer.text}".lower()
        for word in ("granian", "python", "vallum", "sqlite", "select ", "traceback", ".py", "hunter2", "x-powered-by"):
            assert word not in everything, (name, word)


def test_a_failure_of_ours(client: As) -> None:
    """A 500 says that it was one and by which id it is found; the journal has the rest."""
    answer = failed(client("cleo"))
    assert answer.json()["detail"] == REASONS["internal_error"].detail
    with pytest.raises(RuntimeError, match="hunter2"):
        client("cleo").get("/boom")


def test_limits_on_what_reached_the_meter(client: As) -> None:
    """RateLimit and its policy are on each answer from the meter on, counting down, and on none before it."""
    for name, answer in answers(client):
        before = name in {
            "400 edge", "401 none", "401 bad", "406", "413", "421", "431", "204 preflight", "403 preflight",
        }  # fmt: skip
        assert ("ratelimit" in answer.headers) != before, name
        assert ("ratelimit-policy" in answer.headers) != before, name
    cleo = client("cleo")
    first, second = (re.search(r'"hour";r=(\d+)', cleo.get("/rooms").headers["ratelimit"]) for _ in range(2))
    assert first is not None
    assert second is not None
    assert int(first[1]) - int(second[1]) == 1


def test_challenges(client: As) -> None:
    """A 401 says how to identify (RFC 6750 §3): without an error when nothing was sent, else `invalid_token`."""
    assert client(None).get("/rooms").headers["www-authenticate"] == CHALLENGE + METADATA
    bad = client(None).get("/rooms", headers={"authorization": "Bearer x"})
    assert bad.headers["www-authenticate"] == CHALLENGE + ', error="invalid_token"' + METADATA


def test_allow(client: As) -> None:
    """A 405 lists what this caller may do there, not what exists (RFC 9110 §10.2.1)."""
    assert client("cleo").request("PUT", "/rooms/1").headers["allow"] == "GET, PATCH, DELETE"
    assert client("rita").request("PUT", "/rooms/1").headers["allow"] == "GET"
    assert client("rita").request("DELETE", "/rooms").headers["allow"] == "GET"
    assert client("cleo").request("OPTIONS", "/rooms").headers["allow"] == "GET, POST"


def test_link_and_location(client: As) -> None:
    """Absolute, under the public URL whatever Host was sent; the link keeps the rest of the query (RFC 8288 §3)."""
    cleo = client("cleo")
    page = cleo.get("/rooms?sort=-name&limit=1&fields=id")
    target = f"https://testserver/rooms?sort=-name&limit=1&fields=id&after={page.json()['next']}"
    assert page.headers["link"] == f'<{target}>; rel="next"'
    for name in ("after", "%61fter", "%61%66%74%65%72"):
        following = cleo.get(target.removeprefix("https://testserver").replace("after", name))
        assert following.status_code == 200
        link = following.headers["link"].removeprefix("<https://testserver").partition(">")[0]
        assert cleo.get(link).status_code == 200
        assert len(link) < len(target)
    assert "link" not in cleo.get("/rooms").headers
    made = cleo.post("/rooms", json={"name": "New", "owner": "x"})
    assert made.headers["location"] == f"https://testserver/rooms/{made.json()['id']}"
    assert cleo.delete(f"/rooms/{made.json()['id']}").status_code == 204


def test_cors(client: As) -> None:
    """A configured origin is named exactly, without credentials; another one gets nothing; both vary by Origin."""
    for origin in (APP, "http://localhost:5173"):
        for answer in (
            client("cleo").get("/rooms", headers={"origin": origin}),
            client(None).get("/rooms", headers={"origin": origin}),
            client("cleo").get("/nothing", headers={"origin": origin}),
        ):
            assert answer.headers["access-control-allow-origin"] == origin
            assert {"RateLimit", "Idempotent-Replayed"} <= set(
                answer.headers["access-control-expose-headers"].split(", ")
            )
            assert answer.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in answer.headers
    for origin in ("https://evil.example", "null", f"{APP}:443", f"{APP}.evil.example", APP.upper()):
        answer = client("cleo").get("/rooms", headers={"origin": origin})
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["vary"] == "Origin"
        ask = {"origin": origin, "access-control-request-method": "DELETE"}
        refused = client(None).request("OPTIONS", "/rooms/1", headers=ask)
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_forbidden")
        assert not [name for name in refused.headers if name.startswith("access-control")]


@final
class Limiter:
    """Has enough of this address, or has an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def admit(self, address: str, now: float) -> int | None:
        """The seconds to wait."""
        if self.error is not None:
            raise self.error
        return 7


def at_the_edge(client: As, origin: str) -> Iterator[Answer]:
    """What even the first stage refuses, and its failures."""
    cleo, page = client("cleo"), {"origin": origin}
    yield cleo.get("/rooms//1", headers=page)
    yield cleo.get("/rooms", headers={**page, "accept": "text/html"})
    yield cleo.get("/rooms", headers={**page, "host": "evil.example"})
    yield cleo.get("/rooms", headers={**page, "x-a": "a" * 20_000})
    yield cleo.request("TRACE", "/rooms", headers=page)
    json_type = {"content-length": "9999999", "content-type": "application/json"}
    yield cleo.request("POST", "/rooms", headers={**page, **json_type})
    pipeline = cleo.service.pipeline
    scope = scope_of("GET", "/rooms", "", [(b"host", b"testserver"), (b"origin", origin.encode())])
    for error in (None, RuntimeError("hunter2")):
        broken = replace(pipeline, edge=replace(pipeline.edge, limiter=Limiter(error)), journal=Quiet())
        reply = asyncio.run(answered(scope, receiver(b""), broken, NOON))
        yield Answer(reply.status, Headers(reply.headers), reply.body)


@final
class Quiet:
    """A journal that nobody reads."""

    def answered(self, passage: Passage, reply: Reply) -> None:
        """Nothing."""

    def failed(self, request_id: str, error: BaseException) -> None:
        """Nothing."""


def test_a_page_reads_why_the_edge_refused(client: As) -> None:
    """Without the header it would see a failed connection; a page of another origin still does."""
    answers = list(at_the_edge(client, APP))
    assert [answer.status_code for answer in answers] == [400, 406, 421, 431, 405, 413, 429, 500]
    for refused in answers:
        assert refused.headers["access-control-allow-origin"] == APP
        assert "Retry-After" in refused.headers["access-control-expose-headers"]
        assert refused.headers["vary"] == "Origin"
    for foreign in at_the_edge(client, "https://evil.example"):
        assert not [name for name in foreign.headers if name.startswith("access-control")]
        assert foreign.headers["vary"] == "Origin"
    twice = [(b"host", b"testserver"), (b"origin", APP.encode()), (b"origin", APP.encode())]
    refused = client(None).send(scope_of("GET", "/rooms", "", twice))
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


def test_preflight(client: As) -> None:
    """Answered from fixed data, the same for a path that exists and for one that does not, without a credential."""
    ask = {"origin": APP, "access-control-request-method": "DELETE", "access-control-request-headers": "if-match"}
    known, unknown = (client(None).request("OPTIONS", path, headers=ask) for path in ("/rooms/1", "/nothing"))
    assert (known.status_code, known.content) == (204, b"")
    assert {**known.headers, "x-request-id": ""} == {**unknown.headers, "x-request-id": ""}
    assert known.headers["access-control-allow-origin"] == APP
    for name in ("If-Match", "Idempotency-Key"):
        assert name in known.headers["access-control-allow-headers"]
