"""Files and directories for their owner alone, and on the disk for good (POSIX)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""Bits of a mode by which somebody else may do something at all."""
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
"""Likewise may write; in a directory: put another file in the place of one."""


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk: they outlive a power cut, as a commit does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
