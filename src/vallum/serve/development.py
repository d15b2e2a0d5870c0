"""The mark of a data directory that was made for development: only there does `vallum token` give out tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from vallum.crypto.keyfile import write_secret

MARKER: Final = "development.json"


def mark(data: Path, public_url: str, database: str | None = None) -> None:
    """Make `data` a development directory, or renew the address under which it is served.

    Args:
        database: the URL of the server that has the rows; it holds no secret.

    Raises:
        BadKey: others may write in the directory.
    """
    found = {"public_url": public_url} | ({} if database is None else {"database": database})
    write_secret(data / MARKER, json.dumps(found).encode() + b"\n", replace=True)


def is_marked(data: Path) -> bool:
    """Whether `data` was made for development."""
    return (data / MARKER).exists()


def served_at(data: Path) -> str | None:
    """The address under which it is served, or None when it was not made for development."""
    return _marked(data, "public_url")


def database_of(data: Path) -> str | None:
    """The URL of the server that has its rows, or None when they are in the directory."""
    return _marked(data, "database")


def _marked(data: Path, name: str) -> str | None:
    try:
        found = json.loads((data / MARKER).read_bytes())[name]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
