"""What is more than reading and writing one row: a place on a course, a report."""

from __future__ import annotations

from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from school.app import api
from school.models import Course, Enrolment, Grade, Student, Term
from vallum import Call, Conflict, allow


class Place(BaseModel):
    """A place on which course."""

    course_id: int = Field(ge=1, le=2**31 - 1)


@api.action(Student, "enrol", allow("registrar", where=Student.left.is_(None)), body=Place)
def enrol(call: Call, student: Student, body: Place) -> Enrolment:
    """Give the student a place on the course, as long as there is one."""
    # The lock comes before the count: two registrars must not both find the last place free.
    course = call.db.scalar(select(Course).where(Course.id == body.course_id).with_for_update())
    if course is None:
        raise Conflict("There is no such course.")
    if course.term.ends < call.now.date():
        raise Conflict("The term of this course is over.")
    everyone = call.unrestricted("each place counts, whoever may see who has it")
    taken = everyone.scalars(select(Enrolment.student_id).where(Enrolment.course_id == course.id)).all()
    if student.id in taken:
        raise Conflict("The student has a place on this course already.")
    if len(taken) >= course.places:
        raise Conflict("Every place on this course is taken.")
    place = Enrolment(course_id=course.id, student_id=student.id)
    call.db.add(place)
    return place


class ReportRequest(BaseModel):
    """A report on which term."""

    term_id: int = Field(ge=1, le=2**31 - 1)


class CourseAverage(BaseModel):
    """One line of a report."""

    course_id: int
    title: str
    grades: int
    average: float


class Report(BaseModel):
    """How the courses of a term were graded, by course; those without a grade are left out."""

    term: str
    courses: list[CourseAverage]


@api.post("/reports", allow("head"), body=ReportRequest, cost=5)
async def report(call: Call, body: ReportRequest) -> Report:
    """The average grade of each course of a term."""
    return await call.transact(lambda inside: averages(inside.db, body.term_id))


def averages(db: Session, term_id: int) -> Report:
    """Read a report.

    Raises:
        Conflict: there is no such term.
    """
    term = db.get(Term, term_id)
    if term is None:
        raise Conflict("There is no such term.")
    lines = db.execute(
        select(Course.id, Course.title, func.count(Grade.id), func.avg(Grade.value))
        .join(Grade, Grade.course_id == Course.id)
        .where(Course.term_id == term_id)
        .group_by(Course.id, Course.title)
        .order_by(Course.id)
    )
    return Report(
        term=term.name,
        courses=[
            CourseAverage(course_id=key, title=title, grades=count, average=round(float(average), 2))
            for key, title, count, average in lines
        ],
    )
