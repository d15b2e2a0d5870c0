"""A route: everything the stages need to know about a path, as frozen data. There is no second path."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter
from pydantic.dataclasses import dataclass as dataclass_of_pydantic
from typing_extensions import is_typeddict

from vallum import defaults
from vallum.declare.document import Service
from vallum.declare.freshness import Freshness, fresh_methods
from vallum.declare.policy import ANYONE, Operation, Rule
from vallum.declare.resource import Resource


@final
class Kind(enum.Enum):
    """What stands behind a route."""

    COLLECTION = "collection"
    ITEM = "item"
    ACTION = "action"
    ENDPOINT = "endpoint"
    BUILT_IN = "built-in"


@final
class Verb(enum.Enum):
    """What a method does on a route; the word for costs, logs, audit and the matrix."""

    LIST = "list"
    ITEM = "item"
    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    CHANGE_MANY = "change_many"
    REMOVE_MANY = "remove_many"
    ACT = "act"
    SERVE = "serve"


FINITE: Final[ConfigDict] = {"allow_inf_nan": False}
CLOSED: Final[ConfigDict] = {"extra": "forbid", **FINITE}
READS: Final = frozenset({Verb.LIST, Verb.ITEM})
OPERATIONS: Final = {
    Verb.LIST: Operation.READ,
    Verb.ITEM: Operation.READ,
    Verb.CREATE: Operation.CREATE,
    Verb.CHANGE: Operation.UPDATE,
    Verb.REMOVE: Operation.DELETE,
    Verb.CHANGE_MANY: Operation.UPDATE,
    Verb.REMOVE_MANY: Operation.DELETE,
}
"""The operation of the rules behind each verb on a resource."""


@final
class BodyKind(enum.Enum):
    """The media types that a route takes."""

    NONE = "none"
    JSON = "json"
    MERGE_PATCH = "merge-patch"
    FORM = "form"


@final
class ErrorForm(enum.Enum):
    """How a route says no."""

    PROBLEM = "problem"
    """RFC 9457."""
    OAUTH = "oauth"
    """RFC 6749 §5.2."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """The author's function behind an action or endpoint.

    Attributes:
        function: called with the call, the row (actions) and the body (when there is one).
        asynchronous: an `async def` runs without an open transaction.
        body: adapter of the declared body type, or None.
        rules: of the action or endpoint.
        body_required: False where every member of the body has a default: none at all counts as `{}` then.
        safe: of a GET (RFC 9110 §9.2.1): where it changes nothing, there is nothing to audit.
    """

    function: Callable[..., Any]
    asynchronous: bool
    body: TypeAdapter[Any] | None
    rules: tuple[Rule, ...]
    body_required: bool = True
    safe: bool = False


@final
@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One path of the API.

    Attributes:
        path: the pattern, e.g. `/students/{id}/enrol`.
        kind: what stands behind it.
        methods: method → what it does.
        resource: of collection, item and action routes.
        name: of the action or endpoint.
        handlers: method → function, of actions and endpoints.
        service: of a built-in route, and of no other: what Vallum itself answers with.
        public: why no credential is needed, or None. Nobody is identified then: `Authorization` is the service's own
            affair. A built-in route that is not public is open to every known caller.
        strangers: such a route is open to callers without a credential, too.
        errors: how it says no.
        plan: the budget of its callers without a credential, by network address.
        csp: the Content-Security-Policy of its documents, for pages; None for that of every other answer.
        bodies: method → kind of body; a method that is not in it takes none.
        costs: method → units of the caller's budget; 0, on built-in routes alone: its budget is only looked at.
        extra_costs: parameter of the query of a list or item → units that it adds; `include` for each relation in it.
        fresh: methods whose requests must be fresh.
        max_body_bytes: of one request.
    """

    path: str
    kind: Kind
    methods: Mapping[str, Verb]
    resource: Resource | None = None
    name: str = ""
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    service: Service | None = None
    public: str | None = None
    strangers: bool = False
    errors: ErrorForm = ErrorForm.PROBLEM
    plan: str = "anonymous"
    csp: str | None = None
    bodies: Mapping[str, BodyKind] = field(default_factory=dict)
    costs: Mapping[str, int] = field(default_factory=dict)
    extra_costs: Mapping[str, int] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    max_body_bytes: int = defaults.MAX_BODY_BYTES


def collection_route(resource: Resource) -> Route:
    """`/students`: list and create; with `bulk=` also change and remove several rows at once."""
    cost, bulk = resource.cost, resource.bulk > 0
    methods = {"GET": Verb.LIST, "POST": Verb.CREATE}
    many = {"PATCH": Verb.CHANGE_MANY, "DELETE": Verb.REMOVE_MANY} if bulk else {}
    return Route(
        path=resource.path,
        kind=Kind.COLLECTION,
        methods={**methods, **many},
        resource=resource,
        bodies={"POST": BodyKind.JSON, **({"PATCH": BodyKind.MERGE_PATCH} if bulk else {})},
        costs={
            "GET": cost["list"],
            "POST": cost["create"],
            **({"PATCH": cost["change"], "DELETE": cost["remove"]} if bulk else {}),
        },
        extra_costs={"count": cost["count"], **_include_cost(resource)},
        fresh=fresh_methods(resource.fresh, ("GET", "POST", *many)),
        max_body_bytes=resource.max_body_bytes,
    )


