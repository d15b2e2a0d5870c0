"""One look into the database without SQLAlchemy: loading that takes longer than a whole short command."""

from __future__ import annotations

import asyncio
from typing import Any

from vallum.store.postgres_address import Address
from vallum.store.postgres_connection import connect, refused, tls_of
from vallum.store.postgres_limits import PostgresLimits


def peek(address: Address, text: str, *arguments: Any) -> list[Any]:
    """The rows of one SELECT.

    Raises:
        StoreError: the server cannot be reached or used.
    """
    return asyncio.run(_rows(address, text, arguments))


async def _rows(address: Address, text: str, arguments: Any) -> list[Any]:
    try:
        connection = await connect(address, tls_of(address), PostgresLimits())
    except Exception as error:
        raise refused(error, address) from error
    try:
        found: list[Any] = await connection.fetch(text, *arguments)
        return found
    finally:
        await connection.close()
