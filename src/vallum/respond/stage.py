"""Stage 7, respond: bytes. The only place that turns outcomes and refusals into HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias, final
from urllib.parse import quote, unquote

from vallum.authenticate.stage import Identified
from vallum.authorise.stage import Authorised
from vallum.declare.document import Document
from vallum.declare.route import ErrorForm, Verb
from vallum.edge.cors import Cors, cors_headers
from vallum.edge.stage import Admitted, Preflight
from vallum.execute.counting import Total
from vallum.execute.stage import Changed, Created, Found, Listed, Outcome, Removed, Returned, Served
from vallum.refusals import CREDENTIAL_INVALID, CREDENTIAL_MISSING, INVALID_CLIENT, Refusal
from vallum.request import Header, Request
from vallum.respond.headers import FixedHeaders
from vallum.respond.included import key_text, with_links
from vallum.respond.oauth import oauth_error
from vallum.throttle.stage import Metered
from vallum.validate.cursor import Cursors, context_of

Ticket: TypeAlias = Admitted | Identified | Metered | Authorised | None
"""The last ticket before a refusal."""

REPLAYED: Final[Header] = (b"idempotent-replayed", b"true")
"""On an answer that was given before. The draft has no such field; this is Stripe's."""
REALM: Final = b'Bearer realm="api"'
CLIENT: Final = b'Basic realm="oauth", charset="UTF-8"'
"""RFC 6749 §5.2 asks for the scheme that a client may use, RFC 7617 §2.1 for the encoding."""


@final
class Reply(NamedTuple):
    """Status, header fields and body, ready for the server."""

    status: int
    headers: list[Header]
    body: bytes


GONE: Final = Reply(499, [], b"")
"""For the log, and for nobody: the client hung up. The number is nginx's."""


@final
class Raw(NamedTuple):
    """What is known of a request that even the first stage may have refused.

    Attributes:
        now: Unix seconds.
        origin: of :func:`vallum.edge.cors.sole_origin`: its page may read why.
    """

    request_id: str
    now: float
    origin: bytes | None


@final
@dataclass(frozen=True, slots=True)
class Response:
    """What the stage works with.

    Attributes:
        public_url: the one origin of links, without a slash at the end.
        problems: where the pages of the refusals are; the code is appended.
        resource_metadata: URL of the document that says where tokens come from (RFC 9728 §5.1).
        date: the HTTP date of a Unix second (RFC 9110 §5.6.7).
    """

    fixed: FixedHeaders
    cursors: Cursors
    public_url: str
    problems: str
    cors: Cors
    resource_metadata: str
    date: Callable[[float], bytes]


def respond(outcome: Outcome, response: Response) -> Reply:
    """The answer to a request that was carried out."""
    authorised = outcome.intent.authorised
    request = authorised.metered.identified.admitted.request
    status, headers, body = _render(outcome, request, response)
    if isinstance(outcome, (Created, Returned)) and outcome.replayed:
        headers.append(REPLAYED)
    headers += _common(request, authorised.metered.limits, response)
    return Reply(status, headers, body)


def _render(outcome: Outcome, request: Request, response: Response) -> tuple[int, list[Header], bytes]:
    if isinstance(outcome, Listed):
        return _page(outcome, request, response)
    if isinstance(outcome, Found):
        return _row(outcome, response)
    if isinstance(outcome, Created):
        location = "/".join([request.path, ",".join(quote(key_text(part), safe="") for part in outcome.key)])
        status, headers, body = _written(201, outcome.json, outcome.tag, response)
        return status, [*headers, (b"location", f"{response.public_url}{location}".encode())], body
    if isinstance(outcome, Changed):
        return _written(200 if outcome.json is not None else 204, outcome.json, outcome.tag, response)
    if isinstance(outcome, Removed):
        return 204, list(response.fixed.bare), b""
    if isinstance(outcome, Served):
        return _document(outcome.document, outcome.intent.authorised.route.csp, response)
    made = outcome.intent.authorised.verb is Verb.CREATE
    return _written(201 if made else 204 if outcome.json is None else 200, outcome.json, outcome.tag, response)


def _page(outcome: Listed, request: Request, response: Response) -> tuple[int, list[Header], bytes]:
    headers = list(response.fixed.json)
    cursor = b"null"
    if outcome.more is not None:
        intent = outcome.intent
        caller = intent.authorised.metered.identified.principal.id
        text = response.cursors.make(outcome.more, context_of(caller, request.path, intent.query))
        cursor = f'"{text}"'.encode()
        target = f"{response.public_url}{request.path}?{_others(request.query)}after={text}"
        headers.append((b"link", f'<{target}>; rel="next"'.encode()))
    count = b"" if outcome.total is None else _counted(outcome.total)
    rows = ",".join(outcome.rows)
    if outcome.intent.included:
        rows = with_links(rows, outcome.intent.included, outcome.intent.authorised, response.cursors)
    body = b"".join((b'{"items":[', rows.encode(), b'],"next":', cursor, count, b"}"))
    return 200, headers, body


