"""Nodes of expressions as SQLAlchemy can build them, beyond what a rule is usually written with."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import (
    Integer,
    String,
    bindparam,
    case,
    column,
    distinct,
    exists,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql import expression, operators
from sqlalchemy.sql.elements import BinaryExpression, ExpressionClauseList, Grouping, UnaryExpression
from sqlalchemy.sql.functions import Function
from tests.general.models import Comment, Currency, Invoice, Project, Stage, Task

from vallum.authorise.evaluator import CallerValues, Evaluator, UnsupportedExpression
from vallum.declare.policy import me

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALLER = CallerValues("anna", frozenset({"x"}), {"region": "Nord"})
ROW: dict[str, Any] = {
    "id": uuid.UUID(int=1), "parent_id": None, "title": "Ab", "done": True, "priority": None, "effort": 3, "due": NOW
}  # fmt: skip
task: Any = Task  # the types of nullable booleans stand in the way of conditions that run well
inner: Any = aliased(Task)
second: Any = aliased(Task)


def value(condition: Any) -> Any:
    """For the row above, among no others."""
    return Evaluator({Task.__table__: [ROW]}, CALLER, NOW).value(condition, Task.__table__, ROW)


def refused(identifier: str, condition: Any) -> str:
    """By that word; what is said beside it."""
    with pytest.raises(UnsupportedExpression) as found:
        value(condition)
    assert found.value.identifier == identifier
    return found.value.what


def test_a_row_has_its_columns_by_key_or_by_name() -> None:
    """The attribute's key comes first where both are there."""
    text, table = Comment.__table__.c.body, Comment.__table__
    evaluator = Evaluator({}, CALLER, NOW)
    assert text.key == "body"
    keyed = column("text_column", String)
    keyed.key = "text"
    keyed.table = table
    for row in ({"text": "a"}, {"text_column": "a"}, {"text": "a", "text_column": "b"}):
        assert evaluator.value(keyed, table, row) == "a"
    with pytest.raises(UnsupportedExpression, match="row-without-column"):
        evaluator.value(keyed, table, {"body": "a"})


def test_text_in_place_of_a_column() -> None:
    """A literal column, and a name without a table, are somebody's SQL."""
    assert "'1'" in refused("element", literal_column("1"))
    assert "'effort'" in refused("element", column("effort", Integer))
    owned = literal_column("effort + 1", Integer)
    owned.table = Task.__table__
    assert "'effort + 1'" in refused("element", owned)


def test_truth_of_a_truth() -> None:
    """IS TRUE and IS FALSE as operators of one side, NOT, and minus; NULL stays NULL."""
    for operator, whole, none in ((operators.is_true, True, None), (operators.is_false, False, None)):
        assert value(UnaryExpression(Task.done.expression, operator=operator)) is whole
        assert value(UnaryExpression((task.priority > 1), operator=operator)) is none
    assert value(-task.effort) == -3
    assert value(-task.priority) is None
    refused("operator", task.effort.desc())


def test_null_true_and_false_beside_is() -> None:
    """IS NOT turns the answer round, and NULL is neither."""
    assert value(task.done.is_not(True)) is False
    assert value(task.done.is_not(False)) is True
    assert value(task.done.is_(True)) is True
    assert value((task.priority > 1).is_(False)) is False
    assert value((task.priority > 1).is_not(False)) is True
    assert value(task.priority.is_not(null())) is False


def test_between_takes_two_bounds_in_order() -> None:
    """Both belong to it; a symmetric one is PostgreSQL's alone."""
    assert value(task.effort.between(3, 4)) is True
    assert value(task.effort.between(2, 3)) is True
    assert value(task.effort.between(4, 5)) is False
    assert value(task.effort.between(1, 2)) is False
    refused("operator", task.effort.between(5, 1, symmetric=True))
    refused("operator", BinaryExpression(Task.effort.expression, literal(1), operators.between_op))


def test_an_enum_has_no_order_on_any_side() -> None:
    """Nor between, nor as the smallest or the largest of many."""
    project, row = Project.__table__, {"stage": Stage.RUNNING, "title": "a"}
    evaluator = Evaluator({project: [row]}, CALLER, NOW)
    word = literal("b")
    for condition in (
        Project.stage > Stage.DRAFT,
        literal(Stage.DRAFT, Project.stage.type) < word,
        word < Project.stage,
        word.between(Project.title, Project.stage),
        word.between(Project.stage, Project.title),
        Project.stage.between("a", "b"),
        select(func.min(aliased(Project).stage)).scalar_subquery() == "a",
    ):
        with pytest.raises(UnsupportedExpression, match="enum-order"):
            evaluator.value(condition, project, row)
    assert evaluator.value(Project.stage == Stage.RUNNING, project, row) is True
    counted = select(func.count(aliased(Project).stage)).scalar_subquery()
    assert evaluator.value(counted == 1, project, row) is True


def test_members_of_in() -> None:
    """A list that is bound, a list that is written, a list with NULL; a single value is none."""
    assert value(task.effort.in_([3])) is True
    assert value(task.effort.in_([4])) is False
    assert value(task.effort.in_(bindparam("list", [], expanding=True))) is False
    refused("parameter-without-value", task.effort.in_(bindparam("list", None, expanding=True)))
    assert value(literal("x").in_(me.roles)) is True
    assert value(task.effort.in_([literal(4), task.effort])) is True
    assert value(task.effort.in_([literal(4), task.priority])) is None
    assert "outside IN" in refused("element", me.roles)
    refused("subquery", BinaryExpression(Task.effort.expression, literal(3), operators.in_op))
    selected: Any = Grouping(select(inner.effort).scalar_subquery())
    assert value(BinaryExpression(Task.effort.expression, selected, operators.in_op)) is True


