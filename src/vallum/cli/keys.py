"""`vallum keys`: the keys that sign access tokens."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from vallum.audit.operator import Deed
from vallum.cli.given import App, AsJson, Data, database_of, done, settings_of
from vallum.cli.output import show, table
from vallum.serve import keyring
from vallum.serve.files import KEYS_FOLDER
from vallum.serve.keyring import KeyState
from vallum.serve.master_key import read_master_key
from vallum.store.ports import CommandDatabase
from vallum.store.schema import signing_key

commands = typer.Typer(help="The keys that sign access tokens.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="keys")


@commands.command("list")
def list_(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Every key that ever was, oldest first."""
    settings = settings_of(data=data, app=app)
    with database_of(settings) as database:
        states = _states(database)
    table(("kid", "state", "created", "until"), [_described(state, time.time()) for state in states], as_json=as_json)


@commands.command()
def rotate(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Sign with a new key. Tokens of the old one stay valid until they expire."""
    settings = settings_of(data=data, app=app)
    passphrase = read_master_key(settings.master_key_file)
    with database_of(settings) as database:
        kid = _rotated(database, settings.data / KEYS_FOLDER, passphrase)
    if as_json:
        show({"kid": kid})
    else:
        typer.echo(f"New tokens are signed by {kid}; those of the key before it stay valid until they expire.")


@commands.command()
def revoke(
    kid: Annotated[str, typer.Argument(metavar="KID", help="As `vallum keys list` shows it.")],
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Void a key and every token that it signed, at once. If none is left, a new one is made."""
    settings = settings_of(data=data, app=app)
    passphrase = read_master_key(settings.master_key_file)
    with database_of(settings) as database:
        done(database, lambda _: _deed("revoke", kid), keyring.revoke(kid, time.time(), database.dialect))
        made = None
        if not any(state.signs for state in _states(database)):
            made = _rotated(database, settings.data / KEYS_FOLDER, passphrase)
    if as_json:
        show({"revoked": kid, "made": made})
    else:
        typer.echo(f"{kid} and its tokens are void.{f' New tokens are signed by {made}.' if made else ''}")


def _rotated(database: CommandDatabase, folder: Path, passphrase: bytes | None) -> str:
    rotating = keyring.rotate(folder, time.time(), database.dialect, passphrase)
    return done(database, lambda kid: _deed("rotate", kid), rotating)


def _deed(word: str, kid: str) -> Deed:
    return Deed(f"keys {word}", signing_key.name, {"kid": kid})


def _states(database: CommandDatabase) -> list[KeyState]:
    return keyring.states(database.read(keyring.all_keys(database.dialect)))


def _described(state: KeyState, now: float) -> dict[str, Any]:
    word = "signs" if state.signs else "verifies" if state.verifies(now) else "revoked" if state.revoked else "retired"
    until = state.revoked if state.revoked is not None else state.retires
    return {"kid": state.kid, "state": word, "created": _time(state.created), "until": _time(until)}


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
