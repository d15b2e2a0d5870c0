"""What a grant comes to."""

from __future__ import annotations

from typing import NamedTuple, final


@final
class Grant(NamedTuple):
    """For whom a token is, and what it carries.

    Attributes:
        subject: `sub`, the account.
        scopes: None when the token is not limited by scopes.
    """

    subject: str
    scopes: frozenset[str] | None
