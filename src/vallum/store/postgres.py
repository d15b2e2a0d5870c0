"""PostgreSQL: the application's tables and Vallum's own in one database, through asyncpg.

:class:`PostgresDatabase` serves the event loop, :class:`PostgresCommands` the commands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeVar, final

import asyncpg

from vallum.declare.dialect import DialectName
from vallum.store import migrations, principals
from vallum.store.errors import StoreError, for_operator
from vallum.store.ports import Principal, Row, Script, Statement
from vallum.store.postgres_address import Address
from vallum.store.postgres_catalog import has_deferrable, opaque_names
from vallum.store.postgres_connection import OLDEST_SERVER, busy, connect, refused, tls_of
from vallum.store.postgres_limits import PostgresLimits
from vallum.store.postgres_pool import Pool
from vallum.store.postgres_transaction import Again, Transactions

T = TypeVar("T")

_LIMITS: Final = PostgresLimits()
_COMMAND_LIMITS: Final = PostgresLimits(connections=1, read_seconds=0, write_seconds=0)
"""Seeding takes as long as it takes."""
_SERVER: Final = Statement(
    "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery(),"
    # Grantee 0 is PUBLIC; the schemas are those in which the functions and operators of our statements are looked for.
    " ARRAY(SELECT n.nspname::text FROM pg_namespace n, aclexplode(n.nspacl) a WHERE a.grantee = 0"
    " AND a.privilege_type = 'CREATE' AND n.nspname = ANY (current_schemas(false)) ORDER BY 1)",
    (),
)
_SNAPSHOT: Final = Statement("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", ())


@final
class PostgresDatabase:
    """A `Database` and `Principals` (see `ports`) on a PostgreSQL server, for one event loop."""

    dialect: DialectName = "postgresql"

    def __init__(self, address: Address, limits: PostgresLimits = _LIMITS) -> None:
        self._address = address
        self._limits = limits
        self.opaque: frozenset[str] | None = None
        self._pool = Pool(partial(connect, address, tls_of(address), limits), limits)
        self._threads = ThreadPoolExecutor(limits.connections, thread_name_prefix="vallum-handler")
        self._transactions = Transactions(self._pool, self._threads, limits)

    async def start(self) -> None:
        """Connect.

        Raises:
            StoreError: the server cannot be reached or used, or Vallum's tables are missing or of another version.
        """
        await self.connect()
        try:
            migrations.check(await self.write(migrations.version(self.dialect)), str(self._address))
            self.opaque = await opaque_names(self.read)
            self._transactions.deferrable = await has_deferrable(self.read)
        except BaseException:
            await self.stop()
            raise

    async def connect(self) -> None:
        """Connect, whatever is in the database.

        Raises:
            StoreError: the server cannot be reached or used.
        """
        try:
            await self._pool.start()
            ((version, encoding, standby, shared),) = await self.read(_SERVER)
        except Exception as error:
            await self.stop()
            raise refused(error, self._address) from error
        except BaseException:  # cancelled
            await self.stop()
            raise
        if version < OLDEST_SERVER or encoding != "UTF8" or standby:
            await self.stop()
            mend = "Use PostgreSQL 14 or newer, a primary, and a database made with `createdb -E UTF8 NAME`."
            raise StoreError("database-server", str(self._address), mend)
        if shared:
            # A function of theirs that fits an argument better than PostgreSQL's own would run as us (CVE-2018-1058).
            await self.stop()
            mend = f"Every role may create functions in it: `REVOKE CREATE ON SCHEMA {shared[0]} FROM PUBLIC`."
            raise StoreError("database-schema-open", f"{self._address}, schema {shared[0]}", mend)

    async def stop(self) -> None:
        """Let what runs come to its end, and disconnect."""
        await self._pool.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def read(self, statement: Statement) -> list[Row]:
        """Run one SELECT. When its connection turns out to be gone, it runs on another.

        Raises:
            Refusal: QUERY_TIMEOUT, BUSY.
        """
        for again in (True, False):
            lent = await self._pool.acquire(self._limits.read_seconds)
            try:
                rows: list[Row] = await lent.connection.fetch(statement.text, *statement.arguments)
            except BaseException as error:  # noqa: BLE001  # it is raised below
                lost = self._pool.give_up(lent, error)
                if not (lost and again):
                    lent.surface(error)
            else:
                self._pool.release(lent)
                return rows
        raise busy()  # never: the second failure is told

    async def run(self, statement: Statement) -> list[Row]:
        """Run one statement that writes, in a transaction of its own.

        Raises:
            Violation: nothing is written.
            Refusal: QUERY_TIMEOUT, BUSY.
        """
        for _ in range(self._limits.attempts):
            with contextlib.suppress(Again):
                return await self._transactions.run_one(statement)
        raise busy()

    async def write(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in one transaction.

        Raises:
            Refusal: what the script raised, QUERY_TIMEOUT, BUSY.
        """
        for _ in range(self._limits.attempts):
            with contextlib.suppress(Again):
                return await self._transactions.run(script)
        raise busy()

    async def look(self, script: Callable[[], Script[T]]) -> T:
        """Run a script that only reads, on one snapshot.

        Raises:
            Refusal: BUSY: the connection was lost; what the script has given out already is not given out twice.
        """

        def reading() -> Script[T]:
            yield _SNAPSHOT
            return (yield from script())

        try:
            return await self._transactions.run(reading)
        except Again as error:
            raise busy() from error

    async def load(self, name: str, token_id: str = "") -> Principal | None:
        """The principal, or None when it is unknown or disabled, or the access token of this `jti` is revoked."""
        rows = await self.read(principals.load(name, "postgresql", token_id))
        return principals.principal(rows[0]) if rows else None

    async def epoch(self, name: str) -> int | None:
        """Its present epoch, or None when it is unknown or disabled."""
        rows = await self.read(principals.epoch(name, "postgresql"))
        return rows[0][0] if rows else None


