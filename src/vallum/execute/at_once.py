"""A write in one statement, where the store can do it (PostgreSQL): it says yes, or it does nothing at all.

1. Every condition under which the scripts of `writes` carry a write out stands in the statement. Where one does not hold,
   nothing is written and the script runs: it knows what to refuse, in which order. So each refusal has one home.
2. The new state is judged on what RETURNING gives. The part that writes bears the name of the table itself, `WITH
   students AS (UPDATE students … RETURNING …)`, and for the parts behind it that name means those rows: the fragments
   that speak of the table need not be told.
3. All else is seen as it was before the statement. So a rule or field that reads the table itself again, or that a
   trigger, a view or a function of the database might have to do with, leaves the write to the script.
4. A rule that does not hold on the new state is a division by zero, which undoes the statement.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from vallum.audit.write import insert_select, values_of
from vallum.authorise.rights import Access
from vallum.declare.policy import Operation
from vallum.declare.resource import Reference, Resource
from vallum.execute.frame import Frame, Values
from vallum.execute.references import endangered, exists, orphans, pointing, readable
from vallum.execute.rows import audit_event, seen_sql
from vallum.execute.shape import epoch_sql, field_sql, holds, key_condition, ordered, shown, table_of, visible
from vallum.execute.writes import DELETED_AT, raw_fields, soft_deletion
from vallum.execute.written import NEW, changed_row, made_values, new_row, writing
from vallum.store.ports import Statement
from vallum.store.sql import Param, Part, Prepared, Sql, all_of, joined, quoted, render, sql
from vallum.validate.preconditions import EntityTags

EPOCH: Final = "epoch_then"
TAGS: Final = "if_match"
NOTHING: Final = Prepared("", ())
"""In place of a statement that there cannot be."""
BEFORE: Final = "vallum_before"
AFTER: Final = "vallum_after"
"""The row before and after: parts of the statement, which may not be called like the table that is written."""
NAME: Final = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
"""An identifier, quoted or not. Other quoted things look like one; they only make the statement fall back to the script."""


def creation(
    frame: Frame, opaque: frozenset[str] | None, resource: Resource, access: Access, body: Mapping[str, Any]
) -> Statement | None:
    """`writes.create`. One row as `rows.seen_of` takes it, or none.

    Args:
        opaque: of the store (see `ports.Database`).
    """
    pointers = tuple(pointing(resource, body, {}))
    if opaque is None or any(readable(frame, reference) is None for reference, _ in pointers):
        return None
    names = tuple(name for name in resource.fields if name in body)
    key = ("create at once", frame.rights, resource.name, names, pointers, frame.principal.id is None)
    prepared = frame.plans.get(key, _creation, frame, opaque, resource, access, names, pointers)
    if prepared is NOTHING:
        return None
    _, made = new_row(resource, access.grants, names, frame.dialect)
    values = _values(frame, resource, "create", names)
    values.update(made_values(resource, made, update=False))
    values.update({f"{NEW}{name}": body[name] for name in names})
    return prepared.bind(values)


def change(
    frame: Frame,
    opaque: frozenset[str] | None,
    resource: Resource,
    access: Access,
    key: tuple[Any, ...],
    body: Mapping[str, Any],
    if_match: EntityTags,
) -> Statement | None:
    """`writes.change`. One row as `rows.seen_of` takes it, or none."""
    names = tuple(name for name in resource.fields if name in body)
    # Documents are merged, and composite references compared, with what is there: in Python.
    if opaque is None or not names or raw_fields(resource, names):
        return None
    pointers = tuple(pointing(resource, body, {}))
    if any(readable(frame, reference) is None for reference, _ in pointers):
        return None
    plan = ("change at once", frame.rights, resource.name, access, names, pointers, if_match.any)
    prepared = frame.plans.get(plan, _change, frame, opaque, resource, access, names, pointers, any_=if_match.any)
    if prepared is NOTHING:
        return None
    _, made = changed_row(resource, names, frame.dialect)
    values = _values(frame, resource, "change", names, frame.key_values(resource, key))
    values.update(made_values(resource, made, update=True))
    values.update({f"{NEW}{name}": body[name] for name in names})
    values[TAGS] = list(if_match.strong)
    return prepared.bind(values)


def removal(
    frame: Frame,
    opaque: frozenset[str] | None,
    resource: Resource,
    access: Access,
    key: tuple[Any, ...],
    if_match: EntityTags | None,
) -> Statement | None:
    """`writes.remove`. One row when it is carried out, or none."""
    if opaque is None:
        return None
    any_ = if_match is None or if_match.any
    plan = ("remove at once", frame.rights, resource.name, access, any_)
    prepared = frame.plans.get(plan, _removal, frame, opaque, resource, access, any_=any_)
    if prepared is NOTHING:
        return None
    values = _values(frame, resource, "remove", (), frame.key_values(resource, key))
    values[DELETED_AT] = datetime.datetime.fromtimestamp(frame.now, datetime.UTC)
    values[TAGS] = [] if if_match is None else list(if_match.strong)
    return prepared.bind(values)


Pointers = Sequence[tuple[Reference, Sequence[str]]]


def _creation(
    frame: Frame, opaque: frozenset[str], resource: Resource, access: Access, names: Sequence[str], pointers: Pointers
) -> Prepared:
    dialect, table = frame.dialect, table_of(resource, frame.dialect)
    assignments, _ = new_row(resource, access.grants, names, dialect)
    after = _after(frame, resource, access)
    if not assignments or not _sees_all(frame, opaque, resource, access, after):
        return NOTHING
    mask = f"{AFTER}.mask"
    held = [f"({mask} & {grant.bit}) != 0" for grant in writing(access.grants, names)]
    row = sql(
        f"INSERT INTO {table} (", ", ".join(column for column, _ in assignments), ") SELECT ",
        joined(", ", (value for _, value in assignments)), " WHERE ",
        all_of([*_epoch(frame), *_pointing(frame, resource, pointers)]), " RETURNING *",
    )  # fmt: skip
    statement = sql(
        f"WITH {table} AS (", row, f"), {AFTER} (json, sees, key, mask) AS (", after, "), ",
        "vallum_logged AS (", insert_select(f"{AFTER}.key", None, _tag(AFTER), AFTER), ") ",
        f"SELECT {AFTER}.* FROM {AFTER} WHERE ", _or_undone([holds(access, mask), *held, *_allowed(access, names, mask)]),
    )  # fmt: skip
    return render(statement, dialect)


def _change(
    frame: Frame,
    opaque: frozenset[str],
    resource: Resource,
    access: Access,
    names: Sequence[str],
    pointers: Pointers,
    *,
    any_: bool,
) -> Prepared:
    dialect, table = frame.dialect, table_of(resource, frame.dialect)
    before, after = _before(frame, resource, access), _after(frame, resource, access)
    if before is None or not _sees_all(frame, opaque, resource, access, before, after):
        return NOTHING
    assignments, _ = changed_row(resource, names, dialect)
    terms = [*_may(frame, resource, access, names, any_=any_), *_pointing(frame, resource, pointers)]
    row = sql(
        f"UPDATE {table} SET ", joined(", ", (sql(f"{column} = ", value) for column, value in assignments)),
        f" FROM {BEFORE} WHERE ", all_of(terms), f" RETURNING {table}.*",
    )  # fmt: skip
    both = f"({BEFORE}.mask & {AFTER}.mask)"  # one and the same rule holds before and after
    statement = sql(
        f"WITH {BEFORE} (json, sees, key, mask) AS (", before, f"), {table} AS (", row, "), ",
        f"{AFTER} (json, sees, key, mask) AS (", after, "), ",
        "vallum_logged AS (", insert_select(f"{BEFORE}.key", _tag(BEFORE), _tag(AFTER), f"{BEFORE}, {AFTER}"), ") ",
        f"SELECT {AFTER}.* FROM {BEFORE}, {AFTER} WHERE ", _or_undone([holds(access, both), *_allowed(access, names, both)]),
    )  # fmt: skip
    return render(statement, dialect)


def _removal(frame: Frame, opaque: frozenset[str], resource: Resource, access: Access, *, any_: bool) -> Prepared:
    dialect, table = frame.dialect, table_of(resource, frame.dialect)
    before = _before(frame, resource, access)
    if before is None or not _sees_all(frame, opaque, resource, access, before):
        return NOTHING
    terms: list[Part] = _may(frame, resource, access, (), any_=any_)
    mark = soft_deletion(resource, dialect)
    if mark is None:
        terms += [sql("NOT EXISTS (", orphans(frame, resource, c), ")") for c in endangered(resource)]
    doing = (
        sql(f"DELETE FROM {table} USING {BEFORE}")
        if mark is None
        else sql(f"UPDATE {table} SET ", mark, f" FROM {BEFORE}")
    )
    statement = sql(
        f"WITH {BEFORE} (json, sees, key, mask) AS (", before, "), ",
        "vallum_gone AS (", doing, " WHERE ", all_of(terms), " RETURNING 1), ",
        "vallum_logged AS (", insert_select(f"{BEFORE}.key", _tag(BEFORE), None, f"{BEFORE}, vallum_gone"),
        ") SELECT 1 FROM vallum_gone",
    )  # fmt: skip
    return render(statement, dialect)


# What stands in the statements ----------------------------------------------------------------


def _before(frame: Frame, resource: Resource, access: Access) -> Sql | None:
    """The row, locked, when the caller may READ it; None where nothing may be read."""
    read = frame.rights.on(resource, Operation.READ)
    return None if read is None else seen_sql(resource, read, access, (), frame.dialect, hidden_too=False, lock=True)


def _after(frame: Frame, resource: Resource, access: Access) -> Sql:
    """The row that was written, whether the caller sees it or not."""
    read = frame.rights.on(resource, Operation.READ)
    return seen_sql(resource, read, access, (), frame.dialect, hidden_too=True, lock=False, here=sql("TRUE"))


def _may(frame: Frame, resource: Resource, access: Access, names: Sequence[str], *, any_: bool) -> list[Part]:
    """The row is the one that is meant, it is not stale, and a rule on it allows the write of these fields."""
    current = [] if any_ else [sql(_tag(BEFORE), " = ANY(", Param(TAGS, None, None, "::text[]"), ")")]
    allowed = [holds(access, f"{BEFORE}.mask"), *_allowed(access, names, f"{BEFORE}.mask")]
    return [key_condition(resource, frame.dialect), *_epoch(frame), *current, *allowed]


def _epoch(frame: Frame) -> list[Part]:
    if frame.principal.id is None:
        return []
    return [sql(epoch_sql(), " = ", Param(EPOCH, None, None, "::text"))]


def _pointing(frame: Frame, resource: Resource, pointers: Pointers) -> list[Part]:
    return [sql("EXISTS (", exists(frame, resource, reference, touched), ")") for reference, touched in pointers]


def _allowed(access: Access, names: Sequence[str], mask: str) -> list[Part]:
    return [shown(access, name, mask) for name in names]


def _or_undone(terms: Sequence[Part]) -> Sql:
    return sql("1 / CASE WHEN ", all_of(terms), " THEN 1 ELSE 0 END = 1")


def _tag(alias: str) -> str:
    """`crypto.digest.etag128` of what the caller sees; NULL when that is nothing."""
    digest = f"substr(encode(sha256(convert_to({alias}.json, 'UTF8')), 'hex'), 1, 32)"
    return f"CASE WHEN {alias}.sees = 1 THEN {digest} END"


def _sees_all(frame: Frame, opaque: frozenset[str], resource: Resource, access: Access, *seen: Sql) -> bool:
    """Whether what is judged cannot depend on anything that only the statement's end brings about."""
    if resource.table.schema is not None:  # the name of a part of a statement has none
        return False
    if any(opaque.intersection(_names(part)) for text in seen for part in text.parts if isinstance(part, str)):
        return False
    read = frame.rights.on(resource, Operation.READ)
    judged = [access.mask()]
    if read is not None:
        names = ordered(resource, read.granted)
        judged += [read.mask(), visible(read), *(field_sql(resource, resource.fields[n], frame.dialect) for n in names)]
    name = re.escape(quoted(resource.table.name, frame.dialect))
    alone = re.compile(rf'(?<![\w".]){name}(?![\w".])')  # not in front of one of its columns: it is read once more
    return not any(alone.search(part) for text in judged for part in text.parts if isinstance(part, str))


def _names(text: str) -> Iterator[str]:
    for quoted_name, word in NAME.findall(text):
        yield quoted_name.replace('""', '"') or word


def _values(frame: Frame, resource: Resource, verb: str, names: Sequence[str], values: Values | None = None) -> Values:
    found = frame.values.with_({}) if values is None else values
    found.update(values_of(audit_event(frame, resource, verb, names)))
    found[EPOCH] = str(frame.principal.epoch)
    return found
