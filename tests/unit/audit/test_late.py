"""PostgreSQL gives ids out before transactions end: a lower one may be committed after a higher one, or never."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.audit.chained import NOW, event

from tests import stores
from vallum import defaults
from vallum.audit import keys
from vallum.audit.checkpoint import signer
from vallum.audit.fault import Report
from vallum.audit.prune import Pruned, Pruning, prune
from vallum.audit.seal import batch
from vallum.audit.verify import verify
from vallum.audit.write import insert
from vallum.store import migrations
from vallum.store.ports import Script, Statement, Violation
from vallum.store.postgres import PostgresCommands
from vallum.store.postgres_address import parse

LATE = defaults.AUDIT_LATE_SECONDS


class Audit:
    """A database of this test's own with the audit's tables."""

    def __init__(self, folder: Path) -> None:
        self.name = stores.server().database()
        self.database = PostgresCommands(parse(stores.server().url(self.name)))
        self.database.write(migrations.create("postgresql"))
        self.sign = signer(keys.make(folder, None))
        self.keys = keys.key_set(keys.public_jwks(folder))

    def write(self, *numbers: int) -> None:
        """Entries, in one transaction."""
        self.database.write(lambda: self._writing(*numbers))

    def _writing(self, *numbers: int) -> Script[None]:
        for number in numbers:
            yield insert(event(number), "postgresql")

    def give(self) -> int:
        """An id that a transaction took which is not committed yet."""
        return int(self.rows("SELECT nextval(pg_get_serial_sequence('vallum_audit', 'id'))")[0][0])

    def commit(self, number: int) -> None:
        """That transaction's entry."""
        self.rows(
            "INSERT INTO vallum_audit (id, at, request_id, verb, resource) VALUES ($1, 1.0, 'r', 'late', 'x')", number
        )

    def rows(self, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
        return stores.server().rows(self.name, text, *arguments)

    def seal(self, now: float = NOW) -> str | None:
        """The ids of the next segment."""
        segment = self.database.write(lambda: batch(self.sign, self.keys, now, "postgresql"))
        return None if segment is None else segment.ids

    def check(self, now: float = NOW) -> Report:
        return self.database.look(lambda: verify(self.keys, {}, "postgresql", now))

    def faults(self, now: float = NOW) -> list[tuple[str, int | None, int | None]]:
        return [(fault.kind, fault.segment, fault.entry) for fault in self.check(now).faults]

    def remove(self, before: float) -> Pruned | None:
        pruning = Pruning(before, "vallum:operator", "r")
        return self.database.write(lambda: prune(pruning, self.sign, self.keys, NOW, "postgresql"))


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    made = Audit(tmp_path)
    yield made
    made.database.close()
    stores.server().drop(made.name)


def test_what_is_committed_late_is_sealed_late(audit: Audit) -> None:
    """It is in the next segment, together with what is new, and every entry is sealed once."""
    audit.write(1)
    early, never = audit.give(), audit.give()
    audit.write(4, 5)
    assert (early, never, audit.seal()) == (2, 3, "1,4-5")
    assert (audit.check().whole, audit.check().unsealed) == (True, 0)
    audit.commit(early)
    assert (audit.check().whole, audit.check().unsealed) == (True, 1)
    audit.write(6)
    assert audit.seal(NOW + 5) == "2,6"
    assert (audit.check().faults, audit.check().entries, audit.check().unsealed) == ((), 5, 0)
    assert audit.seal(NOW + 10) is None


def test_what_comes_too_late_was_put_there(audit: Audit) -> None:
    """At the bound it is sealed; a moment later it is not, and the verification names it."""
    audit.write(1)
    first, second = audit.give(), audit.give()
    audit.write(4)
    assert audit.seal() == "1,4"
    audit.commit(first)
    assert audit.seal(NOW + LATE) == "2"
    audit.commit(second)
    assert audit.seal(NOW + LATE + 61) is None
    assert audit.faults(NOW + 2 * LATE + 1) == [("entry-inserted", 1, 3)]


def test_a_sealed_late_entry_is_watched_like_any_other(audit: Audit) -> None:
    """Changed or removed it is found, under its own id and segment."""
    audit.write(1)
    late = audit.give()
    audit.write(3)
    audit.seal()
    audit.commit(late)
    audit.seal(NOW + 1)
    audit.rows("ALTER TABLE vallum_audit DISABLE TRIGGER ALL")
    audit.rows("UPDATE vallum_audit SET note = 'x' WHERE id = $1", late)
    assert audit.faults() == [
        ("trigger-missing", None, None),
        ("trigger-missing", None, None),
        ("entry-changed", 2, late),
    ]
    audit.rows("DELETE FROM vallum_audit WHERE id = $1", late)
    assert audit.faults()[2:] == [("entry-removed", 2, late)]


GUARD = "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
OURS = "CREATE OR REPLACE TRIGGER vallum_audit_no_rows BEFORE {} EXECUTE FUNCTION vallum_audit_kept()"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CREATE RULE quiet AS ON INSERT TO vallum_audit DO INSTEAD NOTHING", "trigger-foreign"),
        ("ALTER TABLE vallum_audit ENABLE ROW LEVEL SECURITY", "trigger-foreign"),
        (f"CREATE TRIGGER vallum_audit_segment_no_rows BEFORE UPDATE ON vallum_audit {GUARD}", "trigger-foreign"),
        (OURS.format("UPDATE OR DELETE ON vallum_audit FOR EACH ROW WHEN (false)"), "trigger-missing"),
        (OURS.format("DELETE ON vallum_audit FOR EACH ROW"), "trigger-missing"),
    ],
)
def test_what_stands_on_the_tables_and_is_not_ours_is_named(audit: Audit, text: str, kind: str) -> None:
    """Triggers, also under our names, rules and policies: each could keep entries from being written or seen."""
    audit.write(1)
    audit.seal()
    assert audit.faults() == []
    audit.rows(text)
    assert audit.faults() == [(kind, None, None)]


