"""What of the accepted nonces outlives the process: rows of nonces, and a mark that stands for most of them.

One server with a database of its own has the mark. Every nonce that was accepted is covered: its second is not above the mark, or it has a row. A process that begins takes
the mark over, refuses what lies at or below it and knows the rest by the rows. It becomes the holder of the mark by
that, and the one before it, should it still run, can move the mark no more and write no row: what it accepts from then
on lies below the mark that was taken over, and is refused here. One that ends in order leaves rows of all that is live
and sets the mark back to what it had forgotten.

Each of these scripts writes the row of the mark first, which locks it until the end of the transaction.

Several servers with one database have no mark: each nonce is a row (`claim_row`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from vallum.declare.dialect import DialectName
from vallum.store.nonces import NEVER, NonceRow
from vallum.store.ports import Script, Statement
from vallum.store.sql import Param, Prepared, each_dialect, render, sql

_ROWS: Final[dict[DialectName, tuple[str, str]]] = {
    "sqlite": (
        "SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(",
        ") WHERE true",  # without it SQLite reads the ON of ON CONFLICT as that of a join
    ),
    "postgresql": ("SELECT v ->> 0, v ->> 1, (v ->> 2)::bigint FROM jsonb_array_elements(", "::jsonb) v WHERE true"),
}
_KEEP: Final[dict[DialectName, Prepared]] = {
    dialect: render(
        sql(
            "INSERT INTO vallum_nonce (caller, digest, second) ",
            before,
            Param("rows"),
            after,
            " ON CONFLICT (digest) DO NOTHING",
        ),
        dialect,
    )
    for dialect, (before, after) in _ROWS.items()
}
_CLAIM: Final = each_dialect(
    *("INSERT INTO vallum_nonce (caller, digest, second) VALUES (", Param("caller"), ", ", Param("digest"), ", "),
    *(Param("second"), ") ON CONFLICT (digest) DO NOTHING RETURNING digest"),
)
_TAKE: Final = each_dialect("UPDATE vallum_mark SET holder = ", Param("holder"), " WHERE id = 1 RETURNING mark")
_FIRST: Final = each_dialect(
    "INSERT INTO vallum_mark (id, holder, mark) VALUES (1, ", Param("holder"), ", ", Param("mark"), ")"
)
_MOVE: Final = each_dialect(
    "UPDATE vallum_mark SET mark = ", Param("mark"), " WHERE id = 1 AND holder = ", Param("holder"), " RETURNING mark"
)
_LOCK: Final = each_dialect(
    "UPDATE vallum_mark SET holder = holder WHERE id = 1 AND holder = ", Param("holder"), " RETURNING mark"
)
_FORGET: Final = each_dialect("DELETE FROM vallum_nonce WHERE second <= ", Param("floor"))
_CLOCKS: Final[dict[DialectName, str]] = {
    "sqlite": "CAST(strftime('%s', 'now') AS INTEGER)",
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())::bigint",
}
_OLD: Final[dict[DialectName, Prepared]] = {
    dialect: render(sql(f"DELETE FROM vallum_nonce WHERE second < {clock} - ", Param("seconds")), dialect)
    for dialect, clock in _CLOCKS.items()
}
_LOAD: Final = each_dialect("SELECT caller, digest, second FROM vallum_nonce")
_MARK: Final = each_dialect("SELECT mark FROM vallum_mark")


def present_mark(dialect: DialectName) -> Statement:
    """The mark, in at most one row."""
    return _MARK[dialect].bind({})


def take_over(
    holder: str, mark: int, dialect: DialectName = "sqlite"
) -> Callable[[], Script[tuple[int, int, list[NonceRow]]]]:
    """Become the holder.

    Args:
        holder: a text that no other process has.
        mark: what it may accept from now on, unless the present mark is higher.

    Returns:
        The floor and the mark of the new holder, and the nonces above the floor.
    """

    def script() -> Script[tuple[int, int, list[NonceRow]]]:
        found = yield _TAKE[dialect].bind({"holder": holder})
        below = max((present for (present,) in found), default=NEVER)
        above = max(mark, below)
        if found:
            yield _MOVE[dialect].bind({"holder": holder, "mark": above})
        else:
            yield _FIRST[dialect].bind({"holder": holder, "mark": above})
        yield _FORGET[dialect].bind({"floor": below})
        rows = yield _LOAD[dialect].bind({})
        return below, above, [(caller, digest, second) for caller, digest, second in rows]

    return script


def move_mark(holder: str, mark: int, floor: int, dialect: DialectName = "sqlite") -> Callable[[], Script[bool]]:
    """Set the mark and drop the rows at or below `floor`; False when another process holds it."""

    def script() -> Script[bool]:
        if not (yield _MOVE[dialect].bind({"holder": holder, "mark": mark})):
            return False
        yield _FORGET[dialect].bind({"floor": floor})
        return True

    return script


def keep(holder: str, rows: Sequence[NonceRow], dialect: DialectName = "sqlite") -> Callable[[], Script[bool]]:
    """Write nonces down; False, and nothing is written, when another process holds the mark."""

    def script() -> Script[bool]:
        if not (yield _LOCK[dialect].bind({"holder": holder})):
            return False
        yield _KEEP[dialect].bind({"rows": json.dumps(rows, ensure_ascii=False)})
        return True

    return script


def claim_row(row: NonceRow, dialect: DialectName) -> Statement:
    """Write a nonce down, once: no row comes back when it is there already."""
    caller, digest, second = row
    return _CLAIM[dialect].bind({"caller": caller, "digest": digest, "second": second})


def forget_old(seconds: int, dialect: DialectName) -> Callable[[], Script[None]]:
    """Drop the rows of timestamps before so many seconds ago, by the clock of the database."""

    def script() -> Script[None]:
        yield _OLD[dialect].bind({"seconds": seconds})

    return script
