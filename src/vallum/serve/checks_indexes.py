"""The index that a rule needs, looked for in the database itself: its catalogue knows the indexes, its plans their use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Table

from vallum.authorise.relations import prefer_in
from vallum.authorise.rights import existence
from vallum.declare.app import API
from vallum.declare.checks_finding import Finding, warning
from vallum.declare.checks_index import Led, Missing, finding, missing_indexes
from vallum.declare.dialect import DialectName
from vallum.declare.model import leads
from vallum.declare.policy import Rule
from vallum.declare.resource import Resource
from vallum.declare.route import Kind
from vallum.execute.shape import key_condition, table_of
from vallum.store.catalog import Relation
from vallum.store.explained import explain, prepare
from vallum.store.ports import Script
from vallum.store.sql import Prepared, all_of, condition, render, sql

Relations = Mapping[Table, Relation | None]


def looked_into(api: API) -> set[Table]:
    """Every table in which the declaration's rules look rows up."""
    found: set[Table] = set()

    def led(column: Column[Any]) -> bool:
        if isinstance(column.table, Table):
            found.add(column.table)
        return False

    for resource, rules, place in _ruled(api):
        missing_indexes(resource, rules, place, led)
    return found


def index_findings(api: API, relations: Relations, dialect: DialectName) -> Script[list[Finding]]:
    """What `declare.checks_index` finds in the models, found in the database."""
    yield from prepare(dialect)
    found: dict[str, Finding] = {}
    for resource, rules, place in _ruled(api):
        for missing in missing_indexes(resource, rules, place, _led(relations, dialect)):
            plan = yield from explain(_probe(api, resource, missing, dialect), dialect)
            if plan.walks:
                told = _told(api, missing, relations, dialect)
                found.setdefault(told.mend, told)
    return list(found.values())


def _ruled(api: API) -> Iterator[tuple[Resource, Sequence[Rule], str]]:
    for resource in api.resources.values():
        yield resource, resource.rules, resource.path
    for route in api.routes.values():
        if route.kind is Kind.ACTION and route.resource is not None:
            for method, handler in route.handlers.items():
                yield route.resource, handler.rules, f"{method} {route.path}"


def _led(relations: Relations, dialect: DialectName) -> Led:
    def led(column: Column[Any]) -> bool:
        relation = relations.get(column.table) if isinstance(column.table, Table) else None
        # For SQLite a relation is written as its models know the indexes (`authorise.relations`).
        return relation is not None and column.name in relation.led and (dialect != "sqlite" or leads(column))

    return led


def _probe(api: API, resource: Resource, missing: Missing, dialect: DialectName) -> Prepared:
    """The rows that the rule finds, or that it judges when they are found by their key."""
    terms = [condition(existence(resource), resource.table, dialect)]
    if missing.rule is not None:
        where = missing.rule.where
        where = prefer_in(where, resource.table) if dialect == "sqlite" else where
        roles = tuple(str(role) for role in missing.rule.roles)
        terms.append(condition(where, resource.table, dialect, roles, attributes=api.attributes))
    if not missing.lists:
        terms.append(key_condition(resource, dialect))
    return render(sql("SELECT 1 FROM ", table_of(resource, dialect), " WHERE ", all_of(terms)), dialect)


def _told(api: API, missing: Missing, relations: Relations, dialect: DialectName) -> Finding:
    table, column = missing.column.table, missing.column.name
    relation = relations.get(table) if isinstance(table, Table) else None
    if relation is None or relation.kind == "table":
        return finding(missing, dialect, existing=api.existing_tables)
    return warning(
        "rule-index",
        missing.place,
        f"The view {table.name} walks a table to find rows by {column}.",
        f"Index the column behind {column} where the view can use it, or serve the table itself.",
    )
