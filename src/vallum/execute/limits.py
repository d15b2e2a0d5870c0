"""`GET /limits`: a caller's budget, what is left of it, and what each thing that it may do takes from it.

Asking costs nothing, so that who has nothing left can still ask; the flood limit of its address holds, as for every
request. Strangers may ask where some rule lets strangers in: their budget is that of their network address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from vallum.authorise.rights import Rights
from vallum.authorise.stage import may
from vallum.declare.app import API
from vallum.declare.document import Document
from vallum.declare.plan import Claim, Plan
from vallum.declare.route import READS, Kind, Route, Verb, open_to_anyone
from vallum.execute.service import ServiceCall
from vallum.throttle.windows import DAY_SECONDS, HOUR_SECONDS

PATH: Final = "/limits"


def limits_route(api: API) -> Route:
    """The route, with its service."""
    routes = api.routes.values()

    async def limits(call: ServiceCall) -> Document:
        plan = call.principal.plan
        standing = {
            "plan": plan,
            "account": call.principal.id,
            **budget(api.plans[plan], call.claim),
            "costs": list(costs(routes, call.rights)),
        }
        return Document(media_type="application/json", body=json.dumps(standing).encode())

    return Route(
        path=PATH,
        kind=Kind.BUILT_IN,
        methods={"GET": Verb.SERVE},
        name="limits",
        service=limits,
        strangers=any(open_to_anyone(route, method) for route in routes for method in route.methods),
        costs={"GET": 0},
    )


def budget(plan: Plan, claim: Claim) -> dict[str, Any]:
    """A plan and what is left of it, in the order and with the numbers of the header fields."""
    policies: dict[str, dict[str, Any]] = {
        "hour": {"quota": plan.hour, "window_seconds": HOUR_SECONDS},
        "day": {"quota": plan.day, "window_seconds": DAY_SECONDS, "zone": plan.zone},
        "burst": {"quota": plan.burst.count, "window_seconds": plan.burst.seconds},
    }
    standing = zip(claim.policies, claim.remaining, claim.reset_seconds, strict=True)
    slow = plan.after_quota
    used_up = any(left == 0 for left in claim.remaining[:-1])  # the burst is the last one
    return {
        "policies": [
            {"name": n, **policies[n], "remaining": left, "reset_seconds": reset} for n, left, reset in standing
        ],
        "after_quota": None if slow is None else {"rate": str(slow.rate), "in_effect": used_up},
        "retry_after_seconds": claim.retry_after_seconds,
    }


def costs(routes: Iterable[Route], rights: Rights) -> Iterator[dict[str, Any]]:
    """Units of everything that the caller may do, and what parameters of a list add."""
    for route in routes:
        for method, verb in route.methods.items():
            if may(rights, route, method, verb):
                extra = dict(route.extra_costs) if verb in READS else {}
                yield {"method": method, "path": route.path, "units": route.costs[method], "extra": extra}
