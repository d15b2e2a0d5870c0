"""An export is what the database holds, and falsifications of it are found without the database."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.audit.chained import checked, tampering

from vallum.audit import keys
from vallum.audit.export import Exported, export
from vallum.audit.fault import Report
from vallum.audit.verify_file import verify_file
from vallum.store.errors import StoreError
from vallum.store.sqlite import SqliteFile

Found = list[tuple[str, int | None, int | None]]
SECOND, ENTRIES = 6, 7
"""Where the second segment's own line and its first entry stand, counted from 0."""


def exported(data: Path) -> list[bytes]:
    """The lines of an export."""
    content = io.BytesIO()
    with SqliteFile(data / "vallum.db") as file:
        assert file.look(lambda: export(content.write, "sqlite")) == Exported(3, 12, 2)
    return content.getvalue().splitlines(keepends=True)


def read(data: Path, lines: list[bytes], outside: str | None = None) -> Report:
    """What a verification says of these lines."""
    trusted = keys.key_set(keys.public_jwks(data / "keys"))
    return verify_file(lines, trusted, {} if outside is None else {"outside": outside})


def faults(report: Report) -> Found:
    return [(fault.kind, fault.segment, fault.entry) for fault in report.faults]


def test_an_export_says_what_the_database_says(data: Path) -> None:
    """The same counts, the same checkpoint; every entry once, in its order."""
    lines = exported(data)
    inside, outside = checked(data), read(data, lines)
    assert outside.whole
    assert (outside.entries, outside.segments, outside.unsealed, outside.sealed_at) == (
        inside.entries,
        inside.segments,
        inside.unsealed,
        inside.sealed_at,
    )
    assert outside.checkpoints == {"in the file": 3}
    assert [json.loads(line)["id"] for line in lines if b'"entry"' in line] == list(range(1, 15))


def test_anybody_can_follow_the_hashes(data: Path) -> None:
    """As the page says, with nothing but SHA-256: bytes of lines, and the segment's line without its hash."""
    previous, digest, named = "0" * 64, hashlib.sha256(), ""
    for line in exported(data)[1:]:
        members = json.loads(line)
        if members["type"] == "entry":
            digest.update(line)
            continue
        assert named in {"", digest.hexdigest()}
        if members["type"] == "unsealed":
            break
        assert members["previous"] == previous
        head, _, _ = line.rpartition(b',"hash":"')
        assert members["hash"] == hashlib.sha256(head + b"}").hexdigest()
        previous, digest, named = members["hash"], hashlib.sha256(), members["digest"]
    else:
        raise AssertionError("no end")


def swapped(lines: list[bytes]) -> None:
    lines[ENTRIES], lines[ENTRIES + 1] = lines[ENTRIES + 1], lines[ENTRIES]


def changed(lines: list[bytes]) -> None:
    lines[ENTRIES] = lines[ENTRIES].replace(b"teacher-17", b"teacher-71")


def removed(lines: list[bytes]) -> None:
    del lines[ENTRIES]


def doubled(lines: list[bytes]) -> None:
    lines.insert(ENTRIES, lines[ENTRIES])


def moved(lines: list[bytes]) -> None:
    lines.insert(ENTRIES, lines.pop(2))


def without_segment(lines: list[bytes]) -> None:
    del lines[SECOND : SECOND + 5]


def without_its_line(lines: list[bytes]) -> None:
    del lines[SECOND]


def segment_twice(lines: list[bytes]) -> None:
    lines[SECOND:SECOND] = lines[SECOND : SECOND + 5]


def without_checkpoint(lines: list[bytes]) -> None:
    del lines[0]


def spaced(lines: list[bytes]) -> None:
    lines[ENTRIES] = lines[ENTRIES].replace(b',"verb"', b', "verb"')


def garbage(lines: list[bytes]) -> None:
    lines.insert(SECOND, b"\xff\xfe\n")


