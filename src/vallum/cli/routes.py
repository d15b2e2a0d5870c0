"""`vallum routes`: every path and method, and whom a rule names for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import typer

from vallum.cli.given import App, AsJson, Data, settings_of
from vallum.cli.output import table
from vallum.declare.app import API
from vallum.declare.policy import Rule
from vallum.declare.route import rules_of
from vallum.serve.load import load_api

COLUMNS: Final = ("method", "path", "does", "roles", "cost", "fresh")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("routes")(routes)


def routes(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Every path and method, and the roles that a rule lets in. What is not listed does not exist."""
    api = load_api(settings_of(data=data, app=app).app)
    table(COLUMNS, list(described(api)), as_json=as_json)


def described(api: API) -> Iterator[dict[str, Any]]:
    """A row for each method of each route, in the order of the declaration. A method that no rule opens is left out."""
    for route in api.routes.values():
        for method, verb in route.methods.items():
            roles = _roles(rules_of(route, method))
            if roles or route.public is not None:
                yield {
                    "method": method,
                    "path": route.path,
                    "does": verb.value,
                    "roles": roles or ["public"],
                    "cost": route.costs.get(method, 0),
                    "fresh": method in route.fresh,
                }


def _roles(rules: Sequence[Rule]) -> list[str]:
    named = [role for rule in rules if rule.effect == "allow" for role in rule.roles]
    return list(dict.fromkeys(map(str, named)))
