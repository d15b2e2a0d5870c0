"""The verification of an export: what `verify` says of the database, of a file that somebody was given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, final

from vallum.audit.chain import Chain
from vallum.audit.export import UNSEALED
from vallum.audit.fault import Report
from vallum.audit.segment import NAMES, Segment, read
from vallum.crypto import json_object
from vallum.crypto.jwk import KeySet

IN_FILE: Final = "in the file"
_ENTRY: Final = re.compile(rb'\{"type":"entry","id":(-?[0-9]{1,19}),')


def verify_file(lines: Iterable[bytes], keys: KeySet, checkpoints: Mapping[str, str]) -> Report:
    """Compare everything with everything.

    Args:
        lines: of the file, each with its line feed.
        keys: the audit's public keys, which are not taken from the file.
        checkpoints: kept elsewhere, by where; the one in the file is added.
    """
    numbered = enumerate(lines, 1)
    first = next(numbered, (1, b""))
    signed = _jws(first[1])
    chain = Chain(keys, checkpoints if signed is None else {IN_FILE: signed, **checkpoints})
    walk = _Walk(chain)
    if signed is None and first[1]:
        walk.line(*first)
    for number, text in numbered:
        walk.line(number, text)
    walk.end()
    return chain.report(walk.unsealed)


@final
class _Walk:
    """Through the lines.

    Attributes:
        unsealed: entries behind the chain's end.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._segment: Segment | None = None
        self._entries: list[tuple[int, bytes]] = []
        self._ended = False
        self.unsealed = 0

    def line(self, number: int, text: bytes) -> None:
        """The next one."""
        match = _ENTRY.match(text)
        if not text.endswith(b"\n"):
            self._malformed(number, "the file ends within it")
        elif match is not None:
            self._entry(number, int(match[1]), text[:-1])
        elif text[:-1] == UNSEALED:
            self.close()
            self._ended = True
        else:
            self._begin(number, text)

    def _entry(self, number: int, identifier: int, text: bytes) -> None:
        if self._ended:
            self.unsealed += 1
        elif self._segment is None:
            self._malformed(number, "the entry is in no segment")
        else:
            self._entries.append((identifier, text))

    def _begin(self, number: int, text: bytes) -> None:
        segment = None if self._ended else _segment(text)
        if segment is None:
            self._malformed(number, "it is neither a segment nor an entry")
            return
        self.close()
        if segment.number <= self._chain.number:
            self._chain.fault("segment-inserted", "it stands behind a later one, or before the first", segment.number)
        else:
            self._chain.follow(segment)
            self._segment = segment

    def end(self) -> None:
        """There are no more lines."""
        if not self._ended:
            self.close()
            self._chain.fault("line-malformed", "the end is missing: the file was cut off")

    def close(self) -> None:
        """The segment has no more entries."""
        segment, entries = self._segment, self._entries
        self._segment, self._entries = None, []
        if segment is None:
            return
        if segment.number > self._chain.pruned or entries:
            self._chain.compare(segment, entries)
        self._chain.passed(segment)

    def _malformed(self, number: int, why: str) -> None:
        self._chain.fault("line-malformed", f"line {number}: {why}")


def _segment(text: bytes) -> Segment | None:
    members = _members(text, "segment", NAMES)
    try:
        return None if members is None else read([members[name] for name in NAMES])
    except ValueError:
        return None


def _jws(text: bytes) -> str | None:
    members = _members(text, "checkpoint", ["jws"])
    found = None if members is None else members["jws"]
    return found if isinstance(found, str) else None


def _members(text: bytes, kind: str, names: Iterable[str]) -> Mapping[str, object] | None:
    """The JSON object of a line of that type with exactly these members."""
    try:
        members = json_object.decode(text)
    except ValueError:
        return None
    return members if members.get("type") == kind and members.keys() == {"type", *names} else None
