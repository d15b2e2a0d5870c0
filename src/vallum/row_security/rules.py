"""The rules of all roles as rules of everybody: what is known of a caller only when it asks becomes part of the condition.

1.  A rule is about the caller who has one of its roles; a rule of ANYONE, about everybody who says who it is.
2.  An allow that uses what the caller lacks grants nothing; a deny that does so applies.
3.  Conditions on the request (`when=`) cannot be known here. Unknown counts against the caller, as it does in the API:
    such an allow grants nothing, and such a deny applies.
4.  On CREATE an allow holds only for a row that has what its `set=` writes.

What comes out is compiled by the compiler of the API (`authorise/rights.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

from sqlalchemy import BindParameter, Boolean, ColumnElement, and_, cast, literal_column, or_, types
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import visitors

from vallum.authorise.rights import Rights
from vallum.declare.app import API
from vallum.declare.policy import ANYONE, ME_ATTRIBUTE, ME_ID, Operation, Rule
from vallum.declare.resource import Resource
from vallum.row_security.identity import ID, IDENTIFIED, SCHEMA, attribute
from vallum.row_security.words import quoted_text


def everybody(api: API, words: Dialect) -> Rights:
    """The rights of whoever asks, with its roles, name and attributes as part of every condition."""
    open_ = copy(api)
    open_.resources = {model: _of_everybody(resource) for model, resource in api.resources.items()}
    return Rights(open_, "postgresql", (), frozenset(api.attributes), True, {}, words)


def _of_everybody(resource: Resource) -> Resource:
    rules = [
        _rule(resource, rule, operation)
        for rule in resource.rules
        for operation in Operation
        if rule.operations is not None and operation & rule.operations
        if rule.effect == "deny" or rule.when is None
    ]
    return replace(resource, rules=tuple(rules))


def _rule(resource: Resource, rule: Rule, operation: Operation) -> Rule:
    lacked = [_sql(f"{value} IS NULL") for value in sorted(_used(rule))]
    if rule.effect == "deny":
        where = and_(_concerned(rule), or_(rule.where, *lacked))
    else:
        written = rule.set if operation is Operation.CREATE else {}
        where = and_(_concerned(rule), *(~lack for lack in lacked), rule.where, *_as_written(resource, written))
    return replace(rule, roles=(ANYONE,), operations=operation, where=where, when=None)


def _concerned(rule: Rule) -> ColumnElement[bool]:
    if ANYONE in rule.roles:
        return _sql(IDENTIFIED)
    roles = ", ".join(quoted_text(str(role)) for role in sorted(map(str, rule.roles)))
    return _sql(f"(SELECT {SCHEMA}.me_roles() && ARRAY[{roles}])")


def _used(rule: Rule) -> Iterator[str]:
    """What of the caller the rule uses, as SQL."""
    keys = {
        element.key
        for expression in (rule.where, *rule.set.values())
        for element in visitors.iterate(expression)
        if isinstance(element, BindParameter)
    }
    for key in keys:
        if key == ME_ID:
            yield ID
        elif key.startswith(ME_ATTRIBUTE):
            yield attribute(key.removeprefix(ME_ATTRIBUTE))


def _as_written(resource: Resource, written: Mapping[str, ColumnElement[Any]]) -> Iterator[ColumnElement[bool]]:
    for name, value in written.items():
        column = resource.fields[name].expression
        if isinstance(column.type, types.JSON):  # two of type json cannot be compared
            yield cast(column, JSONB).is_not_distinct_from(cast(value, JSONB))
        else:
            yield column.is_not_distinct_from(value)


def _sql(text: str) -> ColumnElement[bool]:
    return literal_column(f"({text})", Boolean())
