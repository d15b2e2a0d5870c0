"""Token introspection (RFC 7662): what a token says, for its own client and for those that the operator let ask."""

from __future__ import annotations

import json
from typing import Final

from vallum.declare.document import Document
from vallum.execute.service import ServiceCall
from vallum.oauth.client_authentication import authenticate_client
from vallum.oauth.server import AuthorizationServer
from vallum.oauth.shown_token import shown_token

INACTIVE: Final = Document(200, "application/json", b'{"active": false}')
"""Nothing else (§2.2): why, and whether it ever was a token, is nobody's business."""


async def introspection(server: AuthorizationServer, call: ServiceCall) -> Document:
    """Whether a token is good now, and its claims. That of another client is inactive to who may not ask about it.

    Raises:
        Refusal: INVALID_REQUEST, INVALID_CLIENT.
    """
    client = await authenticate_client(call, server)
    token = await shown_token(call.form or {}, server, call.request.received_at)
    if token is None or not (client.introspects or token.client_id == client.id):
        return INACTIVE
    answer: dict[str, object] = {
        "active": True,
        "client_id": token.client_id,
        "sub": token.subject,
        "token_type": "Bearer",
        "exp": int(token.expires_at),
        "iat": int(token.issued_at),
        "iss": server.issuer,
        "aud": server.issuer,
        "jti": token.token_id,
    }
    if token.scopes:
        answer["scope"] = " ".join(sorted(token.scopes))
    return Document(200, "application/json", json.dumps(answer).encode())