@final
class PostgresCommands:
    """The same database without an event loop, for commands. A context manager; used by one thread.

    Raises:
        StoreError: it cannot be reached or used.
    """

    dialect: DialectName = "postgresql"

    def __init__(self, address: Address) -> None:
        self._address = address
        self._runner = asyncio.Runner()
        self._database = PostgresDatabase(address, _COMMAND_LIMITS)
        try:
            self._runner.run(self._database.connect())
        except BaseException:
            self._runner.run(asyncio.sleep(0))  # what was opened is closed by a turn of the loop
            self._runner.close()
            raise

    def read(self, statement: Statement) -> list[Row]:
        """Run one SELECT."""
        return self._told(self._database.read(statement))

    def write(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in a transaction of its own; what it raised is raised, and nothing is written."""
        return self._told(self._database.write(script))

    def _told(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            with for_operator(str(self._address)):
                return self._runner.run(work)
        except asyncpg.UndefinedTableError as error:
            mend = "A table is missing. `vallum db create` makes them; later ones of the application are yours to make."
            raise StoreError("schema-missing", str(self._address), mend) from error
        except asyncpg.InsufficientPrivilegeError as error:
            mend = (
                f"The server says: {error}. Vallum's own tables need a schema that its user may create in, such as one of "
                "its own: `CREATE SCHEMA vallum AUTHORIZATION …; ALTER ROLE … SET search_path = vallum, public`."
            )
            raise StoreError("database-privilege", str(self._address), mend) from error

    def look(self, script: Callable[[], Script[T]]) -> T:
        """Run a script that only reads, on one snapshot, without keeping a server from writing."""
        return self._told(self._database.look(script))

    def analyze(self) -> None:
        """Count what is in the tables, so that PostgreSQL chooses the right index; after seeding."""
        self.read(Statement("ANALYZE", ()))

    def close(self) -> None:
        self._runner.run(self._database.stop())
        self._runner.close()

    def __enter__(self) -> PostgresCommands:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
