"""Retention: the entries of whole segments are removed, oldest first. Their segments stay, so that the chain holds.

What a segment was is hashed on; that its entries may be gone is signed in the checkpoint. Without the audit's key
nobody can make a removal look like retention.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, final

from vallum import defaults
from vallum.audit.checkpoint import Checkpoint, Sign
from vallum.audit.entry import BETWEEN, file_of, line
from vallum.audit.event import AuditEvent
from vallum.audit.export import PAGE, broken
from vallum.audit.seal import SET_META, head, keep, pruned_through
from vallum.audit.segment import Segment, read
from vallum.audit.write import insert
from vallum.crypto.digest import hex256
from vallum.crypto.jwk import KeySet
from vallum.declare.dialect import DialectName
from vallum.store.ports import Row, Script
from vallum.store.schema import AUDIT_REMOVABLE
from vallum.store.sql import Param, each_dialect

VERB: Final = "prune"
RESOURCE: Final = "vallum_audit"
_DELETE: Final = each_dialect("DELETE FROM vallum_audit WHERE id >= ", Param("first"), " AND id <= ", Param("last"))


@final
@dataclass(frozen=True, slots=True)
class Pruned:
    """One portion: the entries of these segments are removed."""

    first: int
    last: int
    entries: int


@final
@dataclass(frozen=True, slots=True)
class Pruning:
    """What is to be removed, and who says so.

    Attributes:
        before: Unix seconds; what was sealed earlier goes.
        by: as the entry about it names it.
    """

    before: float
    by: str
    request_id: str


def prune(pruning: Pruning, sign: Sign, keys: KeySet, now: float, dialect: DialectName) -> Script[Pruned | None]:
    """Remove the entries of at most `AUDIT_PRUNE_SEGMENTS` segments, record it and sign it; None when none is left.

    What retention removes is compared first: it must not take away the traces of a falsification.

    Raises:
        StoreError: `audit-broken`.
    """
    done = yield from pruned_through(keys, dialect)
    rows = yield PAGE[dialect].bind({"after": done, "limit": defaults.AUDIT_PRUNE_SEGMENTS})
    segments = []
    for row in rows:
        segment = _read(row)
        if segment.at >= pruning.before:
            break
        segments.append(segment)
    end = yield from head(dialect)
    if not segments or end is None:
        return None
    yield SET_META[dialect].bind({"key": AUDIT_REMOVABLE, "value": str(segments[-1].highest)})
    entries = 0
    for segment in segments:
        entries += yield from _remove(segment, dialect)
    pruned = Pruned(segments[0].number, segments[-1].number, entries)
    yield insert(_event(pruning, pruned, now), dialect)
    yield from keep(sign(Checkpoint(end.number, end.hash, pruned.last, float(now))), dialect)
    return pruned


def _read(row: Row) -> Segment:
    try:
        segment = read(row)
    except ValueError:
        raise broken(row[0]) from None
    if segment.hashed() != segment.hash:
        raise broken(segment.number)
    return segment


def _remove(segment: Segment, dialect: DialectName) -> Script[int]:
    lines: list[bytes] = []
    for each in segment.ranges():
        limits = {"after": each.start - 1, "highest": each.stop - 1, "limit": len(each)}
        lines += map(line, (yield BETWEEN[dialect].bind(limits)))
        yield _DELETE[dialect].bind({"first": each.start, "last": each.stop - 1})
    if hex256(file_of(lines)) != segment.digest:
        raise broken(segment.number)
    return len(lines)


def _event(pruning: Pruning, pruned: Pruned, now: float) -> AuditEvent:
    note = {"segments": f"{pruned.first}-{pruned.last}", "entries": pruned.entries, "before": pruning.before}
    return AuditEvent(now, pruning.request_id, pruning.by, VERB, RESOURCE, note=json.dumps(note))
