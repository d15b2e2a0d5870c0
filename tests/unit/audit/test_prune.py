"""Retention: whole segments, oldest first, signed; and no way to make anything else look like it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.audit.chained import NOW, checked, event, make, seal_all, tampering, writing

from vallum.audit import keys
from vallum.audit.checkpoint import Checkpoint, signer
from vallum.audit.prune import Pruned, Pruning, prune
from vallum.crypto.signing_key import SigningKey
from vallum.store.errors import StoreError
from vallum.store.ports import Script, Statement, Violation
from vallum.store.sqlite import SqliteFile

LATER = NOW + 30
"""Between the sealing of the first two segments and that of the third."""


def removed(data: Path, before: float = LATER, key: SigningKey | None = None) -> Pruned | None:
    """What one portion removes."""
    trusted = keys.key_set(keys.public_jwks(data / "keys"))
    sign = signer(key or keys.load(data / "keys", None))
    with SqliteFile(data / "vallum.db") as file:
        return file.write(lambda: prune(Pruning(before, "vallum:operator", "r"), sign, trusted, NOW + 100, "sqlite"))


def ids(data: Path) -> list[int]:
    with SqliteFile(data / "vallum.db") as file:
        return [row[0] for row in file.read(Statement("SELECT id FROM vallum_audit ORDER BY id", ()))]


def faults(data: Path) -> list[tuple[str, int | None, int | None]]:
    return [(fault.kind, fault.segment, fault.entry) for fault in checked(data).faults]


def test_whole_segments_go_and_the_chain_holds(data: Path) -> None:
    """What was sealed before; an entry says so; nothing is left to remove then."""
    assert removed(data) == Pruned(1, 2, 8)
    assert ids(data) == list(range(9, 16))
    report = checked(data)
    assert (report.whole, report.pruned, report.segments, report.entries, report.unsealed) == (True, 2, 3, 4, 3)
    with SqliteFile(data / "vallum.db") as file:
        ((by, verb, note),) = file.read(Statement("SELECT principal, verb, note FROM vallum_audit WHERE id = 15", ()))
    assert (by, verb, json.loads(note)) == (
        "vallum:operator",
        "prune",
        {"segments": "1-2", "entries": 8, "before": LATER},
    )
    assert removed(data) is None


def test_the_chain_goes_on_behind_what_was_removed(data: Path) -> None:
    """Later segments follow, later removals too, and what was signed before still fits."""
    removed(data)
    with SqliteFile(data / "vallum.db") as file:
        seal_all(file, keys.load(data / "keys", None), data / "keys", NOW + 200)
    assert removed(data, NOW + 150) == Pruned(3, 3, 4)
    report = checked(data, {"outside": (data / "outside").read_text(), "earlier": (data / "earlier").read_text()})
    assert (report.whole, report.pruned) == (True, 3)


def test_at_its_bound_a_segment_stays(data: Path) -> None:
    """Sealed at that very moment is not sealed before it."""
    assert removed(data, NOW) is None
    assert removed(data, NOW + 60) == Pruned(1, 2, 8)


def test_a_falsified_segment_is_not_removed(data: Path) -> None:
    """Retention must not carry the traces away; nothing of the portion is removed."""
    with tampering(data) as connection:
        connection.execute("UPDATE vallum_audit SET note = 'x' WHERE id = 6")
    with pytest.raises(StoreError, match="audit-broken: segment 2"):
        removed(data)
    assert len(ids(data)) == 14


def test_a_segment_that_was_made_older_is_not_removed(data: Path) -> None:
    """Otherwise retention could be led to remove what is of yesterday."""
    with tampering(data) as connection:
        connection.execute("UPDATE vallum_audit_segment SET at = 1 WHERE number = 3")
    with pytest.raises(StoreError, match="audit-broken: segment 3"):
        removed(data)


def test_a_removal_without_the_key_is_no_retention(data: Path, tmp_path: Path) -> None:
    """Whoever deletes the rows, and even signs a checkpoint with a key of his own, is found out."""
    with tampering(data) as connection:
        connection.execute("DELETE FROM vallum_audit WHERE id < 5")
    assert faults(data) == [("entry-removed", 1, number) for number in range(1, 5)]
    stranger = keys.make(tmp_path / "strange", None)
    text = signer(stranger)(Checkpoint(3, "0" * 64, 1, NOW))
    with tampering(data) as connection:
        connection.execute("UPDATE vallum_meta SET value = ? WHERE key = 'audit_checkpoint'", [text])
    assert faults(data)[0] == ("checkpoint-forged", None, None)
    assert len(faults(data)) == 5


def test_without_a_checkpoint_nothing_is_removed(data: Path) -> None:
    """After a first removal its proof is taken away: the next one stops before it removes more."""
    removed(data)
    with tampering(data) as connection:
        connection.execute("DELETE FROM vallum_meta WHERE key = 'audit_checkpoint'")
    with pytest.raises(StoreError, match="audit-broken: segment 1"):
        removed(data, NOW + 150)
    assert faults(data)[0] == ("entry-removed", 1, 1)


def test_what_is_put_where_entries_were_removed_is_found(data: Path) -> None:
    """An id of a removed segment stays empty."""
    removed(data)
    with tampering(data) as connection:
        connection.execute(
            "INSERT INTO vallum_audit (id, at, request_id, verb, resource) VALUES (6, 1.0, 'r', 'x', 'y')"
        )
    assert faults(data) == [("entry-inserted", 2, 6)]


def test_only_what_retention_let_go_can_be_deleted(data: Path) -> None:
    """The trigger holds for everything behind it, the unsealed included."""
    removed(data)
    for number in (9, 13, 15):

        def script(number: int = number) -> Script[None]:
            yield Statement("DELETE FROM vallum_audit WHERE id = ?", (number,))

        with SqliteFile(data / "vallum.db") as file, pytest.raises(Violation):
            file.write(script)


def test_a_large_chain_is_removed_in_portions(tmp_path: Path) -> None:
    """Each a transaction of its own with its own entry, so that nobody waits long."""
    data = tmp_path / "data"
    key = make(data)
    with SqliteFile(data / "vallum.db") as file:
        file.write(writing(*map(event, range(1, 101))))
        seal_all(file, key, data / "keys")
    assert [removed(data, key=key), removed(data, key=key), removed(data, key=key)] == [
        Pruned(1, 20, 80),
        Pruned(21, 25, 20),
        None,
    ]
    assert checked(data).whole
    assert ids(data) == [101, 102]
