"""The OpenAPI 3.1 document of one audience. It depends on nothing else: equal rights get equal bytes."""

from __future__ import annotations

import json
from typing import Final, NamedTuple, final

from vallum.authorise.stage import may
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.execute.limits import limits_route
from vallum.openapi.audience import Audience, rights_of
from vallum.openapi.bounded import Definitions
from vallum.openapi.components import Components, Json
from vallum.openapi.names import Names
from vallum.openapi.operations import Writer, operation, tag_of
from vallum.openapi.security import GUARDED, schemes
from vallum.validate.models import Models

VERSION: Final = "3.1.0"


@final
class Site(NamedTuple):
    """Where the API is served.

    Attributes:
        public_url: its origin, without a slash at the end.
        dev: whether it is a developer's own.
        dialect: of its store, in which the rules are compiled.
    """

    public_url: str
    dev: bool
    dialect: DialectName


def document(api: API, audience: Audience, site: Site) -> bytes:
    """The document as UTF-8 JSON."""
    return json.dumps(described(api, audience, site), ensure_ascii=False, separators=(",", ":")).encode()


def described(api: API, audience: Audience, site: Site) -> Json:
    """The document: every path, method, field, filter and answer that the audience's rules may ever grant."""
    rights = rights_of(api, audience, site.dialect)
    components, names = Components(), Names(api)
    writer = Writer(
        rights, components, Definitions(components, names.taken), names, Models(), f"{site.public_url}/problems/"
    )
    paths: Json = {}
    tags: dict[str, None] = {}
    for route in [*api.routes.values(), limits_route(api)]:
        for method, verb in route.methods.items():
            if may(rights, route, method, verb):
                paths.setdefault(route.path, {})[method.lower()] = operation(route, method, writer)
                tags.setdefault(tag_of(route))
    return {
        "openapi": VERSION,
        "info": {"title": api.title, "version": api.version, "description": _introduction(audience)},
        "servers": [
            {
                "url": site.public_url,
                "description": "Local, for development." if site.dev else "In production.",
                "x-internal": site.dev,
            }
        ],
        "security": GUARDED,
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {**components.sorted(), "securitySchemes": schemes(site.public_url)},
    }


def _introduction(audience: Audience) -> str:
    who = "a credential and no role" if audience.identified else "no credential"
    if audience.roles:
        who = f"the {'role' if len(audience.roles) == 1 else 'roles'} {', '.join(audience.roles)}"
    if audience.scopes is not None:
        who += f", limited to {', '.join(sorted(audience.scopes)) or 'none'} of the scopes that rules ask for,"
    return (
        f"What a caller with {who} may do here; there is nothing else for that caller.\n\n"
        "A refusal is a problem document (RFC 9457), and its `code` is a word to match on. Send one credential, in a header."
    )
