"""What the OAuth endpoints work with, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol, final

from vallum.crypto.jwk import KeySet
from vallum.oauth.attempts import Attempts
from vallum.store.clients import Clients
from vallum.store.ports import Database, Principals

TOKEN: Final = "/oauth/token"  # noqa: S105  # a path
REVOCATION: Final = "/oauth/revoke"
INTROSPECTION: Final = "/oauth/introspect"
SERVER_METADATA: Final = "/.well-known/oauth-authorization-server"
RESOURCE_METADATA: Final = "/.well-known/oauth-protected-resource"
JWKS: Final = "/.well-known/jwks.json"


class Keys(Protocol):
    """The keys of our access tokens (`serve.keyring.Keyring`)."""

    async def signing_keys(self) -> KeySet:
        """The keys whose tokens are accepted now."""

    async def issue(self, subject: str, *, issuer: str, audience: str, lifetime_seconds: int, **claims: Any) -> str:
        """A new access token."""


@final
@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """Built once.

    Attributes:
        issuer: `iss` and `aud` of its tokens, and the start of its URLs.
        keys: that sign tokens.
        attempts: by which clients prove who they are.
    """

    issuer: str
    database: Database
    principals: Principals
    clients: Clients
    keys: Keys
    attempts: Attempts

    @property
    def audiences(self) -> tuple[str, str]:
        """What `aud` of a client's assertion may be (RFC 7523 §3, 3)."""
        return self.issuer, self.issuer + TOKEN
