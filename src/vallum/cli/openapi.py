"""`vallum openapi`: the document that a caller with these roles gets at `/openapi.json`."""

from __future__ import annotations

from typing import Annotated

import typer

from vallum.cli.given import App, AsJson, Data, settings_of
from vallum.declare.app import API
from vallum.openapi.audience import Audience
from vallum.openapi.document import Site, document
from vallum.serve.database import dialect_of
from vallum.serve.errors import SettingsError
from vallum.serve.load import load_api


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("openapi")(openapi)


def openapi(
    *,
    role: Annotated[
        list[str] | None, typer.Option(help="A role of the caller; may be repeated. Without one: nobody known.")
    ] = None,
    dev: Annotated[bool | None, typer.Option("--dev", help="As it would be served for development.")] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,  # noqa: ARG001  # it is JSON anyway; every command takes the flag
) -> None:
    """Print the OpenAPI document of callers with these roles and every attribute that the API declares."""
    settings = settings_of(data=data, app=app, dev=dev)
    api = load_api(settings.app)
    if not settings.public_url:
        raise SettingsError("public-url-missing", "public_url", "The document names the server: set it, or say --dev.")
    site = Site(settings.public_url, settings.dev, dialect_of(settings.database))
    typer.echo(document(api, _audience(api, role or []), site).decode())


def _audience(api: API, roles: list[str]) -> Audience:
    unknown = [role for role in roles if role not in api.roles]
    if unknown:
        raise SettingsError("role-unknown", unknown[0], f"The API has the roles {', '.join(api.roles)}.")
    return Audience(tuple(sorted(set(roles))), frozenset(api.attributes if roles else ()), bool(roles))
