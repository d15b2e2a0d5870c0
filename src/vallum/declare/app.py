"""`API`: what an application author writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, final

from pydantic import BaseModel
from sqlalchemy import BindParameter, Table
from sqlalchemy.orm import InstrumentedAttribute

from vallum import defaults
from vallum.declare.accounts import Accounts
from vallum.declare.errors import DeclarationError
from vallum.declare.model import fields_of, key_of, mapper_of, references_of
from vallum.declare.plan import ANONYMOUS_PLAN, DEFAULT_PLAN, Plan
from vallum.declare.policy import ME_ATTRIBUTE, Rule
from vallum.declare.resource import Resource
from vallum.declare.route import (
    BodyKind,
    Kind,
    Route,
    Verb,
    collection_route,
    handler_of,
    item_route,
    united,
)

Function = TypeVar("Function", bound=Callable[..., Any])
Column = str | InstrumentedAttribute[Any]

ATTRIBUTE_TYPES: Final = (int, str, bool)
PATH: Final = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")
NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
OPERATION_COST: Final = {"list": 1, "item": 1, "create": 1, "change": 1, "remove": 1}


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
        self.routes: dict[str, Route] = {}
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
            cost: units of the caller's budget: `{"list": 2}`; 1 each by default.

        Raises:
            DeclarationError: what cannot be honoured.
        """
        mapper = mapper_of(model)
        table = mapper.local_table
        if not isinstance(table, Table):
            raise DeclarationError("not-a-model", repr(model), "Give a class that is mapped to one table.")
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
            cascade=frozenset(mapper_of(child).local_table.key for child in cascade),  # type: ignore[attr-defined]
            body=body,
            cost={**OPERATION_COST, **(cost or {})},
            max_body_bytes=max_body_bytes,
        )
        if model in self.resources:
            raise DeclarationError("resource-twice", f"{model.__name__}", "Declare a model once; rules unite there.")
        self._route(collection_route(resource))
        self._route(item_route(resource))
        self.resources[model] = resource
        return resource

    def action(
        self, model: type[Any], name: str, *rules: Rule, body: type[Any] | None = None, cost: int = 1
    ) -> Callable[[Function], Function]:
        """`POST /students/{id}/<name>`: the row is loaded under the rule and locked, then the function runs."""
        resource = self.resources.get(model)
        if resource is None:
            raise DeclarationError("action-without-resource", f"{model.__name__}.{name}", "Declare the resource first.")
        if not NAME.fullmatch(name):
            raise DeclarationError("action-name", f"{model.__name__}.{name}", "Use lower case, digits, - and _.")

        def register(function: Function) -> Function:
            item = item_route(resource)
            self._route(
                Route(
                    path=f"{item.path}/{name}",
                    kind=Kind.ACTION,
                    methods={"POST": Verb.ACT},
                    resource=resource,
                    name=name,
                    handlers={"POST": handler_of(function, body, rules)},
                    bodies={} if body is None else {"POST": BodyKind.JSON},
                    costs={"POST": cost},
                    max_body_bytes=resource.max_body_bytes,
                )
            )
            return function

        return register

    def _endpoint(
        self, method: str, path: str, rules: tuple[Rule, ...], body: type[Any] | None, cost: int, max_body_bytes: int
    ) -> Callable[[Function], Function]:
        def register(function: Function) -> Function:
            self._route(
                Route(
                    path=path,
                    kind=Kind.ENDPOINT,
                    methods={method: Verb.ACT},
                    name=path[1:],
                    handlers={method: handler_of(function, body, rules)},
                    bodies={} if body is None else {method: BodyKind.JSON},
                    costs={method: cost},
                    max_body_bytes=max_body_bytes,
                )
            )
            return function

        return register

    def get(self, path: str, *rules: Rule, cost: int = 1) -> Callable[[Function], Function]:
        """`GET <path>`: an endpoint without a row."""
        return self._endpoint("GET", path, rules, None, cost, 0)

    def post(
        self,
        path: str,
        *rules: Rule,
        body: type[Any] | None = None,
        cost: int = 1,
        max_body_bytes: int = defaults.MAX_BODY_BYTES,
    ) -> Callable[[Function], Function]:
        """`POST <path>`: an endpoint without a row; `body` is any type that Pydantic understands."""
        return self._endpoint("POST", path, rules, body, cost, max_body_bytes)

    def put(self, path: str, *rules: Rule, body: type[Any], cost: int = 1) -> Callable[[Function], Function]:
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

    def _route(self, route: Route) -> None:
        literal = re.sub(r"\{\w+\}(,\{\w+\})*", "x", route.path)
        if not PATH.fullmatch(literal):
            raise DeclarationError("path-form", route.path, "A path starts with / and has no empty segment.")
        if literal.startswith("/.well-known") or literal.split("/")[1] in {"oauth", "docs", "problems", "openapi.json"}:
            raise DeclarationError("path-reserved", route.path, "Vallum answers under this path itself.")
        present = self.routes.get(route.path)
        if present is None:
            self.routes[route.path] = route
        elif present.kind is Kind.ENDPOINT and not present.methods.keys() & route.methods.keys():
            self.routes[route.path] = united(present, route)
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
