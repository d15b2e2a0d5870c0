"""`vallum explain`: why a caller may or may not, rule by rule, decided in memory beside the SQL that serves."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Annotated, Any, Final, final

import typer
from sqlalchemy import Column, Table, select
from sqlalchemy.engine import Dialect

from vallum.authenticate.addresses import within
from vallum.authorise.conditions import RequestFacts, conditions_hold, conditions_may_hold
from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Question, is_about
from vallum.authorise.evaluator_explain import Line
from vallum.authorise.evaluator_explain import explain as explain_row
from vallum.authorise.evaluator_select import Row
from vallum.cli.given import App, AsJson, Data, database_of, settings_of
from vallum.cli.output import show
from vallum.declare.app import API
from vallum.declare.checks_finding import rule_place
from vallum.declare.policy import ANYONE, Operation, Rule
from vallum.declare.resource import Resource
from vallum.declare.route import OPERATIONS, Kind, Route, Verb
from vallum.declare.words import condition_words, when_words
from vallum.edge.routes import RouteTable
from vallum.openapi.document import Site
from vallum.serve.load import load_api
from vallum.serve.wire import own_routes
from vallum.store import api_keys, principals
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase, Statement
from vallum.store.sql import DIALECTS

_UNASKED: Final[Any] = SimpleNamespace(jwks=..., issuer="")
"""What built-in routes would be answered with; here they are looked at only."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, PATCH, DELETE…")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="As in a request, such as /students/17.")],
    *,
    name: Annotated[str | None, typer.Option("--as", help="The account; without it the anonymous caller.")] = None,
    address: Annotated[str, typer.Option(help="The caller's network address, for conditions on it.")] = "",
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Say what each rule does, for the account with its newest API key or a fresh token. Leaves with 1 when the request would be refused."""
    settings = settings_of(data=data, app=app)
    api = load_api(settings.app)
    with database_of(settings) as database:
        site = Site(settings.public_url, settings.dev, database.dialect)
        table = RouteTable([*api.routes.values(), *own_routes(api, _UNASKED, _UNASKED, site)])
        lines = _explained(api, table, database, method, path, name, address)
    if as_json:
        show([asdict(line) for line in lines])
    else:
        for line in lines:
            typer.echo(f"{'  ' * line.depth}{line.text}{f' → {line.verdict}' if line.verdict else ''}")
    if not any(line.depth == 0 and line.verdict == "allowed" for line in lines):
        raise typer.Exit(1)


def _explained(
    api: API, table: RouteTable, database: CommandDatabase, method: str, path: str, name: str | None, address: str
) -> Sequence[Line]:
    path, _, _ = path.partition("?")  # rules decide about rows, whatever a query asks of them
    route, keys = table.find(path)
    if route is None:
        return [Line(0, f"no route has the path {path}: 404 for a known caller, 401 for others", "refused")]
    verb = route.methods.get(method)
    if verb is None:
        return [Line(0, f"{route.path} has no {method}: 405; it has {', '.join(route.methods)}", "refused")]
    if route.public is not None:
        return [Line(0, f"{route.path} is public: {route.public}", "allowed")]
    caller, facts = _asking(database, name, address)
    if route.kind is Kind.BUILT_IN:
        return _built_in(route, caller)
    rules = route.handlers[method].rules if verb is Verb.ACT else route.resource.rules if route.resource else ()
    operation = OPERATIONS.get(verb)
    if route.resource is None or route.kind is Kind.COLLECTION:
        return _without_row(route, rules, operation, caller, facts)
    tables = _tables(api, database)
    row = _row(route.resource, tables, keys)
    if row is None:
        return [Line(0, f"{route.path}: there is no row with the key {','.join(keys)}", "not found")]
    evaluator = Evaluator(tables, caller, datetime.fromtimestamp(facts.now, UTC))
    return explain_row(rules, operation, Question(evaluator, route.resource, facts), row)


def _asking(database: CommandDatabase, name: str | None, address: str) -> tuple[CallerValues, RequestFacts]:
    """The caller, and a request at this moment: with an account's newest valid API key, or else with a token that is not
    limited by scopes, after a login just now.
    """
    now = time.time()
    if name is None:
        return CallerValues(None), RequestFacts(None, None, None, address, now)
    rows = database.read(principals.load(name, database.dialect))
    if not rows:
        raise StoreError("account-unknown", name, "There is no such account, or it is disabled: `vallum user list`.")
    found = principals.principal(rows[0])
    caller = CallerValues(found.id, found.roles, found.attributes)
    keys = [row for row in database.read(api_keys.all_keys(database.dialect)) if row[0] == name]
    if not keys:
        return caller, RequestFacts("token", now, None, address, now)
    return caller, RequestFacts("key", None, _scopes_of_key(name, keys, address, now), address, now)


def _scopes_of_key(name: str, keys: Sequence[Sequence[Any]], address: str, now: float) -> frozenset[str] | None:
    """What its key limits a request to; where no key would let one in, that is what is said."""
    valid = [key for key in (api_keys.described(row, now) for row in keys) if key["state"] == "valid"]
    if not valid:
        raise StoreError("api-key-unknown", name, "None of its keys is valid (401): `vallum key rotate` makes one.")
    scopes, networks = valid[-1]["scopes"], valid[-1]["addresses"]
    if networks is not None and not within(map(ip_network, networks), address):
        good = ", ".join(networks)
        raise StoreError(
            "api-key-address", name, f"Its key is good from {good} only (401): `--address` says from where."
        )
    return None if scopes is None else frozenset(scopes)


def _built_in(route: Route, caller: CallerValues) -> list[Line]:
    """No rule is about it: it says to each caller what is that caller's own."""
    if caller.id is None and not route.strangers:
        return [
            Line(0, f"{route.path} is for callers with a credential, as no rule opens anything to ANYONE", "refused")
        ]
    who = "every caller, as a rule opens something to ANYONE" if route.strangers else "every caller with a credential"
    return [Line(0, f"{route.path} is for {who}; it says what is the caller's own", "allowed")]


