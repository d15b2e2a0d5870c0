"""Which rows and which fields each caller gets, from lists, items and filters alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

Calling = Callable[[str | None], Client]

# Caller, resource → the rows that exist for this caller; `counts` says up to which number there are any.
COUNTS = {"students": 6, "grades": 6, "attendance": 3, "articles": 4}
ROWS: dict[tuple[str, str], list[int]] = {
    ("student-1", "students"): [1],
    ("student-4", "students"): [4],
    ("parent-1", "students"): [1, 3],
    ("parent-2", "students"): [6],
    ("teacher-1", "students"): [1, 2, 5, 6],
    ("teacher-2", "students"): [3, 4],
    ("registrar-1", "students"): [1, 2, 3, 4, 5, 6],
    ("head-1", "students"): [1, 2, 3, 4, 5, 6],
    ("student-1", "grades"): [1, 3, 5],
    ("student-4", "grades"): [],
    ("parent-1", "grades"): [1, 2, 3, 5],
    ("parent-2", "grades"): [],
    ("teacher-1", "grades"): [1, 3, 4],
    ("teacher-2", "grades"): [2, 5],
    ("head-1", "grades"): [1, 2, 3, 4, 5, 6],
    ("parent-1", "attendance"): [1, 2],
    ("parent-2", "attendance"): [],
    ("teacher-1", "attendance"): [1, 3],
    ("teacher-2", "attendance"): [2],
    ("head-1", "attendance"): [1, 2, 3],
    ("student-1", "articles"): [1, 3],
    ("parent-1", "articles"): [1, 3],
    ("registrar-1", "articles"): [1, 3],
    ("teacher-1", "articles"): [1, 2, 3],
    ("teacher-2", "articles"): [1, 3, 4],
    ("head-1", "articles"): [1, 2, 3, 4],
}
# Caller, row → the fields that exist for this caller. A * is hidden in this row, though not in every row.
FIELDS = {
    ("student-1", "/students/1"): "id name born classroom_id",
    ("parent-1", "/students/1"): "id name born classroom_id",
    ("teacher-1", "/students/1"): "id name born classroom_id account notes left",
    ("student-1", "/classrooms/1"): "id name year teacher_name",
    ("teacher-1", "/classrooms/1"): "id name year teacher_name teacher_id",
    ("parent-1", "/courses/1"): "id title term_id places teacher_name",
    ("registrar-1", "/courses/1"): "id title term_id places teacher_name teacher_id",
    ("teacher-1", "/teachers/teacher-1"): "id name subject email phone salary",
    ("teacher-1", "/teachers/teacher-2"): "id name subject email* phone* salary*",
    ("head-1", "/teachers/teacher-2"): "id name subject email phone salary",
    ("teacher-1", "/enrolments/1,3"): "course_id student_id since student_name",
    ("student-1", "/grades/1"): "id course_id student_id value given comment",
    ("student-1", "/articles/1"): "id title body topic published_at",
    ("teacher-1", "/articles/1"): "id title body topic published_at author",
    ("teacher-2", "/articles/1"): "id title body topic published_at author*",
}


def ids(answer: Any) -> list[int]:
    """The keys on a page."""
    return [row["id"] for row in answer.json()["items"]]


@pytest.mark.parametrize(("name", "path"), list(ROWS), ids=[f"{name}-{path}" for name, path in ROWS])
def test_lists_and_items_show_the_same_rows(client: Calling, name: str, path: str) -> None:
    """A row is in the list and found by its key, or it is nowhere."""
    caller, expected = client(name), ROWS[name, path]
    assert ids(caller.get(f"/{path}")) == expected
    found = {key: caller.get(f"/{path}/{key}").status_code for key in range(1, COUNTS[path] + 1)}
    assert found == {key: 200 if key in expected else 404 for key in found}


@pytest.mark.parametrize(("name", "path"), list(FIELDS), ids=[f"{name}{path}" for name, path in FIELDS])
def test_a_row_shows_the_fields_that_are_granted(client: Calling, name: str, path: str) -> None:
    """No other field is in the answer; one that is hidden in this row alone is null."""
    row = client(name).get(path).json()
    words = FIELDS[name, path].split()
    assert set(row) == {word.removesuffix("*") for word in words}
    assert {word for word in words if word.endswith("*") and row[word.removesuffix("*")] is not None} == set()


def test_teachers_are_known_by_name_alone(client: Calling) -> None:
    """What a student learns of a teacher is the name on the door."""
    student = client("student-1")
    assert student.get("/classrooms/1").json()["teacher_name"] == "Ida Berg"
    assert student.get("/courses/2").json()["teacher_name"] == "Tom Kaya"
    assert student.get("/teachers").status_code == 403


@pytest.mark.parametrize("name", ["account", "notes", "left", "no_such_field"])
def test_a_hidden_field_is_a_missing_one(client: Calling, name: str) -> None:
    """A filter, a sort and a choice of fields tell nothing about a field that is not granted."""
    student = client("student-1")
    for parameter in (name, f"{name}[ne]"):
        assert student.get("/students", params={parameter: "x"}).status_code == 400
    assert student.get("/students", params={"sort": name}).status_code == 400
    assert student.get("/students", params={"fields": f"id,{name}"}).status_code == 400


def test_a_hidden_value_never_matches(client: Calling) -> None:
    """A teacher who may filter by author finds their own articles, not those of colleagues."""
    teacher = client("teacher-2")
    assert ids(teacher.get("/articles", params={"author": "teacher-2"})) == [4]
    assert ids(teacher.get("/articles", params={"author": "teacher-1"})) == []


def test_filters_and_sorts_stay_inside_the_rule(client: Calling) -> None:
    """What is filtered and sorted is the caller's own part of the table."""
    teacher = client("teacher-1")
    assert ids(teacher.get("/students", params={"sort": "-name"})) == [6, 5, 2, 1]
    assert ids(teacher.get("/students", params={"name[contains]": "Klein"})) == [1]
    assert ids(teacher.get("/students", params={"classroom_id": 2})) == []
    assert teacher.get("/students", params={"limit": 1, "count": "exact"}).json()["count"] == 4


