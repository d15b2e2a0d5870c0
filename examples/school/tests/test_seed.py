"""The sample data: the same on each machine, and as the printed commands expect it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.orm import Session

from school import api, demo, seed
from school.models import Base, Course, Enrolment, Guardianship, Student, Teacher, Term

DAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def seeded() -> Iterator[Session]:
    """A database with the sample data; the accounts that it declares are forgotten afterwards."""
    engine = create_engine("sqlite://")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON"))
    Base.metadata.create_all(engine)
    with pytest.MonkeyPatch.context() as patch, Session(engine) as db:
        patch.setattr(api.accounts, "declared", {})
        seed.fill(db)
        yield db
    engine.dispose()


def counts(db: Session) -> dict[str, int]:
    """Rows of each table."""
    return {
        table.name: db.scalar(select(func.count()).select_from(table)) or 0 for table in Base.metadata.tables.values()
    }


def test_there_is_a_whole_school(seeded: Session) -> None:
    """As many rows as the description promises."""
    found = counts(seeded)
    assert {name: found[name] for name in ("students", "teachers", "classrooms", "attendance", "articles")} == {
        "students": 10_000,
        "teachers": 400,
        "classrooms": 400,
        "attendance": 100_000,
        "articles": 200,
    }
    assert 55_000 < found["enrolments"] < 65_000
    assert 90_000 < found["grades"] < 110_000


def test_accounts_bear_the_number_of_their_row(seeded: Session) -> None:
    """What the documentation says of student-17, teacher-17 and parent-17 is so."""
    assert len(api.accounts.declared) == 10_000 + 400 + 6_000 + 3 + 1 + 1
    assert seeded.scalar(select(Student.account).where(Student.id == 17)) == "student-17"
    own = select(Student.id).where(Student.classroom.has(teacher_id="teacher-17")).order_by(Student.id)
    assert list(seeded.scalars(own)) == list(range(401, 426))
    children = select(Guardianship.student_id).where(Guardianship.guardian == "parent-17")
    assert sorted(seeded.scalars(children)) == [17, 5017]
    families = select(Student.name).where(Student.id.in_([17, 5017]))
    assert len({name.split()[-1] for name in seeded.scalars(families)}) == 1


def test_every_account_of_a_row_is_declared(seeded: Session) -> None:
    """Nobody in the tables is unable to come in."""
    for column in (Student.account, Teacher.id, Guardianship.guardian):
        assert set(seeded.scalars(select(column))) <= set(api.accounts.declared)


def test_the_term_runs_now(seeded: Session) -> None:
    """On the day of seeding and for three months there is one term in which teachers grade."""
    today = func.current_date()
    running = select(Term.name).where(Term.starts <= today, Term.ends >= func.date("now", "+90 days"))
    assert list(seeded.scalars(running)) == ["This term"]


def test_no_course_has_more_members_than_places(seeded: Session) -> None:
    """The club that the printed command tries is full; the same club of the next term is empty."""
    taken = select(func.count()).where(Enrolment.course_id == Course.id).scalar_subquery()
    assert seeded.scalars(select(Course.id).where(taken > Course.places)).all() == []
    full = seeded.execute(select(Course.term_id, Course.places, taken).where(Course.id == demo.FULL_CLUB)).one()
    assert tuple(full) == (seed.PRESENT, 12, 12)
    later = select(taken).where(Course.id == demo.FULL_CLUB + seed.CLUBS)
    assert seeded.scalar(later) == 0


def test_the_same_day_gives_the_same_rows() -> None:
    """The data depends on the day alone, so that a report can be repeated."""
    one, two = (
        [(model.__tablename__, list(rows)) for model, rows in seed.tables(random.Random(1), DAY)] for _ in range(2)
    )
    assert one == two


def test_dates_are_plausible(seeded: Session) -> None:
    """Nobody is graded or marked present in the future, or outside the course's term."""
    impossible = {
        "grades": "SELECT count(*) FROM grades g JOIN courses c ON c.id = g.course_id JOIN terms t ON t.id = c.term_id "
        "WHERE g.given NOT BETWEEN t.starts AND t.ends OR g.given > date('now')",
        "attendance": "SELECT count(*) FROM attendance WHERE day > date('now') OR strftime('%w', day) IN ('0', '6')",
        "students": "SELECT count(*) FROM students WHERE born > date('now', '-6 years')",
    }
    assert {name: seeded.scalar(text(query)) for name, query in impossible.items()} == dict.fromkeys(impossible, 0)
