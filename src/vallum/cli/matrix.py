"""`vallum matrix`: who may do what, as a table, as JSON to be kept and compared, and as a page to be signed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter

from vallum.authorise.checks import check
from vallum.authorise.matrix import MATRIX, Matrix, Right, matrix_of
from vallum.authorise.matrix_difference import Difference, compare, read_matrix, told
from vallum.authorise.matrix_words import SOME, fields_words, line_words
from vallum.cli.given import App, AsJson, Data, settings_of
from vallum.cli.output import Lines, show, table
from vallum.declare.checks_finding import refuse
from vallum.declare.errors import DeclarationError
from vallum.docs.matrix_page import matrix_page
from vallum.serve.database import dialect_of
from vallum.serve.load import load_api

GRANTED: Final = ("role", "resource", "may", "fields", "by these rules")
DENIED: Final = ("role", "resource", "is denied", "fields", "whatever other role an account has")
DEMANDED: Final = ("resource", "every rule also demands")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("matrix")(matrix)


def matrix(
    *,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page to it that needs nothing else.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE", help="Compare with what --json wrote; 1 when different.")
    ] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """What each role may do: fields and conditions, read from the compiled rules. What is not listed is refused."""
    agreed = None if against is None else _read(against)
    settings = settings_of(data=data, app=app)
    api, dialect = load_api(settings.app), dialect_of(settings.database)
    refuse(check(api, dialect=dialect), DeclarationError)
    found = matrix_of(api, dialect)
    if html is not None:
        _write(html, matrix_page(found))
    if agreed is not None:
        _compared(compare(agreed, found), found, as_json=as_json)
    elif as_json:
        show(MATRIX.dump_python(found, mode="json"))
    elif html is None:
        _tell(found)


def _read(file: Path) -> Matrix:
    try:
        return read_matrix(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise typer.BadParameter(f"{file}: {reason}", param_hint="--against") from None


def _write(file: Path, page: bytes) -> None:
    try:
        file.write_bytes(page)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--html") from None


def _compared(difference: Difference, found: Matrix, *, as_json: bool) -> None:
    if as_json:
        show({"equal": not difference, **TypeAdapter(Difference).dump_python(difference, mode="json")})
    elif not difference:
        typer.echo(f"No difference in {len(found.rights)} rights.")
    else:
        for line in told(difference):
            typer.echo(line)
    if difference:
        raise typer.Exit(1)


def _tell(found: Matrix) -> None:
    granted = [right for right in found.rights if right.granted]
    table(GRANTED, [_row(GRANTED, right) for right in granted], as_json=False)
    if denied := [right for right in found.rights if not right.granted]:
        typer.echo()
        table(DENIED, [_row(DENIED, right) for right in denied], as_json=False)
    if demanded := [
        {DEMANDED[0]: thing.resource, DEMANDED[1]: thing.exists} for thing in found.resources if thing.exists
    ]:
        typer.echo()
        table(DEMANDED, demanded, as_json=False)
    if idle := [role for role in found.roles if all(right.role != role for right in granted)]:
        typer.echo(f"\nMay do nothing: {', '.join(idle)}")
    if any(right.sometimes for right in granted):
        typer.echo(f"{SOME} in some rows, or on some requests only")


def _row(columns: Sequence[str], right: Right) -> dict[str, object]:
    rules = Lines(line_words(line, right) for line in right.rules)
    return dict(zip(columns, (*right.key, fields_words(right), rules), strict=True))
