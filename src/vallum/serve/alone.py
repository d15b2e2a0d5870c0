"""One server for one data directory: a second one would give every caller its quota again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vallum.serve.errors import SettingsError

LOCK_FILE: Final = "serving"
LOCK_SECONDS: Final = 5.0
"""How long a start waits for the server before it to be gone."""
POLL_SECONDS: Final = 0.02


def hold(data: Path) -> int:
    """Take the directory for this process and those that it starts, which inherit the lock; closing the descriptor
    that is returned gives it back.

    Raises:
        SettingsError: `data-in-use`.
    """
    descriptor = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                raise SettingsError(
                    "data-in-use", f"data: {data}", "Another server runs on it: stop that one."
                ) from None
            time.sleep(POLL_SECONDS)
        else:
            return descriptor


@contextlib.contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold the directory while serving."""
    descriptor = hold(data)
    try:
        yield
    finally:
        os.close(descriptor)
