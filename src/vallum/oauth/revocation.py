"""Token revocation (RFC 7009): a client ends a token of its own, from the next request on and in every process."""

from __future__ import annotations

from vallum import defaults
from vallum.declare.document import Document
from vallum.execute.service import ServiceCall
from vallum.oauth.client_authentication import authenticate_client
from vallum.oauth.server import AuthorizationServer
from vallum.oauth.shown_token import shown_token
from vallum.refusals import INVALID_GRANT, Refusal
from vallum.store.used_once import revoke_token


async def revocation(server: AuthorizationServer, call: ServiceCall) -> Document:
    """Void one token; the client's others stay. One that is no token of ours, or is over, is done with (§2.2).

    Raises:
        Refusal: INVALID_REQUEST, INVALID_CLIENT; INVALID_GRANT for the token of another client (§2.1).
    """
    client = await authenticate_client(call, server)
    now = call.request.received_at
    token = await shown_token(call.form or {}, server, now)
    if token is not None:
        if token.client_id != client.id:
            raise Refusal(INVALID_GRANT)
        until = token.expires_at + defaults.TOKEN_LEEWAY_SECONDS
        await server.database.write(revoke_token(token.subject, token.token_id, until, now, server.database.dialect))
    return Document()
