"""Whether the database has what the declaration speaks of, and lets this server do what the rules allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Table

from vallum.authorise.rights import granted_fields
from vallum.declare.app import API
from vallum.declare.checks_finding import Finding, error, warning
from vallum.declare.dialect import DialectName
from vallum.declare.model import acting_on, referring
from vallum.declare.policy import Operation
from vallum.declare.resource import Resource
from vallum.declare.route import Kind
from vallum.store.catalog import Relation, Verb
from vallum.store.sql import quoted, table_sql

WRITES: Final[tuple[tuple[Operation, Verb], ...]] = ((Operation.CREATE, "INSERT"), (Operation.UPDATE, "UPDATE"))


def table_findings(api: API, relations: Mapping[Table, Relation | None], dialect: DialectName) -> list[Finding]:
    """What of each resource's table is missing, or cannot be done on it.

    Args:
        relations: of the resources' tables, as the database has them.
    """
    acted = {r.resource.model for r in api.routes.values() if r.kind is Kind.ACTION and r.resource is not None}
    findings: list[Finding] = []
    for resource in api.resources.values():
        relation = relations[resource.table]
        if relation is None:
            findings.append(_missing(f"{resource.path}, {table_sql(resource.table, dialect)}"))
            continue
        verbs = _verbs(resource, acts=resource.model in acted)
        findings += _columns(resource, relation)
        findings += _view(resource, relation, verbs)
        findings += _privileges(resource, relation, verbs, dialect)
        findings += _key(resource, relation, verbs)
        findings += _followers(resource, relations)
    served = {resource.table for resource in api.resources.values()}
    for table, beside in relations.items():
        if table not in served:
            findings += _beside(table, beside, dialect)
    return findings


def _beside(table: Table, relation: Relation | None, dialect: DialectName) -> Iterator[Finding]:
    """A table that only rules look into."""
    place = f"rules, {table_sql(table, dialect)}"
    if relation is None:
        yield _missing(place)
    elif not relation.allowed["SELECT"]:
        yield _lacking(table, place, ["SELECT"], relation, dialect)


def _verbs(resource: Resource, *, acts: bool) -> dict[Verb, frozenset[str]]:
    """What the statements do to the table: privilege → columns. An action locks its row, which is an UPDATE's right."""
    mapped = frozenset(f.column.name for f in resource.fields.values() if f.column is not None)
    found: dict[Verb, frozenset[str]] = {"SELECT": mapped}
    for operation, verb in WRITES:
        rules = [rule for rule in resource.rules_on(operation) if rule.effect == "allow"]
        names = {n for rule in rules for n in (*granted_fields(resource, rule, operation), *rule.set)}
        columns = (resource.fields[name].column for name in names | _made(resource, operation))
        if rules:
            found[verb] = frozenset(c.name for c in columns if c is not None)
    if any(rule.effect == "allow" for rule in resource.rules_on(Operation.DELETE)):
        mark = None if resource.soft_delete is None else resource.fields[resource.soft_delete].column
        if mark is None:
            found["DELETE"] = frozenset()
        else:
            found["UPDATE"] = found.get("UPDATE", frozenset()) | {mark.name}
    if acts or "DELETE" in found:
        found.setdefault("UPDATE", frozenset())
    return found


def _made(resource: Resource, operation: Operation) -> set[str]:
    """Fields that nobody is granted and a write gives a value all the same: of the model's own making, and the tenant."""
    columns = {name: field.column for name, field in resource.fields.items() if field.column is not None}
    if operation is Operation.UPDATE:
        return {name for name, column in columns.items() if column.onupdate is not None}
    tenant = set() if resource.tenant is None else {resource.tenant[0]}
    return tenant | {name for name, column in columns.items() if column.default is not None}


def _missing(place: str) -> Finding:
    return error(
        "table-missing",
        place,
        "The database has no such table or view.",
        "Make it (docs/migrations.md), or mend its name or schema in the model.",
    )


def _columns(resource: Resource, relation: Relation) -> Iterator[Finding]:
    columns = [field.column.name for field in resource.fields.values() if field.column is not None]
    missing = [name for name in columns if name not in relation.columns]
    if missing:
        yield error(
            "column-missing",
            f"{resource.path}, {resource.table.name}",
            f"The table has no column {', '.join(missing)}.",
            "Change the table (docs/migrations.md), or take the column out of the model.",
        )


