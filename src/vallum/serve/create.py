"""Makes a data directory: the database with its tables and accounts, the signing key, the cursor's secret."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from vallum.declare.app import API
from vallum.serve.files import DATABASE_FILE, KEYS_FOLDER
from vallum.serve.keyring import cursor_secret, rotate
from vallum.store import migrations, principals
from vallum.store.errors import StoreError
from vallum.store.ports import Script, WithSession
from vallum.store.sqlite import SqliteFile
from vallum.store.sqlite_file import BESIDE, sync_directory

Seeder = Callable[[Session], Any]


def create_database(
    api: API, data: Path, *, now: float, seeders: Sequence[Seeder] = (), passphrase: bytes | None = None
) -> int:
    """Make all of it, or nothing, and return the number of accounts.

    Args:
        now: Unix seconds.
        seeders: fill the tables and declare accounts; `api.accounts.declared` is written after them.
        passphrase: of the signing key's file.

    Raises:
        StoreError: there is a database already, or the directory is open to others.
    """
    metadatas = list({id(r.table.metadata): r.table.metadata for r in api.resources.values()}.values())

    def script() -> Script[int]:
        yield from migrations.create(metadatas)()
        for seeder in seeders:
            yield WithSession(seeder)
        for account in api.accounts.declared.values():
            yield from principals.add(account, "user", now, "sqlite")()
        return len(api.accounts.declared)

    with _finished(data / DATABASE_FILE) as unfinished, SqliteFile.create(unfinished) as file:
        accounts = file.write(script)
        file.write(rotate(data / KEYS_FOLDER, now, "sqlite", passphrase))
        file.analyze()
    cursor_secret(data / KEYS_FOLDER)
    return accounts


@contextlib.contextmanager
def _finished(path: Path) -> Iterator[Path]:
    """Where to make the file that is `path` once it is whole: one whose making was stopped, even by a kill, is not.

    Raises:
        StoreError: `database-exists`.
    """
    exists = StoreError("database-exists", str(path), "Use another place, or `vallum db migrate`.")
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