def test_pages_follow_one_another(client: Calling) -> None:
    """Each row comes once, and the last page says that it is the last."""
    teacher, seen, after = client("teacher-1"), [], None
    for _ in range(2):
        page = teacher.get("/students", params={"limit": 2, **({"after": after} if after else {})})
        seen += ids(page)
        after = page.json()["next"]
    assert seen == [1, 2, 5, 6]
    assert after is None


def test_a_cursor_is_good_for_its_owner_only(client: Calling) -> None:
    """Another caller, another sort and a changed cursor are refused."""
    cursor = client("teacher-1").get("/students", params={"limit": 1}).json()["next"]
    assert client("head-1").get("/students", params={"limit": 1, "after": cursor}).status_code == 400
    teacher = client("teacher-1")
    assert teacher.get("/students", params={"limit": 1, "sort": "name", "after": cursor}).status_code == 400
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    assert teacher.get("/students", params={"limit": 1, "after": changed}).status_code == 400


def test_an_invisible_row_answers_like_a_missing_one(client: Calling) -> None:
    """From the answer nobody learns that student 3 exists."""
    student = client("student-1")
    answers = [student.get(f"/students/{key}") for key in (3, 999)]
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert bodies[0] == bodies[1]


def test_the_registrar_manages_students(client: Calling) -> None:
    """A student comes, moves to another class, and the row of one who never came is removed with its guardianship."""
    registrar = client("registrar-1")
    created = registrar.post("/students", json={"name": "Zoe Haas", "born": "2018-03-01", "classroom_id": 1})
    assert created.status_code == 201
    place = created.headers["Location"]
    moved = registrar.patch(place, json={"classroom_id": 2}, headers={"If-Match": created.headers["ETag"]})
    assert moved.json()["classroom_id"] == 2
    assert client("teacher-2").get(place).status_code == 200
    assert registrar.delete("/students/6").status_code == 204
    assert registrar.get("/guardianships", params={"guardian": "parent-2"}).json()["items"] == []


def test_a_student_with_records_stays(client: Calling) -> None:
    """Grades and enrolments keep the row; who leaves has `left` set."""
    registrar = client("registrar-1")
    assert registrar.delete("/students/1").status_code == 409
    assert registrar.get("/students/1").status_code == 200


def test_all_faults_come_at_once(client: Calling) -> None:
    """An unknown field, a day that never was and a class that is not there are named together."""
    body = {"name": "Ada Berg", "born": "2015-02-30", "classroom_id": "one", "admin": True}
    answer = client("registrar-1").post("/students", json=body)
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {"/born", "/classroom_id", "/admin"}
    missing = client("registrar-1").post("/students", json={**NEW, "classroom_id": 99})
    assert missing.status_code == 422
    assert [fault["pointer"] for fault in missing.json()["errors"]] == ["/classroom_id"]


NEW = {"name": "Zoe Haas", "born": "2018-03-01", "classroom_id": 1}
