"""`vallum serve`: the API over HTTPS, in production or for development."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from vallum.cli.given import AsJson, database_of, settings_of
from vallum.cli.output import show
from vallum.declare.app import API
from vallum.declare.checks_finding import Finding
from vallum.serve import posture
from vallum.serve.checks import declared, stored, unmet
from vallum.serve.database import dialect_of
from vallum.serve.load import load_api
from vallum.serve.run import serve as run
from vallum.serve.settings import Settings
from vallum.store import migrations


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    *,
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="The API, as module:attribute.")] = None,
    app_option: Annotated[str | None, typer.Option("--app", help="The same.", show_default=False)] = None,
    host: Annotated[str | None, typer.Option(help="IP address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 8443 by default.")] = None,
    data: Annotated[Path | None, typer.Option(help="Directory of the database and the keys.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; 1 by default.")] = None,
    dev: Annotated[bool | None, typer.Option("--dev", help="Development: own certificates, loopback only.")] = None,
    public_url: Annotated[str | None, typer.Option(help="https://host[:port] as clients write it.")] = None,
    ops_port: Annotated[int | None, typer.Option(help="Loopback port of health and metrics; 0 for none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM; then finish the requests that run. Every other setting: docs/settings.md."""
    settings = settings_of(
        app=app or app_option,
        host=host,
        port=port,
        data=data,
        workers=workers,
        dev=dev,
        public_url=public_url,
        ops_port=ops_port,
    )
    _stop_at(posture.findings(settings, time.time()), as_json=as_json)
    api = load_api(settings.app)
    program = declared(api, dialect_of(settings.database))
    _stop_at(program if settings.dev else [*program, *unmet(api)], as_json=as_json)
    with database_of(settings) as database:
        migrations.check(database.write(migrations.version(database.dialect)), str(settings.database or settings.data))
        _stop_at(stored(api, database), as_json=as_json)
    run(settings, lambda: _announce(api, settings, as_json=as_json))


def _stop_at(findings: list[Finding], *, as_json: bool) -> None:
    """Tell everything that was found, and go no further when one of it is an error."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if not as_json:
        for f in findings:
            sys.stderr.write(f"{f.severity}: {f.identifier} ({f.place})\n  {f.message} {f.mend}\n")
    elif errors:
        parts = [{"identifier": f.identifier, "place": f.place, "mend": f.mend} for f in errors]
        sys.stderr.write(json.dumps({"error": parts[0], "errors": parts}, ensure_ascii=False) + "\n")
    if errors:
        raise typer.Exit(1)


def _announce(api: API, settings: Settings, *, as_json: bool) -> None:
    where = settings.public_url if settings.unix_socket is None else f"{settings.public_url} ({settings.unix_socket})"
    if as_json:
        show({"serving": settings.public_url, "title": api.title, "development": settings.dev})
    else:
        typer.echo(f"{api.title} is served at {where}{' for development' if settings.dev else ''}")
    sys.stdout.flush()
