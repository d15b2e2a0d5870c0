"""The mark of a data directory that was made for development: only there does `vallum token` give out tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from vallum.crypto.keyfile import write_secret

MARKER: Final = "development.json"


def mark(data: Path, public_url: str) -> None:
    """Make `data` a development directory, or renew the address under which it is served.

    Raises:
        BadKey: others may write in the directory.
    """
    write_secret(data / MARKER, json.dumps({"public_url": public_url}).encode() + b"\n", replace=True)


def is_marked(data: Path) -> bool:
    """Whether `data` was made for development."""
    return (data / MARKER).exists()


def served_at(data: Path) -> str | None:
    """The address under which it is served, or None when it was not made for development."""
    try:
        found = json.loads((data / MARKER).read_bytes())["public_url"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
