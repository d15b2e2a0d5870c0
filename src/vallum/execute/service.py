"""What the service behind a built-in route is told of the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from vallum.authorise.rights import Rights
from vallum.declare.plan import Claim
from vallum.request import Request
from vallum.store.ports import Principal


@final
@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One request to a built-in route, after every stage before `execute`.

    Attributes:
        request: with the header fields. On a public route `Authorization` has been looked at by nobody yet.
        principal: who calls; the anonymous one on every public route.
        rights: of the caller.
        claim: what the meter answered; on a route that costs nothing, what it would answer to a claim of one unit.
        form: name → value of a form body; None where the route takes none.
        parameters: name → text of each `{name}` in the path.
    """

    request: Request
    principal: Principal
    rights: Rights
    claim: Claim
    form: Mapping[str, str] | None
    parameters: Mapping[str, str]
