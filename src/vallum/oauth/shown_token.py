"""The token that a client shows in order to revoke it or to ask about it."""

from __future__ import annotations

from collections.abc import Mapping

from vallum import defaults
from vallum.crypto import access_token
from vallum.crypto.access_token import AccessToken
from vallum.crypto.errors import NotAuthentic
from vallum.oauth.server import AuthorizationServer
from vallum.refusals import INVALID_REQUEST, Refusal


async def shown_token(form: Mapping[str, str], server: AuthorizationServer, now: float) -> AccessToken | None:
    """The access token in the form, if it would be accepted now; else None. `token_type_hint` changes nothing.

    Raises:
        Refusal: INVALID_REQUEST when there is no parameter `token`.
    """
    text = form.get("token")
    if text is None:
        raise Refusal(INVALID_REQUEST, "The parameter token is missing.")
    keys = await server.keys.signing_keys()
    try:
        claims = access_token.verify(
            text,
            keys,
            issuer=server.issuer,
            audience=server.issuer,
            now=now,
            leeway_seconds=defaults.TOKEN_LEEWAY_SECONDS,
        )
    except NotAuthentic:
        return None
    principal = await server.principals.load(claims.subject, claims.token_id)
    return None if principal is None or claims.issued_at < principal.tokens_from else claims
