"""What a request costs, in units of its caller's budget, as far as its first line tells.

A list costs more when its query asks for more. The query is validated later, after the caller is known to be
allowed; here only the names in it are looked at (of parameters, and of relations to include, these
in each of so many rows as `limit` says), so that the whole price is
claimed in one step, before anything is done for it. A query that turns out to be faulty has cost what it asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from vallum import defaults
from vallum.declare.route import READS, Route

LONGEST_LIMIT: Final = len(str(defaults.PAGE_MAX))


def cost_of(route: Route | None, method: str, query: str) -> int:
    """Units for that method on that route; 1 where there is none.

    Args:
        query: what stands behind `?`, undecoded.
    """
    if route is None:
        return 1
    cost = route.costs.get(method, 1)
    if query and route.extra_costs and route.methods.get(method) in READS:
        cost += added(query, route.extra_costs)
    return cost


def added(query: str, extra_costs: Mapping[str, int]) -> int:
    """Units for the parameters of this query that cost extra, however their names are encoded."""
    if "%" not in query and not any(name in query for name in extra_costs):
        return 0
    # One parameter more than a query may have is enough: it is refused, whatever follows.
    parts = [part.partition("=") for part in query.split("&", defaults.MAX_QUERY_PARAMETERS)]
    values = {unquote(name): value for name, _, value in parts}
    return sum(
        units
        * (relations(unquote(values[name])) * _parts(unquote(values.get("limit", ""))) if name == "include" else 1)
        for name, units in extra_costs.items()
        if name in values
    )


def _parts(limit: str) -> int:
    """How many times `INCLUDE_COST_ROWS` a page begins; one where the limit is faulty, or not there."""
    rows = int(limit) if limit.isdecimal() and limit.isascii() and len(limit) <= LONGEST_LIMIT else 1
    return max(1, -(-min(rows, defaults.PAGE_MAX) // defaults.INCLUDE_COST_ROWS))


def relations(include: str) -> int:
    """How many an `include` follows, those on the way to others among them; one where it is faulty."""
    paths = [name.split(".", defaults.INCLUDE_DEPTH) for name in include.split(",", defaults.MAX_INCLUDES)]
    found = {tuple(path[:length]) for path in paths for length in range(1, len(path) + 1)}
    return min(len(found), defaults.MAX_INCLUDES)