def _view(resource: Resource, relation: Relation, verbs: Mapping[Verb, frozenset[str]]) -> Iterator[Finding]:
    if relation.kind == "view" and len(verbs) > 1:
        yield error(
            "view-written",
            f"{resource.path}, {resource.table.name}",
            "It is a view, and a rule allows CREATE, UPDATE or DELETE there, or an action.",
            "Allow READ alone; serve the table behind it for the rest, or write an endpoint.",
        )


def _privileges(
    resource: Resource, relation: Relation, verbs: Mapping[Verb, frozenset[str]], dialect: DialectName
) -> Iterator[Finding]:
    place = f"{resource.path}, {table_sql(resource.table, dialect)}"
    if relation.kind == "view" and len(verbs) > 1:
        return
    # A statement that writes reads its row as a whole.
    whole = len(verbs) > 1
    lacking = [
        verb
        for verb, columns in verbs.items()
        if not relation.allowed[verb]
        or not (relation.columns if verb == "SELECT" and whole else columns & relation.columns)
        <= relation.allowed[verb]
    ]
    if lacking:
        yield _lacking(resource.table, place, lacking, relation, dialect)
    if relation.locked_sequences and "INSERT" in verbs:
        names = ", ".join(relation.locked_sequences)
        yield error(
            "table-privilege",
            place,
            f"The database lets its user {relation.user} take no number from {names}.",
            f"As the owner: GRANT USAGE ON SEQUENCE {names} TO {quoted(relation.user, dialect)};",
        )


def _lacking(table: Table, place: str, verbs: Sequence[Verb], relation: Relation, dialect: DialectName) -> Finding:
    user = quoted(relation.user, dialect)
    grants = f"GRANT {', '.join(verbs)} ON {table_sql(table, dialect)} TO {user};"
    if table.schema is not None and not any(relation.allowed.values()):
        grants = f"GRANT USAGE ON SCHEMA {quoted(table.schema, dialect)} TO {user}; {grants}"
    return error(
        "table-privilege",
        place,
        f"The database denies {', '.join(verbs)} to its user {relation.user}; rules and actions need it.",
        f"Allow less, or as the owner: {grants}",
    )


def _key(resource: Resource, relation: Relation, verbs: Mapping[Verb, frozenset[str]]) -> Iterator[Finding]:
    columns = [resource.fields[name].column for name in resource.key]
    key = frozenset(column.name for column in columns if column is not None)
    if relation.kind == "view" or any(unique <= key for unique in relation.unique):
        return
    place = f"{resource.path}, {', '.join(resource.key)}"
    message = "Nothing in the database keeps two rows from having the same key; one request would mean both."
    mend = "Give the table a primary key or a unique constraint over these columns"
    if len(verbs) > 1:
        yield error("key-not-unique", place, message, f"{mend}, or allow READ alone.")
    else:
        yield warning("key-not-unique", place, message, f"{mend}.")


def _followers(resource: Resource, relations: Mapping[Table, Relation | None]) -> Iterator[Finding]:
    """Foreign keys that only the database knows, or knows to delete: a removal asks about those of the models."""
    for table in taken_along(resource):
        relation = relations.get(table)
        known = {(other.schema, other.name) for other in (c.table for c in acting_on(table))}
        for schema, name in sorted((relation.followers if relation is not None else frozenset()) - known, key=str):
            yield _unknown(resource, table, schema, name)


def _unknown(resource: Resource, table: Table, schema: str | None, name: str) -> Finding:
    where = name if schema is None else f"{schema}.{name}"
    message = (
        f"Through {table.name} the database would take rows of {where} along, or change them, unknown to the models."
    )
    mend = f"Reflect {where} into the same MetaData, its foreign key with ondelete=, or do not allow DELETE."
    follower = table.metadata.tables.get(where)
    keys = () if follower is None else follower.foreign_key_constraints
    lines = [referring(key) for key in keys if key.referred_table is table]
    if lines:
        message = f"The models know {where}, but not that the database takes its rows along, or changes them, with {table.name}."
        mend = f"In the class of {where} (or SET NULL, as the database has it): {'; '.join(sorted(lines))}."
    return error("cascade-unknown", f"{resource.path}, DELETE", message, mend)


def taken_along(resource: Resource) -> list[Table]:
    """The table and those that the models let go with its rows, in turn; nothing where nobody may DELETE."""
    deletes = any(rule.effect == "allow" for rule in resource.rules_on(Operation.DELETE))
    found = [resource.table] if deletes and resource.soft_delete is None else []
    for table in found:  # it grows
        found += [t for t in dict.fromkeys(c.table for c in acting_on(table)) if t not in found]
    return found
