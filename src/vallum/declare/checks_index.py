"""The index that serves a rule. Without it each request walks a table: 1.4 ms for a page instead of 25 µs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

from sqlalchemy import (
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Table,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.ddl import CreateIndex
from sqlalchemy.sql.elements import BinaryExpression, ColumnClause
from sqlalchemy.sql.selectable import Alias, Select
from sqlalchemy.sql.visitors import ExternallyTraversible

from vallum.declare.checks_finding import Finding, error, rule_place, warning
from vallum.declare.dialect import DialectName
from vallum.declare.model import leads
from vallum.declare.policy import ME_ATTRIBUTE, ME_ID, Operation, Rule
from vallum.declare.resource import Resource


@final
@dataclass(slots=True)
class _Lookups:
    """Columns that a rule looks rows up by.

    Attributes:
        values: columns compared with something of the caller.
        joins: (the SELECT, a table in it, the table that it is joined to) → columns of the first; one index over
            any of them serves the join.
    """

    own: Table
    values: list[Column[Any]] = field(default_factory=list)
    joins: dict[tuple[int, Table, bool, Table], list[Column[Any]]] = field(default_factory=dict)


Led = Callable[[Column[Any]], bool]
"""Whether an index over all rows begins with the column."""


@final
class Missing(NamedTuple):
    """A column without the index that a rule needs.

    Attributes:
        rule: None for the tenant, which every rule asks for.
        lists: the rule is walked by lists; otherwise its row is found by its key.
    """

    column: Column[Any]
    place: str
    rule: Rule | None
    lists: bool


def looks_up(rule: Rule, resource: Resource) -> bool:
    """Whether an index could find the rule's rows; otherwise it is asked of one row after the other."""
    lookups = _Lookups(resource.table)
    _collect(rule.where, 0, lookups)
    return bool(lookups.values or lookups.joins)


def index_findings(resource: Resource, rules: Sequence[Rule], place: str, dialect: DialectName) -> list[Finding]:
    """A finding for each column that a rule needs an index on, as far as the models say; the message makes it."""
    return [finding(missing, dialect) for missing in missing_indexes(resource, rules, place, leads)]


def missing_indexes(resource: Resource, rules: Sequence[Rule], place: str, led: Led) -> list[Missing]:
    """Each column once, at the first rule that looks rows up by it."""
    found: dict[str, Missing] = {}
    for index, rule in enumerate(rules, 1):
        # A deny is asked about rows that an allow has found.
        lists = rule.effect == "allow" and rule.operations is not None and bool(rule.operations & Operation.READ)
        for column in _needed(rule.where, resource.table, led, lists=lists):
            found.setdefault(create_index(column), Missing(column, rule_place(place, index, rule), rule, lists))
    if resource.tenant is not None and resource.tenant[0] in resource.fields:
        tenant = resource.fields[resource.tenant[0]].column
        if tenant is not None and not led(tenant):
            found.setdefault(create_index(tenant), Missing(tenant, f"{resource.path}, tenant", None, True))
    return list(found.values())


def finding(missing: Missing, dialect: DialectName, *, existing: bool = False) -> Finding:
    """An error on PostgreSQL; where the file is small, or the tables are another program's, a warning."""
    say = warning if dialect == "sqlite" or existing else error
    column = missing.column
    message = f"No index begins with {column.table.name}.{column.name}: every request would walk the table."
    add = "Run" if existing else "Add index=True to the column, or run"
    return say("rule-index", missing.place, message, f"{add}: {create_index(column)}")


def create_index(column: Column[Any]) -> str:
    """The line that makes the missing index."""
    table = column.table
    if not isinstance(table, Table):
        raise TypeError("an index is made on a table")
    # On a copy: an Index joins the table that it is made for.
    copy = Table(table.name, type(table.metadata)(), Column(column.name), schema=table.schema)
    return f"{CreateIndex(Index(f'ix_{table.name}_{column.name}', copy.c[column.name]))};"


def _needed(where: ColumnElement[Any], own: Table, led: Led, *, lists: bool) -> Iterator[Column[Any]]:
    """Columns without the index that they need. A row that is found by its key needs none on its own table."""
    lookups = _Lookups(own)
    _collect(where, 0, lookups)
    if lists:
        # An index on yes and no finds half the table.
        yield from (c for c in lookups.values if not led(c) and not isinstance(c.type, Boolean))
    for (_, _, is_own, _), columns in lookups.joins.items():
        if (lists or not is_own) and not any(map(led, columns)):
            yield columns[0]


def _collect(element: ExternallyTraversible, scope: int, lookups: _Lookups) -> None:
    if isinstance(element, (Table, ColumnClause)):
        return
    if isinstance(element, Select):
        scope = id(element)
    if isinstance(element, BinaryExpression) and element.operator is operators.eq:
        left, right = _column(element.left), _column(element.right)
        if left is not None and right is not None:
            _add_join(left, right, element.left, scope, lookups)
            _add_join(right, left, element.right, scope, lookups)
        else:
            lookups.values += [
                c for c, other in ((left, element.right), (right, element.left)) if c is not None and _of_caller(other)
            ]
    for child in element.get_children():
        _collect(child, scope, lookups)


def _add_join(one: Column[Any], other: Column[Any], written: Any, scope: int, lookups: _Lookups) -> None:
    if isinstance(one.table, Table) and isinstance(other.table, Table):
        is_own = one.table is lookups.own and not isinstance(written.table, Alias)
        lookups.joins.setdefault((scope, one.table, is_own, other.table), []).append(one)


def _column(element: Any) -> Column[Any] | None:
    """The table's own column: expressions of the ORM carry annotated copies, aliases carry others."""
    base = next(iter(getattr(element, "base_columns", ())), None)
    if base is None or not isinstance(getattr(base, "table", None), Table):
        return None
    found: Column[Any] | None = base.table.c.get(base.key)
    # An annotated table's collection has annotated columns again; the metadata has the original.
    original = base.table.metadata.tables.get(base.table.key)
    return found if found is None or original is None else original.c.get(found.key)


def _of_caller(element: Any) -> bool:
    return isinstance(element, BindParameter) and (element.key == ME_ID or element.key.startswith(ME_ATTRIBUTE))
