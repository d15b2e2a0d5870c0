"""`vallum check`: what is wrong with the declaration, the settings and the files, before it is served."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from vallum.authorise.checks import check as check_api
from vallum.cli.given import App, AsJson, Data, settings_of
from vallum.cli.output import show
from vallum.declare.checks_finding import Finding
from vallum.serve import posture
from vallum.serve.database import dialect_of
from vallum.serve.load import load_api


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
    findings = [
        *check_api(load_api(settings.app), dialect=dialect_of(settings.database)),
        *posture.findings(settings, time.time()),
    ]
    if as_json:
        show([asdict(finding) for finding in findings])
    else:
        _tell(findings)
    if any(strict or finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def _tell(findings: list[Finding]) -> None:
    for finding in findings:
        colour = typer.colors.RED if finding.severity == "error" else typer.colors.YELLOW
        typer.secho(f"{finding.severity}: {finding.identifier}", fg=colour, nl=False)
        typer.echo(f" ({finding.place})\n  {finding.message}\n  {finding.mend}")
    errors = sum(finding.severity == "error" for finding in findings)
    typer.echo(f"{errors} errors, {len(findings) - errors} warnings")
