"""Segments: entries are sealed in batches, and each segment carries the hash of the one before it.

A segment names the ids that it holds. On SQLite they are all ids of a range: an id that a rolled-back write took is
given again. On PostgreSQL it is not, and a lower id may be committed after a higher one, so there a range has holes,
and a later segment may hold what came late.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, final

from vallum.audit.entry import file_of
from vallum.crypto import json_object
from vallum.crypto.digest import hex256, mark48

GENESIS: Final = "0" * 64
"""`previous` of the first segment."""
MARK_CHARACTERS: Final = 8
MAX_ID: Final = 2**63 - 1
_IDS: Final = re.compile(r"[1-9][0-9]{0,18}(-[1-9][0-9]{0,18})?(,[1-9][0-9]{0,18}(-[1-9][0-9]{0,18})?)*")


@final
@dataclass(frozen=True, slots=True)
class Segment:
    """One link of the chain; the members are those of `store.schema.audit_segment`.

    Attributes:
        digest: of the entries' lines, each with its line feed.
        marks: of each entry, by id: which one changed is read from them, whether one did from `digest`.
        hash: of the segment's own line without this member; empty until it is known.
    """

    number: int
    ids: str
    highest: int
    digest: str
    marks: str
    previous: str
    at: float
    hash: str = ""

    def line(self) -> bytes:
        """Its spelling in an export."""
        return json_object.encode({"type": "segment", **asdict(self)})

    def hashed(self) -> str:
        """What `hash` must be."""
        members = asdict(self)
        del members["hash"]
        return hex256(json_object.encode({"type": "segment", **members}))

    def ranges(self) -> list[range]:
        """Its ids.

        Raises:
            ValueError: `ids` is not of its grammar.
        """
        return unpacked(self.ids)

    def mark(self, position: int) -> str:
        """Of the entry at this position in the order of ids."""
        return self.marks[position * MARK_CHARACTERS : (position + 1) * MARK_CHARACTERS]


NAMES: Final = tuple(field.name for field in fields(Segment))
_TYPES: Final[Mapping[str, type]] = {"number": int, "highest": int, "at": float}


def sealed(previous: Segment | None, entries: Sequence[tuple[int, bytes]], at: float) -> Segment:
    """The segment of these entries: (id, line), by id.

    Args:
        previous: the newest segment; only its number, highest id and hash are looked at.
        at: Unix seconds.
    """
    ids = [number for number, _ in entries]
    segment = Segment(
        number=1 if previous is None else previous.number + 1,
        ids=packed(ids),
        highest=max(ids[-1], 0 if previous is None else previous.highest),
        digest=hex256(file_of([text for _, text in entries])),
        marks="".join([mark48(text) for _, text in entries]),
        previous=GENESIS if previous is None else previous.hash,
        at=float(at),
    )
    return replace(segment, hash=segment.hashed())


def read(values: Sequence[Any]) -> Segment:
    """From a row or the members of a line, in the order of `NAMES`.

    Raises:
        ValueError: a value is not of its type, or `ids` and `marks` are not those of one segment.
    """
    for name, value in zip(NAMES, values, strict=True):
        if type(value) is not _TYPES.get(name, str):
            raise ValueError(name)
    segment = Segment(*values)
    if sum(map(len, segment.ranges())) * MARK_CHARACTERS != len(segment.marks):
        raise ValueError("marks")  # before anybody counts to the end of a range that somebody wrote there
    return segment


def packed(ids: Iterable[int]) -> str:
    """`1-3,7` for 1, 2, 3, 7, which are in their order."""
    found: list[list[int]] = []
    for number in ids:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in found)


def unpacked(text: str) -> list[range]:
    """The ranges of `packed`.

    Raises:
        ValueError: a text that `packed` does not write.
    """
    if _IDS.fullmatch(text) is None:
        raise ValueError("ids")
    ranges = []
    before = -1
    for part in text.split(","):
        first, dash, last = part.partition("-")
        found = range(int(first), int(last or first) + 1)
        if found.start <= before + 1 or (dash and len(found) < 2) or found.stop > MAX_ID:
            raise ValueError("ids")
        before = found.stop - 1
        ranges.append(found)
    return ranges


def gaps(ranges: Iterable[range], after: int, highest: int) -> Iterator[range]:
    """Ids above `after` and up to `highest` that are in none of these ranges, which are in their order."""
    start = after + 1
    for each in ranges:
        if each.start > start:
            yield range(start, min(each.start, highest + 1))
        start = max(start, each.stop)
    if start <= highest:
        yield range(start, highest + 1)
