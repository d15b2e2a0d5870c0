"""What lies where in a data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vallum.store.errors import StoreError

DATABASE_FILE: Final = "vallum.db"
KEYS_FOLDER: Final = "keys"


def database_file(data: Path, *, dev: bool) -> Path:
    """The file of a SQLite database, which was made before.

    Args:
        dev: for development, where another `vallum db create` than for production makes it.

    Raises:
        StoreError: `database-missing`.
    """
    file = data / DATABASE_FILE
    if not file.is_file():
        mend = "Make it with " + (
            "`vallum db create --dev`" if dev else "`vallum db create` (for development: `--dev`)"
        )
        # Keys alone: the rows are on a server, which this command was not told of.
        mend += ", or name the server that has it: VALLUM_DATABASE." if (data / KEYS_FOLDER).is_dir() else "."
        raise StoreError("database-missing", str(file), mend)
    return file
