"""The index that a sort, a filter or a key needs, where rules leave a list long: asked of the database's own plans.

A caller whose rule finds few rows by an index has them sorted and filtered quickly. One who may read all of a large
table has them only by an index that has that order, or those values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, final

from sqlalchemy import Table, types

from vallum import defaults
from vallum.authorise.rights import existence
from vallum.declare.app import API
from vallum.declare.checks_finding import Finding, warning
from vallum.declare.checks_index import looks_up
from vallum.declare.dialect import DialectName
from vallum.declare.policy import Operation
from vallum.declare.resource import Field, Resource
from vallum.execute.filters import filter_sql
from vallum.execute.order import segments, terms_of
from vallum.execute.shape import field_sql, key_condition, table_of
from vallum.store.catalog import Relation
from vallum.store.explained import explain, prepare
from vallum.store.ports import Script
from vallum.store.sql import Part, Sql, all_of, condition, quoted, render, sql

FEW_VALUES = (types.Boolean, types.Enum)
"""An index on them finds a large part of the table."""


@final
class _Question(NamedTuple):
    """What the database is asked for a plan of.

    Attributes:
        ordered: it is about an order; a walk alone is no harm then.
        told: where no index serves it.
    """

    statement: Sql
    ordered: bool
    told: Finding


def list_findings(api: API, relations: Mapping[Table, Relation | None], dialect: DialectName) -> Script[list[Finding]]:
    """A warning for each sort and filter, and each key, that would walk a table of `INDEXED_ROWS` rows or more."""
    yield from prepare(dialect)
    findings: list[Finding] = []
    for resource in api.resources.values():
        if not (yield from _is_large(resource, dialect)):
            continue
        relation = relations[resource.table]
        is_view = relation is not None and relation.kind == "view"
        questions = yield from _questions(api, resource, dialect, is_view=is_view)
        questions += [] if is_view else _included(api, resource, dialect)
        for question in questions:
            plan = yield from explain(render(question.statement, dialect), dialect)
            if plan.walks and (plan.sorts or not question.ordered):
                findings.append(question.told)
    return findings


def _questions(api: API, resource: Resource, dialect: DialectName, *, is_view: bool) -> Script[list[_Question]]:
    by_key = _found(resource, [key_condition(resource, dialect)], dialect)
    questions = [_Question(by_key, False, _by_key(resource, dialect, is_view=is_view))]
    where = _read_by_all(api, resource, dialect)
    if where is None or is_view:  # what is behind a view is its author's affair
        return questions
    questions += [
        _Question(_page(resource, where, names, dialect), True, _sorted(resource, names, dialect))
        for names in _orders(resource, dialect)
    ]
    for name in _filters(resource):
        sparse = yield from _is_sparse(resource, name, dialect)
        if sparse:
            found = _found(resource, [where, filter_sql(resource, (name, "eq"), 0, dialect)], dialect)
            questions.append(_Question(found, False, _filtered(resource, name, dialect)))
    return questions


def _included(api: API, resource: Resource, dialect: DialectName) -> Iterator[_Question]:
    """The rows that belong to one row of another resource."""
    for owner in api.resources.values():
        for relation in owner.relations.values():
            if relation.target is not resource.model or not relation.many or relation.link is not None:
                continue
            names = relation.far
            values = [filter_sql(resource, (name, "eq"), index, dialect) for index, name in enumerate(names)]
            line = _line(resource, names, "of", dialect, ordered=False)
            told = warning(
                "include-index",
                f"{owner.path}, include={relation.name}",
                f"No index finds what belongs to one row: each row of a page walks {resource.path}.",
                f"Run: {line}",
            )
            yield _Question(_found(resource, values, dialect), False, told)


def _is_large(resource: Resource, dialect: DialectName) -> Script[bool]:
    first = sql("SELECT 1 FROM ", table_of(resource, dialect), f" LIMIT {defaults.INDEXED_ROWS}")
    counted = sql("SELECT count(*) FROM (", first, ") counted")
    ((count,),) = yield render(counted, dialect).bind({})
    return bool(count >= defaults.INDEXED_ROWS)


def _is_sparse(resource: Resource, name: str, dialect: DialectName) -> Script[bool]:
    """Whether a page of one value is not soon found by walking; judged by the first rows."""
    value, table = field_sql(resource, resource.fields[name], dialect), table_of(resource, dialect)
    first = sql("SELECT ", value, " AS v FROM ", table, f" LIMIT {defaults.INDEXED_ROWS}")
    ((values,),) = yield render(sql("SELECT count(DISTINCT v) FROM (", first, ") counted"), dialect).bind({})
    return bool(values > defaults.INDEXED_ROWS // defaults.PAGE_DEFAULT)


def _read_by_all(api: API, resource: Resource, dialect: DialectName) -> Sql | None:
    """The condition of a READ rule that no index narrows; None when all rules find their rows."""
    for rule in resource.rules_on(Operation.READ):
        if rule.effect == "allow" and not looks_up(rule, resource):
            roles = tuple(str(role) for role in rule.roles)
            exists = condition(existence(resource), resource.table, dialect)
            where = condition(rule.where, resource.table, dialect, roles, attributes=api.attributes)
            return all_of([exists, where])
    return None


def _orders(resource: Resource, dialect: DialectName) -> Iterator[tuple[str, ...]]:
    """What a list may be ordered by, as far as an index could have that order."""
    keyed = [resource.fields[name] for name in resource.key]
    if all(_can_lead(field, dialect) for field in keyed):
        yield ()
    for name in resource.sorts:
        if name != resource.key[0] and _can_lead(resource.fields[name], dialect):
            yield (name,)


def _can_lead(field: Field, dialect: DialectName) -> bool:
    """PostgreSQL has no index on the words of an enumeration: they can be renamed."""
    return field.column is not None and not (dialect == "postgresql" and isinstance(field.type, types.Enum))


def _filters(resource: Resource) -> Iterator[str]:
    for name in resource.filters:
        field = resource.fields[name]
        if field.column is not None and not isinstance(field.type, (*FEW_VALUES, types.JSON)):
            yield name


def _page(resource: Resource, where: Sql, names: Sequence[str], dialect: DialectName) -> Sql:
    """A page behind a cursor."""
    terms = terms_of(resource, [(name, False) for name in names], dialect)
    part = segments(terms, (False,) * len(terms))[0]
    conditions: list[Part] = [where] if part.condition is None else [where, part.condition]
    return sql(_found(resource, conditions, dialect), " ORDER BY ", part.order, f" LIMIT {defaults.PAGE_DEFAULT}")


def _found(resource: Resource, conditions: Sequence[Part], dialect: DialectName) -> Sql:
    return sql("SELECT 1 FROM ", table_of(resource, dialect), " WHERE ", all_of(conditions))


# What is told --------------------------------------------------------------------------------


def _sorted(resource: Resource, names: Sequence[str], dialect: DialectName) -> Finding:
    place = f"{resource.path}, sort={names[0] if names else 'the key'}"
    columns = list(dict.fromkeys((*names, *resource.key)))
    message = "No index has this order: each page puts all rows that the caller may read in order."
    return warning("sort-index", place, message, f"Drop the sort, or run: {_line(resource, columns, 'order', dialect)}")


def _filtered(resource: Resource, name: str, dialect: DialectName) -> Finding:
    message = "No index finds this value: each request walks the rows that the caller may read."
    line = _line(resource, [name], "value", dialect, ordered=False)
    return warning("filter-index", f"{resource.path}, {name}=…", message, f"Drop the filter, or run: {line}")


def _by_key(resource: Resource, dialect: DialectName, *, is_view: bool) -> Finding:
    message = "No index finds a row by its key: each item walks all rows."
    line = _line(resource, resource.key, "key", dialect, ordered=False)
    mend = "Index what is behind the view, or serve its table." if is_view else f"Run: {line}"
    return warning("key-index", resource.path, message, mend)


def _line(resource: Resource, names: Sequence[str], word: str, dialect: DialectName, *, ordered: bool = True) -> str:
    fields = [resource.fields[name] for name in names]
    columns = [f.column.name for f in fields if f.column is not None]
    collated = dialect == "postgresql" and ordered
    terms = [
        quoted(f.column.name, dialect) + (' COLLATE "C"' if collated and isinstance(f.type, types.String) else "")
        for f in fields
        if f.column is not None
    ]
    name = quoted(f"ix_{resource.table.name}_{columns[0]}_{word}", dialect)
    return f"CREATE INDEX {name} ON {table_of(resource, dialect)} ({', '.join(terms)});"
