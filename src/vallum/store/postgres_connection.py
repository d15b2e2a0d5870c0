"""How each connection to PostgreSQL behaves, and what its errors mean to the stages."""

from __future__ import annotations

import re
import ssl
from typing import Any, Final, Literal

import asyncpg

from vallum.refusals import BUSY, QUERY_TIMEOUT, Refusal
from vallum.store.errors import StoreError
from vallum.store.ports import Violation
from vallum.store.postgres_address import Address
from vallum.store.postgres_codecs import set_codecs
from vallum.store.postgres_limits import PostgresLimits, milliseconds

OLDEST_SERVER: Final = 140_000
"""PostgreSQL 14: the oldest that its project still mended when this was written (2026-11)."""

# Given when the session begins, so that a RESET comes back to them; no statement of ours changes one but for its own
# transaction.
_SETTINGS: Final = {
    "application_name": "vallum",
    "jit": "off",  # compiling takes longer than any statement of ours
    "timezone": "UTC",  # what rules make of an instant is the same as on SQLite
    "intervalstyle": "iso_8601",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",  # what is acknowledged is on disk, whatever the server or the role prefer
}


async def connect(address: Address, tls: ssl.SSLContext | Literal[False], limits: PostgresLimits) -> Any:
    """A connection (asyncpg's) that is ready for statements.

    Args:
        tls: of :func:`tls_of`.

    Raises:
        Exception: what :func:`meaning` or :func:`refused` tells of it.
    """
    connection = await asyncpg.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        database=address.database,
        password=address.password,
        ssl=tls,
        timeout=limits.connect_seconds,
        # A rule's text may be long, and none of ours is ever stale: what is counted is their number.
        statement_cache_size=limits.statements,
        max_cached_statement_lifetime=0,
        max_cacheable_statement_size=0,
        server_settings={
            **_SETTINGS,
            "statement_timeout": f"{milliseconds(limits.read_seconds)}",
            # A process that was stopped in the middle of a transaction must not keep its locks.
            "idle_in_transaction_session_timeout": f"{milliseconds(2 * limits.write_seconds)}",
        },
    )
    try:
        await set_codecs(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


def tls_of(address: Address) -> ssl.SSLContext | Literal[False]:
    """How to encrypt, and whom to trust.

    Raises:
        StoreError: `database-certificate`.
    """
    if not address.tls:
        return False
    root = address.root_certificate
    try:
        # Certificates are required and the name is compared; TLS 1.2 is the least.
        return ssl.create_default_context(cafile=None if root is None else str(root))
    except OSError as error:
        raise StoreError("database-certificate", str(root), f"It cannot be read: {error.strerror}.") from None


# What errors mean --------------------------------------------------------------------------

VIOLATIONS: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
_UNAVAILABLE: Final = (
    OSError,  # TimeoutError and ssl.SSLError among them
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shut down, starting up, terminated
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,  # deadlocks, after all attempts
    asyncpg.InternalServerError,
)
_LOST: Final = (OSError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
_STALE: Final = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
_LATE: Final = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)


def meaning(error: BaseException, *, closed: bool, overdue: bool) -> BaseException:
    """What the stages are told: a Violation, a Refusal, or the error itself when the program is wrong.

    Args:
        closed: the connection is gone.
        overdue: it was given up, because its answer did not come in time.
    """
    if overdue or isinstance(error, _LATE):
        return Refusal(QUERY_TIMEOUT)
    if isinstance(error, VIOLATIONS):
        return violation(error)
    if isinstance(error, _UNAVAILABLE) or is_lost(error, closed=closed):
        return busy()
    return error


def is_lost(error: BaseException, *, closed: bool) -> bool:
    """Whether the connection, and with it a transaction that was not committed, is gone by no fault of the statement."""
    # An idle connection that was told of a shutdown and not yet of its end cannot begin anything: InternalClientError.
    broken = isinstance(error, asyncpg.InternalClientError) and not isinstance(error, _STALE)
    return broken or isinstance(error, _LOST) or (closed and isinstance(error, asyncpg.InterfaceError))


def begins_anew(error: BaseException) -> bool:
    """Whether the same transaction may well succeed when it begins anew: PostgreSQL chose it as the loser, or a
    prepared statement had outlived a change of its table.
    """
    return isinstance(error, (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, *_STALE))


def busy() -> Refusal:
    """Come again in a moment."""
    return Refusal(BUSY)


def refused(error: BaseException, address: Address) -> BaseException:
    """Why a start or a command cannot connect, for the operator; the error itself when it is something else."""
    place = str(address)
    if isinstance(error, ssl.SSLError):
        mend = (
            "The server's certificate is not trusted or stands for another name: give its authority by `sslrootcert`."
        )
        return StoreError("database-tls", place, mend)
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        mend = (
            "The server speaks no TLS: switch it on there. In --dev, on the loopback, `?sslmode=disable` does without."
        )
        return StoreError("database-tls", place, mend)
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return StoreError("database-login", place, "The server refuses user or password; see `database_password_file`.")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return StoreError("database-missing", place, "Make it first: `createdb -E UTF8 NAME`.")
    if isinstance(error, (*_UNAVAILABLE, asyncpg.InterfaceError, Refusal)):
        mend = f"No answer from the server ({type(error).__name__}): see that it runs, that host and port are right, and that a firewall lets this machine through."
        return StoreError("database-unreachable", place, mend)
    return error


# Violations ---------------------------------------------------------------------------------

Kind = Literal["unique", "foreign", "check", "not_null"]

_KINDS: Final[tuple[tuple[type[Exception], Kind], ...]] = (
    (asyncpg.UniqueViolationError, "unique"),
    (asyncpg.ExclusionViolationError, "unique"),
    (asyncpg.ForeignKeyViolationError, "foreign"),
    (asyncpg.RestrictViolationError, "foreign"),  # what ON DELETE RESTRICT raises from PostgreSQL 18 on
    (asyncpg.NotNullViolationError, "not_null"),
)
_KEY: Final = re.compile(r"[^(]*\(([^()]+)\)=\(")
"""`Key (a, b)=(1, 2) already exists.`: the words around it are in the server's language. What is behind the first `(` may be
an expression, which names no column, and a client's own value may look like the rest.
"""


def violation(error: Any) -> Violation:
    """What the server says of a constraint. A value that a column cannot hold counts as a check without a name."""
    kind: Kind = next((kind for known, kind in _KINDS if isinstance(error, known)), "check")
    columns: tuple[str, ...] = ()
    if error.column_name is not None:
        columns = (error.column_name,)
    elif kind == "unique" and (key := _KEY.match(error.detail or "")):
        columns = tuple(name.strip().strip('"') for name in key[1].split(","))
    return Violation(kind, error.table_name, columns, error.constraint_name)