def test_retention_removes_late_entries_with_their_own_segment(audit: Audit) -> None:
    """The first segment's removal leaves what stands between its ids and belongs to the second."""
    audit.write(1)
    late = audit.give()
    audit.write(3)
    audit.seal()
    audit.commit(late)
    audit.seal(NOW + 50)
    assert audit.remove(NOW + 10) == Pruned(1, 1, 2)
    assert (audit.check().faults, audit.check().entries) == ((), 1)
    assert audit.remove(NOW + 60) == Pruned(2, 2, 1)
    assert audit.check().whole


def test_a_segment_number_is_given_once(audit: Audit) -> None:
    """Of two sealers that begin with the same end of the chain one is refused, and writes nothing."""
    audit.write(1)
    own = PostgresCommands(parse(stores.server().url(audit.name)))

    def overtaken() -> Script[object]:
        rows: object = yield Statement("SELECT count(*) FROM vallum_audit_segment", ())
        script = batch(audit.sign, audit.keys, NOW, "postgresql")
        request, answer = next(script), None
        while "INSERT INTO vallum_audit_segment" not in getattr(request, "text", ""):
            answer = yield request
            request = script.send(answer)
        with ThreadPoolExecutor(1) as thread:  # this one has an event loop that runs
            assert thread.submit(audit.seal).result() == "1"
        yield request
        return rows

    with own, pytest.raises(Violation, match="unique"):
        own.write(overtaken)
    assert (audit.check().whole, audit.check().segments) == (True, 1)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE vallum_audit SET note = 'x'",
        "DELETE FROM vallum_audit",
        "TRUNCATE vallum_audit",
        "UPDATE vallum_audit_segment SET at = 1",
        "DELETE FROM vallum_audit_segment",
        "TRUNCATE vallum_audit_segment",
        "INSERT INTO vallum_audit_segment SELECT * FROM vallum_audit_segment ON CONFLICT (number) DO UPDATE SET at = 1",
    ],
)
def test_what_was_written_cannot_be_changed(audit: Audit, text: str) -> None:
    """PostgreSQL refuses it, whoever asks."""
    audit.write(1)
    audit.seal()

    def script() -> Script[None]:
        yield Statement(text, ())

    with pytest.raises(Violation, match="check"):
        audit.database.write(script)
    assert audit.check().whole
