"""Who may do what. What stands nowhere on this page does not exist for anybody.

A student sees their own record and grades; a parent their own children. A teacher sees their own class, grades their
own courses during the term and deletes nothing. The registrar manages students and enrolments and sees no grades. The
head reads everything and forges nothing. Published articles are open to everybody that the school knows, and to readers:
programs of others, which the operator gives an API key (`vallum key add NAME --role reader --plan reader`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import and_

from school.app import api
from school.models import (
    Article,
    Attendance,
    Classroom,
    Course,
    Enrolment,
    Grade,
    Guardianship,
    Student,
    Teacher,
    Term,
)
from vallum import CREATE, DELETE, READ, UPDATE, allow, deny, me, now, today

FAMILIES: Final = ["student", "parent"]
STAFF: Final = ["teacher", "registrar", "head"]
EVERYBODY: Final = [*FAMILIES, *STAFF]
AUTHORS: Final = ["teacher", "head"]

own_record = Student.account == me.id
own_child = Student.guardianships.any(Guardianship.guardian == me.id)
own_class = Student.classroom.has(Classroom.teacher_id == me.id)
own_course = Course.teacher_id == me.id
running = Course.term.has(and_(Term.starts <= today, Term.ends >= today))

# People -------------------------------------------------------------------------------

RECORD: Final = ["id", "name", "born", "classroom_id"]

api.resource(
    Student,
    allow("student", READ, where=own_record, fields=RECORD),
    allow("parent", READ, where=own_child, fields=RECORD),
    allow("teacher", READ, where=own_class),
    allow("teacher", UPDATE, where=own_class, fields=["notes"]),
    allow("registrar", CREATE | READ | UPDATE | DELETE),
    allow("head", READ),
    filters=["name", "born", "classroom_id"],
    sorts=["name", "born"],
    cascade=[Guardianship],  # everything else that a student has keeps the row: who leaves, has `left` set
)

api.resource(
    Teacher,
    allow("teacher", READ, fields=["id", "name", "subject"]),
    allow("teacher", READ, where=Teacher.id == me.id),
    allow("head", READ),
    filters=["name", "subject"],
    sorts=["name"],
)

api.resource(
    Guardianship,
    allow("registrar", CREATE | READ | DELETE),
    allow("head", READ),
    filters=["guardian", "student_id"],
)

# What is taught -----------------------------------------------------------------------

api.resource(
    Classroom,
    allow(FAMILIES, READ, fields=["id", "name", "year", "teacher_name"]),
    allow(STAFF, READ),
    filters=["name", "year"],
    sorts=["name", "year"],
)

api.resource(Term, allow(EVERYBODY, READ), sorts=["starts"])

api.resource(
    Course,
    allow(FAMILIES, READ, fields=["id", "title", "term_id", "places", "teacher_name"]),
    allow(STAFF, READ),
    filters=["title", "term_id", "teacher_id"],
    sorts=["title"],
)

api.resource(
    Enrolment,
    allow("teacher", READ, where=Enrolment.course.has(own_course)),
    allow("registrar", READ | DELETE),  # created by the action `enrol` alone, which counts the places
    allow("head", READ),
    filters=["course_id", "student_id", "since"],
)

api.resource(
    Grade,
    allow("student", READ, where=Grade.student.has(own_record)),
    allow("parent", READ, where=Grade.student.has(own_child)),
    allow("teacher", READ, where=Grade.course.has(own_course)),
    allow(
        "teacher",
        CREATE,
        where=Grade.course.has(and_(own_course, running)),
        fields=["course_id", "student_id", "value", "comment"],
        set={Grade.given: today},
    ),
    allow("teacher", UPDATE, where=Grade.course.has(and_(own_course, running)), fields=["value", "comment"]),
    allow("head", READ),
    deny("head", CREATE | UPDATE | DELETE),  # whatever other role a head has
    filters=["course_id", "student_id", "value", "given"],
    sorts=["given"],
)

api.resource(
    Attendance,
    allow("parent", READ, where=Attendance.student.has(own_child)),
    allow("teacher", READ, where=Attendance.student.has(own_class)),
    allow("teacher", CREATE, where=Attendance.student.has(own_class), fields=["student_id", "day", "status"]),
    allow("teacher", UPDATE, where=Attendance.student.has(own_class), fields=["status"]),
    allow("head", READ),
    filters=["student_id", "day", "status"],
    sorts=["day"],
)

# What is read -------------------------------------------------------------------------

TEXT: Final = ["title", "body", "topic", "published_at"]

api.resource(
    Article,
    allow([*EVERYBODY, "reader"], READ, where=Article.published_at <= now, fields=["id", *TEXT]),
    allow(AUTHORS, CREATE, fields=TEXT, set={Article.author: me.id}),
    allow(AUTHORS, READ, where=Article.author == me.id),
    allow(AUTHORS, UPDATE, where=Article.author == me.id, fields=TEXT),
    allow("head", READ),
    filters=["topic", "published_at", "author"],
    sorts=["published_at"],
)
