"""One server for one data directory: a second one would give every caller its quota again.

And of one server, one process after the other: at SIGHUP the new one begins while the old one serves.
"""

from __future__ import annotations

import asyncio
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
TURN_FILE: Final = "serving-process"
TURN_SECONDS: Final = 5.0
"""How long a process waits for the one before it, which is told to stop 3.5 seconds after the new one begins."""
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
                    "data-in-use", f"data: {data.resolve()}", "A server runs on it: stop that one."
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


async def take_turn(data: Path) -> int:
    """Wait until the process before has written what it accepted; closing the descriptor ends the turn.

    One that was killed holds nothing any more. One that has still to finish a slow request is not waited for any longer
    than that: no nonce is accepted twice in any case (`high_water.py`).
    """
    descriptor = os.open(data / TURN_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + TURN_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        await asyncio.sleep(POLL_SECONDS)
    return descriptor
