"""A teacher grades their own courses while the term runs; nobody forges a grade."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

Calling = Callable[[str | None], Client]

MINE: dict[str, Any] = {"course_id": 1, "student_id": 1, "value": 5}


def change(caller: Client, path: str, body: dict[str, Any]) -> int:
    """The status of a PATCH that knows the present state, as far as the caller can see it."""
    etag = caller.get(path).headers.get("ETag", '"unseen"')
    return caller.patch(path, json=body, headers={"If-Match": etag}).status_code


def test_a_teacher_grades_an_own_course(client: Calling) -> None:
    """The day is the server's; the student and the parent read the grade at once, another student does not."""
    created = client("teacher-1").post("/grades", json={**MINE, "comment": "Clear reasons."})
    assert created.status_code == 201
    assert created.json()["given"] == datetime.now(UTC).date().isoformat()
    place = created.headers["Location"]
    assert client("student-1").get(place).json()["value"] == 5
    assert client("parent-1").get(place).status_code == 200
    assert client("student-2").get(place).status_code == 404


def test_a_student_of_another_class_is_graded_too(client: Calling) -> None:
    """Who takes the course counts, not who sits in the class; the course list has the name."""
    teacher = client("teacher-1")
    assert teacher.get("/students/3").status_code == 404
    assert teacher.get("/enrolments/1,3").json()["student_name"] == "Emma Klein"
    assert teacher.post("/grades", json={**MINE, "student_id": 3}).status_code == 201


def test_a_teacher_corrects_an_own_grade(client: Calling) -> None:
    """Value and comment change; the student and the course of a grade never do."""
    teacher = client("teacher-1")
    assert change(teacher, "/grades/1", {"value": 6, "comment": None}) == 200
    assert client("student-1").get("/grades/1").json()["value"] == 6
    assert change(teacher, "/grades/1", {"student_id": 2}) == 422
    assert change(teacher, "/grades/1", {"given": "2026-01-01"}) == 422


def test_outside_the_term_nothing_is_graded(client: Calling) -> None:
    """The grades of the last term are read, not written."""
    teacher = client("teacher-1")
    assert teacher.get("/grades/3").status_code == 200
    assert change(teacher, "/grades/3", {"value": 1}) == 403
    assert teacher.post("/grades", json={**MINE, "course_id": 3}).status_code == 403
    assert teacher.get("/grades/3").json()["value"] == 6


@pytest.mark.parametrize(
    "body",
    [{**MINE, "course_id": 2}, {**MINE, "student_id": 4}, {**MINE, "course_id": 99}],
    ids=["course of a colleague", "student who does not take it", "course that is not there"],
)
def test_only_what_is_taught_and_taken_is_graded(client: Calling, body: dict[str, Any]) -> None:
    """A place on a course that the teacher cannot see is refused like one that does not exist."""
    answer = client("teacher-1").post("/grades", json=body)
    assert answer.status_code == 422
    assert ids(client("head-1")) == [1, 2, 3, 4, 5, 6]


def ids(caller: Client) -> list[int]:
    """The keys of all grades that a caller reads."""
    return [row["id"] for row in caller.get("/grades").json()["items"]]


def test_a_grade_is_a_mark_from_1_to_6(client: Calling) -> None:
    """The range comes from the table's own check."""
    for value in (0, 7, 4.5, "5", None, True):
        answer = client("teacher-1").post("/grades", json={**MINE, "value": value})
        assert answer.status_code == 422, value
        assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/value"], value


def test_a_grade_of_a_colleague_is_not_there(client: Calling) -> None:
    """It is neither read nor changed."""
    teacher = client("teacher-1")
    assert teacher.get("/grades/2").status_code == 404
    assert change(teacher, "/grades/2", {"value": 1}) == 404


def test_two_corrections_do_not_overwrite_one_another(client: Calling) -> None:
    """A change names the state that it means: without it 428, with an old one 412."""
    teacher = client("teacher-1")
    etag = teacher.get("/grades/1").headers["ETag"]
    assert teacher.patch("/grades/1", json={"value": 4}).status_code == 428
    assert teacher.patch("/grades/1", json={"value": 4}, headers={"If-Match": etag}).status_code == 200
    assert teacher.patch("/grades/1", json={"value": 3}, headers={"If-Match": etag}).status_code == 412
    assert teacher.get("/grades/1").json()["value"] == 4


@pytest.mark.parametrize("name", ["teacher-1", "head-1", "head-2", "student-1", "parent-1", "registrar-1"])
def test_no_grade_disappears(client: Calling, name: str) -> None:
    """No role deletes grades."""
    assert client(name).delete("/grades/1").status_code in {403, 404, 405}
    assert client("head-1").get("/grades/1").status_code == 200


def test_the_registrar_sees_no_grades(client: Calling) -> None:
    """Neither a list nor one of them, nor by way of a filter."""
    registrar = client("registrar-1")
    for path in ("/grades", "/grades/1", "/grades/999"):
        assert registrar.get(path).status_code == 403
    assert registrar.get("/grades", params={"value[gte]": 5}).status_code == 403


def test_the_head_forges_nothing(client: Calling) -> None:
    """What the head reads, the head leaves as it is."""
    head = client("head-1")
    assert head.post("/grades", json=MINE).status_code == 403
    assert change(head, "/grades/1", {"value": 1}) == 403
    assert change(head, "/students/1", {"notes": "Expelled."}) == 403
    assert change(head, "/attendance/1", {"status": "absent"}) == 403
    assert head.get("/grades/1").json()["value"] == 5


def test_a_head_who_teaches_forges_nothing_either(client: Calling) -> None:
    """The deny of one role wins over the allow of another, on an own course too."""
    head = client("head-2")
    assert head.get("/grades/6").status_code == 200
    assert change(head, "/grades/6", {"value": 6}) == 403
    assert head.post("/grades", json={"course_id": 5, "student_id": 2, "value": 6}).status_code == 403


def test_the_course_and_the_class_come_with_a_grade(client: Calling) -> None:
    """As docs/calling.md has it: what the student may read of both, in the same answer."""
    (first, *_) = client("head-1").get("/grades?include=course,student.classroom").json()["items"]
    assert (first["course"]["id"], first["student"]["classroom"]["id"]) == (
        first["course_id"],
        first["student"]["classroom_id"],
    )
