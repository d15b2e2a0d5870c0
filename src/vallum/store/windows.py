"""Hour and day counters, written behind: what `store.memory` counted, kept over a restart.

Counts are absolute. A row that is written twice, or late, never sets a counter back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from vallum import defaults
from vallum.declare.dialect import DialectName
from vallum.store.memory import CountRow
from vallum.store.ports import Script
from vallum.store.sql import Param, Prepared, each_dialect, render, sql

_ROWS: Final[dict[DialectName, tuple[str, str]]] = {
    "sqlite": (
        "SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(",
        ") WHERE true",  # without it SQLite reads the ON of ON CONFLICT as that of a join
    ),
    "postgresql": (
        "SELECT v ->> 0, v ->> 1, (v ->> 2)::bigint, (v ->> 3)::bigint FROM jsonb_array_elements(",
        "::jsonb) v WHERE true",
    ),
}
_NEWER: Final = (
    " ON CONFLICT (key, policy) DO UPDATE SET start = excluded.start, count = excluded.count"
    " WHERE excluded.start > vallum_window.start"
    " OR excluded.start = vallum_window.start AND excluded.count > vallum_window.count"
)
_SAVE: Final[dict[DialectName, Prepared]] = {
    dialect: render(
        sql("INSERT INTO vallum_window (key, policy, start, count) ", before, Param("rows"), after, _NEWER), dialect
    )
    for dialect, (before, after) in _ROWS.items()
}
_LOAD: Final = each_dialect("SELECT key, policy, start, count FROM vallum_window WHERE start >= ", Param("since"))
_FORGET: Final = each_dialect("DELETE FROM vallum_window WHERE start < ", Param("before"))


def save_windows(rows: Sequence[CountRow], dialect: DialectName) -> Callable[[], Script[None]]:
    """Keep these counts, all or none."""

    def script() -> Script[None]:
        left = iter(rows)
        while some := list(islice(left, defaults.WINDOW_ROWS)):
            # One caller's window twice in one statement is an error on PostgreSQL.
            yield _SAVE[dialect].bind({"rows": json.dumps(_largest(some), ensure_ascii=False)})

    return script


def load_windows(since: int, dialect: DialectName) -> Callable[[], Script[list[CountRow]]]:
    """The counts of windows that began at `since` (Unix seconds) or later."""

    def script() -> Script[list[CountRow]]:
        rows = yield _LOAD[dialect].bind({"since": since})
        return [(key, policy, start, count) for key, policy, start, count in rows]

    return script


def forget_windows(before: int, dialect: DialectName) -> Callable[[], Script[None]]:
    """Drop windows that began before this second: strangers' addresses would fill the table."""

    def script() -> Script[None]:
        yield _FORGET[dialect].bind({"before": before})

    return script


def _largest(rows: Sequence[CountRow]) -> list[CountRow]:
    kept: dict[tuple[str, str], CountRow] = {}
    for row in rows:
        present = kept.get(row[:2])
        if present is None or row[2:] > present[2:]:
            kept[row[:2]] = row
    return list(kept.values())
