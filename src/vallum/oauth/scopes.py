"""Scopes narrow and never widen (RFC 6749 §3.3)."""

from __future__ import annotations

from vallum.crypto.access_token import checked_scopes
from vallum.refusals import INVALID_SCOPE, Refusal


def narrowed(requested: str | None, granted: frozenset[str] | None) -> frozenset[str] | None:
    """The scopes of a new token: those that were asked for, else all that the client has.

    Args:
        requested: the parameter `scope`, words with one space between them.
        granted: of the client; None when it is not limited by scopes.

    Raises:
        Refusal: INVALID_SCOPE.
    """
    if requested is None:
        return granted
    try:
        wanted = checked_scopes(requested.split(" "))
    except ValueError:
        raise Refusal(INVALID_SCOPE) from None
    if granted is not None and not wanted <= granted:
        raise Refusal(INVALID_SCOPE)
    return wanted
