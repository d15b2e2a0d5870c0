"""Makes a data directory: the database with its tables and accounts, the signing key, the cursor's secret, the audit's key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from vallum.audit import keys as audit_keys
from vallum.declare.app import API
from vallum.own_files import sync_directory
from vallum.serve.database import command_database, dialect_of
from vallum.serve.files import DATABASE_FILE, KEYS_FOLDER
from vallum.serve.keyring import cursor_secret, rotate
from vallum.store import migrations, principals
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase, Script, WithSession
from vallum.store.postgres_address import Address
from vallum.store.sequences import go_on
from vallum.store.sqlite import SqliteFile
from vallum.store.sqlite_file import BESIDE, EXISTS

Seeder = Callable[[Session], Any]


def create_database(
    api: API,
    data: Path,
    *,
    now: float,
    seeders: Sequence[Seeder] = (),
    passphrase: bytes | None = None,
    address: Address | None = None,
) -> int:
    """Make all of it, or nothing, and return the number of accounts.

    Args:
        now: Unix seconds.
        seeders: fill the tables and declare accounts; `api.accounts.declared` is written after them.
        passphrase: of the files of keys and secrets.
        address: of the PostgreSQL database, which is there already; None for SQLite in `data`.

    Raises:
        StoreError: there is a database already (or none, where its tables are another program's), or the directory is
            open to others.
    """
    # Tables of another program are neither made nor changed, and neither are the sequences behind their keys.
    resources = () if api.existing_tables else api.resources.values()
    metadatas = list({id(r.table.metadata): r.table.metadata for r in resources}.values())
    dialect = dialect_of(address)

    def script() -> Script[int]:
        yield from migrations.create(dialect, metadatas)()
        for seeder in seeders:
            yield WithSession(seeder)
        yield from go_on(metadatas, dialect)
        for account in api.accounts.declared.values():
            yield from principals.add(account, "user", now, dialect)()
        yield from rotate(data / KEYS_FOLDER, now, dialect, passphrase)()
        return len(api.accounts.declared)

    with _place(data, address, existing=api.existing_tables) as database:
        accounts = database.write(script)
        if not api.existing_tables:
            database.analyze()
    cursor_secret(data / KEYS_FOLDER, passphrase)
    audit_keys.ensure(data / KEYS_FOLDER, passphrase, signed=False)
    return accounts


@contextlib.contextmanager
def _place(data: Path, address: Address | None, *, existing: bool) -> Iterator[CommandDatabase]:
    """A database to fill. On a server its tables are made in one transaction; a new file gets its name at the end."""
    if address is not None or existing:
        if address is None and not (data / DATABASE_FILE).exists():
            mend = "Put the existing database there, for its owner alone: `chmod 600`."
            raise StoreError("database-missing", str(data / DATABASE_FILE), mend)
        with command_database(address, data) as database:
            yield database
        return
    with _finished(data / DATABASE_FILE) as unfinished, SqliteFile.create(unfinished) as file:
        yield file


@contextlib.contextmanager
def _finished(path: Path) -> Iterator[Path]:
    """Where to make the file that is `path` once it is whole: one whose making was stopped, even by a kill, is not.

    Raises:
        StoreError: `database-exists`.
    """
    exists = StoreError("database-exists", str(path), EXISTS)
    if path.exists():
        raise exists
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    _remove(unfinished)
    try:
        yield unfinished
        try:
            os.link(unfinished, path)  # unlike a rename it replaces nothing
        except FileExistsError:
            raise exists from None
    finally:
        _remove(unfinished)
    sync_directory(path.parent)


def _remove(path: Path) -> None:
    for suffix in ("", *BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
