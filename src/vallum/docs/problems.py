"""`/problems/{code}`: what a refusal means and what a client should do, in words; and `/problems`, all of them.

The texts are in `problems.toml`, beside this file; titles and statuses come from `refusals.py`. The pages are made once,
at start. Reading them costs a caller nothing, so that who has nothing left can read what that means.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import lru_cache
from http import HTTPStatus
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, final

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from vallum.declare.document import Document, Service
from vallum.declare.route import Kind, Route, Verb
from vallum.docs.page import FRAMELESS, MEDIA_TYPE, STYLE, content_security_policy, rendered
from vallum.execute.service import ServiceCall
from vallum.refusals import NOT_FOUND, REASONS, Reason, Refusal
from vallum.request import Header

PATH: Final = "/problems"
PUBLIC: Final = "A client that is refused must be able to read why, a stranger above all."
CACHED: Final[tuple[Header, ...]] = ((b"cache-control", b"private, max-age=3600"),)
"""The pages change with a release only. No shared cache keeps them: the fields around them are one caller's own."""
REQUEST_ID: Final = "0198c1a50d5e7d309c553f1f0f6b2a41"
"""In examples."""
STAGES: Final[Mapping[str, str]] = {
    "edge": "The request itself",
    "authenticate": "Who calls",
    "throttle": "How much",
    "authorise": "What this caller may do",
    "validate": "The query and the body",
    "execute": "The rows",
    "oauth": "Tokens (RFC 6749)",
    "respond": "Ours",
}
"""Stage of the table of reasons → heading, in the order in which a request meets them."""


@final
@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Problem:
    """The text behind a code; what each part is for stands at the top of `problems.toml`."""

    meaning: str
    causes: tuple[str, ...]
    mend: tuple[str, ...]
    repeat: str
    headers: tuple[str, ...] = ()
    detail: str | None = None
    members: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


def problems() -> dict[str, Problem]:
    """Every text by its code."""
    texts = files("vallum.docs").joinpath("problems.toml").read_text(encoding="utf-8")
    return _PROBLEMS.validate_python(tomllib.loads(texts))


def problem_routes(api: str, public_url: str) -> tuple[Route, Route]:
    """Both routes with their pages.

    Args:
        api: its title.
        public_url: the one origin of links, without a slash at the end.
    """
    pages, everything = _pages(api, public_url)

    async def one(call: ServiceCall) -> Document:
        found = pages.get(call.parameters["code"])
        if found is None:
            raise Refusal(NOT_FOUND)
        return found

    async def all_of_them(_: ServiceCall) -> Document:
        return everything

    return _route(f"{PATH}/{{code}}", "problem", one), _route(PATH, "problems", all_of_them)


def example(reason: Reason, text: Problem, public_url: str) -> str:
    """A whole answer as it crosses the network, without the fields that every answer has."""
    oauth = reason.stage == "oauth"
    detail = reason.detail if text.detail is None else text.detail
    body = (
        {"error": reason.code, "error_description": detail}
        if oauth
        else {
            "type": f"{public_url}{PATH}/{reason.code}",
            "title": reason.title,
            "status": reason.status,
            "detail": detail,
            "code": reason.code,
            "request_id": REQUEST_ID,
            **text.members,
        }
    )
    status = f"HTTP/1.1 {reason.status} {HTTPStatus(reason.status).phrase}"
    media_type = f"Content-Type: application/{'json' if oauth else 'problem+json'}"
    fields = [field.replace("{public_url}", public_url) for field in text.headers]
    return "\n".join([status, media_type, *fields, "", json.dumps(body, ensure_ascii=False, indent=2)])


@lru_cache(maxsize=8)  # tests build one service after another
def _pages(api: str, public_url: str) -> tuple[Mapping[str, Document], Document]:
    pages = {code: _document(_page(api, REASONS[code], text, public_url)) for code, text in problems().items()}
    return MappingProxyType(pages), _document(rendered("problems.html", api=api, stages=list(_stages())))


def _page(api: str, reason: Reason, text: Problem, public_url: str) -> bytes:
    return rendered(
        "problem.html",
        api=api,
        reason=reason,
        problem=text,
        example=example(reason, text, public_url),
        oauth=reason.stage == "oauth",
    )


def _stages() -> Iterator[tuple[str, str, list[Reason]]]:
    for stage, about in STAGES.items():
        reasons = [reason for reason in REASONS.values() if reason.stage == stage]
        if reasons:
            yield stage, about, reasons


def _route(path: str, name: str, service: Service) -> Route:
    return Route(
        path=path,
        kind=Kind.BUILT_IN,
        methods={"GET": Verb.SERVE},
        name=name,
        service=service,
        public=PUBLIC,
        csp=content_security_policy(STYLE) + FRAMELESS,
        costs={"GET": 0},
    )


def _document(page: bytes) -> Document:
    return Document(media_type=MEDIA_TYPE, body=page, headers=CACHED)


_PROBLEMS: Final = TypeAdapter(dict[str, Problem])
