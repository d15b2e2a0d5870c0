"""Hour and day counters kept over a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vallum import defaults
from vallum.store.memory import CountRow
from vallum.store.ports import Statement
from vallum.store.sqlite import SqliteDatabase, SqliteFile
from vallum.store.windows import forget_windows, load_windows, save_windows


async def test_counts_survive_a_restart(path: Path) -> None:
    """What one process wrote behind, the next one finds."""
    rows: list[CountRow] = [
        ("p:teacher-17", "hour", 3600, 12),
        ("p:teacher-17", "day", 0, 40),
        ("a:ünï'\"", "hour", 3600, 1),
    ]
    for expected in (rows, rows):
        database = SqliteDatabase(path)
        await database.start()
        await database.write(save_windows(rows, "sqlite"))
        assert sorted(await database.write(load_windows(0, "sqlite"))) == sorted(expected)
        await database.stop()


@pytest.mark.parametrize(
    ("late", "kept"),
    [
        (("k", "hour", 3600, 9), ("k", "hour", 3600, 9)),
        (("k", "hour", 3600, 3), ("k", "hour", 3600, 5)),
        (("k", "hour", 7200, 1), ("k", "hour", 7200, 1)),
        (("k", "hour", 0, 99), ("k", "hour", 3600, 5)),
    ],
)
def test_a_late_row_never_sets_a_counter_back(file: SqliteFile, late: CountRow, kept: CountRow) -> None:
    """The later window counts, and in the same window the higher number."""
    file.write(save_windows([("k", "hour", 3600, 5)], "sqlite"))
    file.write(save_windows([late], "sqlite"))
    assert file.write(load_windows(0, "sqlite")) == [kept]


def test_the_same_window_twice_in_one_call(file: SqliteFile) -> None:
    """The higher number, whichever comes first."""
    file.write(save_windows([("k", "day", 0, 7), ("k", "day", 0, 9), ("k", "day", 0, 8)], "sqlite"))
    assert file.write(load_windows(0, "sqlite")) == [("k", "day", 0, 9)]


def test_a_statement_names_a_window_once() -> None:
    """PostgreSQL refuses to change one row twice in a statement."""
    (statement,) = save_windows([("k", "day", 0, 7), ("k", "day", 0, 9), ("k", "hour", 0, 1)], "sqlite")()
    assert isinstance(statement, Statement)
    assert json.loads(statement.arguments[0]) == [["k", "day", 0, 9], ["k", "hour", 0, 1]]


def test_more_rows_than_one_statement_takes(file: SqliteFile) -> None:
    """All of them, in one transaction."""
    rows = [(f"k{i:05}", "hour", 3600, i + 1) for i in range(defaults.WINDOW_ROWS * 2 + 1)]
    file.write(save_windows(rows, "sqlite"))
    assert file.write(load_windows(0, "sqlite")) == rows


def test_nothing_to_save_is_no_statement() -> None:
    """An idle server writes nothing."""
    assert list(save_windows([], "sqlite")()) == []


def test_old_windows_are_not_loaded_and_can_be_forgotten(file: SqliteFile) -> None:
    """The boundary second itself still counts."""
    file.write(save_windows([("a", "hour", 3599, 1), ("b", "hour", 3600, 2), ("c", "hour", 3601, 3)], "sqlite"))
    assert [row[0] for row in file.write(load_windows(3600, "sqlite"))] == ["b", "c"]
    file.write(forget_windows(3600, "sqlite"))
    assert [row[0] for row in file.write(load_windows(0, "sqlite"))] == ["b", "c"]


COUNTS = st.tuples(
    st.sampled_from("ab"), st.sampled_from(["hour", "day"]), st.sampled_from([0, 3600]), st.integers(1, 9)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(COUNTS, max_size=5), max_size=5))
def test_any_order_of_writes_ends_at_the_largest(file: SqliteFile, batches: list[list[CountRow]]) -> None:
    """However writes are repeated, split or delayed, the newest window with its highest count stays."""
    expected: dict[tuple[str, str], tuple[int, int]] = {}
    for batch in batches:
        for key, policy, start, count in batch:
            expected[key, policy] = max(expected.get((key, policy), (0, 0)), (start, count))
    file.write(forget_windows(1 << 40, "sqlite"))
    for batch in batches:
        file.write(save_windows(batch, "sqlite"))
    found = {(key, policy): (start, count) for key, policy, start, count in file.write(load_windows(0, "sqlite"))}
    assert found == expected
