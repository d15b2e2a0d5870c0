"""The token endpoint (RFC 6749 §3.2): a grant for an access token (RFC 9068)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from vallum import defaults
from vallum.declare.document import Document
from vallum.execute.service import ServiceCall
from vallum.oauth.client_authentication import authenticate_client
from vallum.oauth.client_credentials import client_credentials
from vallum.oauth.grant import Grant
from vallum.oauth.server import AuthorizationServer
from vallum.refusals import INVALID_REQUEST, INVALID_TARGET, UNSUPPORTED_GRANT_TYPE, Refusal
from vallum.store.clients import Client

GRANTS: Final[Mapping[str, Callable[[Client, Mapping[str, str]], Grant]]] = {"client_credentials": client_credentials}
"""By `grant_type`."""


async def token(server: AuthorizationServer, call: ServiceCall) -> Document:
    """Issue an access token, after each of these steps:

    1. There is a grant type, and it is one of ours.
    2. The client is who it says.
    3. The grant says for whom the token is, and what it may carry at most.
    4. The token is for this service (RFC 8707 §2).

    Raises:
        Refusal: INVALID_REQUEST, UNSUPPORTED_GRANT_TYPE, INVALID_TARGET, and those of the steps.
    """
    form = call.form or {}
    grant = GRANTS.get(form.get("grant_type", ""))  # 1
    if "grant_type" not in form:
        raise Refusal(INVALID_REQUEST, "The parameter grant_type is missing.")
    if grant is None:
        raise Refusal(UNSUPPORTED_GRANT_TYPE)
    client = await authenticate_client(call, server)  # 2
    subject, scopes = grant(client, form)  # 3
    if form.get("resource", server.issuer).removesuffix("/") != server.issuer:  # 4
        raise Refusal(INVALID_TARGET)
    issued = await server.keys.issue(
        subject,
        issuer=server.issuer,
        audience=server.issuer,
        lifetime_seconds=defaults.TOKEN_SECONDS,
        client_id=client.id,
        scopes=scopes or (),
        # When the request came, not later: the client was read after that, so its revocation voids this token too.
        now=call.request.received_at,
    )
    answer: dict[str, object] = {
        "access_token": issued,
        "token_type": "Bearer",
        "expires_in": defaults.TOKEN_SECONDS,
    }
    if scopes:
        answer["scope"] = " ".join(sorted(scopes))
    return Document(200, "application/json", json.dumps(answer).encode())
