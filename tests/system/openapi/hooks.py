"""What Schemathesis cannot know of the School: which rows there are, and what only a client can make up.

Each hook gives a valid request what a client would have from an earlier answer or from its own clock. Requests that are
meant to be wrong are left as they are, and no answer and no finding is changed or dropped.
"""

from __future__ import annotations

import itertools
import os
import uuid
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import requests
import schemathesis
from schemathesis.core import NOT_SET
from schemathesis.core.parameters import ParameterLocation

URL: Final = os.environ["SCHOOL_URL"]
AUTHORITY: Final = os.environ["SCHOOL_AUTHORITY"]
BEARER: Final = f"Bearer {os.environ['SCHOOL_TOKEN']}"

REFERENCES: Final = {
    "student_id": "/students",
    "course_id": "/courses",
    "classroom_id": "/classrooms",
    "term_id": "/terms",
}
"""Field of a body → where the rows are whose `id` it holds."""
PAIR: Final = {"course_id", "student_id"}
"""Fields that together refer to a row of /enrolments."""
BODILESS: Final = {"GET", "DELETE", "TRACE"}
MOST_FILTERS: Final = 16
CONDITIONS: Final = {"If-Match", "If-None-Match"}
RESERVED: Final = {"limit", "after", "sort", "fields", "count", "include"}

turn = itertools.count()
caller: Final = requests.Session()
caller.trust_env = False  # or variables would choose other authorities
caller.verify = AUTHORITY
caller.headers["Authorization"] = BEARER
lists: Final[dict[str, list[dict[str, Any]]]] = {}


def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """The one place where requests are completed."""
    if case.method in BODILESS:
        case.body = NOT_SET  # RFC 9110 §9.3.1, §9.3.5, §9.3.8; Schemathesis sends the body of another method along
    if case.headers.get("Authorization") == BEARER:
        case.headers.pop("X-API-Key", None)  # the document names both ways; a request takes one
    if case.meta is None:
        return
    if case.meta.generation.mode.is_positive:
        _path(case)
        _query(case)
        _body(case)
    if _undeclared(case) or not case.meta.is_negative_at(ParameterLocation.HEADER):
        _headers(case)  # or a method or body that is meant to be wrong would be refused for its header fields


def _undeclared(case: Any) -> bool:
    """Whether it tries a method that the document does not have."""
    return bool(case.method != case.operation.method.upper())


def rows(path: str) -> list[dict[str, Any]]:
    """The first rows of a list that the caller sees."""
    if path not in lists:
        answer = caller.get(URL + path, params={"limit": 100}, timeout=10)
        lists[path] = answer.json()["items"] if answer.ok else []
    return lists[path]


def one_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Another one each time."""
    return found[next(turn) % len(found)] if found else {}


def _path(case: Any) -> None:
    """A row that exists, every other time, and text that is printable."""
    for name, value in (case.path_parameters or {}).items():
        if isinstance(value, str) and not (text := unquote(value)).isprintable():
            case.path_parameters[name] = printable(text)
    if case.path_parameters and case.meta.phase.name != "stateful" and next(turn) % 2:
        row = one_of(rows(case.path.partition("/{")[0]))
        case.path_parameters.update({name: str(row[name]) for name in case.path_parameters if name in row})


def _query(case: Any) -> None:
    """A cursor is made by the service, and nobody asks for all filters at once."""
    if case.query:
        case.query.pop("after", None)
        if "include" in case.query:  # many rows with many others would be too many
            case.query.pop("limit", None)
            case.query["include"] = case.query["include"][:2]
        for name in [name for name in case.query if name not in RESERVED][MOST_FILTERS:]:
            del case.query[name]
        case.query.update({name: whole(value) for name, value in case.query.items()})
        for name in REFERENCES.keys() & case.query.keys():
            case.query[name] = str(one_of(rows(REFERENCES[name])).get("id", 1))


def _body(case: Any) -> None:
    """What is referred to exists."""
    if not isinstance(case.body, dict):
        return
    pair = one_of(rows("/enrolments")) if case.body.keys() >= PAIR else {}
    for name, path in REFERENCES.items():
        if name in case.body:
            case.body[name] = pair.get(name) or one_of(rows(path)).get("id", case.body[name])
    case.body.update({name: whole(value) for name, value in case.body.items()})
    if "guardian" in case.body:
        case.body["guardian"] = printable(case.body["guardian"])


def printable(text: str) -> str:
    """A text key is printable. A pattern of JSON Schema has no word for that which all readers know."""
    return "".join(character for character in text if character.isprintable()) or "guardian-1"


def whole(value: Any) -> Any:
    """A whole number is written without a fraction. JSON Schema, to which 1.0 is an integer, cannot say that."""
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _headers(case: Any) -> None:
    """Made now and only once, a key of its own, and the tag of the row as it is."""
    if "X-Request-Nonce" in case.headers or _undeclared(case):
        case.headers["X-Request-Timestamp"] = datetime.now(UTC).isoformat()
        case.headers["X-Request-Nonce"] = uuid.uuid4().hex
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f'"{uuid.uuid4()}"'
    for name in CONDITIONS & set(case.headers):
        answer = caller.get(URL + case.formatted_path, timeout=10)
        case.headers[name] = answer.headers.get("ETag", '"none"')


schemathesis.hook(before_call)