def _without_row(
    route: Route, rules: Sequence[Rule], operation: Operation | None, caller: CallerValues, facts: RequestFacts
) -> list[Line]:
    """Which rules are the caller's; on rows they decide one by one: ask for an item."""
    lines = [
        _line(rule_place(route.path, index, rule), rule, route.resource, caller, facts)
        for index, rule in enumerate(rules, 1)
        if is_about(rule, operation)
    ]
    verdicts = {line.verdict for line in lines}
    # A deny of an endpoint has no row to hold on; that of a list takes rows and fields away.
    allowed = "grants" in verdicts and (route.resource is not None or "applies" not in verdicts)
    roles = ", ".join(sorted(caller.roles)) or "none"
    which = ": rows and fields as these rules grant them" if allowed and route.resource is not None else ""
    outcome = Line(0, f"{route.path}{which}", "allowed" if allowed else "refused")
    return [Line(0, f"caller {caller.id or 'anonymous'}; roles: {roles}"), outcome, *lines]


def _line(text: str, rule: Rule, resource: Resource | None, caller: CallerValues, facts: RequestFacts) -> Line:
    met = conditions_hold if rule.effect == "allow" else conditions_may_hold
    if not any(role is ANYONE or role in caller.roles for role in rule.roles):
        return Line(1, f"{text}: not a role of this caller", "no")
    if not met(rule.when, facts):
        return Line(1, f"{text}: its conditions on the request are not met: {', '.join(when_words(rule.when))}", "no")
    condition = "" if resource is None else condition_words(rule.where, resource.table)
    return Line(
        1,
        f"{text}{f', on rows where {condition}' if condition else ''}",
        "grants" if rule.effect == "allow" else "applies",
    )


@final
class Rows(Sequence[Row]):
    """All rows of a table, read when a rule looks at them."""

    def __init__(self, database: CommandDatabase, table: Table) -> None:
        self._database = database
        self._table = table
        self._read: list[Row] | None = None

    def __getitem__(self, index: Any) -> Any:
        return self._rows()[index]

    def __len__(self) -> int:
        return len(self._rows())

    def _rows(self) -> list[Row]:
        if self._read is None:
            columns = list(self._table.columns)
            dialect = DIALECTS[self._database.dialect]
            readers = [_reader(column, dialect) for column in columns]
            text = str(select(self._table).compile(dialect=dialect))
            self._read = [
                {column.key: read(value) for column, read, value in zip(columns, readers, row, strict=True)}
                for row in self._database.read(Statement(text, ()))
            ]
        return self._read


def _reader(column: Column[Any], dialect: Dialect) -> Any:
    """From the driver's value to the ORM's."""
    return column.type.dialect_impl(dialect).result_processor(dialect, None) or (lambda value: value)


def _tables(api: API, database: CommandDatabase) -> Mapping[Table, Rows]:
    metadatas = {id(resource.table.metadata): resource.table.metadata for resource in api.resources.values()}
    return {table: Rows(database, table) for metadata in metadatas.values() for table in metadata.tables.values()}


def _row(resource: Resource, tables: Mapping[Table, Rows], keys: Sequence[str]) -> Row | None:
    columns = [resource.fields[name].column for name in resource.key]
    names = [column.key for column in columns if column is not None]
    return next((row for row in tables[resource.table] if [_text(row[name]) for name in names] == list(keys)), None)


def _text(value: Any) -> str:
    """A key as it stands in a path."""
    if isinstance(value, enum.Enum):
        return str(value.value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
