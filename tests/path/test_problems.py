"""`/problems`: the pages to which every refusal points, open to whoever may be refused."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from urllib.parse import urlsplit

import pytest
from tests.path.conftest import As
from tests.path.small import Clock

from vallum.declare.route import ErrorForm
from vallum.docs.problems import REQUEST_ID, example, problems
from vallum.refusals import REASONS, Fault, Reason, Refusal
from vallum.respond.stage import Raw, refuse
from vallum.testing import ORIGIN

STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
OUTSIDE = re.compile(r"<(script|link|img|iframe|object|form|base)\b|\b(src|on\w+)=|@import|url\(|=\"?(https?:)?//")


def test_every_refusal_has_its_page(client: As) -> None:
    """Served to a stranger: title, status, code, and nothing that a browser would fetch or run."""
    stranger = client(None)
    for reason in REASONS.values():
        answer = stranger.get(f"/problems/{reason.code}", headers={"accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert f"<h1>{reason.title}</h1>" in answer.text
        assert f"<code>{reason.code}</code> <span>HTTP {reason.status}</span>" in answer.text
        assert OUTSIDE.search(answer.text) is None


def test_a_page_says_what_a_repetition_takes(client: As) -> None:
    """A write that was refused after its nonce was claimed is 409 with the same one; forms of OAuth have none."""
    stranger, again = client(None), "takes a new timestamp and a new nonce each time"
    for reason in REASONS.values():
        page = stranger.get(f"/problems/{reason.code}").text
        assert (again in page) is (reason.stage != "oauth"), reason.code


def test_the_policy_lets_the_page_have_its_own_style_and_nothing_else(client: As) -> None:
    """The hash in the Content-Security-Policy is that of the bytes between the tags; no script is named at all."""
    for path in ("/problems", "/problems/not_found"):
        answer = client(None).get(path)
        (style,) = STYLE.findall(answer.text)
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert answer.headers["content-security-policy"] == (
            f"default-src 'none'; style-src 'sha256-{digest}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert answer.headers["cache-control"] == "private, max-age=3600"
        assert (answer.headers["x-content-type-options"], answer.headers["x-frame-options"]) == ("nosniff", "DENY")


def test_a_refusal_leads_to_its_page(client: As) -> None:
    """From the `type` of an answer, and from the page of all to every one."""
    stranger = client(None)
    refused = stranger.get("/books").json()
    assert refused["type"] == f"{ORIGIN}/problems/credential_missing"
    assert "Credential required" in stranger.get(urlsplit(refused["type"]).path).text
    links = re.findall(r'href="/problems/(\w+)"', stranger.get("/problems").text)
    assert sorted(links) == sorted(REASONS)


def test_the_examples_are_what_is_answered(client: As) -> None:
    """Status, members in their order and header fields of each example are those of a real answer."""
    response = client(None).service.pipeline.response
    for reason in REASONS.values():
        status, fields, members = read(example(reason, problems()[reason.code], ORIGIN))
        form = ErrorForm.OAUTH if reason.stage == "oauth" else ErrorForm.PROBLEM
        reply = refuse(refusal(reason, fields), None, Raw(REQUEST_ID, 0.0, None), response, form)
        assert list(members.items()) == list(json.loads(reply.body).items())
        assert status.startswith(f"HTTP/1.1 {reply.status} ")
        real = {name.decode(): value.decode() for name, value in reply.headers}
        shown = {name: value for name, value in fields.items() if not name.startswith("RateLimit")}  # the meter's
        assert {name: real.get(name.lower()) for name in shown} == shown


def read(text: str) -> tuple[str, dict[str, str], dict[str, object]]:
    """Status line, header fields and body of an example."""
    head, _, body = text.partition("\n\n")
    status, *fields = head.split("\n")
    return status, dict(field.split(": ", 1) for field in fields), json.loads(body)


def refusal(reason: Reason, fields: dict[str, str]) -> Refusal:
    """What a stage would have to raise for the example."""
    text = problems()[reason.code]
    return Refusal(
        reason,
        text.detail,
        faults=tuple(Fault(**fault) for fault in text.members.get("errors", ())),
        retry_after_seconds=int(fields["Retry-After"]) if "Retry-After" in fields else None,
        allow=tuple(fields.get("Allow", "").split(", ")),
        violated=tuple(text.members.get("violated_policies", ())),
    )


def test_who_has_nothing_left_can_read_what_that_means(client: As, clock: Clock) -> None:
    """Of a stranger's six requests an hour the pages take none."""
    stranger = client(None)
    for _ in range(6):
        assert stranger.get("/hello").status_code == 200
        assert stranger.get("/problems/quota_exceeded").status_code == 200
        clock.forward(1)
    refused = stranger.get("/hello")
    assert refused.status_code == 429
    assert stranger.get(urlsplit(refused.json()["type"]).path).status_code == 200


@pytest.mark.parametrize("code", ["nothing", "NOT_FOUND", "not_found.html", "%3Cscript%3E", "__class__"])
def test_an_unknown_code_is_not_found(client: As, code: str) -> None:
    """The ordinary 404, for strangers and known callers, which repeats nothing of the path."""
    for name in (None, "rita"):
        answer = client(name).get(f"/problems/{code}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "script" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/problems", 405),
        ("DELETE", "/problems/not_found", 405),
        ("HEAD", "/problems/not_found", 405),
        ("GET", "/problems/", 401),
        ("GET", "/problems/not_found/more", 401),
        ("GET", "/problems/not_found,not_found", 401),
        ("GET", "/problems?lang=de", 400),
        ("GET", "/problems/not_found?access_token=x", 400),
    ],
)
def test_there_is_nothing_else_to_ask(client: As, method: str, path: str, status: int) -> None:
    """No other method, no path below, no query."""
    assert client(None).request(method, path).status_code == status


def test_a_bad_credential_does_not_hide_the_page(client: As) -> None:
    """Whoever is refused for its credential reads why, with the same credential."""
    bad = {"authorization": "Bearer nonsense"}
    refused = client(None).get("/books", headers=bad)
    assert refused.status_code == 401
    assert client(None).get(urlsplit(refused.json()["type"]).path, headers=bad).status_code == 200
