"""`/openapi.json`: each caller's own document, written once for each role set and its scopes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, final

from vallum import defaults
from vallum.crypto.digest import etag128
from vallum.declare.app import API
from vallum.declare.document import Document
from vallum.declare.route import Kind, Route, Verb, open_to_anyone
from vallum.execute.service import ServiceCall
from vallum.openapi.audience import Audience, audience_of, scopes_of
from vallum.openapi.document import Site, document
from vallum.validate.preconditions import parse_entity_tags

PATH: Final = "/openapi.json"


@final
class OpenApi:
    """The documents of one API; the least recently used is dropped."""

    def __init__(self, api: API, site: Site) -> None:
        self._api = api
        self._site = site
        self._scopes = scopes_of(api)
        self._kept: OrderedDict[Audience, tuple[str, bytes]] = OrderedDict()
        self._writing = asyncio.Lock()

    async def __call__(self, call: ServiceCall) -> Document:
        """The caller's document with its entity tag, or 304.

        Raises:
            Refusal: PRECONDITION_MALFORMED.
        """
        header = call.request.header(b"if-none-match")
        wanted = None if header is None else parse_entity_tags(header)
        tag, body = await self._of(audience_of(call.principal, self._scopes))
        headers = ((b"etag", f'"{tag}"'.encode()),)
        if wanted is not None and wanted.matches_weakly(tag):
            return Document(304, headers=headers)
        return Document(200, "application/json", body, headers)

    async def _of(self, audience: Audience) -> tuple[str, bytes]:
        # One at a time, beside the event loop: a large API takes a tenth of a second.
        async with self._writing:
            found = self._kept.get(audience)
            if found is None:
                body = await asyncio.to_thread(document, self._api, audience, self._site)
                found = self._kept[audience] = etag128(body), body
                if len(self._kept) > defaults.DOCUMENTS_CACHED:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(audience)
            return found


def route(api: API, site: Site) -> Route:
    """Its route: open without a credential exactly when a rule opens something else to ANYONE."""
    return Route(
        path=PATH,
        kind=Kind.BUILT_IN,
        methods={"GET": Verb.SERVE},
        name="openapi",
        service=OpenApi(api, site),
        strangers=any(open_to_anyone(found, method) for found in api.routes.values() for method in found.methods),
    )