def unsealed_first(lines: list[bytes]) -> None:
    lines.insert(1, b'{"type":"unsealed"}\n')


def cut(lines: list[bytes]) -> None:
    del lines[SECOND + 2 :]
    lines[-1] = lines[-1][:40]


def empty(lines: list[bytes]) -> None:
    lines.clear()


CASES: dict[str, tuple[Callable[[list[bytes]], None], Found]] = {
    "changed": (changed, [("entry-changed", 2, 5)]),
    "removed": (removed, [("entry-removed", 2, 5)]),
    "doubled": (doubled, [("entry-inserted", 2, None)]),
    "swapped": (swapped, [("entry-order", 2, None)]),
    "moved": (moved, [("entry-removed", 1, 1), ("entry-inserted", 2, 1)]),
    "spaced": (spaced, [("entry-changed", 2, 5)]),
    "without a segment": (without_segment, [("segment-removed", 2, None)]),
    "without its line": (
        without_its_line,
        [*(("entry-inserted", 1, number) for number in range(5, 9)), ("segment-removed", 2, None)],
    ),
    "a segment twice": (
        segment_twice,
        [("segment-inserted", 2, None), *[("line-malformed", None, None)] * 4],
    ),
    "without the checkpoint": (without_checkpoint, [("checkpoint-missing", None, None)]),
    "garbage": (garbage, [("line-malformed", None, None)]),
    "the end is put first": (
        unsealed_first,
        [*[("line-malformed", None, None)] * 3, ("chain-truncated", 1, None)],
    ),
    "cut off": (
        cut,
        [
            ("line-malformed", None, None),
            *(("entry-removed", 2, number) for number in range(5, 9)),
            ("line-malformed", None, None),
            ("chain-truncated", 3, None),
        ],
    ),
    "empty": (empty, [("line-malformed", None, None)]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_falsified_export_is_found(data: Path, name: str) -> None:
    """By the lines alone."""
    falsify, expected = CASES[name]
    lines = exported(data)
    falsify(lines)
    found = faults(read(data, lines))
    assert found == expected


def test_an_export_of_then_is_cut_short_by_a_later_checkpoint(data: Path) -> None:
    """What was exported before the last segment does not pass as all of it."""
    outside = (data / "outside").read_text()
    lines = exported(data)
    third = next(at for at, line in enumerate(lines) if b'"number":3' in line)
    early = [b'{"type":"checkpoint","jws":"%s"}\n' % (data / "earlier").read_bytes(), *lines[1:third], lines[-3]]
    assert read(data, early).whole
    assert faults(read(data, early, outside)) == [("chain-truncated", 3, None)]


def test_a_key_in_the_file_would_not_be_believed(data: Path, tmp_path: Path) -> None:
    """Who verifies brings the public key along."""
    keys.make(tmp_path / "others", None)
    trusted = keys.key_set(keys.public_jwks(tmp_path / "others"))
    assert faults(verify_file(exported(data), trusted, {})) == [("checkpoint-forged", None, None)]


def test_any_change_of_any_byte_is_found(data: Path) -> None:
    """Before the line of the unsealed ones each byte is signed, hashed or part of the form."""
    lines = exported(data)
    signed = b"".join(lines[:-3])
    chosen = random.Random(7).sample(range(len(signed)), 150)
    for at in chosen:
        content = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :] + b"".join(lines[-3:])
        assert not read(data, content.splitlines(keepends=True)).whole, at


def test_what_cannot_be_read_is_not_exported(data: Path) -> None:
    """A segment that is none stops it, with the command that says more."""
    with tampering(data) as connection:
        connection.execute("UPDATE vallum_audit_segment SET ids = 'all' WHERE number = 2")
    with SqliteFile(data / "vallum.db") as file, pytest.raises(StoreError, match="audit-broken: segment 2"):
        file.look(lambda: export(io.BytesIO().write, "sqlite"))
