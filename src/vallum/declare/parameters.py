"""Names of query parameters that mean something else than a filter."""

from __future__ import annotations

from typing import Final

CREDENTIAL_PARAMETERS: Final = ("access_token", "api_key", "apikey", "token", "x-api-key", "authorization")
"""Ways in which clients put credentials into URLs (RFC 9700 §4.3.2 forbids it); in whatever case, they are refused."""
