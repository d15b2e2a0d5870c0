"""What clients discover: the authorization server (RFC 8414) and the protected resource (RFC 9728).

Neither lists scopes: a stranger learns no word of the rules.
"""

from __future__ import annotations

import json
from typing import Final

from vallum.crypto.algorithms import SIGNING_ALGORITHMS
from vallum.declare.document import Document
from vallum.oauth import server as at
from vallum.oauth.token import GRANTS

METHODS: Final = ["client_secret_basic", "private_key_jwt"]


def server_metadata(issuer: str) -> Document:
    """RFC 8414 §2. There is no authorization endpoint, so there are no response types."""
    algorithms = sorted(SIGNING_ALGORITHMS)
    content: dict[str, object] = {
        "issuer": issuer,
        "token_endpoint": issuer + at.TOKEN,
        "revocation_endpoint": issuer + at.REVOCATION,
        "introspection_endpoint": issuer + at.INTROSPECTION,
        "jwks_uri": issuer + at.JWKS,
        "response_types_supported": [],
        "grant_types_supported": sorted(GRANTS),
    }
    for endpoint in ("token", "revocation", "introspection"):
        content[f"{endpoint}_endpoint_auth_methods_supported"] = METHODS
        content[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] = algorithms
    return _document(content)


def resource_metadata(issuer: str, title: str) -> Document:
    """RFC 9728 §2."""
    return _document(
        {
            "resource": issuer,
            "resource_name": title,
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
        }
    )


def _document(content: dict[str, object]) -> Document:
    return Document(200, "application/json", json.dumps(content).encode())
