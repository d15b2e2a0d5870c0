"""The bounds of the SQLite adapter in one value; tests set smaller ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from vallum import defaults


@final
@dataclass(frozen=True, slots=True)
class SqliteLimits:
    """See `vallum.defaults` for units and sources."""

    write_wait_seconds: float = defaults.WRITE_WAIT_SECONDS
    inline_read_steps: int = defaults.INLINE_READ_STEPS
    inline_read_seconds: float = defaults.INLINE_READ_SECONDS
    inline_progress_steps: int = defaults.INLINE_PROGRESS_STEPS
    progress_steps: int = defaults.PROGRESS_STEPS
    read_seconds: float = defaults.READ_SECONDS
    read_threads: int = defaults.READ_THREADS
    read_queue: int = defaults.READ_QUEUE
    slow_statements: int = defaults.SLOW_STATEMENTS
    slow_pardon: int = defaults.SLOW_PARDON
    write_seconds: float = defaults.WRITE_SECONDS
    write_queue: int = defaults.WRITE_QUEUE
    write_group: int = defaults.WRITE_GROUP
    write_group_seconds: float = defaults.WRITE_GROUP_SECONDS
    busy_seconds: float = defaults.BUSY_SECONDS
    optimize_seconds: float = defaults.OPTIMIZE_SECONDS
