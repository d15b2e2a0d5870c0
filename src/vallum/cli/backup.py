"""`vallum backup`: a copy of the data that is whole, taken while it is served."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vallum.audit.operator import Deed, nothing
from vallum.cli.audit_shown import counted
from vallum.cli.given import App, AsJson, Data, database_of, done, settings_of
from vallum.cli.output import show
from vallum.serve.backup import make_backup
from vallum.store.errors import StoreError
from vallum.store.schema import meta


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backup")(backup)


def backup(
    target: Annotated[str, typer.Argument(metavar="FILE|DIR", help="A new file, or a directory for one.")],
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database while it is served, check the copy, and print its digest. No private key is in it."""
    settings = settings_of(data=data, app=app)
    if settings.database is not None:
        mend = "PostgreSQL has a better one: pg_dump, as docs/backup.md says."
        raise StoreError("backup-postgresql", str(settings.database), mend)
    if target.endswith("/") and not Path(target).is_dir():  # which Path would forget, and make a file of that name
        raise StoreError("backup-directory", target, "There is no such directory: make it with mkdir -m 700.")
    with database_of(settings) as database:
        done(database, lambda _: Deed("backup", meta.name), nothing)
    made = make_backup(settings.data, Path(target), time.time())
    if not made.audit.whole:
        sys.stderr.write(
            "The audit is not as it was sealed: `vallum audit verify` says what. The backup has it as it is.\n"
        )
    audit = {"whole": made.audit.whole, "entries": made.audit.entries, "unsealed": made.audit.unsealed}
    if as_json:
        show({**asdict(made), "file": str(made.file), "audit": audit})
        return
    rows, entries = sum(made.tables.values()), made.audit.entries + made.audit.unsealed
    typer.echo(
        f"{made.file}: {counted(made.bytes, 'byte')}, {counted(rows, 'row')} in {counted(len(made.tables), 'table')}."
    )
    typer.echo(f"Accounts: {made.tables['vallum_principal']}; the audit: {counted(entries, 'entry')}.")
    typer.echo(f"SHA-256: {made.sha256}")
