"""The verification of the database: a script that reads, on one snapshot.

Every id up to the chain's end is looked at once, in order: what a segment names, what stands between, and what nobody
knows of. Memory holds a page of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, final

from vallum import defaults
from vallum.audit.chain import Chain
from vallum.audit.entry import BETWEEN, line
from vallum.audit.export import PAGE
from vallum.audit.fault import Report
from vallum.audit.seal import LATE, newest
from vallum.audit.segment import MAX_ID, Segment, gaps, read
from vallum.crypto.jwk import KeySet
from vallum.declare.dialect import DialectName
from vallum.store import guards
from vallum.store.ports import Row, Script, Statement
from vallum.store.sql import Param, each_dialect

IN_DATABASE: Final = "in the database"
_IDS: Final = each_dialect(
    *("SELECT id FROM vallum_audit WHERE id > ", Param("after"), " ORDER BY id LIMIT ", Param("limit"))
)
_GIVEN: Final = Statement("SELECT seq FROM sqlite_sequence WHERE name = 'vallum_audit'", ())
_BELOW: Final = Statement("SELECT id FROM vallum_audit WHERE id < 1 ORDER BY id", ())
_BEFORE: Final = Statement("SELECT number FROM vallum_audit_segment WHERE number < 1 ORDER BY number", ())


def verify(keys: KeySet, checkpoints: Mapping[str, str], dialect: DialectName, now: float) -> Script[Report]:
    """Compare everything with everything.

    Args:
        keys: the audit's public keys, which are not in the database.
        checkpoints: kept elsewhere, by where; the one in the database is added.
        now: Unix seconds; on PostgreSQL an entry may still be committed late.
    """
    text = yield from newest(dialect)
    chain = Chain(keys, checkpoints if text is None else {IN_DATABASE: text, **checkpoints})
    broken, foreign = yield from guards.broken(dialect)
    for trigger in broken:
        chain.fault("trigger-missing", f"{trigger} is missing or was changed")
    for trigger in foreign:
        chain.fault(
            "trigger-foreign", f"{trigger} is not Vallum's: it may keep entries from being written, or change them"
        )
    walk = _Walk(chain, dialect, now)
    for number in (yield _BEFORE):
        chain.fault("segment-inserted", "it stands before the first", number[0])
    for number in (yield _BELOW):
        chain.fault("entry-inserted", "no id is below 1", None, number[0])
    after = 0
    while rows := (yield PAGE[dialect].bind({"after": after, "limit": defaults.AUDIT_PAGE})):
        for row in rows:
            yield from walk.segment(row)
        after = rows[-1][0]
    unsealed = (yield from walk.rest()) + walk.strays()
    return chain.report(unsealed)


@final
class _Walk:
    """Through the ids, segment by segment."""

    def __init__(self, chain: Chain, dialect: DialectName, now: float) -> None:
        self._chain = chain
        self._dialect = dialect
        self._now = now
        self._strays: dict[int, tuple[int, float]] = {}
        """Ids between sealed ones that no segment has named so far → number and time of the segment around them."""

    def segment(self, row: Row) -> Script[None]:
        """Its own row, and the entries up to its highest id."""
        chain = self._chain
        try:
            segment = read(row)
        except ValueError as error:
            chain.unreadable(row[0], str(error))
            return
        chain.follow(segment)
        ranges = segment.ranges()
        late = [each for each in ranges if each.stop - 1 <= chain.highest]
        ahead = ranges[len(late) :]
        found: list[tuple[int, bytes]] = []
        for each in late:
            rows = yield from self._rows(each.start - 1, each.stop - 1)
            found += [(row[0], line(row)) for row in rows]
            for number in each:
                self._strays.pop(number, None)
        if ahead:
            start = ahead[0].start - 1 if chain.torn else chain.highest
            rows = yield from self._rows(start, ahead[-1].stop - 1)
            found += self._sorted_out(segment, ahead, rows)
            if not LATE[self._dialect] and self._chain.sound:
                self._lost(gaps(ahead, start, ahead[-1].stop - 1), segment.number)
        if segment.number > chain.pruned:
            chain.compare(segment, found)
        else:
            for number, _ in found:
                chain.fault("entry-inserted", "retention has removed this segment's entries", segment.number, number)
        chain.passed(segment)

    def _sorted_out(self, segment: Segment, ranges: list[range], rows: list[Row]) -> list[tuple[int, bytes]]:
        """The entries that the segment names; the others are remembered."""
        named = {number for each in ranges for number in each}
        for row in rows:
            if row[0] not in named and self._chain.sound:
                self._strays[row[0]] = (segment.number, segment.at)
        return [(row[0], line(row)) for row in rows if row[0] in named]

    def _rows(self, after: int, highest: int) -> Script[list[Row]]:
        found: list[Row] = []
        limit = defaults.AUDIT_PAGE
        while True:
            rows = yield BETWEEN[self._dialect].bind({"after": after, "highest": highest, "limit": limit})
            found += rows
            if len(rows) < limit:
                return found
            after = rows[-1][0]

    def _lost(self, missing: Iterable[range], segment: int | None) -> None:
        """On SQLite each id is given to an entry that is committed; one that nobody has was taken away."""
        for each in missing:
            for part in _without(each, self._strays):
                what = f"{part[0]}" if len(part) == 1 else f"{part[0]} to {part[-1]}"
                self._chain.fault("entry-removed", f"given to an entry that is gone: {what}", segment, part[0])

    def rest(self) -> Script[int]:
        """How many entries stand behind the chain's end."""
        after, count = max(self._chain.highest, 0), 0
        while rows := (yield _IDS[self._dialect].bind({"after": after, "limit": defaults.AUDIT_PAGE})):
            if not LATE[self._dialect]:
                self._lost(gaps([range(row[0], row[0] + 1) for row in rows], after, rows[-1][0]), None)
            after, count = rows[-1][0], count + len(rows)
        if not LATE[self._dialect]:
            given = yield _GIVEN
            if given and type(given[0][0]) is int and given[0][0] > after:
                self._lost([range(after + 1, min(given[0][0], MAX_ID) + 1)], None)
        return count

    def strays(self) -> int:
        """How many entries may still be sealed late; the others do not belong there."""
        young = 0
        for number, (segment, at) in self._strays.items():
            if LATE[self._dialect] and at >= self._now - defaults.AUDIT_LATE_SECONDS:
                young += 1
            else:
                self._chain.fault("entry-inserted", "it was never sealed", segment, number)
        return young


def _without(ids: range, known: Mapping[int, object]) -> Iterable[range]:
    """The parts of a range that none of the known ids is in."""
    inside = sorted(number for number in known if number in ids)
    return gaps([range(number, number + 1) for number in inside], ids.start - 1, ids.stop - 1)
