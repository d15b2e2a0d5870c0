"""The endpoints as built-in routes (ADR 23)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from vallum import defaults
from vallum.declare.document import Document
from vallum.declare.route import BodyKind, ErrorForm, Kind, Route, Verb
from vallum.execute.service import ServiceCall
from vallum.oauth import server as at
from vallum.oauth.introspection import introspection
from vallum.oauth.metadata import resource_metadata, server_metadata
from vallum.oauth.revocation import revocation
from vallum.oauth.server import AuthorizationServer
from vallum.oauth.token import token

Endpoint = Callable[[AuthorizationServer, ServiceCall], Awaitable[Document]]


def oauth_routes(server: AuthorizationServer, title: str) -> list[Route]:
    """Every route of the authorization server; `title` is that of the API."""
    return [
        _endpoint(at.TOKEN, token, server),
        _endpoint(at.REVOCATION, revocation, server),
        _endpoint(at.INTROSPECTION, introspection, server),
        _metadata(at.SERVER_METADATA, server_metadata(server.issuer)),
        _metadata(at.RESOURCE_METADATA, resource_metadata(server.issuer, title)),
    ]


def _endpoint(path: str, endpoint: Endpoint, server: AuthorizationServer) -> Route:
    return Route(
        path,
        Kind.BUILT_IN,
        {"POST": Verb.SERVE},
        name=path[1:],
        service=partial(endpoint, server),
        public="The client authenticates itself (RFC 6749 §2.3).",
        errors=ErrorForm.OAUTH,
        plan="oauth",
        bodies={"POST": BodyKind.FORM},
        costs={"POST": 1},
        max_body_bytes=defaults.MAX_OAUTH_FORM_BYTES,
    )


def _metadata(path: str, document: Document) -> Route:
    async def service(_: object) -> Document:
        return document

    return Route(
        path,
        Kind.BUILT_IN,
        {"GET": Verb.SERVE},
        name=path[1:],
        service=service,
        public="A client reads it before it can authenticate itself.",
        plan="oauth",
    )
