"""`vallum key`: API keys, each a credential of an account of its own. A change counts from the next request on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import IPv6Network, ip_network
from typing import Annotated, Final

import typer

from vallum import defaults
from vallum.audit.operator import Deed
from vallum.cli.credential import account_of, hand_over, listed, overlap_seconds, scopes_of, span, standing
from vallum.cli.given import App, AsJson, Data, database_of, done, settings_of
from vallum.cli.output import show, time_text
from vallum.cli.user import Attributes, PlanName, Roles
from vallum.crypto import api_key
from vallum.crypto.api_key import NewKey
from vallum.serve.load import load_api
from vallum.store import api_keys, schema
from vallum.store.api_keys import Limits

commands = typer.Typer(
    help="API keys: accounts of programs; a change counts from the next request on.", no_args_is_help=True
)

COLUMNS: Final = ("name", "key", "state", "roles", "plan", "scopes", "addresses", "created", "expires", "last_used")
NEVER: Final = "never"

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account that the key stands for.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="key")


@commands.command()
def add(
    name: Name,
    *,
    role: Roles = None,
    attr: Attributes = None,
    plan: PlanName = None,
    expires: Annotated[str, typer.Option("--expires", help="Its life: 12h, 90d, never.")] = defaults.API_KEY_LIFE,
    scope: Annotated[list[str] | None, typer.Option("--scope", help="Limit it to this scope; may be repeated.")] = None,
    address: Annotated[
        list[str] | None, typer.Option("--address", help="Good from this network (CIDR) only; may be repeated.")
    ] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Give a first key to a new account, or to one that has no way in yet, and print the key, this once."""
    settings = settings_of(data=data, app=app)
    api = load_api(settings.app)
    now, life = time.time(), None if expires == NEVER else span(expires, "--expires")
    account, given = account_of(api, name, role, attr, plan)
    limits = Limits(scopes_of(scope or ()), networks_of(address or ()), None if life is None else int(now) + life)
    made = api_key.generate()
    with database_of(settings) as database:
        adding = api_keys.add(account, made, limits, now, database.dialect, given)
        done(
            database,
            lambda of: _deed("add", name, [made.identifier], {**standing(of), "expires": limits.expires}),
            adding,
        )
    _handed(name, made, limits.expires, as_json=as_json)


@commands.command("list")
def list_(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Every key that ever was, by account."""
    settings = settings_of(data=data, app=app)
    now = time.time()
    with database_of(settings) as database:
        rows = [api_keys.described(row, now) for row in database.read(api_keys.all_keys(database.dialect))]
    listed(COLUMNS, rows, as_json=as_json)


@commands.command()
def rotate(
    name: Name,
    *,
    overlap: Annotated[
        str, typer.Option("--overlap", help="How long those before it stay valid: 7d, 12h, 0.")
    ] = defaults.API_KEY_OVERLAP,
    expires: Annotated[
        str | None, typer.Option("--expires", help="Its life: 12h, 90d; else as long as the one before it.")
    ] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Make a further key with the same limits and print it, this once. The ones before it end with the overlap."""
    settings = settings_of(data=data, app=app)
    seconds = overlap_seconds(overlap)
    life = None if expires is None else span(expires, "--expires")
    made = api_key.generate()
    rotating = partial(api_keys.rotate, overlap_seconds=seconds, life_seconds=life)
    with database_of(settings) as database:
        script = rotating(name, made, time.time(), database.dialect)
        until = done(database, lambda until: _deed("rotate", name, [made.identifier], {"expires": until}), script)
    _handed(name, made, until, as_json=as_json)


@commands.command()
def revoke(
    name: Name,
    *,
    one: Annotated[str | None, typer.Option("--id", help="This key alone, as `key list` names it.")] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Void every key of the account, or one of them, at once. `rotate` gives it a new one."""
    if one is not None and one.startswith(api_key.PREFIX):
        raise typer.BadParameter(
            "that is a key itself, now in your shell's history; give its identifier", param_hint="--id"
        )
    settings = settings_of(data=data, app=app)
    with database_of(settings) as database:
        revoking = api_keys.revoke(name, time.time(), database.dialect, one)
        revoked = done(database, lambda revoked: _deed("revoke", name, revoked, {}), revoking)
    if as_json:
        show({"name": name, "revoked": revoked})
    else:
        left = "has no valid key any more" if one is None else "has its other keys as before"
        typer.echo(f"{name} {left}; revoked: {', '.join(revoked)}.")


def _deed(word: str, name: str, identifiers: Sequence[str], note: Mapping[str, object]) -> Deed:
    """For the audit: whose keys, and which."""
    return Deed(f"key {word}", schema.api_key.name, {"principal": name}, note={"keys": identifiers, **note})


def networks_of(given: Sequence[str]) -> tuple[str, ...] | None:
    """The networks in their usual spelling; None when none is given.

    Raises:
        typer.BadParameter: one cannot be read, has bits behind its length, or there are too many.
    """
    try:
        networks = {ip_network(text) for text in given}
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--address") from None
    if any(isinstance(n, IPv6Network) and n.network_address.ipv4_mapped is not None for n in networks):
        raise typer.BadParameter("write the IPv4 network itself: clients are seen by that", param_hint="--address")
    if len(networks) > defaults.MAX_API_KEY_NETWORKS:
        raise typer.BadParameter(f"at most {defaults.MAX_API_KEY_NETWORKS}", param_hint="--address")
    return tuple(sorted(map(str, networks))) or None


def _handed(name: str, made: NewKey, expires: int | None, *, as_json: bool) -> None:
    until = time_text(expires)
    if as_json:
        show({"name": name, "key": made.identifier, "api_key": made.text, "expires": until})
        return
    good = "for ever" if until is None else f"until {until}"
    hand_over(made.text, f"The key of {name}, shown this once. It is good {good}.")
