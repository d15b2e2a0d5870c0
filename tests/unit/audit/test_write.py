"""The audit row: every attribute in its column, and no way to change it later."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from vallum.audit.event import AuditEvent
from vallum.audit.write import insert
from vallum.store import migrations
from vallum.store.ports import Script, Statement, Violation
from vallum.store.schema import audit
from vallum.store.sqlite import SqliteFile

EVENT = AuditEvent(
    at=1_790_000_000.25,
    request_id="0" * 32,
    principal="teacher-17",
    verb="update",
    resource="students",
    row_key='{"id":4}',
    fields=("notes", "ünï"),
    before='"aa"',
    after='"bb"',
    note="because",
    api_key="A" * 16,
)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    with SqliteFile.create(tmp_path / "vallum.db") as opened:
        opened.write(migrations.create("sqlite"))
        yield opened


def write(file: SqliteFile, *statements: Statement) -> None:
    def script() -> Script[None]:
        for statement in statements:  # noqa: UP028  # `yield from` a tuple cannot be sent rows
            yield statement

    file.write(script)


def rows(file: SqliteFile) -> list[dict[str, object]]:
    names = audit.columns.keys()
    return [dict(zip(names, row, strict=True)) for row in file.read(Statement("SELECT * FROM vallum_audit", ()))]


def test_every_attribute_is_in_its_column(file: SqliteFile) -> None:
    """Nothing is lost, nothing stands in the place of another."""
    write(file, insert(EVENT, "sqlite"))
    assert rows(file) == [dataclasses.asdict(EVENT) | {"id": 1, "fields": '["notes", "ünï"]'}]


def test_what_an_event_may_lack(file: SqliteFile) -> None:
    """The anonymous caller, an endpoint without a row."""
    write(file, insert(AuditEvent(1.0, "r", None, "act", "/reports"), "sqlite"))
    (row,) = rows(file)
    assert [row[name] for name in ("principal", "row_key", "before", "after", "note", "fields")] == [None] * 5 + ["[]"]


def test_a_hostile_value_is_only_a_value(file: SqliteFile) -> None:
    """Quotes and SQL in a note stay text."""
    note = "'); DROP TABLE vallum_audit; --"
    write(file, insert(dataclasses.replace(EVENT, note=note), "sqlite"))
    assert [row["note"] for row in rows(file)] == [note]


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE vallum_audit SET note = 'x'",
        "DELETE FROM vallum_audit",
        "REPLACE INTO vallum_audit SELECT * FROM vallum_audit",
    ],
)
def test_a_row_is_never_changed_or_removed(file: SqliteFile, text: str) -> None:
    """The database itself refuses it, whoever asks."""
    write(file, insert(EVENT, "sqlite"))
    before = rows(file)
    with pytest.raises(Violation):
        write(file, Statement(text, ()))
    assert rows(file) == before


def test_an_id_is_never_given_twice(file: SqliteFile) -> None:
    """A row that disappeared in spite of everything leaves a gap behind."""
    write(file, insert(EVENT, "sqlite"), insert(EVENT, "sqlite"), Statement("DROP TRIGGER vallum_audit_no_delete", ()))
    write(file, Statement("DELETE FROM vallum_audit WHERE id = 2", ()), insert(EVENT, "sqlite"))
    assert [row["id"] for row in rows(file)] == [1, 3]


def test_an_event_is_frozen() -> None:
    """What is recorded is what happened."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        EVENT.note = "changed"  # type: ignore[misc]  # that it is refused is the test


def test_the_statement_of_each_store_takes_the_same_arguments() -> None:
    """One placeholder for each argument."""
    sqlite, postgresql = insert(EVENT, "sqlite"), insert(EVENT, "postgresql")
    assert sqlite.arguments == postgresql.arguments
    assert sqlite.text.count("?") == len(sqlite.arguments)
    assert [f"${n}" for n in range(1, len(sqlite.arguments) + 1)] == postgresql.text.rpartition("(")[2].rstrip(
        ")"
    ).split(", ")
