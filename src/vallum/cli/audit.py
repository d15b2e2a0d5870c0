"""`vallum audit`: what was written and refused, and whether it is still what it was."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from vallum import defaults
from vallum.audit import anchor, keys, seal
from vallum.audit.checkpoint import signer
from vallum.audit.event import OPERATOR
from vallum.audit.export import export as exporting
from vallum.audit.listing import Wanted, entries
from vallum.audit.operator import Deed, nothing
from vallum.audit.prune import Pruned, Pruning
from vallum.audit.prune import prune as pruning
from vallum.audit.segment import Segment
from vallum.audit.verify import verify as verifying
from vallum.audit.verify_file import verify_file
from vallum.cli.audit_shown import COLUMNS, counted, described, moment, told
from vallum.cli.given import App, AsJson, Checkpoints, Data, Trusted, content_of, database_of, done, opened, settings_of
from vallum.cli.output import show, table
from vallum.crypto.jwk import KeySet
from vallum.crypto.random import request_id
from vallum.crypto.signing_key import SigningKey
from vallum.serve.alone import alone
from vallum.serve.files import KEYS_FOLDER
from vallum.serve.master_key import read_master_key
from vallum.serve.settings import Settings
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase, Script

commands = typer.Typer(help="What was written and refused, in a chain that shows changes.", no_args_is_help=True)

IN_DATA: Final = "in the data directory"
STANDARD_OUTPUT: Final = "-"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="audit")


@commands.command("list")
def list_(
    *,
    principal: Annotated[str | None, typer.Option("--principal", help="Of this account.")] = None,
    verb: Annotated[
        str | None, typer.Option("--verb", help="create, change, remove, act, refuse, `user add`, …")
    ] = None,
    resource: Annotated[str | None, typer.Option("--resource", help="Of this resource, or route of a refusal.")] = None,
    request: Annotated[str | None, typer.Option("--request", help="Of this request id.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="From this date or time (UTC) on.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this date or time (UTC).")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = defaults.AUDIT_LISTED,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """The newest entries first."""
    wanted = Wanted(principal, verb, resource, request, moment(since, "--since"), moment(until, "--until"))
    with database_of(settings_of(data=data, app=app)) as database:
        rows = database.read(entries(wanted, limit, database.dialect))
    table(COLUMNS, [described(row) for row in rows], as_json=as_json)


@commands.command()
def verify(
    *,
    checkpoint: Checkpoints = None,
    file: Annotated[Path | None, typer.Option("--file", help="An export instead of the database.")] = None,
    trusted: Trusted = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Compare every entry with what was sealed; leaves with 1 when something is at fault."""
    settings = settings_of(data=data, app=app)
    public = _public(settings, trusted)
    outside = {str(path): content_of(path).decode("ascii", "replace") for path in checkpoint or ()}
    if file is not None:
        with opened(file) as lines:
            report = verify_file(lines, public, outside)
    else:
        kept = anchor.kept(settings.data)
        found = outside if kept is None else {IN_DATA: kept, **outside}
        with database_of(settings) as database:
            report = database.look(lambda: verifying(public, found, database.dialect, time.time()))
    if as_json:
        show({"whole": report.whole, **asdict(report)})
    else:
        typer.echo(told(report))
    if not report.whole:
        raise typer.Exit(1)


@commands.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; - for standard output.")],
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """All of it as JSON Lines, for `verify --file` and for other programs."""
    with database_of(settings_of(data=data, app=app)) as database, _written(file) as output:
        exported = database.look(lambda: exporting(output.write, database.dialect))
    if as_json and str(file) != STANDARD_OUTPUT:
        show({"file": str(file), **asdict(exported)})
    elif str(file) != STANDARD_OUTPUT:
        total = counted(exported.entries + exported.unsealed, "entry")
        typer.echo(f"{file} has {total}, of which {exported.unsealed} are not sealed.")


