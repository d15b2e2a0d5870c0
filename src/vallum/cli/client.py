"""`vallum client`: OAuth clients, each an account of its own. A change counts from the next request on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from vallum import defaults
from vallum.audit.operator import Deed
from vallum.cli.credential import account_of, hand_over, listed, overlap_seconds, scopes_of, standing
from vallum.cli.given import App, AsJson, Data, database_of, done, settings_of
from vallum.cli.output import show
from vallum.cli.user import Attributes, PlanName, Roles
from vallum.crypto import client_secret
from vallum.crypto.api_key import NewKey
from vallum.crypto.public_key import read_public_key
from vallum.serve.load import load_api
from vallum.store import clients, schema
from vallum.store.clients import Credential

commands = typer.Typer(
    help="OAuth clients: programs that get tokens; a change counts from the next request on.", no_args_is_help=True
)

COLUMNS: Final = (
    *("client_id", "credential", "kind", "state", "roles", "plan", "scopes", "introspects", "created", "expires"),
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account: `client_id`, and `sub` of its tokens.")]
PublicKey = Annotated[
    Path | None,
    typer.Option("--public-key", help="A JWK or PEM file; it signs assertions then and has no secret."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="client")


@commands.command()
def add(
    name: Name,
    *,
    role: Roles = None,
    attr: Attributes = None,
    plan: PlanName = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What its tokens may carry at most; may be repeated.")
    ] = None,
    public_key: PublicKey = None,
    introspect: Annotated[bool, typer.Option("--introspect", help="It may ask about tokens of others.")] = False,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Make a client, of a new account or one without a way in, and print its secret, this once; or register its key."""
    settings = settings_of(data=data, app=app)
    api = load_api(settings.app)
    account, given = account_of(api, name, role, attr, plan)
    scopes = scopes_of(scope or ())
    credential, made = credential_of(public_key)
    with database_of(settings) as database:
        adding = clients.add(
            account, credential, scopes, time.time(), database.dialect, introspects=introspect, given=given
        )
        done(database, lambda of: _deed("add", name, {**standing(of), "credential": credential.id}), adding)
    _handed(name, credential, made, as_json=as_json)


@commands.command("list")
def list_(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Every secret and key that a client ever had."""
    settings = settings_of(data=data, app=app)
    now = time.time()
    with database_of(settings) as database:
        rows = [clients.described(row, now) for row in database.read(clients.all_clients(database.dialect))]
    listed(COLUMNS, rows, as_json=as_json)


@commands.command()
def rotate(
    name: Name,
    *,
    overlap: Annotated[
        str, typer.Option("--overlap", help="How long those before it stay valid: 7d, 12h, 0.")
    ] = defaults.CLIENT_OVERLAP,
    public_key: PublicKey = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Make a further secret and print it, this once, or register a further key. Those before end with the overlap."""
    settings = settings_of(data=data, app=app)
    seconds = overlap_seconds(overlap)
    credential, made = credential_of(public_key)
    with database_of(settings) as database:
        rotating = clients.rotate(name, credential, time.time(), database.dialect, overlap_seconds=seconds)
        done(database, lambda _: _deed("rotate", name, {"credential": credential.id}), rotating)
    _handed(name, credential, made, as_json=as_json)


@commands.command()
def revoke(name: Name, data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Void its secrets, its keys and every token that it has, at once. `rotate` gives it a new one."""
    settings = settings_of(data=data, app=app)
    with database_of(settings) as database:
        revoking = clients.revoke(name, time.time(), database.dialect)
        revoked = done(database, lambda revoked: _deed("revoke", name, {"credentials": revoked}), revoking)
    if as_json:
        show({"client_id": name, "revoked": revoked})
    else:
        typer.echo(f"{name} can get no token any more, and those that it has are void; revoked: {', '.join(revoked)}.")


def _deed(word: str, name: str, note: Mapping[str, object]) -> Deed:
    """For the audit: which client, and which of its credentials."""
    return Deed(f"client {word}", schema.client.name, {"id": name}, note=note)


def credential_of(public_key: Path | None) -> tuple[Credential, NewKey | None]:
    """The key in the file, or a new secret.

    Raises:
        BadKey: no public key of an algorithm that we verify.
        typer.BadParameter: the file cannot be read.
    """
    if public_key is None:
        made = client_secret.generate()
        return Credential.secret(made), made
    try:
        content = public_key.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{public_key}: {error.strerror}", param_hint="--public-key") from None
    return Credential.key(read_public_key(content)), None


def _handed(name: str, credential: Credential, made: NewKey | None, *, as_json: bool) -> None:
    if as_json:
        secret: dict[str, Any] = {} if made is None else {"client_secret": made.text}
        show({"client_id": name, "credential": credential.id, **secret})
        return
    if made is None:
        typer.echo(f"{name} authenticates itself with the key {credential.id}.")
        return
    hand_over(made.text, f"The secret of {name}, shown this once.")
