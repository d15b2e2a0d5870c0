"""Rules: every word in them is declared, and means something where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, types
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, ClauseList, ExpressionClauseList, Grouping, True_
from sqlalchemy.types import TypeEngine

from vallum.declare.app import API
from vallum.declare.checks_finding import Finding, error, rule_place
from vallum.declare.policy import ANYONE, ME_ATTRIBUTE, ME_ID, ME_ROLES, NOW, TODAY, Operation, Rule, word_of
from vallum.declare.resource import Resource

RAW_PATTERNS: Final = frozenset(
    {
        operators.like_op,
        operators.not_like_op,
        operators.ilike_op,
        operators.not_ilike_op,
        operators.icontains_op,
        operators.not_icontains_op,
        operators.istartswith_op,
        operators.not_istartswith_op,
        operators.iendswith_op,
        operators.not_iendswith_op,
        operators.regexp_match_op,
        operators.not_regexp_match_op,
        operators.match_op,
        operators.not_match_op,
    }
)
MEMBERSHIP: Final = (operators.in_op, operators.not_in_op)
LISTS: Final = (*MEMBERSHIP, operators.between_op, operators.not_between_op)
COMPARED: Final[Mapping[type, tuple[type[TypeEngine[Any]], ...]]] = {
    int: (types.Integer, types.Numeric, types.Float),
    str: (types.String,),
    bool: (types.Boolean,),
}
"""Type of a caller's value → types of columns that it can be compared with."""


def rule_findings(api: API, resource: Resource) -> list[Finding]:
    """What is wrong with the rules of a resource."""
    findings: list[Finding] = []
    if not any(rule.effect == "allow" for rule in resource.rules):
        findings.append(without_rules("resource-without-rules", resource.path))
    for index, rule in enumerate(resource.rules, 1):
        place = rule_place(resource.path, index, rule)
        findings += words_findings(api, rule, place)
        if not rule.operations:
            findings.append(
                error(
                    "rule-operations",
                    place,
                    "It names no operation.",
                    "Add CREATE, READ, UPDATE, DELETE, or some of them.",
                )
            )
        findings += [*_field_findings(resource, rule, place), *_set_findings(api, resource, rule, place)]
    return findings


def without_rules(identifier: str, place: str) -> Finding:
    """Nothing is allowed there."""
    return error(
        identifier, place, "No rule allows anybody anything here.", "Add an allow(…), or remove the declaration."
    )


def words_findings(api: API, rule: Rule, place: str) -> Iterator[Finding]:
    """Roles, attributes and comparisons, wherever the rule stands."""
    for role in rule.roles:
        if role is not ANYONE and role not in api.roles:
            known = ", ".join(api.roles)
            yield error(
                "rule-role", place, f"There is no role {role!r}.", f"Declare it in API(roles=…); known are {known}."
            )
    yield from _expression_findings(api, rule.where, place)


def _expression_findings(api: API, expression: ColumnElement[Any], place: str) -> Iterator[Finding]:
    seen: set[str] = set()
    elements = list(visitors.iterate(expression))
    listed = {id(e.right) for e in elements if isinstance(e, BinaryExpression) and e.operator in MEMBERSHIP}
    for element in elements:
        if isinstance(element, BindParameter) and element.key not in seen:
            seen.add(element.key)
            yield from attribute_findings(api, element, place)
        if isinstance(element, BindParameter) and element.key == ME_ROLES and id(element) not in listed:
            yield error("rule-type", place, "me.roles is a list of roles.", "Write Model.column.in_(me.roles).")
        if isinstance(element, BinaryExpression):
            if element.operator in RAW_PATTERNS:
                yield error(
                    "rule-like",
                    place,
                    "LIKE, ILIKE, MATCH and regular expressions differ between stores in case and syntax.",
                    "Use contains(), startswith() or endswith().",
                )
            for one, other in _compared(element):
                if isinstance(one, BindParameter):
                    yield from comparison_findings(api, one, other.type, place)


def _compared(binary: BinaryExpression[Any]) -> list[tuple[ColumnElement[Any], ColumnElement[Any]]]:
    """Each value beside what it is compared with: of IN and BETWEEN, each of the list."""
    pairs = [(binary.left, one) for one in (_members(binary.right) if binary.operator in LISTS else [binary.right])]
    return [*pairs, *((other, one) for one, other in pairs)]


def _members(side: Any) -> list[ColumnElement[Any]]:
    if isinstance(side, Grouping):
        return _members(side.element)
    return [*side.clauses] if isinstance(side, (ClauseList, ExpressionClauseList)) else [side]