@commands.command()
def checkpoint(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Seal what is there and print the signed end of the chain, to be kept where this machine cannot write."""
    settings = settings_of(data=data, app=app)
    with database_of(settings) as database:
        text = _seal(database, settings, _key(settings))
    if text is None:
        raise StoreError("audit-empty", str(settings.data), "There is no entry yet.")
    if as_json:
        show({"checkpoint": text})
    else:
        typer.echo(text)


@commands.command()
def prune(
    before: Annotated[str, typer.Option("--before", help="What was sealed before this date or time (UTC) goes.")],
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Remove the entries of whole segments. The chain still verifies, and an entry says what was removed."""
    settings = settings_of(data=data, app=app)
    key, public = _key(settings), _public(settings, None)
    wanted = Pruning(moment(before, "--before") or 0.0, OPERATOR, request_id())
    portions: list[Pruned] = []
    with database_of(settings) as database:
        kept, dialect = anchor.kept(settings.data), database.dialect
        while portion := database.write(
            lambda: anchor.upon(kept, public, dialect, pruning(wanted, signer(key), public, time.time(), dialect))
        ):
            portions.append(portion)
        _keep(database, settings, public)
    entries_, last = sum(each.entries for each in portions), portions[-1].last if portions else None
    if as_json:
        show({"entries": entries_, "segments": sum(each.last - each.first + 1 for each in portions), "through": last})
    elif last is None:
        typer.echo("No segment was sealed before that.")
    else:
        typer.echo(f"Removed {counted(entries_, 'entry')}, of the segments up to {last}.")


@commands.command()
def key(data: Data = None, app: App = None, as_json: AsJson = False) -> None:  # noqa: ARG001  # it is JSON anyway
    """Print the public keys (a JWK set) that verify checkpoints, for whoever verifies elsewhere."""
    settings = settings_of(data=data, app=app)
    show({"keys": keys.public_jwks(settings.data / KEYS_FOLDER)})


@commands.command()
def rekey(
    *,
    stolen: Annotated[bool, typer.Option("--stolen", help="Believe nothing more that the old key signed.")] = False,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Sign with a new key, when the file of the old one is lost or stolen or the master key is new. Stop the server."""
    settings = settings_of(data=data, app=app)
    passphrase, folder = read_master_key(settings.master_key_file), settings.data / KEYS_FOLDER
    with database_of(settings) as database, alone(settings.data):
        made = keys.make(folder, passphrase)
        done(database, lambda _: Deed("audit rekey", "vallum_audit", {"kid": made.kid}), nothing)
        _seal(database, settings, made, as_it_is=True)
        if stolen:
            keys.trust_only(folder, made)
    if as_json:
        show({"kid": made.kid})
    else:
        before = "are believed no more" if stolen else "still verify"
        typer.echo(f"Checkpoints are signed by {made.kid}; those of the key before it {before}.")


def _seal(database: CommandDatabase, settings: Settings, key: SigningKey, *, as_it_is: bool = False) -> str | None:
    """Seal what is there; the newest checkpoint, kept beside the database too.

    Args:
        as_it_is: also upon an end that was not signed.
    """
    public, sign, dialect, kept = _public(settings, None), signer(key), database.dialect, anchor.kept(settings.data)

    def script() -> Script[Segment | None]:
        sealing = seal.batch(sign, public, time.time(), dialect)
        return (yield from sealing if as_it_is else anchor.upon(kept, public, dialect, sealing))

    while database.write(script):
        pass
    _keep(database, settings, public)
    return database.write(lambda: seal.newest(dialect))


def _key(settings: Settings) -> SigningKey:
    return keys.load(settings.data / KEYS_FOLDER, read_master_key(settings.master_key_file))


def _public(settings: Settings, file: Path | None) -> KeySet:
    if file is None:
        return keys.key_set(keys.public_jwks(settings.data / KEYS_FOLDER))
    return keys.key_set(keys.parsed(content_of(file), str(file)))


def _keep(database: CommandDatabase, settings: Settings, public: KeySet) -> None:
    before = anchor.kept(settings.data)
    text = database.write(lambda: anchor.follow(before, public, database.dialect))
    if text is not None:
        anchor.keep(settings.data, text)


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """A new file for its owner alone."""
    if str(path) == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError("file-unwritable", str(path), f"{error.strerror}.") from None
    with os.fdopen(descriptor, "wb") as file:
        yield file
