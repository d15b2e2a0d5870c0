"""SQLAlchemy's own connections to PostgreSQL, for what is not a request: migrations, reading the tables of others."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from vallum.store.postgres_address import Address
from vallum.store.postgres_limits import PostgresLimits


def postgres_engine(address: Address) -> AsyncEngine:
    """An engine whose connections are those of Vallum: verified, by the same password, without a time limit.

    Raises (when it connects):
        StoreError: the server cannot be reached or used.
    """
    from vallum.store import postgres_connection as postgres  # noqa: PLC0415  # an optional extra

    limits = PostgresLimits(read_seconds=0, write_seconds=0)  # it takes as long as it takes

    async def opened() -> Any:
        try:
            return await postgres.connect(address, postgres.tls_of(address), limits)
        except Exception as error:
            raise postgres.refused(error, address) from error

    return create_async_engine("postgresql+asyncpg://", async_creator=opened, poolclass=NullPool)
