"""Why a caller may or may not: a decision as lines that an operator reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, final

from sqlalchemy import ColumnElement
from sqlalchemy.sql import elements, operators, visitors

from vallum.authorise.conditions import RequestFacts, conditions_hold, conditions_may_hold
from vallum.authorise.evaluator import CallerValues, expression_of
from vallum.authorise.evaluator_decide import Decision, Question, decide, is_about, lacking
from vallum.authorise.evaluator_select import Row, same
from vallum.authorise.evaluator_values import UnsupportedExpression
from vallum.declare.policy import ANYONE, Operation, Rule
from vallum.declare.words import condition_words, when_words

Verdict = Literal["true", "false", "null", "unknown", "grants", "applies", "no", "allowed", "refused", "not found", ""]


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One line of an explanation.

    Attributes:
        depth: levels of indentation.
        text: the rule or condition, or a sentence.
        verdict: of a condition `true`, `false`, `null` or `unknown`; of a rule `grants`, `applies` or `no`;
            of the whole `allowed`, `refused` or `not found`.
    """

    depth: int
    text: str
    verdict: Verdict = ""


def explain(
    rules: Sequence[Rule], operation: Operation | None, question: Question, row: Row, *, after: Row | None = None
) -> tuple[Line, ...]:
    """The decision of :func:`decide` on the same arguments, with each rule and the values of its conditions."""
    return tuple(_lines(rules, operation, question, row, after))


def _lines(
    rules: Sequence[Rule], operation: Operation | None, question: Question, row: Row, after: Row | None
) -> Iterator[Line]:
    yield Line(0, caller_words(question.evaluator.caller))
    yield _outcome(rules, operation, question, row, after)
    if not question.exists(row):
        yield Line(1, "the row belongs to another tenant or is deleted: it does not exist", "no")
        return
    parts = [("", rules, operation, row)]
    if operation is not Operation.READ:
        parts.insert(0, ("", question.resource.rules, Operation.READ, row))
    if after is not None:
        parts.append(("after the change: ", rules, operation, after))
    for prefix, listed, about, state in parts:
        for index, rule in enumerate(listed, 1):
            if is_about(rule, about):
                yield from _rule(f"{prefix}{rule_words(index, rule, about)}", rule, about, question, state)


def caller_words(caller: CallerValues) -> str:
    """Who asks, in a sentence."""
    attributes = ", ".join(f"{name}={value!r}" for name, value in sorted(caller.attributes.items()))
    name = "anonymous caller" if caller.id is None else f"caller {caller.id}"
    return f"{name}; roles: {', '.join(sorted(caller.roles)) or 'none'}; attributes: {attributes or 'none'}"


def rule_words(index: int, rule: Rule, operation: Operation | None) -> str:
    """`rule 3: allow(teacher, UPDATE) on name, year`; rules are counted from 1, as an author counts lines."""
    roles = ", ".join(map(str, rule.roles))
    named = roles if operation is None else f"{roles}, {operation.name}"
    fields = "" if rule.fields is None else f" on {', '.join(rule.fields) or 'no field'}"
    return f"rule {index}: {rule.effect}({named}){fields}"


def settled_line(
    text: str, rule: Rule, operation: Operation | None, caller: CallerValues, facts: RequestFacts
) -> Line | None:
    """The line of a rule that no row needs to be looked at for; None where the row decides.

    Args:
        text: the line's beginning.
    """
    met = conditions_hold if rule.effect == "allow" else conditions_may_hold
    if not any(role is ANYONE or role in caller.roles for role in rule.roles):
        return Line(1, f"{text}: not a role of this caller", "no")
    if not met(rule.when, facts):
        return Line(1, f"{text}: its conditions on the request are not met: {', '.join(when_words(rule.when))}", "no")
    if lacks := lacking(rule, operation, caller):
        return Line(1, f"{text}: the caller has no {', '.join(lacks)}", "no" if rule.effect == "allow" else "applies")
    return None


def _outcome(
    rules: Sequence[Rule], operation: Operation | None, question: Question, row: Row, after: Row | None
) -> Line:
    fields = question.resource.fields
    columns = [column for name in question.resource.key if (column := fields[name].column) is not None]
    key = ",".join(_shown(row.get(column.key, row.get(column.name))) for column in columns)
    what = f"{_operation(operation)}{' on' if operation is None else ''} {question.resource.name} {key}"
    try:
        decision = decide(rules, operation, question, row, after=after)
    except UnsupportedExpression as unsupported:
        return Line(0, f"{what}: {unsupported}", "unknown")
    if not decision.allowed:
        hidden = not decision.visible and operation is not Operation.CREATE
        return Line(0, what, "not found" if hidden else "refused")
    return Line(0, f"{what}: {_fields(decision)}", "allowed")


def _fields(decision: Decision) -> str:
    return f"fields {', '.join(sorted(decision.fields))}" if decision.fields else "no fields"


def _operation(operation: Operation | None) -> str:
    return "action" if operation is None else str(operation.name)


def _rule(text: str, rule: Rule, operation: Operation | None, question: Question, row: Row) -> Iterator[Line]:
    line = settled_line(text, rule, operation, question.evaluator.caller, question.facts)
    if line is not None:
        yield line
        return
    try:
        applies = question.applies(rule, operation, row)
        yield Line(1, text, "no" if not applies else "grants" if rule.effect == "allow" else "applies")
    except UnsupportedExpression as unsupported:
        yield Line(1, f"{text}: {unsupported}", "unknown")
    yield from _condition(2, expression_of(rule.where), question, row)


def _condition(depth: int, expression: Any, question: Question, row: Row) -> Iterator[Line]:
    """The condition, and what AND, OR and NOT in it are made of."""
    if isinstance(expression, elements.Grouping):
        yield from _condition(depth, expression.element, question, row)
        return
    if isinstance(expression, elements.True_):
        return
    parts: Sequence[Any] = ()
    text = _text(expression, question, row)
    if isinstance(expression, elements.BooleanClauseList):
        parts, text = list(expression.clauses), "all of" if expression.operator is operators.and_ else "any of"
    elif isinstance(expression, elements.UnaryExpression) and expression.operator is operators.inv:
        parts, text = [expression.element], "not"
    try:
        truth = question.evaluator.holds(expression, question.resource.table, row)
        yield Line(depth, text, "null" if truth is None else "true" if truth else "false")
    except UnsupportedExpression as unsupported:
        yield Line(depth, f"{text}: {unsupported}", "unknown")
    for part in parts:
        yield from _condition(depth + 1, part, question, row)


def _text(expression: ColumnElement[Any], question: Question, row: Row) -> str:
    """The condition in SQL's words with its constants in place, and the values of the row that it reads."""
    table = question.resource.table
    words = condition_words(expression, table)
    read = {
        element.key: _shown(row[element.key] if element.key in row else row.get(element.name))
        for element in visitors.iterate(expression)
        if isinstance(element, elements.ColumnClause) and element.table is not None and same(element.table, table)
    }
    return words + (f"  [{', '.join(f'{name}={value}' for name, value in sorted(read.items()))}]" if read else "")


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(member) for member in value)
    if isinstance(value, date):
        return value.isoformat()
    return "NULL" if value is None else repr(value) if isinstance(value, str) else str(value)
