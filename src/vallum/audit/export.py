"""The audit as JSON Lines, in a form that anybody can verify without the database.

Lines by `type`: first `checkpoint` (a JWS), then each `segment` followed by its `entry` lines, in the end `unsealed`
and the entries behind the chain's end. A segment's `digest` is SHA-256 over the bytes of its entries' lines, line feeds
included; its `hash` is SHA-256 over its own line as it would be without `,"hash":"…"`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from vallum import defaults
from vallum.audit.entry import BETWEEN, file_of, line
from vallum.audit.seal import SEGMENTS, newest
from vallum.audit.segment import MAX_ID, Segment, read
from vallum.crypto import json_object
from vallum.declare.dialect import DialectName
from vallum.store.errors import StoreError
from vallum.store.ports import Script
from vallum.store.sql import Param, each_dialect

Write = Callable[[bytes], object]

PAGE: Final = each_dialect(SEGMENTS, " WHERE number > ", Param("after"), " ORDER BY number LIMIT ", Param("limit"))
"""Segments in their order."""
UNSEALED: Final = json_object.encode({"type": "unsealed"})


@final
@dataclass(frozen=True, slots=True)
class Exported:
    """How much was written."""

    segments: int
    entries: int
    unsealed: int


def export(write: Write, dialect: DialectName) -> Script[Exported]:
    """Write all of it, as it stands there; whether it is whole says a verification.

    Raises:
        StoreError: `audit-broken`: a segment cannot be read.
    """
    text = yield from newest(dialect)
    if text is not None:
        write(json_object.encode({"type": "checkpoint", "jws": text}) + b"\n")
    segments = entries = highest = 0
    while rows := (yield PAGE[dialect].bind({"after": segments, "limit": defaults.AUDIT_PAGE})):
        for row in rows:
            try:
                segment = read(row)
            except ValueError:
                raise broken(row[0]) from None
            write(segment.line() + b"\n")
            entries += yield from _entries(segment, write, dialect)
            segments, highest = segment.number, segment.highest
    write(UNSEALED + b"\n")
    return Exported(segments, entries, (yield from _written(highest, MAX_ID, write, dialect)))


def broken(segment: int) -> StoreError:
    """What other deeds than a verification say of a segment."""
    return StoreError("audit-broken", f"segment {segment}", "`vallum audit verify` says what is wrong with it.")


def _entries(segment: Segment, write: Write, dialect: DialectName) -> Script[int]:
    count = 0
    for each in segment.ranges():
        count += yield from _written(each.start - 1, each.stop - 1, write, dialect)
    return count


def _written(after: int, highest: int, write: Write, dialect: DialectName) -> Script[int]:
    count, limit = 0, defaults.AUDIT_PAGE
    while True:
        rows = yield BETWEEN[dialect].bind({"after": after, "highest": highest, "limit": limit})
        write(file_of(list(map(line, rows))))
        count += len(rows)
        if len(rows) < limit:
            return count
        after = rows[-1][0]
