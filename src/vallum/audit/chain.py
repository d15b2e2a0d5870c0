"""The verification of a chain, wherever its segments and entries are read from.

1. Each segment has the next number, hashes to its own `hash` and names the hash of the one before it.
2. Its entries are those whose ids it names, and hash to its digest; if not, the marks say which one differs.
3. Each checkpoint is signed by a trusted key, and the chain has the segment that it signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

from vallum import defaults
from vallum.audit.checkpoint import Checkpoint, verified
from vallum.audit.entry import file_of, renumbered
from vallum.audit.fault import Fault, Report
from vallum.audit.segment import GENESIS, Segment
from vallum.crypto.digest import hex256, mark48
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet

MOVED: Final = 32
"""When more entries of a segment changed, it is not looked for which stands in whose place: that is each with each."""

Lines = Sequence[tuple[int, bytes]]
"""Entries: (id, line)."""


@final
class Chain:
    """What was verified so far. Segments are given in their order.

    Attributes:
        number: of the last segment.
        highest: the highest id of the segments so far.
        pruned: the entries of segments up to this number may be gone.
        sound: the last segment has its own hash; what another one says of its ids is not built upon.
        torn: what lies between the last segment that could be read and the next one is not known.
    """

    def __init__(self, keys: KeySet, checkpoints: Mapping[str, str]) -> None:
        """
        Args:
            keys: the audit's public keys.
            checkpoints: signed texts by where they were found.
        """
        self._faults: list[Fault] = []
        self._further = 0
        self._checkpoints: dict[str, Checkpoint] = {}
        for name, text in checkpoints.items():
            try:
                self._checkpoints[name] = verified(text, keys)
            except NotAuthentic as error:
                self.fault("checkpoint-forged", f"the checkpoint {name} does not verify: {error.reason}")
        self._signed: dict[int, str | None] = {each.segment: None for each in self._checkpoints.values()}
        self._last: Segment | None = None
        self.number = 0
        self._entries = 0
        self.pruned = max((each.pruned for each in self._checkpoints.values()), default=0)
        self.highest = 0
        self.sound = True
        self.torn = False

    def fault(self, kind: str, detail: str, segment: int | None = None, entry: int | None = None) -> None:
        """Remember it, or count it when there are many."""
        if len(self._faults) < defaults.AUDIT_FINDINGS:
            self._faults.append(Fault(kind, detail, segment, entry))
        else:
            self._further += 1

    def unreadable(self, number: int, why: str) -> None:
        """A segment stands there that cannot be read."""
        self.fault("segment-changed", f"it cannot be read: {why}", number)
        self.number, self._last, self.torn = number, None, True

    def follow(self, segment: Segment) -> None:
        """1. The segment itself, whose number is above `number`."""
        number, before = segment.number, self._last
        if number > self.number + 1:
            missing = f"{self.number + 1}" + ("" if number == self.number + 2 else f" to {number - 1}")
            self.fault("segment-removed", f"missing: {missing}", self.number + 1)
            self.torn = True
        elif before is not None or number == 1:
            expected = {GENESIS} if before is None else {before.hash, before.hashed()}
            if segment.previous not in expected:
                self.fault("chain-broken", "it does not name the hash of the segment before it", number)
        self.sound = segment.hashed() == segment.hash
        if not self.sound:
            self.fault("segment-changed", "it does not have its own hash", number)
        if number in self._signed:
            self._signed[number] = segment.hash
        self.number, self._last = number, segment

    def passed(self, segment: Segment) -> None:
        """Its entries have been compared."""
        self.torn = not self.sound
        if self.sound:
            self.highest = max(self.highest, segment.ranges()[-1].stop - 1)

    def compare(self, segment: Segment, entries: Lines) -> None:
        """2. The entries that stand where its own are expected, in the order in which they were read."""
        self._entries += len(entries)
        if hex256(file_of([text for _, text in entries])) == segment.digest:
            return
        faults = len(self._faults) + self._further
        found = dict(entries)
        ids = [number for each in segment.ranges() for number in each]
        marks = {number: segment.mark(position) for position, number in enumerate(ids)}
        for number in sorted(found.keys() - marks.keys()):
            self.fault("entry-inserted", "the segment does not have it", segment.number, number)
        if len(found) < len(entries):
            self.fault("entry-inserted", "an entry stands there more than once", segment.number)
        changed = {number for number in marks.keys() & found.keys() if mark48(found[number]) != marks[number]}
        for number in ids:
            if number not in found:
                self.fault("entry-removed", "it was sealed and is gone", segment.number, number)
            elif number in changed:
                self._changed(
                    segment, number, found[number], {n: marks[n] for n in ids if n in changed or n not in found}
                )
        if faults == len(self._faults) + self._further:
            if [number for number, _ in entries] != ids:
                self.fault("entry-order", "its entries are in another order", segment.number)
            elif self.sound:
                self.fault("segment-changed", "its entries do not have the digest that it names", segment.number)

    def _changed(self, segment: Segment, number: int, text: bytes, others: Mapping[int, str]) -> None:
        for other, mark in others.items() if len(others) <= MOVED else ():
            if other != number and mark48(renumbered(text, number, other)) == mark:
                self.fault("entry-moved", f"it is what was sealed as entry {other}", segment.number, number)
                return
        self.fault("entry-changed", "it is not what was sealed", segment.number, number)

    def report(self, unsealed: int) -> Report:
        """3. The checkpoints, and what all of it comes to."""
        if self.number and not self._checkpoints and not any(f.kind == "checkpoint-forged" for f in self._faults):
            self.fault("checkpoint-missing", "nothing signs the chain's end")
        for name, checkpoint in self._checkpoints.items():
            self._compare_end(name, checkpoint)
        return Report(
            entries=self._entries,
            segments=self.number,
            pruned=min(self.pruned, self.number),
            unsealed=unsealed,
            sealed_at=None if self._last is None else self._last.at,
            checkpoints={name: each.segment for name, each in self._checkpoints.items()},
            faults=tuple(self._faults),
            further=self._further,
        )

    def _compare_end(self, name: str, checkpoint: Checkpoint) -> None:
        number = checkpoint.segment
        if number > self.number:
            detail = f"the checkpoint {name} signed segment {number}; the chain ends with {self.number}"
            self.fault("chain-truncated", detail, self.number + 1)
        elif number and self._signed[number] != checkpoint.hash:
            self.fault("chain-replaced", f"it is not the segment that the checkpoint {name} signed", number)
