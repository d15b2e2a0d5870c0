"""A school to look at: the same one on each machine, except that its terms lie around the day of seeding.

Accounts bear the number of their row: `student-17` is student 17 and sits in class 1, `teacher-17` has class 17 with the
students 401 to 425, `parent-17` has the students 17 and 5017. Then there are `registrar-1` to `registrar-3`, `head-1`
and `screen-1`, the screen in the entrance hall.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import insert
from sqlalchemy.orm import Session

from school import words
from school.app import api
from school.models import (
    Article,
    Attendance,
    Base,
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

STUDENTS: Final = 10_000
CLASSES: Final = 400
"""As many as teachers; 25 students in each, 40 classes in each of ten years."""
SIZE: Final = STUDENTS // CLASSES
SECTIONS: Final = 40
HOUSEHOLDS: Final = STUDENTS // 2
"""Household 17 has the students 17 and 5017 and the parent 17."""
SECOND_PARENTS: Final = 1_000
"""The first households have a second parent with an account: parent 5017 beside parent 17."""
PARENTS: Final = HOUSEHOLDS + SECOND_PARENTS
CLUBS: Final = 40
CLUB_PLACES: Final = 12
SCHOOL_DAYS: Final = 10
ARTICLES: Final = 200
BATCH: Final = 10_000

Row = dict[str, Any]
PAST, PRESENT, NEXT = 1, 2, 3
LESSONS: Final = {PAST: (0, 1, 7), PRESENT: (0, 2, 11)}
"""Term → whose teachers teach a class: of the class itself, and of the classes so much further on."""
GRADES: Final = {PAST: (2, 2), PRESENT: (1, 2)}
"""Term → fewest and most grades of one student on one course."""


@api.on_seed
def fill(db: Session) -> None:
    """Fill an empty database. Row numbers come from the database, which counts from 1."""
    today = datetime.now(UTC).date()
    accounts()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for model, rows in tables(random.Random(1), today):
            task = progress.add_task(model.__tablename__, total=len(rows))
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                # On the connection: the unit of work has nothing to add to rows that are plain data.
                db.connection().execute(insert(model), batch)
                progress.advance(task, len(batch))


def accounts() -> None:
    """Everybody who may come in. Credentials are the operator's business."""
    crowds = {"student": STUDENTS, "teacher": CLASSES, "parent": PARENTS, "registrar": 3, "head": 1}
    for role, size in crowds.items():
        for number in range(1, size + 1):
            api.accounts.add(f"{role}-{number}", roles=[role])
    # No student stands behind the screen, so articles and the timetable are all it sees.
    api.accounts.add("screen-1", roles=["student"], plan="screen")


def tables(draw: random.Random, today: date) -> Iterator[tuple[type[Base], Sequence[Row]]]:
    """Each table with its rows, those that others refer to first."""
    yield Teacher, teachers(draw)
    yield Classroom, classrooms()
    yield Term, terms(today)
    yield Course, [row for row, _ in courses()]
    yield Student, students(draw, today)
    yield Guardianship, guardianships()
    places = enrolments(draw, today)
    yield Enrolment, places
    yield Grade, grades(draw, today, places)
    yield Attendance, attendance(draw, today)
    yield Article, articles(draw, today)


def person(draw: random.Random, last_name: str | None = None) -> str:
    """A first name and a last name."""
    return f"{draw.choice(words.FIRST_NAMES)} {last_name or draw.choice(words.LAST_NAMES)}"


def teachers(draw: random.Random) -> list[Row]:
    """A teacher for each class; the number in the address tells apart those with the same name."""
    rows: list[Row] = []
    for number in range(1, CLASSES + 1):
        name = person(draw)
        address = re.sub("[^a-z]+", ".", name.lower())
        rows.append(
            {
                "id": f"teacher-{number}",
                "name": name,
                "subject": words.SUBJECTS[number % len(words.SUBJECTS)],
                "email": f"{address}.{number}@school.example",
                "phone": f"+49 30 5550 {number:04}",
                "salary": 45_000 + 500 * draw.randrange(60),
            }
        )
    return rows


def terms(today: date) -> list[Row]:
    """One that is over, one that runs (for three months more), and one to come."""
    days = timedelta(days=182)
    first = today - timedelta(days=90) - days
    return [
        {"name": name, "starts": first + past * days, "ends": first + (past + 1) * days - timedelta(days=1)}
        for past, name in enumerate(("Last term", "This term", "Next term"))
    ]


def classrooms() -> list[Row]:
    """Class 17 has the teacher 17."""
    return [
        {"name": class_name(number), "year": year_of(number), "teacher_id": f"teacher-{number}"}
        for number in range(1, CLASSES + 1)
    ]


def year_of(number: int) -> int:
    """The year of a class."""
    return (number - 1) // SECTIONS + 1


def class_name(number: int) -> str:
    """As on the door: `3-17` is the seventeenth class of the third year."""
    return f"{year_of(number)}-{(number - 1) % SECTIONS + 1}"


