"""The School under row-level security: what each account sees in PostgreSQL is what its lists show."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ACCOUNTS, fill
from tests.under_policies import READER, Under, in_order, made

from school import api

PAGE = (Path(__file__).parents[3] / "docs" / "rls.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Under:
    """A school, its owner no superuser."""
    return made(api, tmp_path_factory.mktemp("school") / "data", fill, time.time)


@pytest.mark.parametrize("name", [*(names[0] for names in ACCOUNTS.values()), "head-2", "nobody-1", "teacher-2"])
def test_a_select_shows_what_a_list_shows(under: Under, name: str) -> None:
    """Of every resource, to one account of each role and to those with two and none."""
    for resource in api.resources.values():
        assert in_order(under.selected(name, resource)) == in_order(under.listed(name, resource)), resource.name


def test_a_teacher_grades_the_own_courses_while_they_run(under: Under) -> None:
    """As through the API: not another's course, not one that is over, not in another's stead or at another day."""
    teacher = under.caller("teacher-1")

    def grade(course: int, given: str = "CURRENT_DATE") -> str:
        return f"INSERT INTO grades (course_id, student_id, value, given) VALUES ({course}, 1, 3, {given}) RETURNING id"

    ((made,),) = under.asked(teacher, grade(1))[0:1][0]
    assert under.asked(teacher, f"UPDATE grades SET value = 4 WHERE id = {made} RETURNING value") == [[(4,)]]
    for text in (
        grade(2),
        grade(3),
        grade(1, "CURRENT_DATE - 1"),
        f"UPDATE grades SET student_id = 2 WHERE id = {made}",
    ):
        with pytest.raises(Exception, match=r"row-level security|permission denied"):
            under.asked(teacher, text)
    assert under.asked(under.caller("student-1"), f"SELECT value FROM grades WHERE id = {made}") == [[(4,)]]
    under.as_owner(f"DELETE FROM grades WHERE id = {made}")


def test_the_page_shows_how_to_ask(under: Under) -> None:
    """The script for psql and the function, run as they are written, see the students of teacher-1."""
    wanted = [row["id"] for row in under.listed("teacher-1", api.resources[_students()])]
    script = next(block for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if "BEGIN" in block)
    program: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], program)  # noqa: S102  # the page's own program

    async def ask() -> tuple[list[int], list[int], list[Any]]:
        connection = await under.server.connect(under.name, READER)
        try:
            *_, said, _ = [text for text in script.split(";") if text.strip()]
            begin, identity = script.split(";")[:2]
            await connection.execute(begin)
            await connection.fetch(identity)
            shown = [row["id"] for row in await connection.fetch(said)]
            await connection.execute("COMMIT")
            called = [row["id"] for row in await program["students"](connection)]
            return shown, called, await connection.fetch("SELECT id FROM students")
        finally:
            await connection.close()

    shown, called, afterwards = under.server.wait(ask())
    assert wanted
    assert (shown, called, afterwards) == (wanted, wanted, [])


def _students() -> type[Any]:
    return next(model for model in api.resources if model.__name__ == "Student")
