"""`vallum check`: what is wrong with the declaration, the settings and the files, before it is served."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from vallum.audit.seal import newest
from vallum.authorise.checks import check as check_api
from vallum.cli.audit_shown import counted
from vallum.cli.given import App, AsJson, Data, database_of, settings_of
from vallum.cli.output import show
from vallum.declare.app import API
from vallum.declare.checks_finding import Finding, error, warning
from vallum.row_security.database import drifted
from vallum.serve import posture
from vallum.serve.checks import declared, stored, unmet
from vallum.serve.checks_keys import secrets
from vallum.serve.database import dialect_of
from vallum.serve.files import DATABASE_FILE
from vallum.serve.load import load_api
from vallum.serve.settings import Settings
from vallum.store import migrations
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase
from vallum.store.principals import check_plans, plans


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    dev: Annotated[bool | None, typer.Option("--dev", help="As it would be served for development.")] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything without serving it. Leaves with 1 when there is an error."""
    settings = settings_of(data=data, app=app, dev=dev)
    api = load_api(settings.app)
    dialect = dialect_of(settings.database)
    program = declared(api, dialect)
    sound = not any(finding.severity == "error" for finding in program)
    beside, compared = _database(api, settings, sound=sound)
    findings = [
        *(program if compared else check_api(api, dialect=dialect)),
        *([] if settings.dev else unmet(api)),
        *posture.findings(settings, time.time()),
        *beside,
    ]
    if as_json:
        show([asdict(finding) for finding in findings])
    else:
        _tell(findings)
    if any(strict or finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def _database(api: API, settings: Settings, *, sound: bool) -> tuple[list[Finding], bool]:
    """What the database and the secrets beside it show: tables of another version, accounts that could not be served,
    what the rules need of the tables, keys that do not open. The second part says whether it could be compared.

    Args:
        sound: the declaration has no errors of its own, so that there are statements to ask about.
    """
    # A program is checked before `db create --dev` as well; where it is deployed, a start needs the database.
    if settings.dev and settings.database is None and not (settings.data / DATABASE_FILE).exists():
        return secrets(settings, signed=False), False
    found: list[Finding] = []
    signed = compared = False
    try:
        with database_of(settings) as database:
            migrations.check(
                database.write(migrations.version(database.dialect)), str(settings.database or settings.data)
            )
            signed = database.look(partial(newest, database.dialect)) is not None
            check_plans(database.read(plans(database.dialect)), api.plans)
            if sound:
                found = [*stored(api, database, lists=True), *_row_security(api, database)]
                compared = True
    except StoreError as fault:
        found = [error(fault.identifier, fault.place, "The server would not start.", fault.mend)]
    return [*found, *secrets(settings, signed=signed)], compared


def _row_security(api: API, database: CommandDatabase) -> list[Finding]:
    """Where `vallum rls apply` was called once: policies that are not those of the rules any more."""
    drifts = database.look(drifted(api)) if database.dialect == "postgresql" else None
    mend = "`vallum rls apply` makes them anew; where a line says so, after `vallum rls remove`."
    return [warning("rls-drift", drift.table, f"Row-level security: {drift.drift}.", mend) for drift in drifts or ()]


def _tell(findings: list[Finding]) -> None:
    for finding in findings:
        colour = typer.colors.RED if finding.severity == "error" else typer.colors.YELLOW
        typer.secho(f"{finding.severity}: {finding.identifier}", fg=colour, nl=False)
        typer.echo(f" ({finding.place})\n  {finding.message}\n  {finding.mend}")
    errors = sum(finding.severity == "error" for finding in findings)
    typer.echo(f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}")
