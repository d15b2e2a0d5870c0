"""`vallum rls`: row-level security of PostgreSQL, generated from the rules, for programs that ask the database itself."""

from __future__ import annotations

from typing import Annotated

import typer

from vallum.audit.operator import Deed
from vallum.authorise.checks import check as check_api
from vallum.cli.given import App, AsJson, Data, database_of, done, settings_of
from vallum.cli.output import show, table
from vallum.declare.app import API
from vallum.declare.checks_finding import refuse
from vallum.declare.errors import DeclarationError
from vallum.row_security import database
from vallum.row_security.install import installation
from vallum.serve.database import dialect_of
from vallum.serve.load import load_api
from vallum.serve.settings import Settings
from vallum.store.errors import StoreError
from vallum.store.schema import meta

commands = typer.Typer(help="Row-level security of PostgreSQL, generated from the rules.", no_args_is_help=True)

Role = Annotated[str, typer.Option("--role", help="Role of the database that will be under the policies.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="rls")


@commands.command("print")
def print_(role: Role, data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """The statements that `apply` carries out; asks no database."""
    settings = settings_of(data=data, app=app)
    statements = installation(_api(settings), role).statements
    if as_json:
        show(statements)
    else:
        typer.echo("\n".join(["BEGIN;", *(f"{statement};" for statement in statements), "COMMIT;"]))


@commands.command()
def apply(role: Role, data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Make the policies, or make them anew, in one transaction. Connects as the owner of the tables."""
    settings = _postgres(settings_of(data=data, app=app))
    api = _api(settings)
    with database_of(settings) as opened:
        count = done(opened, lambda _: Deed("rls apply", meta.name, note={"role": role}), database.apply(api, role))
    if as_json:
        show({"role": role, "tables": count})
    else:
        typer.echo(f"{role} is under the rules in {count} tables.")


@commands.command()
def check(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Compare the policies in the database with the rules. Leaves with 1 when a table has others."""
    settings = _postgres(settings_of(data=data, app=app))
    api = _api(settings)
    with database_of(settings) as opened:
        drifts = opened.look(database.drifted(api))
    if drifts is None:
        drifts = [database.Drift("(all)", "there are no policies: `vallum rls apply` makes them")]
    if drifts or as_json:
        table(("table", "drift"), [drift._asdict() for drift in drifts], as_json=as_json)
    else:
        typer.echo("The policies are those of the rules.")
    if drifts:
        raise typer.Exit(1)


@commands.command()
def remove(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Take the policies away, and what they gave to their role."""
    settings = _postgres(settings_of(data=data, app=app))

    def deed(role: str | None) -> Deed | None:
        return None if role is None else Deed("rls remove", meta.name, note={"role": role})

    with database_of(settings) as opened:
        role = done(opened, deed, database.remove)
    if as_json:
        show({"role": role})
    else:
        typer.echo("There were none." if role is None else f"Removed; {role} has no rights to the tables now.")


def _api(settings: Settings) -> API:
    api = load_api(settings.app)
    refuse(check_api(api, dialect="postgresql"), DeclarationError)
    return api


def _postgres(settings: Settings) -> Settings:
    if dialect_of(settings.database) != "postgresql":
        raise StoreError("rls-postgresql", "", 'SQLite has no roles. Name the database: `database = "postgresql://…"`.')
    return settings
