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

from vallum.errors import OperatorError

COMMANDS: Final = (
    "new",
    "serve",
    "db",
    "user",
    "key",
    "client",
    "token",
    "routes",
    "openapi",
    "explain",
    "matrix",
    "rls",
    "check",
    "keys",
    "audit",
    "backup",
    "restore",
)
"""Each is a module of this package, imported when it is called: a token inside another command must not wait for SQL."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        program(given[:1])(args=given, prog_name="vallum")
    except OperatorError as error:
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


def told(error: OperatorError, *, as_json: bool) -> str:
    """What went wrong, where, and what mends it."""
    if as_json:
        parts = {"identifier": error.identifier, "place": error.place, "mend": error.mend}
        return json.dumps({"error": parts}, ensure_ascii=False) + "\n"
    return f"vallum: {error.identifier}{f' ({error.place})' if error.place else ''}\n{error.mend}\n"


def _version(wanted: bool) -> None:
    if wanted:
        metadata = importlib.import_module("importlib.metadata")  # takes longer than all the rest of a short command
        typer.echo(metadata.version("vallum"))
        raise typer.Exit


def _root(
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say which version this is."),
) -> None:
    """Without a command there is only help."""
