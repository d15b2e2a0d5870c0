"""What start-up can tell only with the compiler at hand: rules and fields that no statement can carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.schema import ColumnElementColumnDefault

from vallum.authorise.rights import Rights
from vallum.declare.app import API
from vallum.declare.checks import check_api
from vallum.declare.checks_finding import Finding, error, rule_place, warning
from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.declare.model import made_by_database
from vallum.declare.policy import Operation, Rule
from vallum.declare.resource import Field, Resource
from vallum.edge.cors import Cors
from vallum.store.codec import json_value
from vallum.store.sql import condition, expression_sql, value_sql
from vallum.store.sql_parameters import Attributes


def check(api: API, *, dialect: DialectName) -> list[Finding]:
    """All of start-up's checks of a declaration; where the declaration alone has errors, only those."""
    findings = check_api(api, dialect=dialect)
    # An index stands in nobody's way: what does not compile is told beside it.
    if any(finding.severity == "error" and finding.identifier != "rule-index" for finding in findings):
        return findings
    return findings + check_policy(api, dialect=dialect)


def check_policy(api: API, *, dialect: DialectName) -> list[Finding]:
    """What does not compile, what no role can do although a rule says so, and origins that are none."""
    findings: list[Finding] = []
    for resource in api.resources.values():
        for field in resource.fields.values():
            findings += _field_findings(resource, field, dialect)
        for index, rule in enumerate(resource.rules, 1):
            findings += _rule_findings(resource, rule, rule_place(resource.path, index, rule), dialect, api.attributes)
    for route in api.routes.values():
        if route.resource is not None:  # an endpoint's rules have no row
            for method, handler in route.handlers.items():
                for index, rule in enumerate(handler.rules, 1):
                    place = rule_place(f"{method} {route.path}", index, rule)
                    findings += _rule_findings(route.resource, rule, place, dialect, api.attributes)
    for origin in api.cors:
        findings += _tried(lambda o=origin: Cors((o,)), f"cors origin {origin!r}")  # type: ignore[misc]
    # Rights are compiled from rules that compile.
    return findings or [*_rights_findings(api, dialect)]


def _tried(work: Callable[[], object], place: str) -> Iterator[Finding]:
    try:
        work()
    except DeclarationError as found:
        yield error(found.identifier, place, f"It cannot be compiled: {found.place}.", found.mend)
    except (SQLAlchemyError, TypeError, NotImplementedError) as found:
        yield error(
            "expression-compile",
            place,
            f"This store has no SQL for it ({type(found).__name__}: {found}).",
            "Use an expression that both SQLite and PostgreSQL have.",
        )


def _field_findings(resource: Resource, field: Field, dialect: DialectName) -> Iterator[Finding]:
    place = f"{resource.model.__name__}.{field.name}"
    yield from _tried(lambda: json_value(field.type, "x", dialect), place)
    if field.column is None:
        yield from _tried(lambda: expression_sql(field.expression, resource.table, dialect), place)
        return
    for default in (field.column.default, field.column.onupdate):
        if isinstance(default, ColumnElementColumnDefault):
            yield from _tried(lambda d=default: value_sql(d.arg, dialect), place)  # type: ignore[misc]


def _rule_findings(
    resource: Resource, rule: Rule, place: str, dialect: DialectName, attributes: Attributes
) -> Iterator[Finding]:
    yield from _tried(lambda: condition(rule.where, resource.table, dialect, attributes=attributes), place)
    for value in rule.set.values():
        yield from _tried(lambda v=value: value_sql(v, dialect, attributes), place)  # type: ignore[misc]


def _rights_findings(api: API, dialect: DialectName) -> Iterator[Finding]:
    everyone = _rights(api, api.roles, dialect)
    for resource in api.resources.values():
        for operation in Operation:
            yield from _tried(lambda r=resource, o=operation: everyone.on(r, o), resource.path)  # type: ignore[misc]
    for role in api.roles:
        rights = _rights(api, (role,), dialect)
        for resource in api.resources.values():
            yield from _create_findings(rights, resource, role)


def _create_findings(rights: Rights, resource: Resource, role: str) -> Iterator[Finding]:
    """A create that can never succeed, because a column stays empty."""
    access = rights.on(resource, Operation.CREATE)
    if access is None:
        return
    given = access.granted.union(*(grant.written for grant in access.grants))
    tenant = None if resource.tenant is None else resource.tenant[0]
    empty = [
        name
        for name, field in resource.fields.items()
        if field.column is not None and not (field.nullable or field.generated or name in given or name == tenant)
    ]
    # A column that the author left out of the class is nobody's to give.
    mapped = {field.column for field in resource.fields.values()}
    empty += [c.name for c in resource.table.columns if c not in mapped and not (c.nullable or made_by_database(c))]
    if empty:
        yield warning(
            "create-incomplete",
            f"{resource.path}, role {role}",
            f"It may create rows but not give {', '.join(empty)}, which cannot be empty.",
            "Grant the field, write it by set=…, or give the column a default.",
        )


def _rights(api: API, roles: tuple[str, ...], dialect: DialectName) -> Rights:
    """Rights of a caller that has everything that rules ask for."""
    rules = [rule for resource in api.resources.values() for rule in resource.rules]
    conditions: dict[int, Any] = {id(rule.when): (True, True) for rule in rules if rule.when is not None}
    return Rights(api, dialect, tuple(sorted(roles)), frozenset(api.attributes), True, conditions)
