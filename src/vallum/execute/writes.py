"""The scripts of create, change and remove. Each runs in one transaction, behind :func:`rows.unmoved`; raising undoes all of it.

The order of refusals is the contract: unreadable 404, not allowed 403, stale 412, faulty references 422, then the
rule on the new state 403.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import types

from vallum.authorise.rights import Access, Grant
from vallum.declare.dialect import DialectName
from vallum.declare.policy import Operation
from vallum.declare.resource import Resource
from vallum.execute.frame import Frame, Values
from vallum.execute.references import missing_references, refuse_orphans
from vallum.execute.rows import Seen, locate, record, reread
from vallum.execute.shape import KEY, column_name, key_condition, ordered, table_of, value_param
from vallum.execute.violations import refusal_of
from vallum.execute.written import (
    NEW,
    Assignment,
    changed_row,
    made_values,
    new_row,
    writing,
)
from vallum.refusals import BODY_INVALID, FORBIDDEN, IN_USE, STALE, STATE_FORBIDDEN, Fault, Refusal
from vallum.store.ports import Script, Statement, Violation
from vallum.store.sql import Prepared, Sql, joined, render, sql
from vallum.validate.faults import VALUE
from vallum.validate.merge_patch import merge, target_of
from vallum.validate.preconditions import EntityTags

DELETED_AT: Final = "deleted_at"
ATTEMPT: Final = Statement("SAVEPOINT vallum_attempt", ())
UNDO: Final = Statement("ROLLBACK TO SAVEPOINT vallum_attempt", ())
KEEP: Final = Statement("RELEASE SAVEPOINT vallum_attempt", ())
UNMERGEABLE: Final = "What is stored here holds numbers or a depth that a merge would lose; it can only be replaced."


def create(frame: Frame, resource: Resource, access: Access, body: Mapping[str, Any]) -> Script[Seen]:
    """Insert a row and return it as the caller sees it.

    Raises:
        Refusal: BODY_INVALID for a reference to no readable row, STATE_FORBIDDEN when no rule holds for the new row,
            CONFLICT and the like for violated constraints.
    """
    faults = yield from missing_references(frame, resource, body, {})
    if faults:
        raise Refusal(BODY_INVALID, faults=tuple(faults))
    names = tuple(name for name in resource.fields if name in body)
    grants = access.grants
    tentative = len(grants) > 1 and bool(writing(grants, body))
    if tentative:
        yield ATTEMPT
    key = yield from _inserted(frame, resource, access, grants, body)
    seen = yield from reread(frame, resource, access, key)
    while seen is not None and (wrong := _unheld(grants, body, seen.mask)):
        # What a rule's `set=` wrote stands only where that rule holds, else two rules would add up to a row that
        # neither allows: without such a rule the others write it anew.
        grants = tuple([grant for grant in grants if grant not in wrong])
        if not grants:
            raise Refusal(STATE_FORBIDDEN)
        yield UNDO  # and what triggers made of it: nobody may see a row that never was
        key = yield from _inserted(frame, resource, access, grants, body)
        seen = yield from reread(frame, resource, access, key)
    if tentative:
        yield KEEP
    mask = 0 if seen is None else seen.mask & ~sum(grant.bit for grant in access.grants if grant not in grants)
    if seen is None or not access.holds(mask) or not all(access.allows(mask, name) for name in names):
        raise Refusal(STATE_FORBIDDEN)
    yield from record(frame, resource, "create", seen, names, seen)
    return seen


def _unheld(grants: Sequence[Grant], body: Mapping[str, Any], mask: int) -> list[Grant]:
    """The grants that have written into a row on which they do not hold."""
    return [grant for grant in writing(grants, body) if not mask & grant.bit]


def _inserted(
    frame: Frame, resource: Resource, access: Access, grants: Sequence[Grant], body: Mapping[str, Any]
) -> Script[Values]:
    """Insert the row with what these grants write; the values of its key."""
    names = tuple(name for name in resource.fields if name in body)
    prepared, made = _insert(frame, resource, grants, names)
    values = frame.values.with_({**made_values(resource, made, update=False), **{f"{NEW}{n}": body[n] for n in names}})
    try:
        rows = yield prepared.bind(values)
    except Violation as violation:
        raise refusal_of(violation, resource, known_fields(frame, resource, access)) from violation
    return frame.values.with_({f"{KEY}{i}": value for i, value in enumerate(rows[0])})


def change(
    frame: Frame,
    resource: Resource,
    access: Access,
    key: tuple[Any, ...],
    body: Mapping[str, Any],
    if_match: EntityTags,
) -> Script[Seen]:
    """Change a row and return it as the caller sees it afterwards.

    Raises:
        Refusal: NOT_FOUND, FORBIDDEN, STALE, BODY_INVALID, STATE_FORBIDDEN, CONFLICT and the like, in this order.
    """
    values = frame.key_values(resource, key)
    names = tuple(name for name in resource.fields if name in body)
    raw = raw_fields(resource, names)
    before = yield from locate(frame, resource, access, values, raw)
    _permit(access, before.mask, names)
    if before.tag is None or not if_match.matches(before.tag):
        raise Refusal(STALE)
    if not names:
        return before
    written, faults = _merged(body, names, before.raw)
    faults += _grown(resource, written, before.raw)
    faults += yield from missing_references(frame, resource, written, before.raw)
    if faults:
        raise Refusal(BODY_INVALID, faults=tuple(faults))
    prepared, made = _update(frame, resource, names)
    values.update(made_values(resource, made, update=True))
    values.update({f"{NEW}{n}": written[n] for n in names})
    try:
        yield prepared.bind(values)
    except Violation as violation:
        raise refusal_of(violation, resource, known_fields(frame, resource, access)) from violation
    after = yield from reread(frame, resource, access, values)
    # One and the same rule holds before and after, else two rules would add up to a step that neither allows.
    both = 0 if after is None else before.mask & after.mask
    if after is None or not access.holds(both) or not all(access.allows(both, name) for name in names):
        raise Refusal(STATE_FORBIDDEN)
    yield from record(frame, resource, "change", before, names, after)
    return after


def _merged(
    body: Mapping[str, Any], names: Sequence[str], raw: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Fault]]:
    """The values to write, documents merged into what is there, and a fault for each that nothing can be merged into."""
    written: dict[str, Any] = {}
    faults: list[Fault] = []
    for name in names:
        patch = body[name]
        try:
            written[name] = merge(target_of(raw[name]), patch) if name in raw and isinstance(patch, dict) else patch
        except ValueError:
            faults.append(Fault(f"/{name}", VALUE, UNMERGEABLE))
    return written, faults


def _grown(resource: Resource, written: Mapping[str, Any], raw: Mapping[str, Any]) -> list[Fault]:
    """Documents that have become larger than a body may be: patch by patch they would grow without end."""
    merged = [name for name in written if name in raw and isinstance(written[name], (dict, list))]
    longest = resource.max_body_bytes
    return [
        Fault(f"/{name}", "length", f"The merged document would take more than {longest} bytes.")
        for name in merged
        if len(json.dumps(written[name], ensure_ascii=False).encode(errors="surrogatepass")) > longest
    ]


def remove(
    frame: Frame, resource: Resource, access: Access, key: tuple[Any, ...], if_match: EntityTags | None
) -> Script[None]:
    """Delete a row, or mark it deleted.

    Raises:
        Refusal: NOT_FOUND, FORBIDDEN, STALE, IN_USE, in this order.
    """
    values = frame.key_values(resource, key)
    before = yield from locate(frame, resource, access, values)
    _permit(access, before.mask, ())
    if if_match is not None and (before.tag is None or not if_match.matches(before.tag)):
        raise Refusal(STALE)
    if resource.soft_delete is None:
        yield from refuse_orphans(frame, resource, values)
    prepared = frame.plans.get(("remove", resource.name, frame.dialect), lambda: _remove(frame, resource))
    values[DELETED_AT] = datetime.datetime.fromtimestamp(frame.now, datetime.UTC)
    try:
        yield prepared.bind(values)
    except Violation as violation:
        raise Refusal(IN_USE) from violation
    yield from record(frame, resource, "remove", before, (), None)


def known_fields(frame: Frame, resource: Resource, access: Access) -> frozenset[str]:
    """The fields that this caller may hear of: readable or writable ones."""
    read = frame.rights.on(resource, Operation.READ)
    return access.granted | (frozenset() if read is None else read.granted)


def _permit(access: Access, mask: int, names: Sequence[str]) -> None:
    """Refuse unless a rule holds on the row and grants each of the fields there."""
    if not access.holds(mask) or not all(access.allows(mask, name) for name in names):
        raise Refusal(FORBIDDEN)


def raw_fields(resource: Resource, names: Sequence[str]) -> tuple[str, ...]:
    """Present values that a change of these fields needs: JSON documents to merge into, other parts of composite references."""
    documents = {name for name in names if isinstance(resource.fields[name].type, types.JSON)}
    partners = {
        name for r in resource.references if any(n in names for n in r.fields) for name in r.fields if name not in names
    }
    return ordered(resource, documents | partners)


def _insert(
    frame: Frame, resource: Resource, grants: Sequence[Grant], names: tuple[str, ...]
) -> tuple[Prepared, tuple[str, ...]]:
    dialect = frame.dialect
    assignments, made = new_row(resource, grants, names, dialect)

    def build() -> Prepared:
        return render(_insert_sql(resource, assignments, dialect), dialect)

    bits = sum(grant.bit for grant in grants)
    return frame.plans.get(("insert", frame.rights, resource.name, names, bits), build), made


def _insert_sql(resource: Resource, assignments: Sequence[Assignment], dialect: DialectName) -> Sql:
    keys = ", ".join(column_name(resource.fields[name], dialect) for name in resource.key)
    table = table_of(resource, dialect)
    if not assignments:
        return sql(f"INSERT INTO {table} DEFAULT VALUES RETURNING {keys}")
    columns = ", ".join(column for column, _ in assignments)
    values = joined(", ", (value for _, value in assignments))
    return sql(f"INSERT INTO {table} ({columns}) VALUES (", values, f") RETURNING {keys}")


def _update(frame: Frame, resource: Resource, names: tuple[str, ...]) -> tuple[Prepared, tuple[str, ...]]:
    dialect = frame.dialect
    assignments, made = changed_row(resource, names, dialect)

    def build() -> Prepared:
        sets = joined(", ", (sql(f"{column} = ", value) for column, value in assignments))
        table = table_of(resource, dialect)
        return render(sql(f"UPDATE {table} SET ", sets, " WHERE ", key_condition(resource, dialect)), dialect)

    return frame.plans.get(("update", dialect, resource.name, names), build), made


def soft_deletion(resource: Resource, dialect: DialectName) -> Sql | None:
    """`column = instant` instead of a removal; None when rows of this resource are really removed."""
    if resource.soft_delete is None:
        return None
    field = resource.fields[resource.soft_delete]
    return sql(f"{column_name(field, dialect)} = ", value_param(field, DELETED_AT, dialect))


def _remove(frame: Frame, resource: Resource) -> Prepared:
    dialect = frame.dialect
    mark = soft_deletion(resource, dialect)
    table = table_of(resource, dialect)
    doing = sql(f"DELETE FROM {table}") if mark is None else sql(f"UPDATE {table} SET ", mark)
    return render(sql(doing, " WHERE ", key_condition(resource, dialect)), dialect)