def test_a_pattern_is_a_constant_or_an_expression() -> None:
    """An escape belongs to a constant, a caller's value is taken as it is, and text is not a number."""
    assert value(task.title.startswith("A")) is True
    assert value(task.title.endswith("A")) is False
    assert value(task.title.contains("a%", autoescape=True)) is False
    assert value(task.title.startswith(me.attr["region"])) is False
    assert value(literal("Nordsee").startswith(me.attr["region"])) is True
    assert value(~literal("Nordsee").startswith(me.attr["region"])) is False
    refused("operator", task.title.startswith(me.attr["region"], escape="/"))
    refused("value-type", task.title.contains(task.effort))


def test_case_takes_the_first_that_is_met() -> None:
    """A test that is NULL is not met, and a NULL subject meets nothing."""
    assert value(case((task.effort > 1, "one"), (task.effort > 2, "two"))) == "one"
    assert value(case((task.priority > 1, "one"), else_="else")) == "else"
    assert value(case({3: "three", 4: "four"}, value=task.effort)) == "three"
    assert value(case({4: "four"}, value=task.effort)) is None
    assert value(case({True: "yes"}, value=task.priority, else_="no")) == "no"
    refused("not-a-condition", case((task.effort, "one")))


def test_functions_are_those_without_a_package() -> None:
    """With the number of arguments that they have."""
    for function in (
        func.app.coalesce(task.effort, 1),
        func.app.lower(task.title),
        func.app.count(task.effort),
        Function("coalesce"),
        Function("lower"),
        func.unknown(task.title),
    ):
        refused("function", function == 1)
    assert value(func.coalesce(task.priority, task.effort, 9)) == 3
    assert value(func.lower(task.title)) == "ab"


def test_a_function_that_compares_its_arguments() -> None:
    """It is a function whatever operator it names, and no function that is known."""
    function = func.equal(task.effort, task.effort).as_comparison(1, 2)
    refused("element", function)


def test_an_aggregate_stands_in_a_subquery_s_column() -> None:
    """With one argument, over the subquery's own rows."""
    assert value(select(func.count()).select_from(inner).scalar_subquery()) == 1
    assert value(select(func.count(literal_column("*"))).select_from(inner).scalar_subquery()) == 1
    assert value(select(func.count(inner.priority)).scalar_subquery()) == 0
    assert value(select(func.sum(distinct(inner.effort))).scalar_subquery()) == 3
    assert value(select(func.sum(-inner.effort)).scalar_subquery()) == -3
    refused("aggregate", func.count(task.effort))
    refused("aggregate", select(func.max(inner.effort, 2)).scalar_subquery())
    refused("aggregate", exists(select(inner.id).where(func.count(inner.id) > 1)))
    refused("element", select(func.max(literal_column("1"))).select_from(inner).scalar_subquery())


def test_a_condition_waits_for_all_the_rows_that_it_reads() -> None:
    """Those of a SELECT within it, too; whatever is read beside or before them."""
    child = exists(select(second.id).where(second.parent_id == inner.id))
    assert value(exists(select(inner.id).where(child))) is False
    assert value(exists(select(inner.id).where(~child, inner.effort == task.effort))) is True
    joined = select(inner.id).where(second.effort == inner.effort, inner.done, second.done, ~child.correlate(inner))
    assert value(exists(joined)) is True


def test_an_unknown_node_or_operator_is_named() -> None:
    """By what it is, so that its author finds it."""
    assert refused("operator", task.title.op("~")("a")).startswith("~") is False
    assert "truediv" in refused("operator", task.effort / 2)
    assert "desc_op" in refused("operator", task.effort.desc())
    assert "CollationClause" in refused("element", expression.collate(task.title, "C").right)
    assert "IS " in refused("operator", task.done.is_(task.done))


def test_lists_joined_by_an_operator() -> None:
    """Three and more parts are added, multiplied and strung together from the left; other operators are unknown."""
    assert value(task.effort + 1 + 2) == 6
    assert value(task.effort * 2 * 2) == 12
    assert value(task.effort - 1 - 1) == 1
    assert value(task.title + "c" + "d") == "Abcd"
    assert value(task.title + "c" + literal(None, String)) is None
    refused("operator", task.effort.bitwise_or(1).bitwise_or(2))
    effort = Task.effort.expression
    three = ExpressionClauseList._construct_for_list(operators.comma_op, effort.type, effort, effort, effort)
    refused("operator", three)


def test_stored_words_of_enums_are_compared() -> None:
    """By name where the column stores names."""
    evaluator = Evaluator({}, CALLER, NOW)
    assert evaluator.value(Invoice.currency == Currency.EURO, Invoice.__table__, {"currency": "EURO"}) is True


def test_constants() -> None:
    """What is written into the statement itself."""
    assert value(true()) is True
    assert value(~true()) is False
    assert value(null()) is None
    assert value(literal(date(2026, 3, 1)) == date(2026, 3, 1)) is True
    assert value(task.priority.is_distinct_from(task.priority)) is False
    assert value(task.effort.is_distinct_from(task.priority)) is True
    assert value(task.effort.is_not_distinct_from(3)) is True
