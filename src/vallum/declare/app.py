"""`API`: what an application author writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, final

from pydantic import BaseModel
from sqlalchemy import BindParameter
from sqlalchemy.orm import InstrumentedAttribute

from vallum import defaults
from vallum.declare.accounts import Accounts
from vallum.declare.errors import DeclarationError
from vallum.declare.model import fields_of, key_of, mapper_of, references_of, table_of
from vallum.declare.plan import ANONYMOUS_PLAN, DEFAULT_PLAN, Plan, checked_cost
from vallum.declare.policy import ME_ATTRIBUTE, Rule
from vallum.declare.resource import Resource
from vallum.declare.route import (
    Action,
    Kind,
    Route,
    action_route,
    collection_route,
    endpoint_route,
    handler_of,
    item_route,
    united,
)

Function = TypeVar("Function", bound=Callable[..., Any])
Column = str | InstrumentedAttribute[Any]

ATTRIBUTE_TYPES: Final = (int, str, bool)
PATH: Final = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")
NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
RESERVED: Final = {".well-known", "oauth", "docs", "problems", "openapi.json", "limits"}
OPERATION_COST: Final = {"list": 1, "item": 1, "create": 1, "change": 1, "remove": 1, "count": defaults.COUNT_COST}


@final
class API:
    """An API: its roles and attributes, its resources, actions and endpoints, all closed until a rule opens them.

    Args:
        title: shown in the documentation.
        roles: every role that rules and accounts may name.
        attributes: name → Python type (`int`, `str` or `bool`) of what is known about a caller beyond roles.
        plans: name → quota plan. `"default"` is of callers without a plan of their own, `"anonymous"` of
            callers without a credential (counted per network address).
        tenant: `("school_id", me.attr["school"])`: joined to every rule of every model.
        cors: exact origins whose pages may call this API, without credentials.
        version: of the API, shown in its documentation.
    """

    def __init__(
        self,
        title: str,
        *,
        roles: Iterable[str],
        attributes: Mapping[str, type] | None = None,
        plans: Mapping[str, Plan] | None = None,
        tenant: tuple[str, BindParameter[Any]] | None = None,
        cors: Iterable[str] = (),
        version: str = "1",
    ) -> None:
        self.title = title
        self.version = version
        self.roles = tuple(roles)
        self.attributes: Mapping[str, type] = dict(attributes or {})
        self.plans: Mapping[str, Plan] = {"default": DEFAULT_PLAN, "anonymous": ANONYMOUS_PLAN, **(plans or {})}
        self.tenant = _tenant(tenant)
        self.cors = tuple(cors)
        self.accounts = Accounts(self)
        self.resources: dict[type[Any], Resource] = {}
        self._actions: list[Action] = []
        self._endpoints: list[Route] = []
        self._routes: dict[str, Route] | None = None
        self.starters: list[Callable[..., Any]] = []
        self.stoppers: list[Callable[..., Any]] = []
        self.seeders: list[Callable[..., Any]] = []
        for role in self.roles:
            if not NAME.fullmatch(role):
                raise DeclarationError("role-name", f"role {role!r}", "Use lower case, digits, - and _.")
        for name, kind in self.attributes.items():
            if not name.isidentifier() or kind not in ATTRIBUTE_TYPES:
                raise DeclarationError(
                    "attribute-type", f"attribute {name!r}", "Use an identifier with int, str or bool."
                )

    def resource(
        self,
        model: type[Any],
        *rules: Rule,
        path: str | None = None,
        filters: Iterable[Column] = (),
        sorts: Iterable[Column] = (),
        soft_delete: InstrumentedAttribute[Any] | None = None,
        cascade: Iterable[type[Any]] = (),
        body: type[BaseModel] | None = None,
        cost: Mapping[str, int] | None = None,
        max_body_bytes: int = defaults.MAX_BODY_BYTES,
    ) -> Resource:
        """Serve a mapped class under `path` (default: `/` and the table's name).

        Args:
            rules: `allow(…)` and `deny(…)`; what none of them names does not exist.
            filters, sorts: fields that a list may be filtered and sorted by. The key is always among the sorts.
            soft_delete: a nullable datetime column that DELETE sets.
            cascade: models whose rows may disappear with a row of this one (ON DELETE CASCADE or SET NULL).
            body: a Pydantic model in place of the one derived from the columns.
            cost: units of the caller's budget: `{"list": 2}`; 1 each by default. `"count"` is what `count=exact` adds
                to a list.

        Raises:
            DeclarationError: what cannot be honoured.
        """
        mapper = mapper_of(model)
        table = table_of(mapper)
        where = path or f"/{table.name}"
        resource = Resource(
            model=model,
            table=table,
            name=where[1:],
            path=where,
            fields=fields_of(mapper),
            key=key_of(mapper),
            rules=rules,
            filters=_names(filters),
            sorts=tuple(dict.fromkeys((*_names(sorts), *key_of(mapper)))),
            references=references_of(mapper),
            soft_delete=None if soft_delete is None else soft_delete.key,
            tenant=self.tenant,
            cascade=frozenset(table_of(mapper_of(child)).key for child in cascade),
            body=body,
            cost={**OPERATION_COST, **{word: checked_cost(units) for word, units in (cost or {}).items()}},
            max_body_bytes=max_body_bytes,
        )
        if model in self.resources:
            raise DeclarationError("resource-twice", f"{model.__name__}", "Declare a model once; rules unite there.")
        self.resources[model] = resource
        self._routes = None
        return resource

    def action(
        self, model: type[Any], name: str, *rules: Rule, body: Any = None, cost: int = 1
    ) -> Callable[[Function], Function]:
        """`POST /students/{id}/<name>`: the row is loaded under the rule and locked, then the function runs."""
        if not NAME.fullmatch(name):
            raise DeclarationError("action-name", f"{model.__name__}.{name}", "Use lower case, digits, - and _.")

        def register(function: Function) -> Function:
            self._actions.append(Action(model, name, handler_of(function, body, rules), checked_cost(cost)))
            self._routes = None
            return function

        return register

    def _endpoint(
        self, method: str, path: str, rules: tuple[Rule, ...], body: Any, cost: int, max_body_bytes: int
    ) -> Callable[[Function], Function]:
        def register(function: Function) -> Function:
            route = endpoint_route(method, path, handler_of(function, body, rules), checked_cost(cost), max_body_bytes)
            self._endpoints.append(route)
            self._routes = None
            return function

        return register

    def get(self, path: str, *rules: Rule, cost: int = 1) -> Callable[[Function], Function]:
        """`GET <path>`: an endpoint without a row."""
        return self._endpoint("GET", path, rules, None, cost, 0)

    def post(
        self,
        path: str,
        *rules: Rule,
        body: Any = None,
        cost: int = 1,
        max_body_bytes: int = defaults.MAX_BODY_BYTES,
    ) -> Callable[[Function], Function]:
        """`POST <path>`: an endpoint without a row; `body` is any type that Pydantic understands."""
        return self._endpoint("POST", path, rules, body, cost, max_body_bytes)

    def put(self, path: str, *rules: Rule, body: Any, cost: int = 1) -> Callable[[Function], Function]:
        """`PUT <path>`: like `post`."""
        return self._endpoint("PUT", path, rules, body, cost, defaults.MAX_BODY_BYTES)

    def delete(self, path: str, *rules: Rule, cost: int = 1) -> Callable[[Function], Function]:
        """`DELETE <path>`: like `post`, without a body."""
        return self._endpoint("DELETE", path, rules, None, cost, 0)

    def on_start(self, function: Function) -> Function:
        """Call `function` (plain or async, no arguments) before the first request."""
        self.starters.append(function)
        return function

    def on_stop(self, function: Function) -> Function:
        """Call `function` (plain or async, no arguments) after the last answer."""
        self.stoppers.append(function)
        return function

    def on_seed(self, function: Function) -> Function:
        """Call `function(db: Session)` once, when `vallum db create --seed` fills a new database."""
        self.seeders.append(function)
        return function

    @property
    def routes(self) -> Mapping[str, Route]:
        """Every route by its path, whatever the order of the declarations was.

        Raises:
            DeclarationError: two of one path, a reserved path, an action on a model that is no resource.
        """
        if self._routes is None:
            routes: dict[str, Route] = {}
            for resource in self.resources.values():
                _add(routes, collection_route(resource))
                _add(routes, item_route(resource))
            for action in self._actions:
                owner = self.resources.get(action.model)
                if owner is None:
                    place = f"{action.model.__name__}.{action.name}"
                    raise DeclarationError("action-without-resource", place, "Declare its model: api.resource(…).")
                _add(routes, action_route(owner, action))
            for endpoint in self._endpoints:
                _add(routes, endpoint)
            self._routes = routes
        return self._routes


def _add(routes: dict[str, Route], route: Route) -> None:
    literal = re.sub(r"\{\w+\}(,\{\w+\})*", "x", route.path)
    if not PATH.fullmatch(literal):
        raise DeclarationError("path-form", route.path, "A path starts with / and has no empty segment.")
    if literal.split("/")[1] in RESERVED:
        raise DeclarationError("path-reserved", route.path, "Vallum answers under this path itself.")
    present = routes.get(route.path)
    if present is None:
        routes[route.path] = route
    elif present.kind is Kind.ENDPOINT and not present.methods.keys() & route.methods.keys():
        routes[route.path] = united(present, route)
    else:
        raise DeclarationError("path-twice", route.path, "Give one of the two another path.")


def _names(columns: Iterable[Column]) -> tuple[str, ...]:
    return tuple(c if isinstance(c, str) else c.key for c in columns)


def _tenant(tenant: tuple[str, BindParameter[Any]] | None) -> tuple[str, str] | None:
    if tenant is None:
        return None
    column, value = tenant
    if not isinstance(value, BindParameter) or not value.key.startswith(ME_ATTRIBUTE):
        raise DeclarationError("tenant-value", f"tenant=({column!r}, …)", 'Give an attribute: me.attr["school"].')
    return column, value.key.removeprefix(ME_ATTRIBUTE)
