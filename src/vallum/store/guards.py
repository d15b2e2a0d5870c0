"""Tables that only grow: triggers refuse any other change, whoever asks.

They stop programs and mistakes. Who may drop a trigger is not stopped; the audit chain finds what such a one did, and
`broken` that a trigger is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table, event

from vallum.declare.dialect import DialectName
from vallum.store.ports import Script, Statement

_TRIGGERS: Final[Mapping[DialectName, dict[str, str]]] = {"sqlite": {}, "postgresql": {}}
"""Trigger → its text, as the store shows it."""
_MADE: Final[Mapping[str, dict[str, list[str]]]] = defaultdict(dict)
"""Dialect → table → the statements that make its triggers in place of its present ones."""

_OURS: Final = "c.relname LIKE 'vallum\\_%' AND pg_table_is_visible(c.oid)"
_LISTED: Final[Mapping[DialectName, Statement]] = {
    "sqlite": Statement(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) LIKE 'vallum\\_%' ESCAPE '\\'",
        (),
    ),
    # Rules and policies change or hide what is written as well as triggers do. A trigger that is off, or has a condition
    # or columns of its own, is none.
    "postgresql": Statement(
        "SELECT t.tgname, CASE WHEN t.tgenabled IN ('O', 'A') AND t.tgqual IS NULL AND t.tgattr::text = ''"
        " THEN c.relname || ' ' || t.tgtype || p.prosrc ELSE '' END"
        " FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid"
        f" WHERE NOT t.tgisinternal AND {_OURS}"
        f" UNION ALL SELECT r.rulename, '' FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE {_OURS}"
        f" UNION ALL SELECT 'row security of ' || c.relname, '' FROM pg_class c WHERE c.relrowsecurity AND {_OURS}",
        (),
    ),
}


def append_only(table: Table, removable: str | None = None) -> None:
    """Make the triggers whenever the table is made.

    Args:
        table: with one column as its key.
        removable: a condition on the row `OLD` under which it may be removed; None: never.
    """
    _sqlite(table.name, table.primary_key.columns[0].name, removable)
    _postgresql(table.name, removable)
    event.listen(table, "after_create", guard)


def guard(table: Table, connection: Connection, **_: Any) -> None:
    """Make the triggers of a table that is there, in place of its present ones."""
    for text in _MADE[connection.dialect.name][table.name]:
        connection.exec_driver_sql(text)


def broken(dialect: DialectName) -> Script[tuple[list[str], list[str]]]:
    """The triggers that are missing, switched off or not as they were made; and what stands on our tables and is not ours.

    Such a one could keep an entry from being written, or change it before it is sealed.
    """
    ours = _TRIGGERS[dialect]
    rows = yield _LISTED[dialect]
    found = {tuple(row) for row in rows}  # on PostgreSQL another table may have a trigger of the same name
    missing = {name for name, _ in ours.items() - found}
    return sorted(missing), sorted({name for name, _ in found - ours.items()} - missing)


def _sqlite(table: str, key: str, removable: str | None) -> None:
    changes = {
        "update": f"UPDATE ON {table}",
        "delete": f"DELETE ON {table}" + ("" if removable is None else f" WHEN NOT ({removable})"),
        # INSERT OR REPLACE deletes without asking the trigger before DELETE.
        "replace": f"INSERT ON {table} WHEN NEW.{key} IN (SELECT {key} FROM {table})",
    }
    made = _MADE["sqlite"][table] = []
    for name, change in changes.items():
        trigger = f"{table}_no_{name}"
        text = f"CREATE TRIGGER {trigger} BEFORE {change} BEGIN SELECT RAISE(ABORT, '{table} is append only'); END"
        _TRIGGERS["sqlite"][trigger] = text
        made += [f"DROP TRIGGER IF EXISTS {trigger}", text]


def _postgresql(table: str, removable: str | None) -> None:
    may = "" if removable is None else f"IF TG_OP = 'DELETE' THEN IF {removable} THEN RETURN OLD; END IF; END IF; "
    body = f" BEGIN {may}RAISE EXCEPTION '{table} is append only' USING ERRCODE = 'check_violation'; END "
    function = f"{table}_kept"
    made = _MADE["postgresql"][table] = [
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
    ]
    # The numbers are `pg_trigger.tgtype`: row 1, before 2, delete 8, update 16, truncate 32.
    for name, kind, change in (("rows", 27, "UPDATE OR DELETE ON {} FOR EACH ROW"), ("whole", 34, "TRUNCATE ON {}")):
        trigger = f"{table}_no_{name}"
        _TRIGGERS["postgresql"][trigger] = f"{table} {kind}{body}"
        made += [
            f"DROP TRIGGER IF EXISTS {trigger} ON {table}",
            f"CREATE TRIGGER {trigger} BEFORE {change.format(table)} EXECUTE FUNCTION {function}()",
        ]
