"""Options that several commands take, and the settings behind them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import typer

from vallum.audit.operator import Deed, recorded
from vallum.serve.database import address_of, command_database
from vallum.serve.files import database_file
from vallum.serve.settings import Settings, load, use
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase, Script

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Directory of the database and the keys.", show_default=False)
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="A checkpoint of the audit that was kept elsewhere; may be repeated."),
]
Trusted = Annotated[
    Path | None, typer.Option("--trust", help="A file of the audit's public keys (`audit key`), kept elsewhere.")
]
App = Annotated[str | None, typer.Option("--app", help="The API, as module:attribute.", show_default=False)]


def settings_of(**flags: object) -> Settings:
    """The settings under these flags; None means that one was not given.

    Raises:
        SettingsError: one of them is malformed.
    """
    return use(load(flags))


def database_of(settings: Settings) -> CommandDatabase:
    """The database of the data directory, or of the server.

    Raises:
        StoreError: it is missing or open to others, or cannot be reached.
    """
    address = address_of(settings)
    if address is None:
        database_file(settings.data, dev=settings.dev)
    return command_database(address, settings.data)


def opened(path: Path) -> BinaryIO:
    """A file that the operator named.

    Raises:
        StoreError: `file-unreadable`.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise StoreError("file-unreadable", str(path), f"{error.strerror}.") from None


def content_of(path: Path) -> bytes:
    """What is in it.

    Raises:
        StoreError: `file-unreadable`.
    """
    with opened(path) as file:
        return file.read()


def done(database: CommandDatabase, deed: Callable[[T], Deed | None], script: Callable[[], Script[T]]) -> T:
    """Write, with the entry of the audit that says what was done, from the script's outcome."""
    return database.write(recorded(deed, script, time.time(), database.dialect))
