"""SQLAlchemy's own connections to PostgreSQL, for what is not a request: migrations, reading the tables of others."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from vallum.serve.database import postgres
from vallum.store.postgres_address import Address
from vallum.store.postgres_limits import PostgresLimits


def postgres_engine(address: Address) -> AsyncEngine:
    """An engine whose connections are those of Vallum: verified, by the same password, without a time limit.

    Raises:
        StoreError: `postgres-missing`; when it connects, that the server cannot be reached or used.
    """
    connection = postgres("postgres_connection")
    limits = PostgresLimits(read_seconds=0, write_seconds=0)  # it takes as long as it takes

    async def opened() -> Any:
        try:
            return await connection.connect(address, connection.tls_of(address), limits)
        except Exception as error:
            raise connection.refused(error, address) from error

    return create_async_engine("postgresql+asyncpg://", async_creator=opened, poolclass=NullPool)
