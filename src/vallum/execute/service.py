"""What the service behind a built-in route is told of the request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from vallum.authorise.rights import Rights
from vallum.declare.plan import Claim
from vallum.request import Request
from vallum.store.ports import Principal
from vallum.validate.stage import ServiceIntent

_PARAMETER: Final = re.compile(r"\{(\w+)\}")


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


def service_call(intent: ServiceIntent) -> ServiceCall:
    """The request of an intent."""
    metered, route, rights = intent.authorised.metered, intent.authorised.route, intent.authorised.rights
    principal, admitted = metered.identified.principal, metered.identified.admitted
    parameters = dict(zip(_PARAMETER.findall(route.path), admitted.keys, strict=True)) if admitted.keys else {}
    return ServiceCall(admitted.request, principal, rights, metered.claim, intent.form, parameters)