def courses() -> list[tuple[Row, range]]:
    """Each course with the students who take it as a class; clubs, which are chosen, come last and have none."""
    found = []
    for term, shifts in LESSONS.items():
        for number in range(1, CLASSES + 1):
            for shift in shifts:
                teacher = (number + shift - 1) % CLASSES + 1
                subject = words.SUBJECTS[teacher % len(words.SUBJECTS)]
                row = course(f"{subject} {class_name(number)}", teacher, term, 30)
                found.append((row, range((number - 1) * SIZE + 1, number * SIZE + 1)))
    for term in (PRESENT, NEXT):
        for number in range(1, CLUBS + 1):
            club = words.CLUBS[number % len(words.CLUBS)]
            found.append((course(f"{club} {number}", number * 10, term, CLUB_PLACES), range(0)))
    return found


def course(title: str, teacher: int, term: int, places: int) -> Row:
    """A row of `courses`."""
    return {"title": title, "teacher_id": f"teacher-{teacher}", "term_id": term, "places": places}


def students(draw: random.Random, today: date) -> list[Row]:
    """In the order of their classes, and so of age; brothers and sisters share a last name."""
    families = [draw.choice(words.LAST_NAMES) for _ in range(HOUSEHOLDS)]
    rows: list[Row] = []
    for number in range(1, STUDENTS + 1):
        classroom = (number - 1) // SIZE + 1
        rows.append(
            {
                "name": person(draw, families[(number - 1) % HOUSEHOLDS]),
                "born": today - timedelta(days=(5 + year_of(classroom)) * 366 + draw.randrange(365)),
                "classroom_id": classroom,
                "account": f"student-{number}",
                "notes": draw.choice(words.NOTES) if draw.random() < 0.2 else None,
                "left": None if draw.random() < 0.99 else today - timedelta(days=draw.randrange(1, 200)),
            }
        )
    return rows


def guardianships() -> list[Row]:
    """Each parent of a household has both children of it."""
    return [
        {"guardian": f"parent-{parent}", "student_id": child}
        for parent in range(1, PARENTS + 1)
        for child in range((parent - 1) % HOUSEHOLDS + 1, STUDENTS + 1, HOUSEHOLDS)
    ]


def enrolments(draw: random.Random, today: date) -> list[Row]:
    """Whole classes, and the clubs of this term, which are full; the clubs of the next one are empty."""
    begins = {number: row["starts"] for number, row in enumerate(terms(today), 1)}
    rows: list[Row] = []
    for key, (row, members) in enumerate(courses(), 1):
        takers: Sequence[int] = members
        if not members and row["term_id"] == PRESENT:
            takers = draw.sample(range(1, STUDENTS + 1), CLUB_PLACES)
        rows += [{"course_id": key, "student_id": taker, "since": begins[row["term_id"]]} for taker in takers]
    return rows


def grades(draw: random.Random, today: date, places: Sequence[Row]) -> list[Row]:
    """Two each in the last term, one or two up to now in this one; none in clubs."""
    spans = {number: (row["starts"], min(row["ends"], today)) for number, row in enumerate(terms(today), 1)}
    lessons = [row["term_id"] if members else None for row, members in courses()]
    rows: list[Row] = []
    for place in places:
        term = lessons[place["course_id"] - 1]
        if term is None:
            continue
        first, last = spans[term]
        for _ in range(draw.randint(*GRADES[term])):
            value = draw.choices((1, 2, 3, 4, 5, 6), (2, 5, 15, 33, 33, 12))[0]
            rows.append(
                {
                    "course_id": place["course_id"],
                    "student_id": place["student_id"],
                    "value": value,
                    "given": first + timedelta(days=draw.randrange((last - first).days + 1)),
                    "comment": words.REMARKS[value] if draw.random() < 0.1 else None,
                }
            )
    return rows


def attendance(draw: random.Random, today: date) -> list[Row]:
    """The last school days, of everybody."""
    weeks = (today - timedelta(days=back) for back in range(1, 2 * SCHOOL_DAYS))
    days = sorted(day for day in weeks if day.weekday() < 5)[-SCHOOL_DAYS:]
    drawn = draw.choices(tuple(Status), (92, 3, 4, 1), k=len(days) * STUDENTS)
    return [
        {"student_id": number, "day": day, "status": drawn.pop()} for day in days for number in range(1, STUDENTS + 1)
    ]


def articles(draw: random.Random, today: date) -> list[Row]:
    """Most of them out, some for the coming days, every tenth still a draft."""
    rows: list[Row] = []
    for number in range(1, ARTICLES + 1):
        topic = draw.choice(tuple(Topic))
        day = today - timedelta(days=ARTICLES - number - 5)
        rows.append(
            {
                "title": f"{draw.choice(words.HEADLINES[topic.value])} ({number})",
                "body": " ".join(draw.sample(words.SENTENCES, 5)),
                "topic": topic,
                "author": "head-1" if number % 20 == 0 else f"teacher-{draw.randint(1, CLASSES)}",
                "published_at": None if number % 10 == 0 else datetime.combine(day, time(7, 30), UTC),
            }
        )
    return rows
