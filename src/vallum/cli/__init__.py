"""The command `vallum`.

Exit codes: 0 done; 1 refused, or a check failed; 2 the command was not understood.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from typing import Final

import typer

from vallum.crypto.errors import BadKey
from vallum.declare.errors import DeclarationError
from vallum.serve.errors import SettingsError
from vallum.store.errors import StoreError

COMMANDS: Final = ("serve", "db", "user", "token", "routes", "explain", "check", "keys")
"""Each is a module of this package, imported when it is called: a token inside another command must not wait for SQL."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        program(given[:1])(args=given, prog_name="vallum")
    except (SettingsError, StoreError, DeclarationError, BadKey) as error:
        sys.stderr.write(told(error, as_json="--json" in given))
        sys.exit(1)


def program(wanted: Sequence[str]) -> typer.Typer:
    """The command line with the one command that is wanted, or with all of them."""
    app = typer.Typer(
        help="Serve and look after a Vallum API. Settings: flags, VALLUM_… variables, vallum.toml.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # they would show the values of variables
    )
    app.callback()(_root)
    for name in [name for name in COMMANDS if name in wanted] or COMMANDS:
        importlib.import_module(f"vallum.cli.{name}").register(app)
    return app


def told(error: SettingsError | StoreError | DeclarationError | BadKey, *, as_json: bool) -> str:
    """What went wrong, where, and what mends it."""
    if isinstance(error, BadKey):
        identifier, place, mend = error.reason.replace("_", "-"), "", error.detail
    else:
        identifier, place, mend = error.identifier, error.place, error.mend
    if as_json:
        return (
            json.dumps({"error": {"identifier": identifier, "place": place, "mend": mend}}, ensure_ascii=False) + "\n"
        )
    return f"vallum: {identifier}{f' ({place})' if place else ''}\n{mend}\n"


def _version(wanted: bool) -> None:
    if wanted:
        metadata = importlib.import_module("importlib.metadata")  # takes longer than all the rest of a short command
        typer.echo(metadata.version("vallum"))
        raise typer.Exit


def _root(
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say which version this is."),
) -> None:
    """Without a command there is only help."""
