"""Every way to falsify the audit, and what the verification says about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.audit.chained import DENIED, NOW, ROWS, checked, event, make, rechain, seal_all, tampering, writing

from vallum.audit import keys
from vallum.audit.checkpoint import Checkpoint, signer
from vallum.audit.entry import COLUMNS
from vallum.audit.fault import KINDS
from vallum.audit.segment import NAMES, Segment
from vallum.store.ports import Script
from vallum.store.schema import audit, audit_segment
from vallum.store.sqlite import SqliteFile

Tamper = Callable[[sqlite3.Connection], object]
Found = list[tuple[str, int | None, int | None]]


def sql(*texts: str) -> Tamper:
    """Statements, one after the other."""
    return lambda connection: [connection.execute(text) for text in texts]


def forged(connection: sqlite3.Connection) -> None:
    """An entry changed, and all hashes from there on made to fit."""
    connection.execute("UPDATE vallum_audit SET principal = 'somebody-else' WHERE id = 6")
    rechain(connection)


def emptied(connection: sqlite3.Connection) -> None:
    """A new audit that never knew the old one."""
    for table in ("vallum_audit", "vallum_audit_segment", "sqlite_sequence"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("DELETE FROM vallum_meta WHERE key = 'audit_checkpoint'")


def preceded(connection: sqlite3.Connection) -> None:
    """The beginning looks like the middle of a longer chain."""
    row = connection.execute(f"SELECT {', '.join(NAMES)} FROM vallum_audit_segment WHERE number = 1").fetchone()
    segment = replace(Segment(*row), previous="ab" * 32)
    values = (segment.previous, segment.hashed())
    connection.execute("UPDATE vallum_audit_segment SET previous = ?, hash = ? WHERE number = 1", values)


def cut(connection: sqlite3.Connection) -> None:
    """The last segment and all entries from it on."""
    connection.execute("DELETE FROM vallum_audit WHERE id > 8")
    connection.execute("DELETE FROM vallum_audit_segment WHERE number = 3")


SET = "UPDATE vallum_audit SET "
SEGMENT = "UPDATE vallum_audit_segment SET "
CHANGED: Found = [("entry-changed", 2, 6)]

CASES: dict[str, tuple[Tamper, Found]] = {
    "nothing at all": (sql(), []),
    # An entry's own members.
    "its principal": (sql(SET + "principal = 'teacher-18' WHERE id = 6"), CHANGED),
    "its principal is nobody": (sql(SET + "principal = NULL WHERE id = 6"), CHANGED),
    "its request": (sql(SET + "request_id = '0' WHERE id = 6"), CHANGED),
    "its time, by a microsecond": (sql(SET + "at = at + 1e-6 WHERE id = 6"), CHANGED),
    "its verb": (sql(SET + "verb = 'read' WHERE id = 6"), CHANGED),
    "its key": (sql(SET + """row_key = '{"id":7}' WHERE id = 6"""), CHANGED),
    "nothing became an empty text": (sql(SET + "note = '' WHERE id = 6"), CHANGED),
    "a text became the same bytes": (sql(SET + "before = CAST(before AS BLOB) WHERE id = 6"), CHANGED),
    "a text that is none": (sql(SET + "note = CAST(x'ff00fe' AS TEXT) WHERE id = 6"), CHANGED),
    "a question mark became a byte that is none": (
        sql(SET + "note = CAST(x'7768617431ff' AS TEXT) WHERE id = 8"),
        [("entry-changed", 2, 8)],
    ),
    "a text became JSON of another place": (sql(SET + """note = '","id":6' WHERE id = 6"""), CHANGED),
    "a number became a text": (sql(SET + "principal = 17 WHERE id = 6"), CHANGED),
    "the first and the last": (
        sql(SET + "note = 'x' WHERE id IN (1, 12)"),
        [("entry-changed", 1, 1), ("entry-changed", 3, 12)],
    ),
    "what refusals are counted": (
        sql(SET + """note = '{"code":"forbidden","count":1}' WHERE id = 7"""),
        [("entry-changed", 2, DENIED)],
    ),
    # Entries as a whole.
    "one is removed": (sql("DELETE FROM vallum_audit WHERE id = 6"), [("entry-removed", 2, 6)]),
    "the first is removed": (sql("DELETE FROM vallum_audit WHERE id = 1"), [("entry-removed", 1, 1)]),
    "the last sealed one is removed": (sql("DELETE FROM vallum_audit WHERE id = 12"), [("entry-removed", 3, 12)]),
    "all of a segment are removed": (
        sql("DELETE FROM vallum_audit WHERE id BETWEEN 5 AND 8"),
        [("entry-removed", 2, number) for number in range(5, 9)],
    ),
    "two change places": (
        sql(*(SET + f"id = {new} WHERE id = {old}" for old, new in ((5, 99), (6, 5), (99, 6)))),
        [("entry-moved", 2, 5), ("entry-moved", 2, 6)],
    ),
    "two of different segments change places": (
        sql(*(SET + f"id = {new} WHERE id = {old}" for old, new in ((4, 99), (5, 4), (99, 5)))),
        [("entry-changed", 1, 4), ("entry-changed", 2, 5)],
    ),
    "one takes the place of a removed one": (
        sql("DELETE FROM vallum_audit WHERE id = 6", SET + "id = 6 WHERE id = 7"),
        [("entry-moved", 2, 6), ("entry-removed", 2, 7)],
    ),
    "one is put before the first": (
        sql("INSERT INTO vallum_audit (id, at, request_id, verb, resource) VALUES (0, 1.0, 'r', 'read', 'x')"),
        [("entry-inserted", None, 0)],
    ),
    "one has an id below all": (
        sql(f"INSERT INTO vallum_audit (id, at, request_id, verb, resource) VALUES ({-(2**63)}, 1.0, 'r', 'x', 'x')"),
        [("entry-inserted", None, -(2**63))],
    ),
    # What is not sealed yet.
    "one that is not sealed is removed": (sql("DELETE FROM vallum_audit WHERE id = 13"), [("entry-removed", None, 13)]),
    "the newest are removed": (sql("DELETE FROM vallum_audit WHERE id > 12"), [("entry-removed", None, 13)]),
    # Segments.
    "a segment's hash": (sql(SEGMENT + f"hash = '{'0' * 64}' WHERE number = 2"), [("segment-changed", 2, None)]),
    "the last segment's hash": (
        sql(SEGMENT + f"hash = '{'0' * 64}' WHERE number = 3"),
        [("segment-changed", 3, None), ("chain-replaced", 3, None)],
    ),
    "a segment's time": (sql(SEGMENT + "at = at - 1 WHERE number = 2"), [("segment-changed", 2, None)]),
    "a segment's digest": (sql(SEGMENT + f"digest = '{'0' * 64}' WHERE number = 2"), [("segment-changed", 2, None)]),
    "a segment's marks": (
        sql(SEGMENT + f"marks = '{'A' * 8 * ROWS}' WHERE number = 2"),
        [("segment-changed", 2, None)],
    ),
    "a segment's predecessor": (
        sql(SEGMENT + f"previous = '{'0' * 64}' WHERE number = 2"),
        [("chain-broken", 2, None), ("segment-changed", 2, None)],
    ),
    "a segment's ids": (
        sql(SEGMENT + "ids = '5-7,9' WHERE number = 2"),
        [("segment-changed", 2, None), ("entry-changed", 2, 9)],
    ),
    "a segment of endless ids": (
        sql(SEGMENT + "ids = '5-9000000000000000000' WHERE number = 2"),
        [("segment-changed", 2, None)],
    ),
    "a segment that is none": (
        sql(SEGMENT + "at = 'noon', ids = 'all' WHERE number = 2"),
        [("segment-changed", 2, None)],
    ),
    "the first segment is removed": (
        sql("DELETE FROM vallum_audit_segment WHERE number = 1"),
        [("segment-removed", 1, None)],
    ),
    "a segment in the middle is removed": (
        sql("DELETE FROM vallum_audit_segment WHERE number = 2"),
        [("segment-removed", 2, None)],
    ),
    "the last segment is removed": (
        sql("DELETE FROM vallum_audit_segment WHERE number = 3"),
        [("chain-truncated", 3, None)],
    ),
    "a segment is removed and those behind it take its number": (
        sql("DELETE FROM vallum_audit_segment WHERE number = 2", SEGMENT + "number = 2 WHERE number = 3"),
        [
            ("chain-broken", 2, None),
            ("segment-changed", 2, None),
            ("chain-truncated", 3, None),
        ],
    ),
    "the same, and every hash without the key": (
        lambda connection: [
            connection.execute("DELETE FROM vallum_audit_segment WHERE number = 2"),
            connection.execute(SEGMENT + "number = 2 WHERE number = 3"),
            rechain(connection),
        ],
        [*(("entry-inserted", 2, number) for number in range(5, 9)), ("chain-truncated", 3, None)],
    ),
    "a segment before the first": (
        sql(
            "INSERT INTO vallum_audit_segment SELECT 0, ids, highest, digest, marks, previous, at, hash"
            " FROM vallum_audit_segment WHERE number = 1"
        ),
        [("segment-inserted", 0, None)],
    ),
    "the first segment follows another one, and its hash fits": (
        preceded,
        [("chain-broken", 1, None), ("chain-broken", 2, None)],
    ),
    # The chain as a whole.
    "the last segment and its entries are removed": (
        cut,
        [("entry-removed", None, 9), ("chain-truncated", 3, None)],
    ),
    "an entry and every hash, without the key": (forged, [("chain-replaced", 3, None)]),
    "everything is gone": (
        sql("DELETE FROM vallum_audit", "DELETE FROM vallum_audit_segment"),
        [("entry-removed", None, 1), ("chain-truncated", 1, None)],
    ),
    # The checkpoint.
    "the checkpoint is removed": (
        sql("DELETE FROM vallum_meta WHERE key = 'audit_checkpoint'"),
        [("checkpoint-missing", None, None)],
    ),
    "the checkpoint's signature": (
        sql(
            "UPDATE vallum_meta SET value = substr(value, 1, length(value) - 8) || 'AAAAAAAA' WHERE key = 'audit_checkpoint'"
        ),
        [("checkpoint-forged", None, None)],
    ),
    "the checkpoint is no text of ours": (
        sql("UPDATE vallum_meta SET value = 'trust me' WHERE key = 'audit_checkpoint'"),
        [("checkpoint-forged", None, None)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_falsification_is_found_and_named(data: Path, name: str) -> None:
    """Which entry, which segment, and what; and nothing else is accused."""
    tamper, expected = CASES[name]
    with tampering(data) as connection:
        tamper(connection)
    report = checked(data)
    assert [(fault.kind, fault.segment, fault.entry) for fault in report.faults] == expected
    assert report.whole == (not expected)


def test_every_kind_of_fault_is_shown_here(data: Path) -> None:
    """But those that only a file can have."""
    shown = {kind for _, expected in CASES.values() for kind, _, _ in expected}
    assert shown | {"trigger-missing", "trigger-foreign", "entry-order", "line-malformed"} == KINDS.keys()


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("DROP TRIGGER vallum_audit_no_delete", ["vallum_audit_no_delete"]),
        ("DROP TRIGGER vallum_audit_segment_no_update", ["vallum_audit_segment_no_update"]),
        (
            """DROP TRIGGER vallum_audit_no_update;
            CREATE TRIGGER vallum_audit_no_update BEFORE UPDATE ON vallum_audit BEGIN SELECT 1; END""",
            ["vallum_audit_no_update"],
        ),
    ],
)
def test_a_trigger_that_is_gone_or_weaker_is_named(data: Path, text: str, broken: list[str]) -> None:
    """It was there to keep programs from what only the chain would find later."""
    connection = sqlite3.connect(data / "vallum.db")
    connection.executescript(text)
    connection.close()
    assert [(fault.kind, fault.detail) for fault in checked(data).faults] == [
        ("trigger-missing", f"{trigger} is missing or was changed") for trigger in broken
    ]


@pytest.mark.parametrize(
    "text",
    [
        "BEFORE INSERT ON vallum_audit WHEN NEW.principal = 'mallory' BEGIN SELECT RAISE(IGNORE); END",
        "AFTER UPDATE ON vallum_principal BEGIN SELECT 1; END",
    ],
)
def test_a_trigger_that_is_not_ours_is_named(data: Path, text: str) -> None:
    """It could keep entries from being written, and no chain would miss them."""
    connection = sqlite3.connect(data / "vallum.db")
    connection.execute(f"CREATE TRIGGER quiet {text}")
    connection.close()
    (fault,) = checked(data).faults
    assert (fault.kind, fault.detail.partition(" ")[0]) == ("trigger-foreign", "quiet")


def put_back(connection: sqlite3.Connection) -> None:
    """The file as it was before the third segment: its checkpoint and its sequence of ids too."""
    cut(connection)
    earlier = Path(connection.execute("PRAGMA database_list").fetchone()[2]).with_name("earlier").read_text()
    connection.execute("UPDATE vallum_meta SET value = ? WHERE key = 'audit_checkpoint'", [earlier])
    connection.execute("UPDATE sqlite_sequence SET seq = 8 WHERE name = 'vallum_audit'")


def unsigned(connection: sqlite3.Connection) -> None:
    """An entry and every hash, and nothing that could contradict."""
    forged(connection)
    connection.execute("DELETE FROM vallum_meta WHERE key = 'audit_checkpoint'")


WITH_OUTSIDE: dict[str, tuple[Tamper, Found]] = {
    "a cut chain with the checkpoint of then": (put_back, [("chain-truncated", 3, None)]),
    "a new chain from nothing": (emptied, [("chain-truncated", 1, None)]),
    "every hash anew, and no checkpoint": (unsigned, [("chain-replaced", 3, None)]),
}


@pytest.mark.parametrize("name", WITH_OUTSIDE)
def test_a_checkpoint_kept_outside_finds_what_nothing_inside_can(data: Path, name: str) -> None:
    """Somebody who writes everything in the file as it once was leaves nothing behind in it."""
    tamper, expected = WITH_OUTSIDE[name]
    with tampering(data) as connection:
        tamper(connection)
    inside = checked(data)
    report = checked(data, {"of the auditor": (data / "outside").read_text()})
    assert [(f.kind, f.segment, f.entry) for f in report.faults if f.kind != "checkpoint-missing"] == expected
    assert all(fault.kind == "checkpoint-missing" for fault in inside.faults)


def test_a_checkpoint_from_outside_is_worth_what_its_signature_is(data: Path) -> None:
    """One under another key, or of another sort, is named as forged and believed in nothing."""
    stranger = keys.make(data / "elsewhere", None)
    text = signer(stranger)(Checkpoint(99, "0" * 64, 99, NOW))
    report = checked(data, {"of a stranger": text})
    assert [fault.detail for fault in report.faults] == ["the checkpoint of a stranger does not verify: key_unknown"]
    assert report.pruned == 0


def test_an_old_checkpoint_from_outside_still_fits(data: Path) -> None:
    """The chain has grown since, and has what was signed then."""
    report = checked(data, {"of last year": (data / "earlier").read_text()})
    assert report.whole
    assert report.checkpoints == {"in the database": 3, "of last year": 2}
    assert (report.entries, report.segments, report.unsealed, report.sealed_at) == (12, 3, 2, NOW + 60)


def test_what_is_not_sealed_yet_can_be_changed_unnoticed(data: Path) -> None:
    """The limit of the chain, as it is documented: it is told how many there are."""
    with tampering(data) as connection:
        connection.execute(SET + "principal = 'somebody-else' WHERE id = 13")
    report = checked(data)
    assert (report.whole, report.unsealed) == (True, 2)


def test_of_many_faults_the_first_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    """A chain of which nothing is left does not fill the memory of who looks at it."""
    data = tmp_path / "data"
    key = make(data)
    with SqliteFile(data / "vallum.db") as file:
        file.write(writing(*map(event, range(1, 151))))
        seal_all(file, key, data / "keys")
    with tampering(data) as connection:
        connection.execute(SET + "note = 'x'")
    report = checked(data)
    assert (len(report.faults), report.further) == (100, 50)


def test_a_rolled_back_write_leaves_no_gap(tmp_path: Path) -> None:
    """On SQLite its id is given again, so that a missing one is a removed one."""
    data = tmp_path / "data"
    key = make(data)

    def failing() -> Script[None]:
        yield from writing(event(1), event(2))()
        raise LookupError

    with SqliteFile(data / "vallum.db") as file:
        for number in range(6):
            with pytest.raises(LookupError):
                file.write(failing)
            file.write(writing(event(number)))
            seal_all(file, key, data / "keys")
        with pytest.raises(LookupError):
            file.write(failing)
    assert checked(data).whole


def test_every_column_is_part_of_what_is_hashed() -> None:
    """A column that was left out could be changed."""
    assert set(COLUMNS) == set(audit.columns.keys())
    assert set(NAMES) == set(audit_segment.columns.keys())
