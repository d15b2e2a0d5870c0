"""The bounds of the PostgreSQL adapter in one value; commands and tests set others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from vallum import defaults


@final
@dataclass(frozen=True, slots=True)
class PostgresLimits:
    """See `vallum.defaults` for units and sources. A bound of 0 seconds is none."""

    connections: int = defaults.POSTGRES_CONNECTIONS
    connect_seconds: float = defaults.POSTGRES_CONNECT_SECONDS
    acquire_seconds: float = defaults.POSTGRES_ACQUIRE_SECONDS
    queue: int = defaults.POSTGRES_QUEUE
    read_seconds: float = defaults.READ_SECONDS
    write_seconds: float = defaults.WRITE_SECONDS
    grace_seconds: float = defaults.POSTGRES_GRACE_SECONDS
    look_seconds: float = defaults.POSTGRES_LOOK_SECONDS
    statements: int = defaults.POSTGRES_STATEMENTS
    attempts: int = defaults.POSTGRES_ATTEMPTS


def milliseconds(seconds: float) -> int:
    """As the server's timeouts want it."""
    return round(seconds * 1000)
