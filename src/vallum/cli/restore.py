"""`vallum restore`: a data directory from a backup; everybody has to sign in again."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vallum.audit import keys
from vallum.audit.fault import Report
from vallum.cli.audit_shown import counted, shown
from vallum.cli.given import App, AsJson, Checkpoints, Data, Trusted, content_of, database_of, settings_of
from vallum.cli.output import show
from vallum.serve.after_restore import Ended, Wanted, end_everything
from vallum.serve.alone import alone
from vallum.serve.development import mark
from vallum.serve.master_key import read_master_key
from vallum.serve.restore import restore as restoring
from vallum.serve.settings import Settings
from vallum.serve.tls import development_files
from vallum.store.errors import StoreError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("restore")(restore)


def restore(
    backup: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Of `vallum backup`; none when pg_restore has filled PostgreSQL."),
    ] = None,
    *,
    sha256: Annotated[str | None, typer.Option("--sha256", help="What `vallum backup` said.")] = None,
    checkpoint: Checkpoints = None,
    trusted: Trusted = None,
    broken_audit: Annotated[bool, typer.Option("--broken-audit", help="Even when the audit is not whole.")] = False,
    void_credentials: Annotated[
        bool, typer.Option("--void-credentials", help="Revoke API keys and clients' secrets too.")
    ] = False,
    dev: Annotated[bool | None, typer.Option("--dev", help="For development: `vallum token` works on it.")] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Fill an empty data directory. Every token, session and cursor ends; new keys are made."""
    settings = settings_of(data=data, app=app, dev=dev)
    wanted = Wanted(
        sha256=sha256,
        trusted=None if trusted is None else keys.parsed(content_of(trusted), str(trusted)),
        checkpoints={str(path): content_of(path).decode("ascii", "replace") for path in checkpoint or ()},
        broken_audit=broken_audit,
        void_credentials=void_credentials,
        passphrase=read_master_key(settings.master_key_file),
    )
    if settings.database is not None:
        ended, backup_at = _in_place(settings, backup, wanted), None
    else:
        ended, backup_at = _from_file(settings, backup, wanted)
    _told(settings, ended, backup_at, as_json=as_json)


def _from_file(settings: Settings, backup: Path | None, wanted: Wanted) -> tuple[Ended, float]:
    if backup is None:
        raise typer.BadParameter("name the file that `vallum backup` made")
    done = restoring(backup, settings.data, wanted, time.time())
    if settings.dev:
        mark(settings.data, settings.public_url)
        development_files(settings.data, time.time())
    return done.ended, done.backup_at


def _in_place(settings: Settings, backup: Path | None, wanted: Wanted) -> Ended:
    """PostgreSQL's own tools have brought the database back; what follows is the same."""
    if backup is not None:
        mend = "Bring the database back by pg_restore first, then run `vallum restore` without a file."
        raise StoreError("restore-postgresql", str(settings.database), mend)
    with alone(settings.data), database_of(settings) as database:
        return end_everything(database, settings.data, wanted, {}, time.time())


def _told(settings: Settings, ended: Ended, backup_at: float | None, *, as_json: bool) -> None:
    audit = _audit(ended.audit)
    if as_json:
        facts = {**asdict(ended), "audit": audit}
        show({"data": str(settings.data), "backup_at": backup_at, **facts})
        return
    of = "" if backup_at is None else f" of {shown(backup_at)}"
    entries = ended.audit.entries + ended.audit.unsealed
    typer.echo(
        f"Restored the backup{of}: {counted(ended.accounts, 'account')}, {counted(entries, 'entry')} in the audit."
    )
    typer.echo("Every token and cursor is void, and new tokens are signed by a new key.")
    if ended.voided:
        typer.echo(f"Revoked: {counted(ended.voided, 'credential')}.")
    typer.echo("What was revoked, disabled or changed after the backup is as it was then: look it through.")
    typer.echo(f"The audit's new key is {ended.audit_key}; `vallum audit key` prints it for who verifies elsewhere.")


def _audit(report: Report) -> dict[str, object]:
    return {"whole": report.whole, "entries": report.entries, "unsealed": report.unsealed}
