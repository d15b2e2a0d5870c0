"""Role × action × resource, against a table written by hand from what the school wants, not from the rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from vallum.testing import Client

ROLES = ("student", "parent", "teacher", "registrar", "head", "reader")

# r read a list and a row, c create, u update, d delete, x call; - nothing at all.
TABLE = """
                  student  parent  teacher  registrar  head  reader
students          r        r       ru       rcud       r     -
teachers          -        -       r        -          r     -
guardianships     -        -       -        rcd        r     -
classrooms        r        r       r        r          r     -
terms             r        r       r        r          r     -
courses           r        r       r        r          r     -
enrolments        -        -       r        rd         r     -
grades            r        r       rcu      -          r     -
attendance        -        r       rcu      -          r     -
articles          r        r       rcu      r          rcu   r
students/1/enrol  -        -       -        x          -     -
reports           -        -       -        -          x     -
"""

# A row that each role which may read the resource may also see.
ROW = {
    "students": "1",
    "teachers": "teacher-1",
    "guardianships": "parent-1,1",
    "classrooms": "1",
    "terms": "2",
    "courses": "1",
    "enrolments": "1,1",
    "grades": "1",
    "attendance": "1",
    "articles": "1",
}
# Where another row is needed: nothing refers to these, or the caller wrote them.
OTHER_ROW = {
    ("students", "registrar", "d"): "6",
    ("guardianships", "registrar", "d"): "parent-2,6",
    ("enrolments", "registrar", "d"): "4,4",
    ("articles", "head", "u"): "3",
}
NEW: dict[str, dict[str, Any]] = {
    "students": {"name": "Zoe Haas", "born": "2018-03-01", "classroom_id": 1},
    "teachers": {"id": "teacher-9", "name": "Finn Adler", "subject": "Art", "email": "f@school.example", "salary": 1},
    "guardianships": {"guardian": "parent-2", "student_id": 2},
    "classrooms": {"name": "9-9", "year": 9, "teacher_id": "teacher-1"},
    "terms": {"name": "Never", "starts": "2040-01-01", "ends": "2040-02-01"},
    "courses": {"title": "Latin", "teacher_id": "teacher-1", "term_id": 2, "places": 5},
    "enrolments": {"course_id": 1, "student_id": 4},
    "grades": {"course_id": 1, "student_id": 1, "value": 4},
    "attendance": {"student_id": 1, "day": datetime.now(UTC).date().isoformat(), "status": "late"},
    "articles": {"title": "Lost", "body": "A blue cup.", "topic": "canteen"},
}
CHANGE: dict[str, dict[str, Any]] = {
    "students": {"notes": "Asks good questions."},
    "teachers": {"subject": "Physics"},
    "guardianships": {"student_id": 2},
    "classrooms": {"year": 2},
    "terms": {"name": "Other"},
    "courses": {"places": 31},
    "enrolments": {"since": "2026-01-01"},
    "grades": {"value": 6},
    "attendance": {"status": "excused"},
    "articles": {"title": "Found"},
}
CALL: dict[str, dict[str, Any]] = {"students/1/enrol": {"course_id": 4}, "reports": {"term_id": 2}}
DONE = {"r": 200, "c": 201, "u": 200, "d": 204, "x": 200}

LINES = [line.split() for line in TABLE.strip().splitlines()[1:]]
CELLS = [
    (words[0], role, "" if cell == "-" else cell)
    for words in LINES
    for role, cell in zip(ROLES, words[1:], strict=True)
]
SOMEBODY = {path: {letter for other, _, cell in CELLS if other == path for letter in cell} for path, _, _ in CELLS}


def attempt(caller: Client, path: str, row: str, letter: str) -> list[int]:
    """The statuses that a caller gets for an operation."""
    item = f"/{path}/{row}"
    if letter == "r":
        return [caller.get(f"/{path}").status_code, caller.get(item).status_code]
    if letter == "c":
        return [caller.post(f"/{path}", json=NEW[path]).status_code]
    if letter == "u":
        match = caller.get(item).headers.get("ETag", '"unseen"')
        return [caller.patch(item, json=CHANGE[path], headers={"If-Match": match}).status_code]
    if letter == "d":
        return [caller.delete(item).status_code]
    return [caller.post(f"/{path}", json=CALL[path]).status_code]


@pytest.mark.parametrize(("path", "role", "cell"), CELLS, ids=[f"{path}-{role}" for path, role, _ in CELLS])
def test_a_role_does_what_the_table_says(
    client: Callable[[str | None], Client], path: str, role: str, cell: str
) -> None:
    """What stands in the cell is done; all else is forbidden: 403, or 405 where nobody at all may do it."""
    caller = client(f"{role}-1")
    for letter in "x" if path in CALL else "rcud":
        row = OTHER_ROW.get((path, role, letter), ROW.get(path, ""))
        found = attempt(caller, path, row, letter)
        if letter in cell:
            assert set(found) == {DONE[letter]}, letter
        else:
            assert set(found) <= ({403} if letter in SOMEBODY[path] else {403, 405}), letter


@pytest.mark.parametrize("path", [words[0] for words in LINES])
def test_nobody_does_anything_without_a_credential(client: Callable[[str | None], Client], path: str) -> None:
    """A stranger gets the same 401 for each operation."""
    stranger = client(None)
    found = [attempt(stranger, path, ROW.get(path, ""), letter) for letter in ("x" if path in CALL else "rcud")]
    assert {status for statuses in found for status in statuses} == {401}


@pytest.mark.parametrize("path", [words[0] for words in LINES])
def test_an_account_without_roles_does_nothing(client: Callable[[str | None], Client], path: str) -> None:
    """Being known is not a right: no published article either."""
    nobody = client("nobody-1")
    found = [attempt(nobody, path, ROW.get(path, ""), letter) for letter in ("x" if path in CALL else "rcud")]
    assert {status for statuses in found for status in statuses} <= {403, 405}
