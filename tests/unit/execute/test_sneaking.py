"""What a statement of `call.db` may be made of, without a database."""

from __future__ import annotations

from typing import Any, Final

import pytest
from sqlalchemy import and_, case, exists, func, literal_column, select, text, true, tuple_, union_all
from sqlalchemy.orm import aliased, joinedload
from tests.general.models import Base, Comment, Person, Project, Tag, Task, task_tags

from vallum.execute.sneaking import check_statement

SERVED: Final = frozenset(Base.metadata.tables[name] for name in ("tasks", "tags", "projects", "people"))
TASKS: Final = Base.metadata.tables["tasks"]
other: Final = aliased(Task)
cte: Final = select(Task.id).cte()

RULED: Final[dict[str, Any]] = {
    "an entity": select(Task),
    "columns and functions": select(Task.id, func.count(), func.max(Task.priority)).group_by(Task.id),
    "a relationship": select(Task).join(Task.project).where(Task.project.has(Project.title == "x")),
    "a secondary table": select(Task).where(Task.tags.any(Tag.name == "x")),
    "a join over it": select(Tag.name).join(Tag.tasks).order_by(Tag.name),
    "itself, by an alias": select(Task).where(Task.parent.of_type(other).has(other.done.is_(True))),
    "an alias": select(other).join(Task, other.parent_id == Task.id),
    "a subquery": select(Task).where(Task.id.in_(select(other.id)), exists(select(Tag.id))),
    "a derived table": select(func.count()).select_from(select(Task.id).subquery()),
    "a CTE": select(cte.c.id),
    "a union": union_all(select(Task.id), select(Project.id)),
    "a column property": select(Project.open_tasks).where(Project.open_tasks > 0),
    "a hybrid": select(Task.weight).where(Project.running),
    "a window": select(func.row_number().over(order_by=Task.title)),
    "a case": select(case((Task.done.is_(True), Task.title), else_="x")).where(
        tuple_(Task.id, Task.title).in_([(1, "x")])
    ),
    "the table of its entity": select(Task).where(TASKS.c.title == "x"),
    "a lock and options": select(Task).options(joinedload(Task.project)).with_for_update().limit(1).distinct(),
    "a constant": select(Task.id).where(and_(true(), Task.id.is_not(None))),
}

UNRULED: Final[dict[str, Any]] = {
    "a table": select(TASKS),
    "its column in another entity's": select(Tag.id).where(TASKS.c.title == "x"),
    "it in a subquery of its entity": select(Task.id).where(exists(select(TASKS.c.id).where(TASKS.c.title == "x"))),
    "it in a scalar subquery": select(Tag.id, select(func.count(TASKS.c.id)).scalar_subquery()),
    "it in a CTE": select(select(TASKS.c.id).cte().c.id),
    "it in a derived table": select(Task.id).join(select(TASKS.c.id).subquery(), true()),
    "it in an alias": select(aliased(TASKS).c.id),
    "it in an aliased entity": select(aliased(Task, select(TASKS).subquery())),
    "it in an order": select(Tag).order_by(select(TASKS.c.title).limit(1).scalar_subquery()),
    "it in a union": union_all(select(Task.id), select(TASKS.c.id)),
    "it in a lateral": select(Tag.id).join(select(TASKS.c.id).lateral(), true()),
    "a secondary table": select(task_tags),
    "a column of one": select(task_tags.c.tag_id),
    "it in a subquery": select(Task).where(Task.id.in_(select(task_tags.c.task_id))),
    "itself, without an alias": select(Task).where(Task.children.any()),
    "text": select(text("1")),
    "text in a condition": select(Task).where(text("1 = 1")),
    "text in an order": select(Task).order_by(text("title")),
    "text as a column": select(Task.id, literal_column("(SELECT 1)")),
    "text as a prefix": select(Task.id).prefix_with("/* */ (SELECT 1),"),
    "text as a suffix": select(Task.id).suffix_with("UNION SELECT 1"),
    "text with columns": select(text("SELECT id FROM tasks").columns(TASKS.c.id).subquery()),
    "a class without a resource": select(Comment),
    "such a class deep inside": select(Task).where(Task.comments.any(Comment.text == "x")),
    "such a class in an alias": select(Person.id).where(exists(select(aliased(Comment).id))),
}


@pytest.mark.parametrize("statement", RULED.values(), ids=RULED)
def test_what_the_rules_reach(statement: Any) -> None:
    """Ordinary statements of mapped classes pass, whatever they are made of."""
    check_statement(statement, SERVED, {task_tags})


@pytest.mark.parametrize("statement", UNRULED.values(), ids=UNRULED)
def test_what_the_rules_do_not_reach(statement: Any) -> None:
    """Bare tables, text and classes without a resource are found wherever they stand."""
    with pytest.raises(TypeError, match=r"unrestricted\(reason\)"):
        check_statement(statement, SERVED, {task_tags})
