"""For whom a document is: a role set, not a person."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple, final

from vallum.authorise.rights import Rights
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.store.ports import Principal


@final
class Audience(NamedTuple):
    """What of a caller decides about its document.

    Attributes:
        roles: sorted.
        attributes: names of those that the caller has: a rule that uses another one is false.
        identified: False for a caller without a credential.
    """

    roles: tuple[str, ...]
    attributes: frozenset[str]
    identified: bool


def audience_of(principal: Principal) -> Audience:
    """The audience that a caller belongs to."""
    return Audience(tuple(sorted(principal.roles)), frozenset(principal.attributes), principal.id is not None)


def rights_of(api: API, audience: Audience, dialect: DialectName) -> Rights:
    """What this audience may ever do.

    Conditions on the request (an hour, a network) are taken to hold for an `allow` and not to hold for a `deny`: this
    request or another may meet them.
    """
    return Rights(
        api=api,
        dialect=dialect,
        roles=audience.roles,
        attributes=audience.attributes,
        identified=audience.identified,
        conditions=defaultdict(lambda: (True, False)),
    )