def _others(query: str) -> str:
    """The parameters as they were sent, without the cursor. A name may have been sent in escapes (RFC 3986 §6.2.2.2)."""
    return "".join([f"{p}&" for p in query.split("&") if p and unquote(p.partition("=")[0]) != "after"])


def _counted(total: Total) -> bytes:
    estimated = {None: b"", True: b',"count_estimated":true', False: b',"count_estimated":false'}
    return b',"count":%d%s' % (total.rows, estimated[total.estimated])


def _row(outcome: Found, response: Response) -> tuple[int, list[Header], bytes]:
    intent = outcome.intent
    tag = (b"etag", f'"{outcome.tag}"'.encode())
    if intent.if_none_match is not None and intent.if_none_match.matches_weakly(outcome.tag):
        return 304, [*response.fixed.bare, tag], b""
    text = outcome.json
    if intent.included:
        text = with_links(text, intent.included, intent.authorised, response.cursors)
    return 200, [*response.fixed.json, tag], text.encode()


def _written(status: int, text: str | None, tag: str | None, response: Response) -> tuple[int, list[Header], bytes]:
    if text is None:
        return status, list(response.fixed.bare), b""
    etag = () if tag is None else ((b"etag", f'"{tag}"'.encode()),)
    return status, [*response.fixed.json, *etag], text.encode()


def _document(document: Document, csp: str | None, response: Response) -> tuple[int, list[Header], bytes]:
    own = dict(document.headers)
    if csp is not None:
        own[b"content-security-policy"] = csp.encode()
    headers = [*(header for header in response.fixed.bare if header[0] not in own), *own.items()]
    if document.media_type:
        headers.append((b"content-type", document.media_type.encode()))
    return document.status, headers, document.body


def refuse(refusal: Refusal, ticket: Ticket, raw: Raw, response: Response, form: ErrorForm) -> Reply:
    """The answer to a request that a stage refused, in the form of its route."""
    reason = refusal.reason
    oauth = form is ErrorForm.OAUTH
    headers: list[Header] = [
        *(response.fixed.json if oauth else response.fixed.problem),
        *_challenge(refusal, response),
    ]
    if refusal.retry_after_seconds is not None:
        headers.append((b"retry-after", str(refusal.retry_after_seconds).encode()))
    if reason.status == 405:
        headers.append((b"allow", ", ".join(refusal.allow).encode()))
    request, metered = behind(ticket)
    if request is not None:
        headers += _common(request, refusal.limits or (() if metered is None else metered.limits), response)
    else:
        headers += [(b"x-request-id", raw.request_id.encode()), (b"date", response.date(raw.now))]
        if raw.origin is not None:
            headers += cors_headers(raw.origin, response.cors)
    return Reply(reason.status, headers, oauth_error(refusal) if oauth else _problem(refusal, raw.request_id, response))


def _problem(refusal: Refusal, request_id: str, response: Response) -> bytes:
    """RFC 9457."""
    reason = refusal.reason
    problem: dict[str, Any] = {
        "type": f"{response.problems}{reason.code}",
        "title": reason.title,
        "status": reason.status,
        "detail": refusal.detail,
        "code": reason.code,
        "request_id": request_id,
    }
    if refusal.faults:
        problem["errors"] = [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in refusal.faults]
    if refusal.violated:
        problem["violated_policies"] = list(refusal.violated)
    return json.dumps(problem, ensure_ascii=False).encode()


def preflight(answer: Preflight, response: Response) -> Reply:
    """The answer to a browser's question about another origin: static data, 204."""
    headers = [*response.fixed.bare, *answer.headers]
    headers += [(b"x-request-id", answer.request.id.encode()), (b"date", response.date(answer.request.received_at))]
    return Reply(204, headers, b"")


def _challenge(refusal: Refusal, response: Response) -> list[Header]:
    """`WWW-Authenticate` of a 401 (RFC 6750 §3)."""
    if refusal.reason is INVALID_CLIENT:
        return [(b"www-authenticate", CLIENT)]
    if refusal.reason is CREDENTIAL_MISSING:
        error = b""
    elif refusal.reason is CREDENTIAL_INVALID:
        error = b', error="invalid_token"'
    else:
        return []
    metadata = f', resource_metadata="{response.resource_metadata}"'.encode()
    return [(b"www-authenticate", REALM + error + metadata)]


def _common(request: Request, limits: tuple[Header, ...], response: Response) -> list[Header]:
    """What every answer says once there is a request: its id, the date, the limits, the origin's permission."""
    headers = [(b"x-request-id", request.id.encode()), (b"date", response.date(request.received_at)), *limits]
    origin = request.headers.get(b"origin")
    if origin is not None:
        headers += cors_headers(origin, response.cors)
    return headers


def behind(ticket: Ticket) -> tuple[Request | None, Metered | None]:
    """The request and the meter's ticket, as far as the path came."""
    metered = ticket.metered if isinstance(ticket, Authorised) else ticket
    identified = metered.identified if isinstance(metered, Metered) else metered
    admitted = identified.admitted if isinstance(identified, Identified) else identified
    return (None if admitted is None else admitted.request), (metered if isinstance(metered, Metered) else None)
