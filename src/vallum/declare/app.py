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
from vallum.declare.attribute import Attribute, check_attributes, names_of
from vallum.declare.checks_finding import rule_place
from vallum.declare.errors import DeclarationError
from vallum.declare.freshness import Freshness, checked_freshness, checked_seconds
from vallum.declare.model import fields_of, key_of, mapper_of, references_of, table_of
from vallum.declare.plan import ANONYMOUS_PLAN, DEFAULT_PLAN, Plan, checked_cost, checked_costs, checked_plans
from vallum.declare.policy import ME_ATTRIBUTE, Rule
from vallum.declare.relation import relations_of
from vallum.declare.resource import Resource
from vallum.declare.route import Action, Route, endpoint_route, handler_of
from vallum.declare.routes import routes_of

Function = TypeVar("Function", bound=Callable[..., Any])

ATTRIBUTE_TYPES: Final = (int, str, bool)
OWN_PLANS: Final = {"default": DEFAULT_PLAN, "anonymous": ANONYMOUS_PLAN}
NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
# `count` is what a count adds to a list, `include` what each included relation adds to a list or item.
OPERATION_COST: Final = {
    **dict.fromkeys(("list", "item", "create", "change", "remove"), 1),
    "count": defaults.COUNT_COST,
    "include": defaults.INCLUDE_COST,
}


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
        fresh: which requests must be made a moment ago and never seen before: `"writes"`, `"all"` or `"off"`.
            Resources, actions and endpoints may say otherwise for themselves.
        fresh_seconds: how old such a request's timestamp may be, 60 to 600.
        version: of the API, shown in its documentation.
        existing_tables: the tables of the models are there already and belong to another program. Vallum makes and
            changes none of them, `vallum db create` neither; its own stand beside them.
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
        fresh: Freshness = "writes",
        fresh_seconds: int = defaults.FRESH_SECONDS,
        version: str = "1",
        existing_tables: bool = False,
    ) -> None:
        self.title = title
        self.version = version
        self.existing_tables = existing_tables
        self.roles = tuple(roles)
        self.attributes: Mapping[str, type] = dict(attributes or {})
        _check_names(self.roles, self.attributes)
        self.plans: Mapping[str, Plan] = {**OWN_PLANS, **checked_plans({} if plans is None else plans)}
        self.tenant = _tenant(tenant)
        self.cors = tuple(cors)
        self.fresh: Freshness = checked_freshness(fresh, "API")
        self.fresh_seconds = checked_seconds(fresh_seconds)
        self.accounts = Accounts(self)
        self.resources: dict[type[Any], Resource] = {}
        self._actions: list[Action] = []
        self._endpoints: list[Route] = []
        self._routes: dict[str, Route] | None = None
        self.starters: list[Callable[..., Any]] = []
        self.stoppers: list[Callable[..., Any]] = []
        self.seeders: list[Callable[..., Any]] = []

    def resource(  # noqa: PLR0913  # by name, and each has a default
        self,
        model: type[Any],
        *rules: Rule,
        path: str | None = None,
        filters: Iterable[Attribute] = (),
        sorts: Iterable[Attribute] = (),
        soft_delete: InstrumentedAttribute[Any] | None = None,
        cascade: Iterable[type[Any]] = (),
        body: type[BaseModel] | None = None,
        cost: Mapping[str, int] | None = None,
        max_body_bytes: int = defaults.MAX_BODY_BYTES,
        bulk: int = 0,
        fresh: Freshness | None = None,
    ) -> Resource:
        """Serve a mapped class under `path` (default: `/` and the table's name).

        Args:
            rules: `allow(…)` and `deny(…)`; what none of them names does not exist.
            filters, sorts: fields that a list may be filtered and sorted by. The key is always among the sorts.
            soft_delete: a nullable datetime column that DELETE sets.
            cascade: models whose rows may disappear with a row of this one (ON DELETE CASCADE or SET NULL).
            body: a Pydantic model in place of the one derived from the columns.
            cost: units of the caller's budget: `{"list": 2}`; those of `OPERATION_COST` by default. A bulk costs each of its rows.
            bulk: rows that one request may create, change or remove, all or none; at most 100.
            fresh: as of the API, which holds when it is left out; it holds for the actions of the model too.

        Raises:
            DeclarationError: what cannot be honoured.
        """
        mapper = mapper_of(model)
        where = path or f"/{table_of(mapper).name}"
        resource = Resource(
            model=model,
            table=table_of(mapper),
            name=where[1:],
            path=where,
            fields=fields_of(mapper),
            key=key_of(mapper),
            rules=_own(rules, model, where),
            filters=names_of(filters, model, f"{where}, filters="),
            sorts=tuple(dict.fromkeys((*names_of(sorts, model, f"{where}, sorts="), *key_of(mapper)))),
            references=references_of(mapper),
            relations=relations_of(mapper),
            soft_delete=None if soft_delete is None else names_of([soft_delete], model, f"{where}, soft_delete=")[0],
            tenant=self.tenant,
            cascade=frozenset(table_of(mapper_of(child)).key for child in cascade),
            body=body,
            cost={**OPERATION_COST, **checked_costs({} if cost is None else cost, where)},
            max_body_bytes=max_body_bytes,
            bulk=_bulk(bulk, where),
            fresh=self._freshness(fresh, where),
        )
        return self._added(resource)

    def _added(self, resource: Resource) -> Resource:
        model = resource.model
        if model in self.resources:
            raise DeclarationError("resource-twice", f"{model.__name__}", "Declare a model once; rules unite there.")
        self.resources[model] = resource
        self._routes = None
        return resource

    def action(
        self,
        model: type[Any],
        name: str,
        *rules: Rule,
        body: Any = None,
        cost: int = 1,
        fresh: Freshness | None = None,
    ) -> Callable[[Function], Function]:
        """`POST /students/{id}/<name>`: the row is loaded under the rule and locked, then the function runs."""
        if not NAME.fullmatch(name):
            raise DeclarationError("action-name", f"{model.__name__}.{name}", "Use lower case, digits, - and _.")
        word = None if fresh is None else checked_freshness(fresh, f"{model.__name__}.{name}")
        units = checked_cost(cost, f"{model.__name__}.{name}")

        def register(function: Function) -> Function:
            self._actions.append(Action(model, name, handler_of(function, body, rules), units, word))
            self._routes = None
            return function

        return register

    def _endpoint(
        self,
        method: str,
        path: str,
        rules: tuple[Rule, ...],
        body: Any,
        cost: int,
        max_body_bytes: int,
        fresh: Freshness | None,
    ) -> Callable[[Function], Function]:
        word = self._freshness(fresh, f"{method} {path}")
        units = checked_cost(cost, f"{method} {path}")

        def register(function: Function) -> Function:
            handler = handler_of(function, body, rules, method)
            route = endpoint_route(method, path, handler, units, max_body_bytes, word)
            self._endpoints.append(route)
            self._routes = None
            return function

        return register

    def _freshness(self, word: Freshness | None, place: str) -> Freshness:
        return self.fresh if word is None else checked_freshness(word, place)

    def get(
        self, path: str, *rules: Rule, cost: int = 1, fresh: Freshness | None = None
    ) -> Callable[[Function], Function]:
        """`GET <path>`: an endpoint without a row."""
        return self._endpoint("GET", path, rules, None, cost, 0, fresh)

    def post(
        self,
        path: str,
        *rules: Rule,
        body: Any = None,
        cost: int = 1,
        max_body_bytes: int = defaults.MAX_BODY_BYTES,
        fresh: Freshness | None = None,
    ) -> Callable[[Function], Function]:
        """`POST <path>`: an endpoint without a row; `body` is any type that Pydantic understands."""
        return self._endpoint("POST", path, rules, body, cost, max_body_bytes, fresh)

    def put(
        self, path: str, *rules: Rule, body: Any, cost: int = 1, fresh: Freshness | None = None
    ) -> Callable[[Function], Function]:
        """`PUT <path>`: like `post`."""
        return self._endpoint("PUT", path, rules, body, cost, defaults.MAX_BODY_BYTES, fresh)

    def delete(
        self, path: str, *rules: Rule, cost: int = 1, fresh: Freshness | None = None
    ) -> Callable[[Function], Function]:
        """`DELETE <path>`: like `post`, without a body."""
        return self._endpoint("DELETE", path, rules, None, cost, 0, fresh)

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
            self._routes = routes_of(self.resources, self._actions, self._endpoints)
        return self._routes


