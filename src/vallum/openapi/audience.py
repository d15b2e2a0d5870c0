"""For whom a document is: a role set with its scopes, not a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, final

from vallum.authorise.rights import Rights
from vallum.authorise.stage import request_conditions
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.declare.when import When
from vallum.store.ports import Principal


@final
class Audience(NamedTuple):
    """What of a caller decides about its document.

    Attributes:
        roles: sorted.
        attributes: names of those that the caller has: a rule that uses another one is false.
        identified: False for a caller without a credential.
        scopes: those of the credential that some rule asks for; None when it has them all.
    """

    roles: tuple[str, ...]
    attributes: frozenset[str]
    identified: bool
    scopes: frozenset[str] | None = None


def scopes_of(api: API) -> frozenset[str]:
    """The scopes that some rule asks for: no other makes a difference between two callers."""
    return frozenset(when.scope for when in request_conditions(api) if when.scope is not None)


def audience_of(principal: Principal, asked: Iterable[str]) -> Audience:
    """The audience that a caller belongs to.

    Args:
        asked: of :func:`scopes_of`.
    """
    held = None if principal.scopes is None else principal.scopes.intersection(asked)
    return Audience(
        tuple(sorted(principal.roles)),
        frozenset(principal.attributes),
        principal.id is not None,
        None if held == frozenset(asked) else held,
    )


def rights_of(api: API, audience: Audience, dialect: DialectName) -> Rights:
    """What this audience may ever do.

    Conditions on the request (an hour, a network) are taken to hold for an `allow` and not to hold for a `deny`: this
    request or another may meet them. A scope is the credential's own, and known.
    """
    return Rights(
        api=api,
        dialect=dialect,
        roles=audience.roles,
        attributes=audience.attributes,
        identified=audience.identified,
        conditions={id(when): _ever(when, audience) for when in request_conditions(api)},
    )


def _ever(when: When, audience: Audience) -> tuple[bool, bool]:
    """Whether an `allow` may meet the condition at some request, and whether a `deny` does so at each."""
    if when.scope is None:
        return True, False
    # As in `authorise.conditions`: a credential without a limit carries every scope; no credential carries none.
    held = audience.identified and (audience.scopes is None or when.scope in audience.scopes)
    return held, held and replace(when, scope=None) == When(zone=when.zone)