def item_route(resource: Resource) -> Route:
    """`/students/{id}`, `/enrolments/{a},{b}`: read, change and remove one row."""
    keys = ",".join(f"{{{name}}}" for name in resource.key)
    return Route(
        path=f"{resource.path}/{keys}",
        kind=Kind.ITEM,
        methods={"GET": Verb.ITEM, "PATCH": Verb.CHANGE, "DELETE": Verb.REMOVE},
        resource=resource,
        bodies={"PATCH": BodyKind.MERGE_PATCH},
        costs={"GET": resource.cost["item"], "PATCH": resource.cost["change"], "DELETE": resource.cost["remove"]},
        extra_costs=_include_cost(resource),
        fresh=fresh_methods(resource.fresh, ("GET", "PATCH", "DELETE")),
        max_body_bytes=resource.max_body_bytes,
    )


def _include_cost(resource: Resource) -> dict[str, int]:
    """What a relation that a read follows adds to it, where there is one."""
    return {"include": resource.cost["include"]} if resource.relations else {}


@final
@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """An action as declared; its model's resource may be declared after it, and says what `fresh` does not."""

    model: type[Any]
    name: str
    handler: Handler
    cost: int
    fresh: Freshness | None


def action_route(resource: Resource, action: Action) -> Route:
    """`/students/{id}/enrol`."""
    return Route(
        path=f"{item_route(resource).path}/{action.name}",
        kind=Kind.ACTION,
        methods={"POST": Verb.ACT},
        resource=resource,
        name=action.name,
        handlers={"POST": action.handler},
        bodies={} if action.handler.body is None else {"POST": BodyKind.JSON},
        costs={"POST": action.cost},
        fresh=fresh_methods(action.fresh or resource.fresh, ("POST",)),
        max_body_bytes=resource.max_body_bytes,
    )


def endpoint_route(method: str, path: str, handler: Handler, cost: int, max_body_bytes: int, fresh: Freshness) -> Route:
    """`/reports`: one method of it."""
    return Route(
        path=path,
        kind=Kind.ENDPOINT,
        methods={method: Verb.ACT},
        name=path[1:],
        handlers={method: handler},
        bodies={} if handler.body is None else {method: BodyKind.JSON},
        costs={method: cost},
        fresh=fresh_methods(fresh, (method,)),
        max_body_bytes=max_body_bytes,
    )


def united(first: Route, second: Route) -> Route:
    """Two endpoints under one path, with different methods."""
    return replace(
        first,
        methods={**first.methods, **second.methods},
        handlers={**first.handlers, **second.handlers},
        bodies={**first.bodies, **second.bodies},
        costs={**first.costs, **second.costs},
        fresh=first.fresh | second.fresh,
        max_body_bytes=max(first.max_body_bytes, second.max_body_bytes),
    )


def open_to_anyone(route: Route, method: str) -> bool:
    """Whether a caller without a credential might be let in: the route says so, or a rule names ANYONE."""
    if route.public is not None or route.strangers:
        return method in route.methods
    return any(rule.effect == "allow" and ANYONE in rule.roles for rule in rules_of(route, method))


def rules_of(route: Route, method: str) -> tuple[Rule, ...]:
    """The rules that decide about a method: of its handler, or of the resource on that operation; none of a public one."""
    verb = route.methods.get(method)
    if verb is None:
        return ()
    if route.handlers:
        return route.handlers[method].rules
    return () if route.resource is None else route.resource.rules_on(OPERATIONS[verb])


def handler_of(function: Callable[..., Any], body: Any, rules: tuple[Rule, ...], method: str = "POST") -> Handler:
    """Wrap the author's function; the body's type is any that Pydantic understands."""
    adapter = None if body is None else body_adapter(body)
    waits, required = inspect.iscoroutinefunction(function), _requires_members(body)
    return Handler(function, waits, adapter, rules, required, safe=method == "GET")


def _requires_members(body: Any) -> bool:
    """Whether `{}` lacks something that a body of this type has."""
    if is_typeddict(body):
        return bool(body.__required_keys__)
    if isinstance(body, type) and dataclasses.is_dataclass(body):
        missing = dataclasses.MISSING
        return any(f.init and f.default is missing and f.default_factory is missing for f in dataclasses.fields(body))
    if isinstance(body, type) and issubclass(body, BaseModel) and not issubclass(body, RootModel):
        return any(member.is_required() for member in body.model_fields.values())
    return True


def body_adapter(body: Any) -> TypeAdapter[Any]:
    """The validator of a body. A type with members that does not say otherwise takes no unknown one, and no infinity."""
    if isinstance(body, type) and issubclass(body, BaseModel):
        # What stands for one value has no members, and Pydantic takes no word about them.
        closed = (FINITE if issubclass(body, RootModel) else CLOSED) | body.model_config
        return TypeAdapter(type(body.__name__, (body,), {"__module__": body.__module__, "model_config": closed}))
    if not is_typeddict(body) and not (isinstance(body, type) and dataclasses.is_dataclass(body)):
        return TypeAdapter(body, config=FINITE)
    config: ConfigDict = {**CLOSED, **getattr(body, "__pydantic_config__", {})}
    if is_typeddict(body):
        return TypeAdapter(types.new_class(body.__name__, (body,), {}, lambda n: n.update(__pydantic_config__=config)))
    return TypeAdapter(dataclass_of_pydantic(body, config=config))
