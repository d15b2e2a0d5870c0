"""The action `enrol`: a place on a course, as long as there is one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from school import api
from tests import stores
from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

Calling = Callable[[str | None], Client]

CHESS = {"course_id": 4}
"""Two places; student 4 has one of them."""


def members(caller: Client) -> list[int]:
    """The students on the chess course."""
    return [row["student_id"] for row in caller.get("/enrolments", params=CHESS).json()["items"]]


def test_the_registrar_enrols_a_student(client: Calling) -> None:
    """The answer is the place, and the teacher of the course finds it on the list."""
    answer = client("registrar-1").post("/students/2/enrol", json=CHESS)
    assert answer.status_code == 200
    assert answer.json()["student_name"] == "Ben Roth"
    assert members(client("teacher-2")) == [2, 4]


def test_a_full_course_takes_nobody(client: Calling) -> None:
    """The third place of two is a conflict, and nothing is written."""
    registrar = client("registrar-1")
    assert registrar.post("/students/2/enrol", json=CHESS).status_code == 200
    refused = registrar.post("/students/3/enrol", json=CHESS)
    assert (refused.status_code, refused.json()["code"]) == (409, "action_conflict")
    assert refused.json()["detail"] == "Every place on this course is taken."
    assert members(registrar) == [2, 4]


def test_a_place_frees_when_it_is_given_up(client: Calling) -> None:
    """The registrar removes an enrolment; the next student gets the place."""
    registrar = client("registrar-1")
    assert registrar.delete("/enrolments/4,4").status_code == 204
    assert registrar.post("/students/2/enrol", json=CHESS).status_code == 200
    assert registrar.post("/students/3/enrol", json=CHESS).status_code == 200
    assert members(registrar) == [2, 3]


def test_nobody_has_two_places(client: Calling) -> None:
    """The second time is a conflict, not a second row."""
    refused = client("registrar-1").post("/students/4/enrol", json=CHESS)
    assert (refused.status_code, refused.json()["code"]) == (409, "action_conflict")


def test_who_has_left_is_not_enrolled(client: Calling) -> None:
    """The rule of the action excludes the row that the registrar reads; one that is not there stays a 404."""
    registrar = client("registrar-1")
    assert registrar.get("/students/5").status_code == 200
    assert registrar.post("/students/5/enrol", json=CHESS).status_code == 403
    assert registrar.post("/students/99/enrol", json=CHESS).status_code == 404


def test_a_course_that_is_over_takes_nobody(client: Calling) -> None:
    """There are places on it, but no lessons."""
    refused = client("registrar-1").post("/students/2/enrol", json={"course_id": 3})
    assert (refused.status_code, refused.json()["detail"]) == (409, "The term of this course is over.")


def test_the_body_is_checked(client: Calling) -> None:
    """A missing, an unknown and an impossible field are faults; a course that is not there is a conflict."""
    registrar = client("registrar-1")
    for body in ({}, {"course_id": 4, "force": True}, {"course_id": "4"}, {"course_id": 0}, {"course_id": 2**40}):
        assert registrar.post("/students/2/enrol", json=body).status_code == 422, body
    assert registrar.post("/students/2/enrol", json={"course_id": 99}).status_code == 409


def test_there_is_no_way_past_the_count(client: Calling) -> None:
    """An enrolment cannot be created, nor moved to another course, as a row."""
    registrar = client("registrar-1")
    assert registrar.post("/enrolments", json={"course_id": 4, "student_id": 2}).status_code in {403, 405}
    moved = registrar.patch("/enrolments/1,1", json={"course_id": 4}, headers={"If-Match": "*"})
    assert moved.status_code in {403, 405}
    assert members(registrar) == [4]


def test_the_last_place_is_given_once(client: Calling, data: Path) -> None:
    """Eight registrars at once for one place: one gets it, seven are told that it is gone."""
    registrar = client("registrar-1")
    new = {"name": "Yara Lang", "born": "2018-05-05", "classroom_id": 2}
    keys = [registrar.post("/students", json=new).json()["id"] for _ in range(8)]

    def enrol(key: int) -> int:
        with stores.client(api, "registrar-1", data) as caller:
            return caller.post(f"/students/{key}/enrol", json=CHESS).status_code

    with ThreadPoolExecutor(len(keys)) as pool:
        statuses = sorted(pool.map(enrol, keys))
    assert statuses == [200, *[409] * 7]
    assert len(members(registrar)) == 2
