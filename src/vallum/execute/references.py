"""Rows that refer to one another: a written reference must be readable, a removed row must not take others along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ForeignKeyConstraint, Table

from vallum.authorise.rights import Access, Rights
from vallum.declare.dialect import DialectName
from vallum.declare.model import acting_on
from vallum.declare.policy import Operation
from vallum.declare.resource import Reference, Resource
from vallum.execute.frame import Frame
from vallum.execute.shape import column_name, key_param, table_of, value_param, visible
from vallum.execute.written import NEW
from vallum.refusals import IN_USE, Fault, Refusal
from vallum.store.ports import Script, Value
from vallum.store.sql import Param, Part, Prepared, Sql, all_of, column_sql, quoted, render, sql, table_sql

MISSING: Final = "There is no such row."
RAW: Final = "raw_"
"""Present values of the other parts of a composite reference, as the driver holds them: `raw_<field>`."""


def resource_of(rights: Rights, table: Table) -> Resource | None:
    """The resource that serves a table, or None."""
    return next((r for r in rights.api.resources.values() if r.table is table), None)


def missing_references(
    frame: Frame, resource: Resource, written: Mapping[str, Any], raw: Mapping[str, Value]
) -> Script[list[Fault]]:
    """A fault for each written reference whose row does not exist for this caller.

    `written` has the new values by field; `raw` the driver's present values of the other parts of composite references.
    """
    faults: list[Fault] = []
    for reference, touched in pointing(resource, written, raw):
        found = False
        if readable(frame, reference) is not None:
            key = ("reference", frame.rights, resource.name, reference, touched)
            prepared = frame.plans.get(key, _exists, frame, resource, reference, touched)
            values = frame.values.with_(
                {**{f"{RAW}{k}": v for k, v in raw.items()}, **{f"{NEW}{k}": written[k] for k in touched}}
            )
            found = bool((yield prepared.bind(values)))
        if not found:
            faults += [Fault(f"/{name}", "reference", MISSING) for name in touched]
    return faults


def pointing(
    resource: Resource, written: Mapping[str, Any], raw: Mapping[str, Value]
) -> Iterator[tuple[Reference, tuple[str, ...]]]:
    """Each written reference that will point to a row, with the fields of it that are written."""
    for reference in resource.references:
        touched = tuple([name for name in reference.fields if name in written])
        if touched and all(written.get(name, raw.get(name)) is not None for name in reference.fields):
            yield reference, touched


def readable(frame: Frame, reference: Reference) -> tuple[Resource, Access] | None:
    """Where the reference points to, and what the caller may READ there; None for nothing."""
    target = resource_of(frame.rights, reference.target)
    read = None if target is None else frame.rights.on(target, Operation.READ)
    return None if target is None or read is None else (target, read)


def _exists(frame: Frame, resource: Resource, reference: Reference, touched: Sequence[str]) -> Prepared:
    return render(exists(frame, resource, reference, touched), frame.dialect)


def exists(frame: Frame, resource: Resource, reference: Reference, touched: Sequence[str]) -> Sql:
    """The row that a readable reference points to, as its `touched` fields are written; the others stay as they are."""
    found = readable(frame, reference)
    if found is None:
        raise TypeError("asked only for a readable target")
    target, read = found
    terms: list[Part] = []
    for name, element in zip(reference.fields, reference.constraint.elements, strict=True):
        slot = f"{NEW}{name}" if name in touched else f"{RAW}{name}"
        param = value_param(resource.fields[name], slot, frame.dialect)
        if name not in touched:
            param = Param(slot, cast=param.cast)  # it is the driver's value already
        terms.append(sql(f"{column_sql(element.column, frame.dialect)} = ", param))
    where = all_of([*terms, visible(read)])
    return sql("SELECT 1 FROM ", table_of(target, frame.dialect), " WHERE ", where)


def refuse_orphans(frame: Frame, resource: Resource, values: Mapping[str, Value]) -> Script[None]:
    """Refuse when the removal would take along a row that the caller may not DELETE and that no cascade names.

    Raises:
        Refusal: IN_USE.
    """
    for constraint in endangered(resource):
        key = ("orphans", frame.rights, resource.name, constraint)
        prepared = frame.plans.get(key, _orphans, frame, resource, constraint)
        if (yield prepared.bind(values)):
            raise Refusal(IN_USE)


def endangered(resource: Resource) -> list[ForeignKeyConstraint]:
    """Foreign keys by which the removal of a row could take along rows that no declared cascade names."""
    return [c for c in acting_on(resource.table) if c.table.key not in resource.cascade]


def _orphans(frame: Frame, resource: Resource, constraint: ForeignKeyConstraint) -> Prepared:
    return render(orphans(frame, resource, constraint), frame.dialect)


def orphans(frame: Frame, resource: Resource, constraint: ForeignKeyConstraint) -> Sql:
    """Rows behind a foreign key that would go along, or be changed, and are not the caller's to DELETE."""
    dialect: DialectName = frame.dialect
    here = table_sql(resource.table, dialect)
    terms: list[Part] = []
    for element in constraint.elements:
        referred = quoted(element.column.name, dialect)
        terms.append(
            sql(
                f"{column_sql(element.parent, dialect)} = (SELECT vallum_row.{referred} FROM {here} AS vallum_row WHERE ",
                _aliased_key(resource, dialect),
                ")",
            )
        )
    owner = resource_of(frame.rights, constraint.table)
    if owner is not None:
        read, remove = frame.rights.on(owner, Operation.READ), frame.rights.on(owner, Operation.DELETE)
        if read is not None and remove is not None:
            terms.append(sql("(", all_of([visible(read), visible(remove)]), ") IS NOT TRUE"))
    return sql("SELECT 1 FROM ", table_sql(constraint.table, dialect), " WHERE ", all_of(terms), " LIMIT 1")


def _aliased_key(resource: Resource, dialect: DialectName) -> Part:
    return all_of(
        sql(f"vallum_row.{column_name(resource.fields[name], dialect)} = ", key_param(resource, index, dialect))
        for index, name in enumerate(resource.key)
    )