def _check_names(roles: Iterable[str], attributes: Mapping[str, type]) -> None:
    for role in roles:
        if not NAME.fullmatch(role):
            raise DeclarationError("role-name", f"role {role!r}", "Use lower case, digits, - and _.")
    for name, kind in attributes.items():
        if not name.isidentifier() or kind not in ATTRIBUTE_TYPES:
            raise DeclarationError("attribute-type", f"attribute {name!r}", "Use an identifier with int, str or bool.")


def _own(rules: tuple[Rule, ...], model: type[Any], place: str) -> tuple[Rule, ...]:
    for index, rule in enumerate(rules, 1):
        check_attributes(rule.attributes, model, rule_place(place, index, rule))
    return rules


def _bulk(rows: int, place: str) -> int:
    if type(rows) is not int or not 0 <= rows <= defaults.BULK_ROWS:
        raise DeclarationError("bulk-rows", place, f"Give bulk= a number of rows from 0 to {defaults.BULK_ROWS}.")
    return rows


def _tenant(tenant: tuple[str, BindParameter[Any]] | None) -> tuple[str, str] | None:
    if tenant is None:
        return None
    column, value = tenant
    if not isinstance(value, BindParameter) or not value.key.startswith(ME_ATTRIBUTE):
        raise DeclarationError("tenant-value", f"tenant=({column!r}, …)", 'Give an attribute: me.attr["school"].')
    return column, value.key.removeprefix(ME_ATTRIBUTE)
