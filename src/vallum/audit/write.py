"""The statement that records an event, run in the transaction of the write itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from vallum.audit.event import AuditEvent
from vallum.declare.dialect import DialectName
from vallum.store.ports import Statement, Value
from vallum.store.sql import Param, Part, Sql, each_dialect, joined, sql

_COLUMNS: Final = (
    *("at", "request_id", "principal", "verb", "resource", "row_key", "fields", "before", "after", "note"),
    "api_key",
)
_INSERT: Final = each_dialect(
    "INSERT INTO vallum_audit (",
    joined(", ", _COLUMNS),
    ") VALUES (",
    joined(", ", (Param(column) for column in _COLUMNS)),
    ")",
)

_TYPES: Final[Mapping[str, str]] = {"at": "::double precision"}
"""What PostgreSQL needs to know of a parameter that stands in a SELECT; the others are text."""
_PREFIX: Final = "audit_"


def insert_select(row_key: str, before: str | None, after: str | None, source: str) -> Sql:
    """The same as a part of a statement that writes: an event for each row of `source`.

    Args:
        row_key, before, after: SQL for them; None for NULL. The other columns are parameters, see :func:`values_of`.
    """
    found = {"row_key": row_key, "before": before, "after": after}
    parts: list[Part] = [
        found[name] or "NULL::text" if name in found else Param(_PREFIX + name, None, None, _TYPES.get(name, "::text"))
        for name in _COLUMNS
    ]
    return sql(f"INSERT INTO vallum_audit ({', '.join(_COLUMNS)}) SELECT ", joined(", ", parts), f" FROM {source}")


def values_of(event: AuditEvent) -> dict[str, Value]:
    """The parameters of :func:`insert_select`."""
    return {_PREFIX + name: value for name, value in zip(_COLUMNS, _row(event), strict=True)}


def insert(event: AuditEvent, dialect: DialectName) -> Statement:
    """Append the event; there is no statement that changes or removes one."""
    return Statement(_INSERT[dialect].text, _row(event))


def _row(event: AuditEvent) -> tuple[Value, ...]:
    """In the order of `_COLUMNS`."""
    return (
        event.at,
        event.request_id,
        event.principal,
        event.verb,
        event.resource,
        event.row_key,
        json.dumps(event.fields, ensure_ascii=False),
        event.before,
        event.after,
        event.note,
        event.api_key,
    )
