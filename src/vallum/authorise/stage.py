"""Stage 4, authorise: what this caller may do here. It comes before validation, so that a stranger
learns no schema from error messages.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, final

from vallum import defaults
from vallum.authorise.conditions import RequestFacts, conditions_hold, conditions_may_hold
from vallum.authorise.rights import Access, Rights
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.declare.policy import Operation, Rule
from vallum.declare.route import OPERATIONS, Kind, Route, Verb
from vallum.declare.when import When
from vallum.refusals import CREDENTIAL_MISSING, FORBIDDEN, METHOD_NOT_ALLOWED, NOT_FOUND, Refusal
from vallum.request import Request
from vallum.store.ports import Principal
from vallum.throttle.stage import Metered


@final
class Authorised(NamedTuple):
    """The caller's roles allow this verb on this route; on which rows and fields, the statement decides.

    Attributes:
        rights: of the caller on every resource (answers and references need the others).
        verb: what the method does.
        access: by that verb; None where there is no row (endpoints, built-in routes).
    """

    metered: Metered
    route: Route
    rights: Rights
    verb: Verb
    access: Access | None


@final
class Policy:
    """The API's rules, compiled for each role set that comes by; the least recently used is dropped."""

    def __init__(self, api: API, dialect: DialectName) -> None:
        self.api = api
        self.dialect = dialect
        self.conditions = request_conditions(api)
        self._kept: OrderedDict[object, Rights] = OrderedDict()

    def rights_of(self, principal: Principal, request: Request) -> Rights:
        """The rights of this caller at this request."""
        held = self._held(principal, request) if self.conditions else ()
        key = (principal.roles, frozenset(principal.attributes), principal.id is not None, held)
        rights = self._kept.get(key)
        if rights is None:
            rights = Rights(
                api=self.api,
                dialect=self.dialect,
                roles=tuple(sorted(principal.roles)),
                attributes=frozenset(principal.attributes),
                identified=principal.id is not None,
                conditions={id(w): h for w, h in zip(self.conditions, held, strict=True)},
            )
            self._kept[key] = rights
            if len(self._kept) > defaults.RIGHTS_CACHED:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return rights

    def _held(self, principal: Principal, request: Request) -> tuple[tuple[bool, bool], ...]:
        facts = RequestFacts(
            credential=principal.credential,
            login_at=principal.login_at,
            scopes=principal.scopes,
            address=request.address,
            now=request.received_at,
        )
        return tuple((conditions_hold(c, facts), conditions_may_hold(c, facts)) for c in self.conditions)


def authorise(metered: Metered, policy: Policy) -> Authorised:
    """Find the caller's access by this method on this route.

    Raises:
        Refusal: NOT_FOUND, METHOD_NOT_ALLOWED, FORBIDDEN; CREDENTIAL_MISSING for an anonymous caller.
    """
    identified = metered.identified
    admitted = identified.admitted
    request, route, principal = admitted.request, admitted.route, identified.principal
    if route is None:
        raise Refusal(NOT_FOUND)
    rights = policy.rights_of(principal, request)
    verb = route.methods.get(request.method)
    if verb is None:
        raise Refusal(METHOD_NOT_ALLOWED, allow=allowed_methods(route, rights))
    may_at_all, access = _permit(rights, route, request.method, verb)
    if not may_at_all:
        raise Refusal(FORBIDDEN if principal.id is not None else CREDENTIAL_MISSING)
    return Authorised(metered, route, rights, verb, access)


def charged(authorised: Authorised, metered: Metered) -> Authorised:
    """The same, when more was claimed for the request."""
    return Authorised(metered, authorised.route, authorised.rights, authorised.verb, authorised.access)


def _permit(rights: Rights, route: Route, method: str, verb: Verb) -> tuple[bool, Access | None]:
    """:func:`may` and :func:`access_by`: they depend on nothing else of the request, so they are asked once."""
    found = rights.permits.get((route.path, method))
    if found is None:
        found = may(rights, route, method, verb), access_by(rights, route, method, verb)
        rights.permits[route.path, method] = found
    return found


def allowed_methods(route: Route, rights: Rights) -> tuple[str, ...]:
    """The methods of this route that the caller's roles allow."""
    return tuple(method for method, verb in route.methods.items() if may(rights, route, method, verb))


def may(rights: Rights, route: Route, method: str, verb: Verb) -> bool:
    """Whether the caller's roles allow this at all, on some row."""
    if route.kind is Kind.BUILT_IN:
        return rights.identified or route.strangers or route.public is not None
    if route.kind is Kind.ENDPOINT:
        return rights.to_endpoint(route.handlers[method])
    if access_by(rights, route, method, verb) is None:
        return False
    # A row is found only by who may READ it; a create needs no row.
    return verb is Verb.CREATE or _read(rights, route) is not None


def access_by(rights: Rights, route: Route, method: str, verb: Verb) -> Access | None:
    """The access behind a verb on a resource or an action."""
    if route.resource is None:
        return None
    if verb is Verb.ACT:
        return rights.by_action(route, route.handlers[method])
    return rights.on(route.resource, OPERATIONS[verb])


def _read(rights: Rights, route: Route) -> Access | None:
    return None if route.resource is None else rights.on(route.resource, Operation.READ)


def request_conditions(api: API) -> tuple[When, ...]:
    """Every `when=` of the API's rules, each once."""
    return tuple({id(rule.when): rule.when for rule in _rules_of(api) if rule.when is not None}.values())


def _rules_of(api: API) -> list[Rule]:
    rules = [rule for resource in api.resources.values() for rule in resource.rules]
    rules += [rule for route in api.routes.values() for handler in route.handlers.values() for rule in handler.rules]
    return rules
