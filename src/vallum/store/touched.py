"""Whether a transaction has written anything, by the store's own account: two moments of it are compared.

It knows of what passes by every Session too: the author's own statements, triggers, cascades.
"""

from __future__ import annotations

from typing import Final

from vallum.declare.dialect import DialectName
from vallum.store.ports import Script, Statement

_SO_FAR: Final[dict[DialectName, Statement]] = {
    "sqlite": Statement("SELECT total_changes()", ()),  # of the connection, whose writer is alone
    # A transaction has an id from its first write on, or from the first row that it locks.
    "postgresql": Statement("SELECT pg_current_xact_id_if_assigned()::text", ()),
}


def touched(dialect: DialectName) -> Script[int | str | None]:
    """A value that is another one as soon as something is written; what a savepoint undoes counts as well."""
    rows = yield _SO_FAR[dialect]
    found: int | str | None = rows[0][0]
    return found
