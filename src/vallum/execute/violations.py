"""Constraint violations as refusals that name only what the caller may know."""

from __future__ import annotations

from vallum.declare.resource import Resource
from vallum.refusals import ACTION_CONFLICT, BODY_INVALID, CONFLICT, IN_USE, Fault, Refusal
from vallum.store.ports import Violation


def refusal_of(violation: Violation, resource: Resource, known: frozenset[str]) -> Refusal:
    """The refusal for a violated constraint; `known` are the fields that this caller may name."""
    fields = _fields(violation, resource)
    named = fields if fields and known.issuperset(fields) else ()
    if violation.kind == "unique":
        return Refusal(CONFLICT, faults=tuple(Fault(f"/{f}", "taken", "Another row has this value.") for f in named))
    if violation.kind == "not_null":
        return Refusal(BODY_INVALID, faults=tuple(Fault(f"/{f}", "required", "A value is required.") for f in named))
    if violation.kind == "check":
        faults = tuple(Fault(f"/{f}", "check", "The value is outside what is allowed.") for f in named)
        return Refusal(BODY_INVALID, faults=faults or (Fault("", "check", "The values together are not allowed."),))
    return Refusal(IN_USE)


def refusal_in_handler(violation: Violation) -> Refusal:
    """The refusal for a constraint that a handler's own changes violated; it names nothing of the model."""
    return Refusal(CONFLICT if violation.kind == "unique" else ACTION_CONFLICT)


def _fields(violation: Violation, resource: Resource) -> tuple[str, ...]:
    """The fields behind the constraint, as far as the store says; empty when it is another table's."""
    if violation.table is not None and violation.table != resource.table.name:
        return ()
    by_column = {f.column.name: name for name, f in resource.fields.items() if f.column is not None}
    columns = violation.columns
    if not columns and violation.name is not None:
        columns = tuple(
            column.name
            for constraint in resource.table.constraints
            if constraint.name == violation.name and hasattr(constraint, "columns")
            for column in constraint.columns
        ) or tuple(
            # A check that is written inside a column stays with the column.
            column.name
            for column in resource.table.columns
            if any(constraint.name == violation.name for constraint in column.constraints)
        )
    return tuple(by_column[c] for c in columns) if all(c in by_column for c in columns) else ()
