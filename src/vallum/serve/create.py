"""Makes a data directory: the database with its tables and accounts, the signing key, the cursor's secret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from vallum.declare.app import API
from vallum.serve.keyring import cursor_secret, rotate
from vallum.serve.wire import DATABASE_FILE, KEYS_FOLDER
from vallum.store import migrations, principals
from vallum.store.ports import Script, WithSession
from vallum.store.sqlite import SqliteFile

Seeder = Callable[[Session], Any]


def create_database(
    api: API, data: Path, *, now: float, seeders: Sequence[Seeder] = (), passphrase: bytes | None = None
) -> int:
    """Make all of it, in one transaction, and return the number of accounts.

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

    with SqliteFile.create(data / DATABASE_FILE) as file:
        accounts = file.write(script)
        file.write(rotate(data / KEYS_FOLDER, now, "sqlite", passphrase))
        file.analyze()
    cursor_secret(data / KEYS_FOLDER)
    return accounts