def attribute_findings(api: API, parameter: BindParameter[Any], place: str) -> Iterator[Finding]:
    """An attribute that nobody declared."""
    name = parameter.key.removeprefix(ME_ATTRIBUTE)
    if name != parameter.key and name not in api.attributes:
        known = ", ".join(api.attributes) or "none"
        yield error(
            "rule-attribute",
            place,
            f"There is no attribute {name!r}.",
            f"Declare it in API(attributes=…); known: {known}.",
        )


def comparison_findings(
    api: API, parameter: BindParameter[Any], other: TypeEngine[Any], place: str
) -> Iterator[Finding]:
    """A value of the caller or the clock against a column of another type: stores compare those as they like."""
    kinds: tuple[type[TypeEngine[Any]], ...] | None = None
    if parameter.key in (ME_ID, ME_ROLES):
        kinds = COMPARED[str]
    elif parameter.key.startswith(ME_ATTRIBUTE):
        kinds = COMPARED.get(api.attributes.get(parameter.key.removeprefix(ME_ATTRIBUTE), object))
    elif parameter.key == TODAY:
        kinds = (types.Date,)
    elif parameter.key == NOW:
        kinds = (types.DateTime,)
    wrong = kinds is not None and not (isinstance(other, kinds) and not isinstance(other, types.Enum))
    naive = parameter.key == NOW and isinstance(other, types.DateTime) and not other.timezone
    if (wrong or naive) and not isinstance(other, types.NullType):
        yield error(
            "rule-type",
            place,
            f"{word_of(parameter.key)} is compared with a column of type {other!r}.",
            "Compare it with a column of its own type: me.id and each of me.roles is text, now is DateTime(timezone=True), today a Date.",
        )


def _field_findings(resource: Resource, rule: Rule, place: str) -> Iterator[Finding]:
    operations = rule.operations
    if rule.fields is None or not operations:
        return
    for name in rule.fields:
        if name not in resource.fields:
            yield error("rule-field", place, f"There is no field {name!r}.", f"Known are {', '.join(resource.fields)}.")
    if operations is Operation.DELETE:
        yield error("rule-delete-fields", place, "A row is deleted whole.", "Drop fields=….")
    if rule.effect != "allow":
        return
    keys = [name for name in resource.key if name in rule.fields]
    if Operation.UPDATE in operations and keys:
        yield error(
            "rule-key-writable",
            place,
            f"It would let the primary key {', '.join(keys)} be changed.",
            "Leave the key out; where the same rule reads, give READ and UPDATE a rule each.",
        )
    if Operation.READ not in operations:
        fixed = [name for name in rule.fields if name in _never_written(resource)]
        if fixed:
            yield error(
                "rule-field-readonly",
                place,
                f"Nobody can write {', '.join(fixed)}: an expression, the tenant or the mark of deletion.",
                "Leave it out.",
            )


def _never_written(resource: Resource) -> set[str]:
    fixed = {name for name, f in resource.fields.items() if not f.writable}
    return fixed | {resource.soft_delete or "", "" if resource.tenant is None else resource.tenant[0]} - {""}


def _set_findings(api: API, resource: Resource, rule: Rule, place: str) -> Iterator[Finding]:
    if not rule.set:
        return
    if rule.operations is not Operation.CREATE:
        yield error(
            "rule-set-operation", place, "set= writes new rows only.", "Give CREATE a rule of its own, with the set=."
        )
    for name, value in rule.set.items():
        field = resource.fields.get(name)
        if field is None or name in _never_written(resource):
            yield error("rule-set-field", place, f"set= cannot write {name!r}.", "Name a column of this model.")
        elif isinstance(value, BindParameter) and hasattr(value.value, "__clause_element__"):
            yield error(
                "value-form", place, f"set= gives {name!r} the column of a row that there is not yet.", "Give a value."
            )
        else:
            yield from _expression_findings(api, value, place)
            if isinstance(value, BindParameter):
                yield from comparison_findings(api, value, field.type, place)


def row_findings(rule: Rule, place: str, *, row: bool) -> Iterator[Finding]:
    """What a rule of an action (with a row) or an endpoint (without) cannot say."""
    if rule.operations is not None:
        yield error(
            "rule-operations-given", place, "Its operation is the call itself.", "Drop CREATE, READ, UPDATE, DELETE."
        )
    if rule.set:
        yield error("rule-set-operation", place, "set= writes new rows only.", "Write the value in the function.")
    if not row and not isinstance(rule.where, True_):
        yield error(
            "endpoint-rule-row",
            place,
            "There is no row that where= could be about.",
            "Drop where=, or declare an action.",
        )
    if rule.fields is not None:
        yield error("handler-rule-fields", place, "Fields are granted by the rules of a resource.", "Drop fields=….")
