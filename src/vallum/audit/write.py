"""The statement that records an event, run in the transaction of the write itself."""

from __future__ import annotations

import json
from typing import Final

from vallum.audit.event import AuditEvent
from vallum.declare.dialect import DialectName
from vallum.store.ports import Statement
from vallum.store.sql import Param, each_dialect, joined

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
"""`insert` gives the values in the order of `_COLUMNS`."""


def insert(event: AuditEvent, dialect: DialectName) -> Statement:
    """Append the event; there is no statement that changes or removes one."""
    return Statement(
        _INSERT[dialect].text,
        (
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
        ),
    )
