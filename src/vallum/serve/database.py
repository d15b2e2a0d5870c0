"""Which store: the only place that chooses an adapter. SQLite in the data directory, or the server that is named."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vallum.declare.dialect import DialectName
from vallum.serve.development import is_marked
from vallum.serve.files import DATABASE_FILE
from vallum.serve.server_address import complete
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase, ServedDatabase
from vallum.store.postgres_address import Address
from vallum.store.sqlite import SqliteDatabase, SqliteFile

if TYPE_CHECKING:
    from vallum.serve.settings import Settings


def dialect_of(address: Address | None) -> DialectName:
    """The store's words for SQL."""
    return "sqlite" if address is None else "postgresql"


def address_of(settings: Settings) -> Address | None:
    """The server, ready to connect to; None for SQLite.

    Raises:
        SettingsError: `database-plain`, `database-password-file`.
    """
    if settings.database is None:
        return None
    dev = settings.dev or is_marked(settings.data)
    return complete(settings.database, settings.database_password_file, dev=dev)


def served_database(address: Address | None, data: Path) -> ServedDatabase:
    """The store of a process that serves.

    Raises:
        StoreError: `postgres-missing`, `database-certificate`.
    """
    if address is None:
        return SqliteDatabase(data / DATABASE_FILE)
    found: ServedDatabase = postgres("postgres").PostgresDatabase(address)
    return found


def command_database(address: Address | None, data: Path) -> CommandDatabase:
    """The store of a command.

    Raises:
        StoreError: it is missing or open to others, or cannot be reached or used.
    """
    if address is None:
        return SqliteFile(data / DATABASE_FILE)
    found: CommandDatabase = postgres("postgres").PostgresCommands(address)
    return found


def postgres(module: str) -> Any:
    """A module of `store` that needs PostgreSQL's driver, an optional extra.

    Raises:
        StoreError: `postgres-missing`.
    """
    try:
        return import_module(f"vallum.store.{module}")
    except ModuleNotFoundError as error:
        mend = "Install asyncpg: `requirements/run.txt` of Vallum's checkout has it."
        raise StoreError("postgres-missing", str(error.name), mend) from None
