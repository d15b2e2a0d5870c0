"""How a client shows who it is."""

from __future__ import annotations

from typing import Final

from vallum.openapi.components import Json

SCHEMES: Final = ("token", "client", "key")
GUARDED: Final[list[Json]] = [{"token": []}, {"client": []}, {"key": []}]
"""One of them, and one only."""
OPEN: Final[list[Json]] = [{}, *GUARDED]
"""Or none."""


def schemes(public_url: str) -> Json:
    """The security schemes; `GUARDED` names them."""
    token = f"{public_url}/oauth/token"
    return {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token (RFC 9068) that is verified as RFC8725 asks. Or an API key.",
        },
        "client": {
            "type": "oauth2",
            "description": "A token of a client of its own, which is verified as RFC8725 asks.",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": token,
                    # No token to refresh with (RFC 6749 §4.4.3): a client asks anew, at the same place.
                    "refreshUrl": token,
                    "scopes": {},
                }
            },
        },
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key: `vk_…`."},
    }
