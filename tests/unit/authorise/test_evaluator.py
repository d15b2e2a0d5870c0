"""Each kind of expression on one row, with the answer written by hand, and all that is refused."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    Date,
    Integer,
    Numeric,
    String,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    collate,
    extract,
    false,
    func,
    literal,
    literal_column,
    not_,
    null,
    or_,
    select,
    text,
    true,
    try_cast,
    tuple_,
    type_coerce,
)
from tests.general.models import Currency, Invoice, Person, Project, Stage, Task

from vallum.authorise.evaluator import CallerValues, Evaluator, UnsupportedExpression
from vallum.authorise.evaluator_values import Truth
from vallum.declare.policy import me, now, today

T, F, N = True, False, None
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
task: Any = Task  # the types of nullable booleans stand in the way of conditions that run well
CALLER = CallerValues("anna", frozenset({"anna", "x"}), {"organisation": 1, "region": "Nord", "external": False})
ROW: dict[str, Any] = {
    "id": uuid.UUID(int=1),
    "organisation_id": 1,
    "project_id": uuid.UUID(int=2),
    "parent_id": None,
    "assignee_id": uuid.UUID(int=3),
    "title": "Ab%Ä",
    "done": True,
    "priority": None,
    "effort": 3,
    "due": NOW,
    "reminder": datetime(2026, 3, 1, 11),  # noqa: DTZ001  # a column without zone
    "changed": None,
}


def holds(expression: Any) -> Truth:
    """The answer for the row above."""
    return Evaluator({Task.__table__: [ROW]}, CALLER, NOW).holds(expression, Task.__table__, ROW)


@pytest.mark.parametrize(
    ("expression", "truth"),
    [
        (true(), T),
        (false(), F),
        (null(), N),
        (task.done, T),
        (~task.done, F),
        (task.done == True, T),  # noqa: E712  # SQL
        (task.done.is_(False), F),
        (task.priority.is_(None), T),
        (task.priority.is_not(None), F),
        (task.priority == 1, N),
        (not_(task.priority == 1), N),
        (and_(task.priority == 1, task.done), N),
        (and_(task.priority == 1, ~task.done), F),
        (or_(task.priority == 1, task.done), T),
        (or_(task.priority == 1, ~task.done), N),
        ((task.priority == 1).is_(None), T),
        ((task.priority == 1).is_(True), F),
        ((task.effort == 3).is_(True), T),
        (task.effort.between(3, 3), T),
        (~task.effort.between(4, 5), T),
        (task.effort.between(task.priority, 2), F),
        (task.effort.between(task.priority, 5), N),
        (task.effort.in_([1, 3]), T),
        (task.effort.in_([1, None]), N),
        (task.effort.not_in([1, None]), N),
        (task.effort.not_in([3, None]), F),
        (task.priority.in_([]), F),
        (task.priority.not_in([]), T),
        (task.effort.in_([task.priority, literal(3)]), T),
        (task.priority.is_distinct_from(1), T),
        (task.priority.is_not_distinct_from(None), T),
        (task.title.contains("%", autoescape=True), T),
        (task.title.contains("b_", autoescape=True), F),
        (task.title.startswith("ab"), F),
        (~task.title.startswith("Ab"), F),
        (task.title.endswith("%Ä", autoescape=True), T),
        (task.title.contains("b^%", escape="^"), T),
        (task.title.contains(task.title), T),
        (task.title.contains(literal(None, String)), N),
        (func.lower(task.title) == "ab%Ä", T),
        (func.upper(task.title) == "AB%Ä", T),
        (func.length(task.title) == 4, T),
        (func.abs(-task.effort) == 3, T),
        (func.coalesce(task.priority, task.effort) == 3, T),
        (func.coalesce(task.priority, null()).is_(None), T),
        (task.effort + 1 == 4, T),
        (task.effort + task.effort - 1 > task.effort * 2, F),
        (task.effort + task.priority > 0, N),
        (task.title + "!" + task.title == "Ab%Ä!Ab%Ä", T),
        (task.weight > 0, N),
        (cast(task.effort, String) == "3", T),
        (cast(task.effort, Numeric) == Decimal(3), T),
        (cast(task.done, Integer) == 1, T),
        (cast(today, Text) == "2026-03-01", T),
        (case((task.priority > 1, "high"), (task.done, "done"), else_="open") == "done", T),
        (case((task.priority > 1, True)), N),
        (case({3: "three"}, value=task.effort) == "three", T),
        (case({3: "three"}, value=task.priority, else_="else") == "else", T),
        (task.due == now, T),
        (task.reminder < now, T),
        (today == date(2026, 3, 1), T),
        (me.id == "anna", T),
        (literal("x").in_(me.roles), T),
        (task.title.in_(me.roles), F),
        (task.organisation_id == me.attr["organisation"], T),
        (task.done == me.attr["external"], F),
        (task.id == uuid.UUID(int=1), T),
        (task.id < task.assignee_id, T),
        (task.effort.label("e") == 3, T),
        (literal(1) == bindparam("known", 1), T),
    ],
    ids=str,
)
def test_on_one_row(expression: Any, truth: Truth) -> None:
    """The answer for a row whose values are all written above."""
    assert holds(expression) is truth


@pytest.mark.parametrize(
    ("expression", "identifier"),
    [
        (task.title.like("A%"), "operator"),
        (task.title.ilike("a%"), "operator"),
        (task.title.icontains("a"), "operator"),
        (task.title.regexp_match("a"), "operator"),
        (task.title.op("~")("a"), "operator"),
        (task.effort / 2 == 1, "operator"),
        (task.effort % 2 == 1, "operator"),
        (task.effort.bitwise_and(1) == 1, "operator"),
        (task.done.is_(task.done), "operator"),
        (task.title.contains("5%"), "pattern-wildcard"),
        (task.title.startswith("a_b"), "pattern-wildcard"),
        (task.title.contains(task.title, escape="/"), "operator"),
        (func.now() > NOW, "function"),
        (func.random() > 1, "function"),
        (func.lower(task.title, "x") == "x", "function"),
        (func.app.lower(task.title) == "x", "function"),
        (func.count(task.id) > 1, "aggregate"),
        (func.max(task.effort, 2) > 1, "aggregate"),
        (cast(task.title, Integer) == 1, "cast"),
        (cast(task.title, String(1)) == "A", "cast"),
        (cast(task.effort, Numeric(3, 1)) == 1, "cast"),
        (cast(task.title, Date) == today, "cast"),
        (cast(task.due, String) == "x", "cast"),
        (try_cast(task.effort, String) == "3", "cast"),
        (type_coerce(task.title, Integer) == 1, "element"),
        (extract("year", task.due) == 2026, "element"),
        (collate(task.title, "NOCASE") == "a", "element"),
        (text("1 = 1"), "element"),
        (literal_column("1") == 1, "element"),
        (tuple_(task.id, task.effort).in_([(1, 2)]), "element"),
        (func.row_number().over() == 1, "element"),
        (task.effort == any_(select(task.effort).scalar_subquery()), "operator"),
        (task.title.in_(select(task.title).union(select(Project.title))), "subquery"),
        (task.effort.in_(me.attr["region"]), "value-type"),
        (me.roles == "x", "element"),
        (literal(1) == bindparam("unknown"), "parameter-without-value"),
        (task.organisation_id == me.attr["unknown"], "caller-lacks"),
        (task.due >= today, "mixed-types"),
        (task.title == me.attr["organisation"], "value-type"),
        (task.effort == "3", "mixed-types"),
        (task.effort, "not-a-condition"),
        (and_(task.effort, task.done), "not-a-condition"),
        (Project.title == "x", "other-table"),
        (and_(task.project_id == Project.id, Project.title == "x"), "other-table"),
        (Person.settings.is_(None), "column-type"),
    ],
    ids=str,
)
def test_what_is_refused(expression: Any, identifier: str) -> None:
    """No answer is given where the stores disagree, or where the meaning is not known."""
    with pytest.raises(UnsupportedExpression) as caught:
        holds(expression)
    if identifier == "column-type":
        # The table of another model comes first here; on its own row the type speaks.
        with pytest.raises(UnsupportedExpression) as caught:
            Evaluator({}, CALLER, NOW).holds(expression, Person.__table__, {"settings": None})
    assert caught.value.identifier == identifier


def test_an_unknown_part_is_refused_whatever_the_data() -> None:
    """The other side of an OR does not hide what the evaluator does not know."""
    with pytest.raises(UnsupportedExpression):
        holds(or_(task.done, task.title.like("A%")))
    with pytest.raises(UnsupportedExpression):
        Evaluator({Person.__table__: [], Task.__table__: []}, CALLER, NOW).holds(
            task.assignee.has(Person.name.like("A%")), Task.__table__, ROW
        )


def test_enums_compare_as_stored_and_have_no_order() -> None:
    """By name or by value as the column says; an order would be another one on each store."""
    evaluator = Evaluator({}, CALLER, NOW)
    project, invoice = Project.__table__, Invoice.__table__
    assert evaluator.value(Project.stage, project, {"stage": Stage.RUNNING}) == "running"
    assert evaluator.value(Invoice.currency, invoice, {"currency": Currency.SWISS}) == "SWISS"
    assert evaluator.holds(Project.stage.in_([Stage.DRAFT]), project, {"stage": "draft"}) is True
    assert evaluator.holds(cast(Project.stage, String) == "draft", project, {"stage": Stage.DRAFT}) is True
    for ordered in (Project.stage > Stage.DRAFT, Project.stage.between(Stage.DRAFT, Stage.CLOSED)):
        with pytest.raises(UnsupportedExpression, match="enum-order"):
            evaluator.holds(ordered, project, {"stage": Stage.RUNNING})


def test_decimals_are_exact() -> None:
    """0.1 + 0.2 is 0.3 here, as it is for PostgreSQL; a float in SQLite would miss it."""
    row = {"amount": Decimal("0.10"), "paid": Decimal("0.20")}
    evaluator = Evaluator({}, CALLER, NOW)
    assert evaluator.holds(Invoice.amount + Invoice.paid == Decimal("0.3"), Invoice.__table__, row) is True
    assert evaluator.value(Invoice.open_amount, Invoice.__table__, row) == Decimal("-0.10")


def test_hybrids_stand_for_their_expressions() -> None:
    """A hybrid is the expression that its class side gives, alone or inside another condition."""
    evaluator = Evaluator({}, CALLER, NOW)
    row = {"stage": Stage.RUNNING}
    assert evaluator.holds(Project.running, Project.__table__, row) is True
    assert evaluator.holds(not_(Project.running), Project.__table__, row) is False


def test_rows_may_use_column_names_and_must_have_the_column() -> None:
    """A row without the column is an error of the caller, never NULL."""
    evaluator = Evaluator({}, CALLER, NOW)
    assert evaluator.holds(task.done, Task.__table__, {"done": 1}) is True
    with pytest.raises(UnsupportedExpression, match="row-without-column"):
        evaluator.holds(task.done, Task.__table__, {"id": 1})


def test_the_anonymous_caller_has_no_id() -> None:
    """The value of me.id is asked only for callers that have one; roles are then simply none."""
    evaluator = Evaluator({}, CallerValues(None), NOW)
    with pytest.raises(UnsupportedExpression, match="caller-lacks"):
        evaluator.holds(task.title == me.id, Task.__table__, ROW)
    assert evaluator.holds(task.title.in_(me.roles), Task.__table__, ROW) is False


def test_an_expression_is_not_mistaken_for_another_at_the_same_address() -> None:
    """Terms are kept by identity: a hundred short-lived expressions each give their own answer."""
    evaluator = Evaluator({}, CALLER, NOW)
    for number in range(100):
        assert evaluator.holds(task.effort == number, Task.__table__, ROW) is (number == 3)


def test_a_wildcard_in_a_value_is_a_character() -> None:
    """An account or attribute that is called % begins no other text, though LIKE would say so."""
    for value, truth in (("%", False), ("A_", False), ("Ab%", True)):
        evaluator = Evaluator({}, CallerValues(value, attributes={"region": value}), NOW)
        for pattern in (me.attr["region"], me.id):
            assert evaluator.holds(task.title.startswith(pattern), Task.__table__, ROW) is truth
