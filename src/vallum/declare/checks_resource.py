"""A resource as a whole: filters, sorts, tenant, deletion, references, the author's own body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ForeignKeyConstraint, Table, types

from vallum.declare.app import API, OPERATION_COST
from vallum.declare.checks_finding import Finding, error, warning
from vallum.declare.checks_rule import COMPARED
from vallum.declare.model import acting_on
from vallum.declare.parameters import CREDENTIAL_PARAMETERS
from vallum.declare.policy import Operation, Rule
from vallum.declare.resource import Reference, Resource

OURS: Final = "vallum_"
"""What the names of Vallum's own tables begin with; reflection finds them beside the others."""
RESERVED: Final = frozenset({"limit", "after", "sort", "fields", "count", "include"})
"""Query parameters of a list; `validate.query` reads them, so a filter of that name would never be seen."""


def resource_findings(api: API, resource: Resource) -> list[Finding]:
    """What is wrong with a resource, apart from its model and its rules."""
    return [
        *_table_findings(resource),
        *_list_findings(resource, "filter", resource.filters),
        # The key is always among the sorts, readable or not: lists end with it.
        *_list_findings(resource, "sort", tuple(name for name in resource.sorts if name not in resource.key)),
        *_tenant_findings(api, resource),
        *_soft_delete_findings(resource),
        *_cascade_findings(resource),
        *_reference_findings(api, resource),
        *_body_findings(resource),
        *_word_findings(resource),
    ]


def _table_findings(resource: Resource) -> Iterator[Finding]:
    if resource.table.name.lower().startswith(OURS):
        yield error(
            "table-reserved",
            resource.path,
            "Vallum keeps its accounts, keys and audit in tables of this name.",
            "Leave it out; name a table of your own otherwise.",
        )


def allows(resource: Resource, operation: Operation) -> list[Rule]:
    """The allow rules of an operation."""
    return [rule for rule in resource.rules_on(operation) if rule.effect == "allow"]


def _list_findings(resource: Resource, word: str, names: tuple[str, ...]) -> Iterator[Finding]:
    rules = allows(resource, Operation.READ)
    readable = {name for rule in rules for name in (resource.fields if rule.fields is None else rule.fields)}
    for name in names:
        place = f"{resource.path}, {word}s=[{name!r}]"
        if name not in resource.fields:
            yield error(
                "filter-field" if word == "filter" else "sort-field",
                place,
                "There is no such field.",
                f"Known are {', '.join(resource.fields)}.",
            )
        elif name not in readable:
            yield error(
                "filter-unreadable" if word == "filter" else "sort-unreadable",
                place,
                "No role may read this field.",
                "Let a rule READ it, or drop it here.",
            )
        elif word == "filter" and name in RESERVED:
            yield error(
                "filter-reserved", place, "This name is a parameter of every list.", "Give the attribute another name."
            )
        elif word == "filter" and name.lower() in CREDENTIAL_PARAMETERS:
            yield error(
                "filter-reserved",
                place,
                "A query with this name is refused: credentials travel in headers only.",
                "Give the attribute another name.",
            )
        elif word == "sort" and isinstance(resource.fields[name].type, (types.JSON, types.LargeBinary)):
            yield error("sort-type", place, "JSON documents and bytes have no order.", "Drop it here.")


def _tenant_findings(api: API, resource: Resource) -> Iterator[Finding]:
    if resource.tenant is None:
        return
    name, attribute = resource.tenant
    field, place = resource.fields.get(name), f"{resource.path}, tenant"
    if attribute not in api.attributes:
        yield error(
            "tenant-attribute", place, f"There is no attribute {attribute!r}.", "Declare it in API(attributes={…})."
        )
    if field is None or field.column is None:
        yield error(
            "tenant-column",
            place,
            f"{resource.model.__name__} has no column {name!r}: its rows would belong to every tenant.",
            "Give the model the column, or serve it by an API without a tenant.",
        )
    elif not isinstance(field.type, COMPARED.get(api.attributes.get(attribute, object), object)):
        yield error(
            "tenant-column",
            place,
            f"The column is {field.type!r}, the attribute {api.attributes[attribute].__name__}.",
            "Give both the same type.",
        )


def _soft_delete_findings(resource: Resource) -> Iterator[Finding]:
    if resource.soft_delete is None:
        return
    field = resource.fields.get(resource.soft_delete)
    if field is None or field.column is None or not field.nullable or not isinstance(field.type, types.DateTime):
        yield error(
            "soft-delete-column",
            f"{resource.path}, soft_delete={resource.soft_delete!r}",
            "It is no nullable date-time column of this model.",
            "deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True)).",
        )


def _cascade_findings(resource: Resource) -> Iterator[Finding]:
    """What the database takes along beyond the direct children, which each removal looks at itself."""
    if resource.soft_delete is not None or not allows(resource, Operation.DELETE):
        return
    # The table itself is not among them: a row of a tree takes its children along, these theirs, and what refers to them.
    seen: set[Table] = set()
    level = [c.table for c in acting_on(resource.table) if _deletes(c)]
    while level:
        parents = [table for table in dict.fromkeys(level) if table not in seen]
        seen.update(parents)
        level = []
        for parent in parents:
            for constraint in acting_on(parent):
                if constraint.table.key not in resource.cascade:
                    yield error(
                        "cascade-depth",
                        f"{resource.path}, DELETE",
                        f"It would change rows of {constraint.table.name} through {parent.name}, unasked.",
                        f'Name the model of {constraint.table.name} in cascade=[…], or use ondelete="RESTRICT".',
                    )
                if _deletes(constraint):
                    level.append(constraint.table)


def _deletes(constraint: ForeignKeyConstraint) -> bool:
    return (constraint.ondelete or "").upper() == "CASCADE"


def _reference_findings(api: API, resource: Resource) -> Iterator[Finding]:
    writers = allows(resource, Operation.CREATE) + allows(resource, Operation.UPDATE)
    for reference in resource.references:
        target = next((r for r in api.resources.values() if r.table is reference.target), None)
        readable = target is not None and bool(allows(target, Operation.READ))
        if not readable and any(_writes(resource, rule, reference) for rule in writers):
            yield warning(
                "reference-unreadable",
                f"{resource.path}, {', '.join(reference.fields)}",
                f"It can be written, but no role may READ {reference.target.name}: every value would be refused.",
                f"Let a rule READ {reference.target.name}, or leave the field to set=… or an action.",
            )


def _writes(resource: Resource, rule: Rule, reference: Reference) -> bool:
    tenant = None if resource.tenant is None else resource.tenant[0]
    fields = resource.fields if rule.fields is None else rule.fields
    return any(name in fields and name not in rule.set and name != tenant for name in reference.fields)


def _body_findings(resource: Resource) -> Iterator[Finding]:
    if resource.body is None:
        return
    place = f"{resource.path}, body={resource.body.__name__}"
    for name, info in resource.body.model_fields.items():
        field = resource.fields.get(name)
        if field is None or field.column is None:
            yield error(
                "body-field", place, f"There is no column {name!r} to write.", "Name fields like the model does."
            )
        elif info.alias is not None or info.validation_alias is not None:
            yield error(
                "body-field", place, f"{name!r} has an alias.", "Fields have one name on the wire: the model's."
            )


def _word_findings(resource: Resource) -> Iterator[Finding]:
    for word in resource.cost:
        if word not in OPERATION_COST:
            known = ", ".join(OPERATION_COST)
            yield error("cost-word", f"{resource.path}, cost", f"Nothing is called {word!r}.", f"Known are {known}.")
