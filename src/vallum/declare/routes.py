"""Every route of an API by its path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from vallum.declare.errors import DeclarationError
from vallum.declare.model import renamed
from vallum.declare.resource import Resource
from vallum.declare.route import Action, Kind, Route, action_route, collection_route, item_route, united

PATH: Final = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")
KEYS: Final = re.compile(r"\{\w+\}(,\{\w+\})*")
KEYED: Final = frozenset({Kind.ITEM, Kind.ACTION})
MEND: Final = (
    "A path is words, each behind a slash: /reports, /reports/daily. What differs by the call belongs into the body."
)
RESERVED: Final = {".well-known", "oauth", "docs", "problems", "openapi.json", "limits"}


def routes_of(
    resources: Mapping[type[Any], Resource], actions: Iterable[Action], endpoints: Iterable[Route]
) -> dict[str, Route]:
    """Path → route, of everything that was declared, in that order.

    Raises:
        DeclarationError: two of one path, a reserved path, an action on a model that is no resource.
    """
    routes: dict[str, Route] = {}
    for resource in resources.values():
        _add(routes, collection_route(resource))
        _add(routes, item_route(resource))
    for action in actions:
        owner = resources.get(action.model)
        if owner is None:
            place = f"{action.model.__name__}.{action.name}"
            raise DeclarationError("action-without-resource", place, "Declare its model: api.resource(…).")
        _add(routes, action_route(owner, action))
    for endpoint in endpoints:
        _add(routes, endpoint)
    return routes


def _add(routes: dict[str, Route], route: Route) -> None:
    if route.kind is Kind.ITEM and route.resource is not None:
        _check_key(route.resource)
    # A key in the path is that of a row: no endpoint is given it.
    literal = KEYS.sub("x", route.path) if route.kind in KEYED else route.path
    if not PATH.fullmatch(literal):
        raise DeclarationError("path-form", route.path, MEND)
    if literal.split("/")[1] in RESERVED:
        raise DeclarationError("path-reserved", route.path, "Vallum answers under this path itself.")
    present = routes.get(route.path)
    if present is None:
        routes[route.path] = route
    elif present.kind is Kind.ENDPOINT and not present.methods.keys() & route.methods.keys():
        routes[route.path] = united(present, route)
    else:
        raise DeclarationError("path-twice", route.path, "Give one of the two another path.")


def _check_key(resource: Resource) -> None:
    for name in resource.key:
        if not name.isidentifier():
            mend = f"No path can name a key like this. Name the attribute: {renamed(resource.fields[name])}."
            raise DeclarationError("field-name", f"{resource.model.__name__}.{name}", mend)
