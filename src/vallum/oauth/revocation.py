"""Token revocation (RFC 7009): a client ends a token of its own, from the next request on and in every process."""

from __future__ import annotations

import json
from functools import partial

from vallum import defaults
from vallum.audit.event import AuditEvent
from vallum.audit.write import insert
from vallum.crypto.access_token import AccessToken
from vallum.declare.dialect import DialectName
from vallum.declare.document import Document
from vallum.execute.service import ServiceCall
from vallum.oauth.client_authentication import authenticate_client
from vallum.oauth.server import AuthorizationServer
from vallum.oauth.shown_token import shown_token
from vallum.refusals import INVALID_GRANT, Refusal
from vallum.request import Request
from vallum.store.ports import Script
from vallum.store.used_once import revoke_token


async def revocation(server: AuthorizationServer, call: ServiceCall) -> Document:
    """Void one token; the client's others stay. One that is no token of ours, or is over, is done with (§2.2).

    Raises:
        Refusal: INVALID_REQUEST, INVALID_CLIENT; INVALID_GRANT for the token of another client (§2.1).
    """
    client = await authenticate_client(call, server)
    token = await shown_token(call.form or {}, server, call.request.received_at)
    if token is not None:
        if token.client_id != client.id:
            raise Refusal(INVALID_GRANT)
        await server.database.write(partial(_revoking, token, call.request, server.database.dialect))
    return Document()


def _revoking(token: AccessToken, request: Request, dialect: DialectName) -> Script[None]:
    """It is a write like any other, so it leaves an audit row."""
    now, until = request.received_at, token.expires_at + defaults.TOKEN_LEEWAY_SECONDS
    yield from revoke_token(token.subject, token.token_id, until, now, dialect)()
    key = json.dumps({"jti": token.token_id})
    yield insert(AuditEvent(now, request.id, token.client_id, "revoke", "oauth/token", key), dialect)
