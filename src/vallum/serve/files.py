"""What lies where in a data directory."""

from __future__ import annotations

from typing import Final

DATABASE_FILE: Final = "vallum.db"
KEYS_FOLDER: Final = "keys"
