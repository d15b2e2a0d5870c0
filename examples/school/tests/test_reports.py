"""The head's report: an endpoint without a row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

Calling = Callable[[str | None], Client]


def test_the_head_reads_averages(client: Calling) -> None:
    """Each course of the term that has grades is one line."""
    answer = client("head-1").post("/reports", json={"term_id": 2})
    assert answer.status_code == 200
    assert answer.json() == {
        "term": "This term",
        "courses": [
            {"course_id": 1, "title": "Mathematics", "grades": 2, "average": 4.0},
            {"course_id": 2, "title": "Music", "grades": 2, "average": 3.0},
            {"course_id": 5, "title": "Ethics", "grades": 1, "average": 4.0},
        ],
    }


def test_a_term_that_is_not_there_is_a_conflict(client: Calling) -> None:
    """The handler's own refusal reaches the client with its sentence."""
    answer = client("head-1").post("/reports", json={"term_id": 99})
    assert (answer.status_code, answer.json()["detail"]) == (409, "There is no such term.")


def test_nobody_else_gets_a_report(client: Calling) -> None:
    """An endpoint is closed to every role that its rules do not name."""
    for name in ("student-1", "parent-1", "teacher-1", "registrar-1", "nobody-1"):
        assert client(name).post("/reports", json={"term_id": 2}).status_code == 403
