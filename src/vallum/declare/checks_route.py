"""Actions and endpoints: who may call them, and whether the function can be called that way."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from vallum.declare.app import API
from vallum.declare.checks_finding import Finding, error, rule_place, warning
from vallum.declare.checks_index import index_findings
from vallum.declare.checks_rule import row_findings, without_rules, words_findings
from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.declare.freshness import SAFE
from vallum.declare.route import Handler, Kind, Route, open_to_anyone


def handler_findings(api: API, dialect: DialectName) -> list[Finding]:
    """What is wrong with routes, with the functions behind them and with the rules on these."""
    try:
        routes = list(api.routes.values())
    except DeclarationError as found:
        if found.identifier == "field-name":  # told with the field, and every other of its kind
            return []
        return [error(found.identifier, found.place, "This path cannot be served.", found.mend)]
    findings: list[Finding] = []
    for route in routes:
        findings += _cost_findings(api, route)
        findings += _fresh_findings(route)
        for method, handler in route.handlers.items():
            findings += _handler_findings(api, route, f"{method} {route.path}", handler, dialect)
    return findings


def _handler_findings(api: API, route: Route, place: str, handler: Handler, dialect: DialectName) -> Iterator[Finding]:
    is_action = route.kind is Kind.ACTION
    if not any(rule.effect == "allow" for rule in handler.rules):
        yield without_rules("action-without-rules" if is_action else "endpoint-without-rules", place)
    if is_action and handler.asynchronous:
        yield error(
            "action-async",
            place,
            "The row of an action is locked in a transaction, which must not wait for anything else.",
            "Write def; what has to wait belongs into an endpoint with call.transact(…).",
        )
    yield from _signature_findings(handler, place, row=is_action)
    for index, rule in enumerate(handler.rules, 1):
        yield from words_findings(api, rule, rule_place(place, index, rule))
        yield from row_findings(rule, rule_place(place, index, rule), row=is_action)
    if route.resource is not None:
        yield from index_findings(route.resource, handler.rules, place, dialect)


def _signature_findings(handler: Handler, place: str, *, row: bool) -> Iterator[Finding]:
    names = ["call", *(["row"] if row else []), *(["body"] if handler.body is not None else [])]
    try:
        inspect.signature(handler.function).bind(*names)
    except TypeError:
        yield error(
            "handler-signature",
            place,
            f"The function {getattr(handler.function, '__name__', '')} does not take what it is called with.",
            f"It is called as function({', '.join(names)}).",
        )


def _fresh_findings(route: Route) -> Iterator[Finding]:
    for method in route.methods:
        if method not in SAFE and method not in route.fresh:
            yield warning(
                "fresh-off",
                f"{method} {route.path}",
                "Who records such a request can send it again, and it counts again.",
                'Drop fresh="off", unless a repetition does no harm.',
            )


def _cost_findings(api: API, route: Route) -> Iterator[Finding]:
    for method, cost in route.costs.items():
        for name, plan in api.plans.items():
            if name == "anonymous" and not open_to_anyone(route, method):
                continue
            smallest = min(limit for limit in (plan.burst.count, plan.hour, plan.day) if limit is not None)
            if cost > smallest:
                yield warning(
                    "cost-beyond-plan",
                    f"{method} {route.path}",
                    f"It costs {cost}, and the plan {name!r} never has more than {smallest} at once.",
                    "Lower the cost or raise the plan, unless its callers are never to do this.",
                )
