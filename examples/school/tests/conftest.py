"""A school so small that each row can be named; every test has a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from tests.stores import pytest_generate_tests as pytest_generate_tests
from tests.stores import store as store

from school import api
from school.models import (
    Article,
    Attendance,
    Classroom,
    Course,
    Enrolment,
    Grade,
    Guardianship,
    Status,
    Student,
    Teacher,
    Term,
    Topic,
)
from tests import stores
from vallum.testing import Client

TODAY = datetime.now(UTC).date()
ACCOUNTS = {
    "student": ["student-1", "student-2", "student-3", "student-4"],
    "parent": ["parent-1", "parent-2"],
    "teacher": ["teacher-1", "teacher-2"],
    "registrar": ["registrar-1"],
    "head": ["head-1"],
    "reader": ["reader-1"],
}


def fill(db: Session) -> None:
    """Two classes, five courses, six students."""
    for role, names in ACCOUNTS.items():
        for name in names:
            api.accounts.add(name, roles=[role])
    api.accounts.add("head-2", roles=["head", "teacher"])
    api.accounts.add("nobody-1")
    for rows in (staff(), classes(), people(), places(), records(), texts()):
        db.add_all(rows)
        db.flush()


def staff() -> list[object]:
    """Two teachers, and a head who teaches."""
    return [
        Teacher(id="teacher-1", name="Ida Berg", subject="Mathematics", email="ida@school.example", salary=60_000),
        Teacher(id="teacher-2", name="Tom Kaya", subject="Music", email="tom@school.example", salary=52_000),
        Teacher(id="head-2", name="Ruth Sommer", subject="Ethics", email="ruth@school.example", salary=80_000),
        Term(id=1, name="Last term", starts=TODAY - timedelta(days=200), ends=TODAY - timedelta(days=20)),
        Term(id=2, name="This term", starts=TODAY - timedelta(days=19), ends=TODAY + timedelta(days=160)),
    ]


def classes() -> list[object]:
    """Class 1 has teacher-1, class 2 has teacher-2. Chess has one place left, history is over."""
    return [
        Classroom(id=1, name="1-1", year=1, teacher_id="teacher-1"),
        Classroom(id=2, name="1-2", year=1, teacher_id="teacher-2"),
        Course(id=1, title="Mathematics", teacher_id="teacher-1", term_id=2, places=30),
        Course(id=2, title="Music", teacher_id="teacher-2", term_id=2, places=30),
        Course(id=3, title="History", teacher_id="teacher-1", term_id=1, places=30),
        Course(id=4, title="Chess", teacher_id="teacher-2", term_id=2, places=2),
        Course(id=5, title="Ethics", teacher_id="head-2", term_id=2, places=30),
    ]


def people() -> list[object]:
    """Students 1, 2, 5 and 6 are in class 1; 5 has left; nothing but a parent refers to 6."""
    day = TODAY - timedelta(days=2600)
    return [
        Student(id=1, name="Ada Klein", born=day, classroom_id=1, account="student-1", notes="Quiet."),
        Student(id=2, name="Ben Roth", born=day, classroom_id=1, account="student-2"),
        Student(id=3, name="Emma Klein", born=day, classroom_id=2, account="student-3"),
        Student(id=4, name="Leo Sato", born=day, classroom_id=2, account="student-4"),
        Student(id=5, name="Max Wolf", born=day, classroom_id=1, left=TODAY - timedelta(days=30)),
        Student(id=6, name="Nora Lang", born=day, classroom_id=1),
    ]


def places() -> list[object]:
    """Who has whom as a child, and who takes which course."""
    begin = TODAY - timedelta(days=19)
    taken = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (4, 4), (5, 2)]
    return [
        Guardianship(guardian="parent-1", student_id=1),
        Guardianship(guardian="parent-1", student_id=3),
        Guardianship(guardian="parent-2", student_id=6),
        *(Enrolment(course_id=course, student_id=student, since=begin) for course, student in taken),
    ]


def records() -> list[object]:
    """Grades and attendance."""
    recent, old = TODAY - timedelta(days=5), TODAY - timedelta(days=50)
    return [
        Grade(id=1, course_id=1, student_id=1, value=5, given=recent),
        Grade(id=2, course_id=2, student_id=3, value=4, given=recent),
        Grade(id=3, course_id=3, student_id=1, value=6, given=old),
        Grade(id=4, course_id=1, student_id=2, value=3, given=recent, comment="Sound work."),
        Grade(id=5, course_id=2, student_id=1, value=2, given=recent),
        Grade(id=6, course_id=5, student_id=2, value=4, given=recent),
        Attendance(id=1, student_id=1, day=recent, status=Status.PRESENT),
        Attendance(id=2, student_id=3, day=recent, status=Status.LATE),
        Attendance(id=3, student_id=2, day=recent, status=Status.ABSENT),
    ]


def texts() -> list[object]:
    """Articles 1 and 3 are out; 2 is a draft of teacher-1, 4 comes out tomorrow."""
    morning = datetime.combine(TODAY, time(), UTC) - timedelta(days=1)
    return [
        Article(id=1, title="Concert", body="On Friday.", topic=Topic.EVENTS, author="teacher-1", published_at=morning),
        Article(id=2, title="Draft", body="Not yet.", topic=Topic.NEWS, author="teacher-1"),
        Article(id=3, title="Welcome", body="To all.", topic=Topic.NEWS, author="head-1", published_at=morning),
        Article(
            id=4,
            title="Results",
            body="A surprise.",
            topic=Topic.SPORTS,
            author="teacher-2",
            published_at=morning + timedelta(days=2),
        ),
    ]


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("school") / "data"
    stores.create(api, data, seed=fill, store=store)
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own."""
    return stores.copied(filled, tmp_path / "data")


@pytest.fixture
def client(data: Path) -> Iterator[Callable[[str | None], Client]]:
    """`client("teacher-1")` calls the API as that account, `client(None)` without a credential."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(api, name, data))
