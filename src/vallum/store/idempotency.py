"""Answers that are kept under a client's `Idempotency-Key`: claimed first, filled in at the end of the same transaction.

The claim comes before the write, so that a second request with the same key waits for the first one there, on
PostgreSQL by the primary key, and not at a row or a constraint of the application. SQLite has one writer anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, final

from vallum import defaults
from vallum.declare.dialect import DialectName
from vallum.store.ports import Row, Script, Statement
from vallum.store.sql import Param, each_dialect

_CLAIM: Final = each_dialect(
    "INSERT INTO vallum_idempotency (id, fingerprint, rights, expires) VALUES (",
    *(Param("id"), ", ", Param("fingerprint"), ", ", Param("rights"), ", ", Param("expires")),
    ") ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, rights = excluded.rights,"
    " row_key = NULL, json = NULL, tag = NULL, expires = excluded.expires WHERE vallum_idempotency.expires <= ",
    *(Param("now"), " RETURNING 1"),
)
_KEEP: Final = each_dialect(
    *("UPDATE vallum_idempotency SET row_key = ", Param("row_key"), ", json = ", Param("json")),
    *(", tag = ", Param("tag"), " WHERE id = ", Param("id")),
)
_FIND: Final = each_dialect(
    "SELECT fingerprint, rights, row_key, json, tag FROM vallum_idempotency WHERE id = ", Param("id")
)
_FORGET: Final = each_dialect(
    *("DELETE FROM vallum_idempotency WHERE id IN (SELECT id FROM vallum_idempotency WHERE expires <= ", Param("now")),
    f" ORDER BY expires LIMIT {defaults.IDEMPOTENCY_ROWS})",
    # Once more: on PostgreSQL the row may have been claimed anew while this statement waited for it.
    *(" AND expires <= ", Param("now"), " RETURNING 1"),
)


@final
class Kept(NamedTuple):
    """What is kept of a request that was carried out.

    Attributes:
        fingerprint: of the request.
        rights: of the caller, as a digest.
        row_key: of the row that it made, a JSON object; empty when it made none.
        json: the body of its answer, or None.
        tag: the answer's entity tag, or None.
    """

    fingerprint: bytes
    rights: bytes
    row_key: str
    json: str | None
    tag: str | None


def claim(key: bytes, fingerprint: bytes, rights: bytes, now: float, dialect: DialectName) -> Statement:
    """One row when the key was free (never used, or expired by `now` in Unix seconds), none when it is taken.

    It waits for another transaction that has claimed the key and has not ended.
    """
    return _CLAIM[dialect].bind(
        {
            "id": key,
            "fingerprint": fingerprint,
            "rights": rights,
            "expires": now + defaults.IDEMPOTENCY_SECONDS,
            "now": now,
        }
    )


def keep(key: bytes, row_key: str, json: str | None, tag: str | None, dialect: DialectName) -> Statement:
    """Fill in the answer under a key that this transaction has claimed."""
    return _KEEP[dialect].bind({"id": key, "row_key": row_key, "json": json, "tag": tag})


def find(key: bytes, dialect: DialectName) -> Statement:
    """One row for :func:`kept` under a key that is taken."""
    return _FIND[dialect].bind({"id": key})


def kept(row: Row) -> Kept:
    """From a row of :func:`find`."""
    return Kept(*row)


def forget(now: float, dialect: DialectName) -> Callable[[], Script[bool]]:
    """Drop some of what has expired by `now` (Unix seconds); whether there may be more."""

    def script() -> Script[bool]:
        rows = yield _FORGET[dialect].bind({"now": now})
        return len(rows) == defaults.IDEMPOTENCY_ROWS

    return script
