"""Sealing: what was committed since the last segment becomes the next one, signed in the same transaction.

The row of a write is in the transaction of the write; the chain is not, or writes would wait for one another
(PostgreSQL: 11,062 a second become 2,067). Of several sealers one wins: the number of a segment is its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from vallum import defaults
from vallum.audit.checkpoint import Checkpoint, Sign, verified
from vallum.audit.entry import BETWEEN, SELECT, line
from vallum.audit.segment import MAX_ID, NAMES, Segment, gaps, read, sealed, unpacked
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet
from vallum.declare.dialect import DialectName
from vallum.store.ports import Row, Script
from vallum.store.sql import Param, each_dialect, joined, render, sql

CHECKPOINT: Final = "audit_checkpoint"
"""The key in `vallum_meta` of the newest checkpoint."""
LATE: Final[Mapping[DialectName, bool]] = {"sqlite": False, "postgresql": True}
"""Whether a lower id can be committed after a higher one, and whether a rolled-back write leaves a gap."""

SEGMENTS: Final = sql("SELECT ", joined(", ", NAMES), " FROM vallum_audit_segment")
_HEAD: Final = each_dialect(SEGMENTS, " ORDER BY number DESC LIMIT 1")
_INSERT: Final = each_dialect(
    *("INSERT INTO vallum_audit_segment (", joined(", ", NAMES)),
    *(") VALUES (", joined(", ", map(Param, NAMES)), ")"),
)
_RECENT: Final = each_dialect(
    "SELECT ids, highest, at FROM vallum_audit_segment ORDER BY number DESC LIMIT ", Param("limit")
)
# Only PostgreSQL has late entries (`LATE`), so this is written in its words alone.
_LATE: Final = render(sql(SELECT, " WHERE id = ANY(", Param("ids"), "::bigint[]) ORDER BY id"), "postgresql")
_META: Final = each_dialect("SELECT value FROM vallum_meta WHERE key = ", Param("key"))
SET_META: Final = each_dialect(
    *("INSERT INTO vallum_meta (key, value) VALUES (", Param("key"), ", ", Param("value"), ")"),
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
)


def batch(sign: Sign, keys: KeySet, now: float, dialect: DialectName) -> Script[Segment | None]:
    """Seal at most `AUDIT_SEGMENT_ROWS` entries and sign the chain's new end; None when there is nothing to seal.

    Args:
        keys: that verify the checkpoint before it.
        now: Unix seconds.

    Raises:
        Violation: another sealer was first; nothing is written.
        ValueError: the newest segment is malformed.
    """
    previous = yield from head(dialect)
    highest = 0 if previous is None else previous.highest
    limit = defaults.AUDIT_SEGMENT_ROWS
    rows = yield BETWEEN[dialect].bind({"after": highest, "highest": MAX_ID, "limit": limit})
    if LATE[dialect] and len(rows) < limit:
        rows = [*(yield from _late(now))[: limit - len(rows)], *rows]
    if not rows:
        return None
    segment = sealed(previous, [(row[0], line(row)) for row in rows], now)
    yield _INSERT[dialect].bind({name: getattr(segment, name) for name in NAMES})
    pruned = yield from pruned_through(keys, dialect)
    yield from keep(sign(Checkpoint(segment.number, segment.hash, pruned, float(now))), dialect)
    return segment


def head(dialect: DialectName) -> Script[Segment | None]:
    """The newest segment.

    Raises:
        ValueError: it is malformed.
    """
    rows = yield _HEAD[dialect].bind({})
    return read(rows[0]) if rows else None


def newest(dialect: DialectName) -> Script[str | None]:
    """The checkpoint in the database, as it stands there."""
    rows = yield _META[dialect].bind({"key": CHECKPOINT})
    return str(rows[0][0]) if rows else None


def keep(checkpoint: str, dialect: DialectName) -> Script[None]:
    """Put a checkpoint in the place of the one before it."""
    yield SET_META[dialect].bind({"key": CHECKPOINT, "value": checkpoint})


def pruned_through(keys: KeySet, dialect: DialectName) -> Script[int]:
    """The last segment whose entries retention removed, as the newest checkpoint says; 0 when none can be believed."""
    text = yield from newest(dialect)
    try:
        return 0 if text is None else verified(text, keys).pruned
    except NotAuthentic:
        return 0  # `verify` tells; nothing must become removable by it


def _late(now: float) -> Script[Sequence[Row]]:
    """Entries with an id that was missing when its neighbours were sealed, not long ago."""
    limit = defaults.AUDIT_LATE_SEGMENTS
    recent = yield _RECENT["postgresql"].bind({"limit": limit})
    young = [row for row in recent if row[2] >= now - defaults.AUDIT_LATE_SECONDS]
    if not young:
        return []
    older = recent[len(young) :]
    # Where the oldest of the young ones began is known from the one before it.
    before = older[0][1] if older else 0 if len(recent) < limit else young[-1][1]
    ranges = sorted((each for ids, _, _ in young for each in unpacked(ids)), key=lambda each: each.start)
    missing: list[int] = []
    for gap in reversed(list(gaps(ranges, before, young[0][1]))):
        missing += reversed(gap[-(defaults.AUDIT_LATE_IDS - len(missing)) :])
        if len(missing) == defaults.AUDIT_LATE_IDS:
            break
    if not missing:
        return []
    rows: Sequence[Row] = yield _LATE.bind({"ids": missing})
    return rows
