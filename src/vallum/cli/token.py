"""`vallum token`: an access token for a development server. Quick, since it stands inside other commands."""

from __future__ import annotations

import json
import os
import re
import time
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from vallum import defaults
from vallum.crypto import access_token, signing_key
from vallum.crypto.keyfile import read_secret
from vallum.serve.development import database_of, is_marked, served_at
from vallum.serve.errors import SettingsError
from vallum.serve.files import KEYS_FOLDER, database_file
from vallum.serve.master_key import read_master_key
from vallum.serve.server_address import complete
from vallum.store.errors import StoreError
from vallum.store.postgres_address import parse
from vallum.store.sqlite_file import check_file
from vallum.store.sqlite_peek import peek

Ask = Callable[..., list[Any]]
"""Takes a SELECT and its arguments (one `?` at most), gives the rows."""

UNITS: Final = {"s": 1, "m": 60, "h": 3600}
LIFETIME: Final = re.compile(r"([1-9][0-9]{0,5})([smh])")
ACCOUNT: Final = "SELECT 1 FROM vallum_principal WHERE id = ? AND disabled = 0"
NEWEST_KEY: Final = "SELECT kid FROM vallum_signing_key WHERE revoked IS NULL AND retires IS NULL ORDER BY created DESC, kid DESC LIMIT 1"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("token")(token)


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The account.")],
    ttl: Annotated[str, typer.Option("--ttl", help="How long it is good: 90s, 15m, 1h; at most a day.")] = "15m",
    scope: Annotated[list[str] | None, typer.Option("--scope", help="Limit it to this scope; may be repeated.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Directory of the database.", show_default=False)] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Say so: tokens are for development only.")] = False,  # noqa: ARG001  # the mark in the directory decides
    app: Annotated[str | None, typer.Option("--app", hidden=True)] = None,  # noqa: ARG001  # taken by every command
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Print an access token for an account; on data that was made with --dev only."""
    lifetime_seconds = lifetime(ttl)
    folder = Path(data or _setting("data") or "data")
    ask = _database(folder)
    marked = served_at(folder)
    if marked is None:
        raise SettingsError(
            "token-development",
            f"data: {folder}",
            "Tokens without a login are made on data for development only: `vallum db create --dev --data …`.",
        )
    issuer = str(_setting("public_url") or marked).rstrip("/")
    _check_account(ask, name)
    key, now = _key(ask, folder), time.time()
    try:
        issued = access_token.issue(
            key,
            issuer=issuer,
            audience=issuer,
            subject=name,
            client_id=name,
            now=now,
            lifetime_seconds=lifetime_seconds,
            scopes=scope or (),
            auth_time=now,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scope") from None
    answer = {"access_token": issued, "token_type": "Bearer", "expires_in": lifetime_seconds}
    typer.echo(json.dumps(answer) if as_json else issued)


def lifetime(text: str) -> int:
    """Seconds of `90s`, `15m` or `1h`.

    Raises:
        typer.BadParameter: another form, or more than a day.
    """
    match = LIFETIME.fullmatch(text)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < seconds <= defaults.MAX_TOKEN_LIFETIME_SECONDS:
        raise typer.BadParameter("write 90s, 15m or 1h, at most 24h", param_hint="--ttl")
    return seconds


def _setting(name: str) -> Any:
    """A variable, else the entry of vallum.toml: what `serve.settings` reads, without loading what checks the others."""
    variable = os.environ.get(f"VALLUM_{name.upper()}")
    if variable:
        return variable
    try:
        return tomllib.loads(Path("vallum.toml").read_text(encoding="utf-8")).get(name)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SettingsError("settings-file", "vallum.toml", f"Not TOML: {error}.") from None


def _database(folder: Path) -> Ask:
    """The way to the rows of one SELECT."""
    url = _setting("database") or database_of(folder)
    if url is None:
        file = database_file(folder, dev=True)
        check_file(file)
        return partial(peek, file)
    from vallum.store import postgres_peek  # noqa: PLC0415  # an optional extra

    password_file = _setting("database_password_file")
    address = complete(parse(url), Path(password_file) if password_file else None, dev=is_marked(folder))
    return lambda text, *arguments: postgres_peek.peek(address, text.replace("?", "$1"), *arguments)


def _check_account(ask: Ask, name: str) -> None:
    if not ask(ACCOUNT, name):
        raise StoreError("account-unknown", name, "There is no such account, or it is disabled: `vallum user list`.")


def _key(ask: Ask, folder: Path) -> signing_key.SigningKey:
    rows = ask(NEWEST_KEY)
    if not rows:
        raise StoreError("key-missing", str(folder), "No key signs: `vallum keys rotate`.")
    file = _setting("master_key_file")
    passphrase = read_master_key(Path(file) if file else None)
    path = folder / KEYS_FOLDER / f"{rows[0][0]}.pem"
    try:
        return signing_key.load(read_secret(path), passphrase)
    except FileNotFoundError:
        raise StoreError(
            "key-missing", str(path), "The file of the signing key is gone: `vallum keys rotate`."
        ) from None
