"""Rows that refer to one another: a written reference must be readable, a removed row must not take others along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ForeignKeyConstraint, Table

from vallum.authorise.rights import Rights
from vallum.declare.dialect import DialectName
from vallum.declare.model import acting_on
from vallum.declare.policy import Operation
from vallum.declare.resource import Reference, Resource
from vallum.execute.frame import Frame
from vallum.execute.shape import key_condition, table_of, value_param, visible
from vallum.execute.written import NEW
from vallum.refusals import IN_USE, Fault, Refusal
from vallum.store.ports import Script, Value
from vallum.store.sql import Param, Part, Prepared, all_of, column_sql, quoted, render, sql, table_sql

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
    for reference in resource.references:
        touched = [name for name in reference.fields if name in written]
        if not touched or any(written.get(name, raw.get(name)) is None for name in reference.fields):
            continue
        target = resource_of(frame.rights, reference.target)
        if target is None or frame.rights.on(target, Operation.READ) is None:
            found = False
        else:
            key = ("reference", frame.rights, resource.name, reference, tuple(touched))
            prepared = frame.plans.get(key, lambda r=reference, t=target, w=touched: _exists(frame, resource, r, t, w))  # type: ignore[misc]
            values = frame.values.with_(
                {**{f"{RAW}{k}": v for k, v in raw.items()}, **{f"{NEW}{k}": written[k] for k in touched}}
            )
            found = bool((yield prepared.bind(values)))
        if not found:
            faults += [Fault(f"/{name}", "reference", MISSING) for name in touched]
    return faults


def _exists(
    frame: Frame, resource: Resource, reference: Reference, target: Resource, touched: Sequence[str]
) -> Prepared:
    read = frame.rights.on(target, Operation.READ)
    if read is None:
        raise TypeError("asked only for a readable target")
    terms: list[Part] = []
    for name, column in zip(reference.fields, reference.target_columns, strict=True):
        slot = f"{NEW}{name}" if name in touched else f"{RAW}{name}"
        param = value_param(resource.fields[name], slot, frame.dialect)
        if name not in touched:
            param = Param(slot, cast=param.cast)  # it is the driver's value already
        terms.append(sql(f"{column_sql(target.table.c[column], frame.dialect)} = ", param))
    where = all_of([*terms, visible(read)])
    return render(sql("SELECT 1 FROM ", table_of(target, frame.dialect), " WHERE ", where), frame.dialect)


def refuse_orphans(frame: Frame, resource: Resource, values: Mapping[str, Value]) -> Script[None]:
    """Refuse when the removal would take along a row that the caller may not DELETE and that no cascade names.

    Raises:
        Refusal: IN_USE.
    """
    for constraint in acting_on(resource.table):
        if constraint.table.key in resource.cascade:
            continue
        key = ("orphans", frame.rights, resource.name, constraint)
        prepared = frame.plans.get(key, lambda c=constraint: _orphans(frame, resource, c))  # type: ignore[misc]
        if (yield prepared.bind(values)):
            raise Refusal(IN_USE)


def _orphans(frame: Frame, resource: Resource, constraint: ForeignKeyConstraint) -> Prepared:
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
    return render(
        sql("SELECT 1 FROM ", table_sql(constraint.table, dialect), " WHERE ", all_of(terms), " LIMIT 1"), dialect
    )


def _aliased_key(resource: Resource, dialect: DialectName) -> Part:
    original = key_condition(resource, dialect)
    prefix, alias = f"{table_sql(resource.table, dialect)}.", "vallum_row."
    return sql(*(p.replace(prefix, alias) if isinstance(p, str) else p for p in original.parts))
