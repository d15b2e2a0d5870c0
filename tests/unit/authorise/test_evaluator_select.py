"""Subqueries: what they correlate to, what they join, what they aggregate; each beside a real SQLite."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, and_, create_engine, distinct, exists, func, literal_column, or_, select, true
from sqlalchemy.orm import aliased
from sqlalchemy.pool import StaticPool
from tests.general.models import Base, Person, Project, Stage, Tag, Task, task_tags

from vallum.authorise.evaluator import CallerValues, Evaluator, UnsupportedExpression

Rows = list[dict[str, Any]]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALLER = CallerValues("anna")
task: Any = Task  # the types of nullable booleans stand in the way of conditions that run well


def number(n: int) -> uuid.UUID:
    """A key."""
    return uuid.UUID(int=n)


PROJECTS: Rows = [
    {"id": number(n), "organisation_id": n % 2, "lead_id": lead, "title": title, "stage": Stage.RUNNING,
     "budget": None, "starts": None, "deleted_at": None}
    for n, lead, title in ((20, number(10), "a"), (21, None, "b"), (22, number(11), "c"))
]  # fmt: skip
PEOPLE: Rows = [
    {"id": number(n), "organisation_id": 1, "account": account, "name": account, "born": None, "active": active,
     "rate": None, "settings": {}}
    for n, account, active in ((10, "anna", True), (11, "bob", None))
]  # fmt: skip
TASKS: Rows = [
    {"id": number(n), "organisation_id": 1, "project_id": number(project), "parent_id": parent and number(parent),
     "assignee_id": None, "title": title, "done": done, "priority": priority, "effort": effort, "due": None,
     "reminder": None, "changed": None}
    for n, project, parent, title, done, priority, effort in (
        (30, 20, None, "a", True, 1, 1),
        (31, 20, 30, "b", None, None, 2),
        (32, 20, 31, "a", False, 3, 2),
        (33, 21, None, "a", False, None, 0),
    )
]  # fmt: skip
TAGS: Rows = [
    {"id": n, "organisation_id": 1, "name": name, "hidden": hidden}
    for n, name, hidden in ((1, "x", False), (2, "y", True))
]
TASK_TAGS: Rows = [{"task_id": number(t), "tag_id": g} for t, g in ((30, 1), (30, 2), (32, 1))]
ROWS: dict[Any, Rows] = {
    Project.__table__: PROJECTS,
    Person.__table__: PEOPLE,
    Task.__table__: TASKS,
    Tag.__table__: TAGS,
    task_tags: TASK_TAGS,
}


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """A database in memory with the rows above."""
    engine = create_engine("sqlite://", poolclass=StaticPool, enable_from_linting=False)
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        for table, rows in ROWS.items():
            connection.execute(table.insert(), rows)
        yield connection
    engine.dispose()


def found(condition: Any) -> set[int]:
    """The tasks (by the number in their key) for which the evaluator says true."""
    evaluator = Evaluator(ROWS, CALLER, NOW)
    return {row["id"].int for row in TASKS if evaluator.holds(condition, Task.__table__, row) is True}


inner, second = aliased(Task), aliased(Task)
of_project = Task.project_id == Project.id

CASES: dict[str, tuple[Any, set[int]]] = {
    "has": (task.project.has(Project.title == "a"), {30, 31, 32}),
    "not has": (~task.project.has(Project.title == "a"), {33}),
    "has over a NULL key": (task.parent.has(), {31, 32}),
    "has, two levels": (task.project.has(Project.lead.has(Person.account == "anna")), {30, 31, 32}),
    "any of itself": (task.children.any(task.done.is_(None)), {30}),
    "any of any of itself": (task.children.any(task.children.any(~task.done)), {30}),
    "parent of parent": (task.parent.has(task.parent.has(task.done)), {32}),
    "many-to-many": (task.tags.any(Tag.hidden), {30}),
    "many-to-many and back": (task.tags.any(Tag.tasks.any(task.done == False)), {30, 32}),  # noqa: E712  # SQL
    "none of many": (~task.tags.any(), {31, 33}),
    "exists, correlated by itself": (exists().where(of_project, Project.title == "b"), {33}),
    # A SELECT over the rule's own table alone correlates to nothing: it asks about any task at all.
    "exists over the own table": (exists(select(Task.id).where(Task.title == "b")), {30, 31, 32, 33}),
    "exists over an alias": (exists(select(inner.id).where(inner.parent_id == Task.id)), {30, 31}),
    # By itself a SELECT correlates to the one right around it; the tasks of the rule are one further out, so
    # that the innermost SELECT lists all tasks anew.
    "correlation stops at the next SELECT": (
        exists(select(Person.id).where(Person.account == "anna", exists(select(Project.id).where(of_project, Project.title == "b")))),
        {30, 31, 32, 33},
    ),
    "correlation named over two SELECTs": (
        exists(
            select(Person.id).where(
                Person.account == "anna",
                select(Project.id).where(of_project, Project.title == "b").correlate(Task).exists(),
            )
        ),
        {33},
    ),
    "correlation to nothing": (select(Project.id).where(of_project, Project.title == "b").correlate(None).exists(), {30, 31, 32, 33}),
    "correlation to all but one": (select(Project.id).where(of_project, Project.title == "b").correlate_except(Project).exists(), {33}),
    "what is not around is never correlated": (
        select(Project.id).where(of_project, Project.title == "b", Tag.hidden).correlate_except(Project).exists(),
        {33},
    ),
    "join inside": (
        exists(select(Project.id).join(Project.lead).where(of_project, Person.account == "bob")),
        set(),
    ),
    "join with its own condition": (
        exists(select(inner.id).join(second, and_(second.parent_id == inner.id, second.priority == 3)).where(inner.parent_id == Task.id)),
        {30},
    ),
    "two tables side by side": (
        exists(select(inner.id).where(inner.parent_id == Task.id, Tag.hidden, task_tags.c.tag_id == Tag.id, task_tags.c.task_id == Task.id)),
        {30},
    ),
    "in a subquery": (Task.project_id.in_(select(Project.id).where(Project.lead_id.is_not(None))), {30, 31, 32}),
    "in a subquery with NULL": (Task.priority.in_(select(inner.priority).where(inner.effort > 1)), {32}),
    "not in a subquery with NULL": (Task.effort.not_in(select(inner.priority)), set()),
    "not in an empty subquery": (Task.priority.not_in(select(inner.priority).where(inner.effort > 9)), {30, 31, 32, 33}),
    "count": (select(func.count()).select_from(inner).where(inner.parent_id == Task.id).scalar_subquery() == 0, {32, 33}),
    "count of a column": (select(func.count(inner.priority)).where(inner.project_id == Task.project_id).scalar_subquery() == 2, {30, 31, 32}),
    "count distinct": (select(func.count(distinct(inner.title))).where(inner.project_id == Task.project_id).scalar_subquery() == 2, {30, 31, 32}),
    "max of no rows": (select(func.max(inner.effort)).where(inner.parent_id == Task.id).scalar_subquery().is_(None), {32, 33}),
    "min": (select(func.min(inner.effort)).where(inner.project_id == Task.project_id).scalar_subquery() == 1, {30, 31, 32}),
    "sum within an expression": (
        select(func.coalesce(func.sum(inner.effort * 2), 0) + 1).where(inner.parent_id == Task.id).scalar_subquery() == 5,
        {30, 31},
    ),
    "aggregate beside the outer row": (
        select(func.count() + Task.effort).select_from(inner).where(inner.parent_id == Task.id).scalar_subquery() == 3,
        {31},
    ),
    "one value": (select(Project.title).where(of_project).scalar_subquery() == "b", {33}),
    "no value is NULL": (select(inner.done).where(inner.id == Task.parent_id).scalar_subquery().is_(None), {30, 32, 33}),
    "column_property": (task.project.has(Project.open_tasks == 2), {30, 31, 32}),
    "a constant": (exists(select(literal_column("1")).select_from(Project).where(of_project)), {30, 31, 32, 33}),
    "no FROM of its own": (select(Task.id).where(Task.effort > 1).correlate(Task).exists(), {31, 32}),
    "NULL inside EXISTS is no row": (~task.parent.has(task.done), {30, 32, 33}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_subqueries(connection: Connection, name: str) -> None:
    """The rows written by hand, found by the evaluator and by SQLite."""
    condition, expected = CASES[name]
    assert {key.int for key in connection.scalars(select(Task.id).where(condition))} == expected
    assert found(condition) == expected


@pytest.mark.parametrize(
    ("condition", "identifier"),
    [
        (exists(select(Project.id).where(of_project).limit(1)), "subquery"),
        (exists(select(Project.id).where(of_project).offset(1)), "subquery"),
        (select(Project.title).where(of_project).distinct().scalar_subquery() == "a", "subquery"),
        (exists(select(Project.title).where(of_project).group_by(Project.title)), "subquery"),
        (exists(select(func.count()).select_from(Project).where(of_project)), "exists-aggregate"),
        (exists(select(Project.id).outerjoin(Project.lead).where(of_project)), "outer-join"),
        (exists(select(select(Project.id).subquery().c.id)), "from"),
        (select(inner.title).where(inner.project_id == Task.project_id).scalar_subquery() == "a", "subquery-rows"),
        (select(inner.title, func.count()).where(inner.parent_id == Task.id).scalar_subquery() == "a", "subquery"),
        (select(func.count() + inner.effort).where(inner.parent_id == Task.id).scalar_subquery() == 1, "column-beside-aggregate"),
        (select(func.max(Project.running)).where(of_project).scalar_subquery(), "aggregate"),
        (select(func.max(Project.stage)).where(of_project).scalar_subquery() == Stage.DRAFT, "enum-order"),
        (task.comments.any(), "table-without-rows"),
        (Task.tags.contains(Tag(id=1)), "other-table"),
    ],
    ids=str,
)  # fmt: skip
def test_subqueries_that_are_refused(condition: Any, identifier: str) -> None:
    """What would change the meaning and is not evaluated is refused, not left out."""
    with pytest.raises(UnsupportedExpression) as caught:
        found(condition)
    assert caught.value.identifier == identifier


def test_or_of_subqueries_short_of_rows() -> None:
    """A condition of the outer row alone, inside a subquery, decides before any inner row is looked at."""
    condition = exists(select(inner.id).where(Task.effort > 1, inner.title == "b"))
    assert found(condition) == {31, 32}
    assert found(or_(condition, and_(true(), Task.effort == 0))) == {31, 32, 33}
