"""`vallum explain`: why a caller may or may not, rule by rule, decided in memory beside the SQL that serves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Annotated, Any, Final, final

import typer

from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Question
from vallum.authorise.evaluator_explain import Line
from vallum.authorise.evaluator_explain import explain as explain_row
from vallum.cli.explain_caller import caller_of
from vallum.cli.explain_rows import row_of, tables_of
from vallum.cli.explain_rules import rights_of, without_row
from vallum.cli.given import App, AsJson, Data, database_of, settings_of
from vallum.cli.output import show
from vallum.declare.app import API
from vallum.declare.route import OPERATIONS, Kind, Route, Verb
from vallum.edge.routes import RouteTable
from vallum.edge.target import read_path, shown
from vallum.openapi.document import Site
from vallum.refusals import Refusal
from vallum.serve.development import is_marked
from vallum.serve.load import load_api
from vallum.serve.wire import own_routes
from vallum.store.ports import CommandDatabase

_UNASKED: Final[Any] = SimpleNamespace(jwks=..., issuer="")
"""What built-in routes would be answered with; here they are looked at only."""

UNSEEN: Final = Line(0, "what stands behind ? is not looked at: rules decide about rows, whatever a query asks of them")


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
    """Say what each rule does, for the account with its newest API key, a client's token or, in development, a fresh login. Leaves with 0 only when the rules allow the request; its body and what stands behind ? are not looked at."""
    settings = settings_of(data=data, app=app)
    api = load_api(settings.app)
    with database_of(settings) as database:
        site = Site(settings.public_url, settings.dev, database.dialect)
        table = RouteTable([*api.routes.values(), *own_routes(api, _UNASKED, _UNASKED, site)])
        lines = explained(
            api, table, database, Asked(method, path, name, address, time.time(), is_marked(settings.data))
        )
    if as_json:
        show([asdict(line) for line in lines])
    else:
        for line in lines:
            typer.echo(f"{'  ' * line.depth}{line.text}{f' → {line.verdict}' if line.verdict else ''}")
    if not any(line.depth == 0 and line.verdict == "allowed" for line in lines):
        raise typer.Exit(1)


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be explained.

    Attributes:
        name: of the account; None for the anonymous caller.
        address: of the caller; empty for none.
        now: Unix seconds at which the request comes.
        development: the data was made for it, so that any account gets a token.
    """

    method: str
    path: str
    name: str | None
    address: str
    now: float
    development: bool = True


def explained(api: API, table: RouteTable, database: CommandDatabase, asked: Asked) -> Sequence[Line]:
    """The decision about a request, in the order of the path, with its reasons.

    Raises:
        StoreError: the account cannot make any request.
    """
    raw, query, _ = asked.path.partition("?")
    try:
        path = read_path(raw.encode(errors="surrogateescape"))  # bytes of the command line that are no UTF-8
    except Refusal as refusal:
        return [Line(0, f"{refusal.detail.removesuffix('.')}: 400", "refused")]
    lines = _found(api, table, database, asked, path)
    return [*lines, UNSEEN] if query else lines


def _found(api: API, table: RouteTable, database: CommandDatabase, asked: Asked, path: str) -> Sequence[Line]:
    route, keys = table.find(path)
    if route is None:
        return [Line(0, f"no route has the path {shown(path)}: 404 for a known caller, 401 for others", "refused")]
    verb = route.methods.get(asked.method)
    if verb is None:
        return [Line(0, f"{route.path} has no {asked.method}: 405; it has {', '.join(route.methods)}", "refused")]
    if route.public is not None:
        return [Line(0, f"{route.path} is public: {route.public}", "allowed")]
    caller, facts = caller_of(
        database, api.attributes, asked.name, asked.address, asked.now, development=asked.development
    )
    if route.kind is Kind.BUILT_IN:
        return _built_in(route, caller)
    rights = rights_of(api, database.dialect, caller, facts)
    allowed, lines = without_row(route, asked.method, rights, caller, facts)
    if not allowed or route.resource is None or route.kind is Kind.COLLECTION:
        return lines
    row = row_of(route.resource, keys, database)
    if row is None:
        return [Line(0, f"{route.path}: there is no row with the key {','.join(keys)}", "not found")]
    evaluator = Evaluator(tables_of(api, database), caller, datetime.fromtimestamp(facts.now, UTC))
    rules = route.handlers[asked.method].rules if verb is Verb.ACT else route.resource.rules
    return explain_row(rules, OPERATIONS.get(verb), Question(evaluator, route.resource, facts), row)


def _built_in(route: Route, caller: CallerValues) -> list[Line]:
    """No rule is about it: it says to each caller what is that caller's own."""
    if caller.id is None and not route.strangers:
        return [
            Line(0, f"{route.path} is for callers with a credential, as no rule opens anything to ANYONE", "refused")
        ]
    who = "every caller, as a rule opens something to ANYONE" if route.strangers else "every caller with a credential"
    return [Line(0, f"{route.path} is for {who}; it says what is the caller's own", "allowed")]
