"""What the rules say before any row is looked at: the same :func:`may` as of a request, and each rule's part in it."""

from __future__ import annotations

from collections.abc import Iterator

from vallum.authorise.conditions import RequestFacts, conditions_hold, conditions_may_hold
from vallum.authorise.evaluator import CallerValues
from vallum.authorise.evaluator_decide import is_about
from vallum.authorise.evaluator_explain import Line, Verdict, caller_words, rule_words, settled_line
from vallum.authorise.rights import Rights
from vallum.authorise.stage import may, request_conditions
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.declare.policy import Operation, Rule
from vallum.declare.resource import Resource
from vallum.declare.route import OPERATIONS, Route, Verb
from vallum.declare.words import condition_words


def rights_of(api: API, dialect: DialectName, caller: CallerValues, facts: RequestFacts) -> Rights:
    """As the path has them."""
    whens = request_conditions(api)
    return Rights(
        api=api,
        dialect=dialect,
        roles=tuple(sorted(caller.roles)),
        attributes=frozenset(caller.attributes),
        identified=caller.id is not None,
        conditions={id(when): (conditions_hold(when, facts), conditions_may_hold(when, facts)) for when in whens},
    )


def without_row(
    route: Route, method: str, rights: Rights, caller: CallerValues, facts: RequestFacts
) -> tuple[bool, list[Line]]:
    """Whether the caller may do this at all, on some row, and which rules say so; on rows they decide one by one."""
    verb = route.methods[method]
    allowed = may(rights, route, method, verb)
    rows = ": rows and fields as these rules grant them" if route.resource is not None else ""
    refusal = ": 403, whichever row" if route.resource is not None else ": 403"
    reason = rows if allowed else refusal if caller.id is not None else ": 401, as there is no credential"
    return allowed, [
        Line(0, caller_words(caller)),
        Line(0, f"{method} {route.path}{reason}", "allowed" if allowed else "refused"),
        *_tenant(route.resource, caller),
        *_rules(route, method, verb, caller, facts),
    ]


def _tenant(resource: Resource | None, caller: CallerValues) -> Iterator[Line]:
    if resource is not None and resource.tenant is not None and caller.attributes.get(resource.tenant[1]) is None:
        yield Line(1, f'the caller has no me.attr["{resource.tenant[1]}"] and is in no tenant: no row is there', "no")


def _rules(route: Route, method: str, verb: Verb, caller: CallerValues, facts: RequestFacts) -> Iterator[Line]:
    if route.resource is None or verb is Verb.ACT:
        yield from _lines(route, route.handlers[method].rules, None, caller, facts)
    if route.resource is None:
        return
    # What is changed or acted upon is found only by who may READ it; a create needs no row.
    needed = OPERATIONS.get(verb)
    about = [needed] if needed in (Operation.CREATE, Operation.READ) else [needed, Operation.READ]
    for operation in about:
        if operation is not None:
            yield from _lines(route, route.resource.rules, operation, caller, facts)


def _lines(
    route: Route, rules: tuple[Rule, ...], operation: Operation | None, caller: CallerValues, facts: RequestFacts
) -> Iterator[Line]:
    for index, rule in enumerate(rules, 1):
        if is_about(rule, operation):
            text = rule_words(index, rule, operation)
            line = settled_line(text, rule, operation, caller, facts)
            yield line or _on_rows(text, rule, route.resource)


def _on_rows(text: str, rule: Rule, resource: Resource | None) -> Line:
    condition = "" if resource is None else condition_words(rule.where, resource.table)
    verdict: Verdict = "grants" if rule.effect == "allow" else "applies"
    return Line(1, f"{text}{f', on rows where {condition}' if condition else ''}", verdict)
