"""The script of a bulk: the scripts of its rows in one transaction, in the order of the request.

1. Each row is found, permitted, written, judged and recorded by the script of a single write (`writes`), which sees what
   the rows before it have done.
2. A row that is refused before it has changed anything does not keep the others from being looked at: all of them are
   told at once. Behind a state that no rule allows, or that broke a constraint, nobody may look any further.
3. One refused row undoes all of them.
4. Rows that are there already are locked before, in the order of their keys: else two bulks that name the same rows in
   other orders would wait for each other for ever, which PostgreSQL notices after a second. Only rows that the caller may
   READ: nobody holds up what it cannot see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vallum import defaults
from vallum.authorise.rights import Access
from vallum.declare.policy import Operation
from vallum.declare.resource import Resource
from vallum.declare.route import Verb
from vallum.execute import writes
from vallum.execute.frame import Frame, key_values
from vallum.execute.once import Result
from vallum.execute.shape import KEY, field_sql, table_of, visible
from vallum.refusals import (
    BODY_INVALID,
    CONFLICT,
    FORBIDDEN,
    IN_USE,
    NOT_FOUND,
    STALE,
    STATE_FORBIDDEN,
    Fault,
    Refusal,
)
from vallum.store.ports import Script, Violation
from vallum.store.sql import Param, Prepared, all_of, cast, joined, quoted, render, sql
from vallum.validate.bulk import BulkRow, within
from vallum.validate.faults import LENGTH
from vallum.validate.stage import BulkIntent

OF_A_ROW: Final = frozenset({NOT_FOUND, FORBIDDEN, STALE, BODY_INVALID, STATE_FORBIDDEN, CONFLICT, IN_USE})
"""What a row is refused with; every other refusal is of the whole request."""
TOO_MUCH: Final = Fault("", LENGTH, f"Its answer would take more than {defaults.PAGE_BYTES} bytes: send fewer rows.")


def write(frame: Frame, intent: BulkIntent) -> Script[Result]:
    """Write all rows, or none.

    Raises:
        Refusal: that of the first refused row, with the faults of every row that was refused.
    """
    yield from _lock(frame, intent)
    written: list[str | None] = []
    room = defaults.PAGE_BYTES
    first: Refusal | None = None
    faults: list[Fault] = []
    for row in intent.rows:
        try:
            json = yield from _one(frame, intent, row)
        except Refusal as refusal:
            if refusal.reason not in OF_A_ROW:
                raise
            first = first or refusal
            faults += _faults(refusal, row.pointer)
            if refusal.reason is STATE_FORBIDDEN or isinstance(refusal.__cause__, Violation):
                break
        else:
            written.append(json)
            room -= 0 if json is None else len(json.encode())
            if room < 0:
                raise Refusal(BODY_INVALID, faults=(TOO_MUCH,))
    if first is not None:
        detail = f"{first.detail} Nothing was written: all rows are, or none."
        raise Refusal(first.reason, detail, faults=tuple(faults[: defaults.MAX_FAULTS])) from first
    return Result(_items(written))


def _lock(frame: Frame, intent: BulkIntent) -> Script[None]:
    resource, read = intent.resource, frame.rights.on(intent.resource, Operation.READ)
    if frame.dialect != "postgresql" or intent.authorised.verb is Verb.CREATE or read is None:
        return  # nothing but SQLite's single writer locks there
    prepared = frame.plans.get(("lock", frame.rights, resource.name), _locking, resource, read)
    keys = [key_values(resource, row.key, frame.dialect) for row in intent.rows]
    yield prepared.bind(frame.values.with_({name: [key[name] for key in keys] for name in keys[0]}))


def _locking(resource: Resource, read: Access) -> Prepared:
    parts = [resource.fields[name] for name in resource.key]
    columns = joined(", ", (field_sql(resource, part, "postgresql") for part in parts))
    slots = (
        Param(f"{KEY}{index}", None, None, f"{cast(part.type, 'postgresql')}[]") for index, part in enumerate(parts)
    )
    table, name = table_of(resource, "postgresql"), quoted(resource.table.name, "postgresql")  # a lock names no schema
    named = sql("(", columns, ") IN (SELECT * FROM unnest(", joined(", ", slots), "))")
    where = all_of([named, visible(read)])
    statement = sql(f"SELECT 1 FROM {table} WHERE ", where, " ORDER BY ", columns, f" FOR UPDATE OF {name}")
    return render(statement, "postgresql")


def _one(frame: Frame, intent: BulkIntent, row: BulkRow) -> Script[str | None]:
    """One row, and its JSON where the caller may read it."""
    resource, access, verb, if_match = intent.resource, intent.access, intent.authorised.verb, intent.if_match
    if verb is Verb.CREATE:
        return (yield from writes.create(frame, resource, access, row.values)).json
    if verb is Verb.REMOVE_MANY:
        yield from writes.remove(frame, resource, access, row.key, if_match)
        return None
    if if_match is None:
        raise TypeError("a change has a precondition")
    return (yield from writes.change(frame, resource, access, row.key, row.values, if_match)).json


def _faults(refusal: Refusal, pointer: str) -> list[Fault]:
    """The faults of a row where the whole request has it; without any, the refusal itself is one."""
    reason = refusal.reason
    return within(pointer, refusal.faults) or [Fault(pointer, reason.code, reason.detail)]


def _items(rows: Sequence[str | None]) -> str | None:
    """The rows as the caller may read them, in order: null where it may not, and nothing at all when there is no other."""
    if all(row is None for row in rows):
        return None
    return f'{{"items":[{",".join(["null" if row is None else row for row in rows])}]}}'
