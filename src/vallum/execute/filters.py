"""Filters as SQL. A hidden field never matches, so each filter carries the rules that show its field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import types

from vallum.authorise.rights import Access, Grant
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Field, Resource
from vallum.execute.shape import field_sql, value_param
from vallum.store.codec import to_driver
from vallum.store.sql import Param, Sql, all_of, any_of, cast, sql

FILTER: Final = "filter_"
"""Request values of filters: `filter_0`, `filter_1`, … in the order of the query."""
COMPARISONS: Final = {"eq": "=", "ne": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

FilterShape = tuple[str, str]
"""(field name, operator); `isnull` comes as `null` or `notnull`."""


def filter_sql(resource: Resource, shape: FilterShape, index: int, dialect: DialectName) -> Sql:
    """One filter over the table's own columns."""
    name, operator = shape
    field = resource.fields[name]
    value = field_sql(resource, field, dialect)
    if operator in ("null", "notnull"):
        return sql(value, " IS NULL" if operator == "null" else " IS NOT NULL")
    slot = f"{FILTER}{index}"
    if operator == "in" and dialect == "sqlite" and isinstance(field.type, types.LargeBinary):
        # Of NULL it makes an empty text, which is also what no bytes at all are.
        members = sql("hex(", value, ") IN (SELECT value FROM json_each(", Param(slot, _hex_list), "))")
        return sql(value, " IS NOT NULL AND ", members)
    if operator == "in":
        return sql(value, " ", _members(field, slot, dialect))
    param = value_param(field, slot, dialect)
    if operator in COMPARISONS:
        # What is equal is so by its bytes whatever the collation is: without one here, every index on the column serves.
        collation = "" if operator in ("eq", "ne") else _collation(field, dialect)
        return sql(value, collation, f" {COMPARISONS[operator]} ", param)
    if operator == "contains":
        return sql("instr(" if dialect == "sqlite" else "strpos(", value, ", ", param, ") > 0")
    if operator == "startswith" and dialect == "sqlite":
        # The first half lets an index find the place, the second decides.
        return sql(value, " >= ", param, " AND substr(", value, ", 1, length(", param, ")) = ", param)
    if operator == "startswith":
        return sql("starts_with(", value, ", ", param, ")")
    raise ValueError(f"unknown operator {operator!r}")


def _members(field: Field, slot: str, dialect: DialectName) -> Sql:
    convert = to_driver(field, dialect)
    if dialect == "sqlite":
        return sql("IN (SELECT value FROM json_each(", Param(slot, _json_list(convert)), "))")
    return sql(
        "= ANY(", Param(slot, None if convert is None else _each(convert), None, f"{cast(field.type, dialect)}[]"), ")"
    )


def _each(convert: Callable[[Any], Any]) -> Callable[[Sequence[Any]], list[Any]]:
    def to_list(values: Sequence[Any]) -> list[Any]:
        return [convert(value) for value in values]

    return to_list


def _hex_list(values: Sequence[bytes]) -> str:
    """JSON has no bytes; this is how SQLite's `hex` writes them."""
    return json.dumps([value.hex().upper() for value in values])


def _json_list(convert: Callable[[Any], Any] | None) -> Callable[[Sequence[Any]], str]:
    def to_json(values: Sequence[Any]) -> str:
        return json.dumps([v if convert is None else convert(v) for v in values])

    return to_json


def _collation(field: Field, dialect: DialectName) -> str:
    text = isinstance(field.type, types.String) and not isinstance(field.type, types.Enum)
    return ' COLLATE "C"' if dialect == "postgresql" and text else ""


def branches(resource: Resource, access: Access, filters: Sequence[FilterShape], dialect: DialectName) -> list[Sql]:
    """The conditions whose union is the list: one for each grant that can hold a matching row.

    A matching row shows every filtered field. The first field that is not certain decides which grants are
    walked; for the others the branch asks the rules that show them.
    """
    conditions = [filter_sql(resource, shape, index, dialect) for index, shape in enumerate(filters)]
    return matching(access, [name for name, _ in filters], conditions)


def matching(access: Access, names: Iterable[str], conditions: Sequence[Sql]) -> list[Sql]:
    """The same for conditions on fields of these names."""
    uncertain = [name for name in dict.fromkeys(names) if name not in access.certain]
    denies = [d.passes for d in access.denies if any(name in d.fields for name in uncertain)]
    walked: Sequence[Grant] = access.grants
    if uncertain:
        walked = [g for g in access.grants if uncertain[0] in g.fields]
    found = []
    for grant in walked:
        others = [name for name in uncertain if name not in grant.fields]
        granting = [any_of(g.where for g in access.grants if name in g.fields) for name in others]
        found.append(all_of([grant.where, *conditions, *granting, *denies]))
    return found
