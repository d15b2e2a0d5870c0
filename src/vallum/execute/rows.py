"""Scripts that every write shares: check the epoch, find the row under the rules, read it again, record it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Concatenate, ParamSpec, TypeVar, final

from sqlalchemy import types

from vallum.audit.event import AuditEvent
from vallum.audit.write import insert
from vallum.authorise.rights import Access
from vallum.crypto.digest import etag128
from vallum.declare.dialect import DialectName
from vallum.declare.policy import Operation
from vallum.declare.resource import Field, Resource
from vallum.execute.frame import Frame, Moved
from vallum.execute.shape import (
    epoch_sql,
    field_sql,
    key_condition,
    ordered,
    row_json,
    row_select,
    table_of,
    visible,
)
from vallum.refusals import NOT_FOUND, Refusal
from vallum.store.ports import Row, Script, Value
from vallum.store.sql import Part, Sql, all_of, quoted, render, sql

P = ParamSpec("P")
T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """A row as the caller sees it.

    Attributes:
        json: the full representation that this caller may read; None when it may not see the row.
        key_json: the key as a JSON object, for `Location` and the audit.
        mask: which grants of the operation hold on it.
        raw: the driver's values of the fields that were asked for.
    """

    json: str | None
    key_json: str
    mask: int
    raw: Mapping[str, Value]

    @property
    def tag(self) -> str | None:
        """The strong entity tag of the representation."""
        return None if self.json is None else etag128(self.json.encode())


def check_epoch(frame: Frame) -> Script[None]:
    """Compare the caller's epoch inside the transaction.

    Raises:
        Moved: it is another one.
    """
    if frame.principal.id is None:
        return
    prepared = frame.plans.get(("epoch", frame.dialect), lambda: render(sql("SELECT ", epoch_sql()), frame.dialect))
    rows = yield prepared.bind(frame.values)
    if rows[0][0] != str(frame.principal.epoch):
        raise Moved


def unmoved(
    write: Callable[Concatenate[Frame, P], Script[T]], frame: Frame, *args: P.args, **kwargs: P.kwargs
) -> Script[T]:
    """The script `write(frame, …)`, for a caller whose epoch has not moved.

    Raises:
        Moved: it has.
    """
    yield from check_epoch(frame)
    return (yield from write(frame, *args, **kwargs))


def locate(
    frame: Frame,
    resource: Resource,
    access: Access,
    values: Mapping[str, Value],
    raw: Sequence[str] = (),
    *,
    lock: bool = True,
) -> Script[Seen]:
    """Find the row among those that the caller may READ.

    Args:
        lock: keep others from writing it until the end of the transaction.

    Raises:
        Refusal: NOT_FOUND, for a missing row and an unreadable one alike.
    """
    read = frame.rights.on(resource, Operation.READ)
    if read is None:
        raise Refusal(NOT_FOUND)
    key = ("locate", frame.rights, resource.name, access, tuple(raw), lock)
    prepared = frame.plans.get(
        key,
        lambda: render(
            seen_sql(resource, read, access, raw, frame.dialect, hidden_too=False, lock=lock), frame.dialect
        ),
    )
    rows = yield prepared.bind(values)
    if not rows:
        raise Refusal(NOT_FOUND)
    return seen_of(rows[0], raw)


def reread(frame: Frame, resource: Resource, access: Access | None, values: Mapping[str, Value]) -> Script[Seen | None]:
    """Read the row as it is now, whether or not the caller sees it; None when it is gone."""
    read = frame.rights.on(resource, Operation.READ)
    key = ("reread", frame.rights, resource.name, access)
    prepared = frame.plans.get(
        key,
        lambda: render(seen_sql(resource, read, access, (), frame.dialect, hidden_too=True, lock=False), frame.dialect),
    )
    rows = yield prepared.bind(values)
    return seen_of(rows[0]) if rows else None


def record(
    frame: Frame, resource: Resource, verb: str, seen: Seen, fields: Sequence[str], after: Seen | None
) -> Script[None]:
    """Write the audit row in the same transaction."""
    before = seen.tag if seen is not after else None
    event = audit_event(frame, resource, verb, fields)
    found = replace(event, row_key=seen.key_json, before=before, after=None if after is None else after.tag)
    yield insert(found, frame.dialect)


def audit_event(frame: Frame, resource: Resource, verb: str, fields: Sequence[str]) -> AuditEvent:
    """Who does what, before it is known to which row."""
    return AuditEvent(
        at=frame.now,
        request_id=frame.request_id,
        principal=frame.principal.id,
        verb=verb,
        resource=resource.name,
        fields=tuple(fields),
        api_key=frame.principal.key,
    )


def key_parts(resource: Resource, key_json: str) -> tuple[Any, ...]:
    """The parts of a key from its JSON, in order."""
    found = json.loads(key_json)
    return tuple(found[name] for name in resource.key)


def seen_of(row: Row, raw: Sequence[str] = ()) -> Seen:
    """From a row of :func:`seen_sql`."""
    sees, key_json, mask = row[1], row[2], row[3]
    return Seen(row[0] if sees else None, key_json, int(mask), dict(zip(raw, row[4:], strict=True)))


def seen_sql(
    resource: Resource,
    read: Access | None,
    access: Access | None,
    raw: Sequence[str],
    dialect: DialectName,
    *,
    hidden_too: bool,
    lock: bool,
    here: Sql | None = None,
) -> Sql:
    """Columns: json, sees, key json, mask, then the raw fields.

    Args:
        read: what the caller may READ; None for nothing.
        access: whose mask it is.
        raw: fields whose values are given as the driver has them, JSON as text.
        hidden_too: also when the caller may not READ the row.
        here: which row; the one of the request's key when it is not said.
    """
    mask = sql("0") if access is None else access.mask()
    key_json = row_json(resource, resource.key, dialect)
    fields: list[Part] = [_raw_sql(resource, resource.fields[name], dialect) for name in raw]
    here = key_condition(resource, dialect) if here is None else here
    source = table_of(resource, dialect)
    if read is None:
        columns = sql("SELECT NULL, 0, ", key_json, ", ", mask)
        return sql(columns, *(sql(", ", f) for f in fields), " FROM ", source, " WHERE ", here)
    sees = sql("CASE WHEN ", visible(read), " THEN 1 ELSE 0 END")
    where = here if hidden_too else all_of([here, visible(read)])
    # Nothing but SQLite's single writer locks there; PostgreSQL names the table whose row is meant, without its schema.
    locked = (
        sql(where, f" FOR UPDATE OF {quoted(resource.table.name, dialect)}")
        if lock and dialect == "postgresql"
        else where
    )
    names = ordered(resource, read.granted)
    return row_select(resource, read, names, source, locked, dialect, [sees, key_json, mask, *fields])


def _raw_sql(resource: Resource, field: Field, dialect: DialectName) -> Sql:
    value = field_sql(resource, field, dialect)
    return sql("CAST(", value, " AS TEXT)") if isinstance(field.type, types.JSON) else value
