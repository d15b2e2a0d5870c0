"""What rules decide about one row, in memory: the meaning of a policy beside the SQL that carries it out.

1.  A row of another tenant, or one that is soft-deleted, does not exist for anybody.
2.  A rule is about the caller when one of its roles is the caller's (ANYONE is everybody's) and its conditions on
    the request hold; for a deny it is enough that they are not known to be unmet.
3.  An allow grants where its condition is TRUE. One that uses what the caller lacks grants nothing.
4.  A deny applies where its condition is TRUE or NULL, and everywhere when it uses what the caller lacks. Without
    fields it takes the whole row, with fields only these.
5.  Fields of several grants unite. What no grant names does not exist.
6.  UPDATE, DELETE and actions find only rows that the caller may READ. An UPDATE needs one rule that holds before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from sqlalchemy import BindParameter, ColumnElement, and_, true
from sqlalchemy.sql import visitors

from vallum.authorise.conditions import RequestFacts, conditions_hold, conditions_may_hold
from vallum.authorise.evaluator import CallerValues, Evaluator, expression_of
from vallum.authorise.evaluator_select import Row
from vallum.declare.policy import ANYONE, ME_ATTRIBUTE, ME_ID, Operation, Rule
from vallum.declare.resource import Resource


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """What a caller may do with one row.

    Attributes:
        visible: the caller may READ it in this state; UPDATE, DELETE and actions find no invisible row.
        allowed: the operation may be done; the same as `visible` for READ.
        fields: readable for READ and actions, writable for CREATE and UPDATE; none for DELETE.
    """

    visible: bool
    allowed: bool
    fields: frozenset[str]


@final
class Question:
    """A caller, at one request, about the rows of one resource.

    Args:
        evaluator: with the caller's values, the instant and the rows of all tables.
        resource: whose rows are asked about.
        facts: of the request.
    """

    def __init__(self, evaluator: Evaluator, resource: Resource, facts: RequestFacts) -> None:
        self.evaluator = evaluator
        self.resource = resource
        self.facts = facts
        self._existence = _existence(resource)

    def exists(self, row: Row) -> bool:
        """Whether the row is there for anybody of the caller's tenant."""
        tenant = self.resource.tenant
        if tenant is not None and self.evaluator.caller.attributes.get(tenant[1]) is None:
            return False
        return self.evaluator.holds(self._existence, self.resource.table, row) is True

    def concerns(self, rule: Rule) -> bool:
        """Whether the rule is about this caller at this request, whatever the row."""
        if not any(role is ANYONE or role in self.evaluator.caller.roles for role in rule.roles):
            return False
        met = conditions_hold if rule.effect == "allow" else conditions_may_hold
        return met(rule.when, self.facts)

    def applies(self, rule: Rule, operation: Operation | None, row: Row) -> bool:
        """Whether a rule that concerns the caller grants, or takes away, on this row."""
        if lacking(rule, operation, self.evaluator.caller):
            return rule.effect == "deny"
        truth = self.evaluator.holds(rule.where, self.resource.table, row)
        return truth is True if rule.effect == "allow" else truth is not False


def decide(
    rules: Sequence[Rule],
    operation: Operation | None,
    question: Question,
    row: Row,
    *,
    after: Row | None = None,
    then: Question | None = None,
) -> Decision:
    """What the caller may do with `row`.

    Args:
        rules: of the resource, or of an action on it.
        operation: one of the four; None for an action.
        question: the caller, the request and the resource.
        row: by column key: the present one, or the new one of a CREATE.
        after: the row as an UPDATE would leave it; without it, only the state before is judged.
        then: the same question when the tables are as the UPDATE leaves them, for rules that read other rows of its table.

    Raises:
        UnsupportedExpression: a rule that the evaluator does not know.
    """
    readable = granted(question.resource.rules, Operation.READ, [(question, row)])
    if operation is Operation.READ:
        fields = readable
    elif readable is None and operation is not Operation.CREATE:
        fields = None
    else:
        states = [(question, row)] if after is None else [(question, row), (then or question, after)]
        fields = granted(rules, operation, states)
    return Decision(readable is not None, fields is not None, fields or frozenset())


def granted(
    rules: Sequence[Rule], operation: Operation | None, states: Sequence[tuple[Question, Row]]
) -> frozenset[str] | None:
    """The fields granted on a row in all its `states`; None when the operation is not allowed at all."""
    question = states[0][0]
    if not all(asked.exists(row) for asked, row in states):
        return None
    mine = [rule for rule in rules if is_about(rule, operation) and question.concerns(rule)]
    truths = {rule: [asked.applies(rule, operation, row) for asked, row in states] for rule in mine}
    allows = [rule for rule, found in truths.items() if rule.effect == "allow" and all(found)]
    denies = [rule for rule, found in truths.items() if rule.effect == "deny" and any(found)]
    if not allows or any(rule.fields is None for rule in denies):
        return None
    named = {name for rule in allows for name in fields_of(question.resource, rule, operation)}
    return frozenset(named - {name for rule in denies for name in rule.fields or ()})


def fields_of(resource: Resource, rule: Rule, operation: Operation | None) -> set[str]:
    """The fields that an allow grants where it holds. Nobody writes what the server or the database writes."""
    if operation is Operation.DELETE:
        return set()
    named = set(resource.fields if rule.fields is None else rule.fields)
    if operation is Operation.READ or operation is None:
        return named
    server = {name for name, field in resource.fields.items() if not field.writable}
    server |= {resource.soft_delete or "", resource.tenant[0] if resource.tenant else "", *rule.set}
    if operation is Operation.UPDATE:
        server |= set(resource.key)
    elif rule.fields is None:
        server |= {name for name in resource.key if resource.fields[name].generated}
    return named - server


def lacking(rule: Rule, operation: Operation | None, caller: CallerValues) -> tuple[str, ...]:
    """What the rule uses of `me` and the caller does not have, in the rule's words."""
    expressions = [rule.where, *(rule.set.values() if operation is Operation.CREATE else ())]
    used = {e.key for x in expressions for e in visitors.iterate(expression_of(x)) if isinstance(e, BindParameter)}
    names = sorted(key.removeprefix(ME_ATTRIBUTE) for key in used if key.startswith(ME_ATTRIBUTE))
    lacks = [f'me.attr["{name}"]' for name in names if caller.attributes.get(name) is None]
    return ("me.id", *lacks) if ME_ID in used and caller.id is None else tuple(lacks)


def is_about(rule: Rule, operation: Operation | None) -> bool:
    """Whether the rule names the operation; rules of an action name none."""
    if operation is None or rule.operations is None:
        return operation is None and rule.operations is None
    return bool(operation & rule.operations)


def _existence(resource: Resource) -> ColumnElement[bool]:
    terms: list[ColumnElement[bool]] = [true()]
    if resource.soft_delete is not None:
        terms.append(resource.fields[resource.soft_delete].expression.is_(None))
    if resource.tenant is not None:
        name, attribute = resource.tenant
        column = resource.fields[name].expression
        terms.append(column == BindParameter(ME_ATTRIBUTE + attribute, None, type_=column.type, unique=False))
    return and_(*terms)
