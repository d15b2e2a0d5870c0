"""What an editor shows for a declaration is right.

mypy reads this file in `make lint`: `assert_type` fails there when a type is another one, and an ignore that nothing
needs fails too, so each ignore here shows that a mistake is seen while it is typed. pytest runs the same lines.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import date, datetime
from typing import Any, assert_type, cast

import pytest
from pydantic import BaseModel
from sqlalchemy import BinaryExpression, BindParameter, ColumnElement, String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import vallum
from vallum import (
    ANYONE,
    API,
    CREATE,
    DELETE,
    READ,
    UPDATE,
    Call,
    Conflict,
    DeclarationError,
    Operation,
    Plan,
    Rate,
    Reduced,
    Rule,
    allow,
    deny,
    me,
    now,
    today,
    when,
)
from vallum.declare.accounts import Account
from vallum.declare.resource import Resource
from vallum.declare.when import When
from vallum.refusals import Refusal


class Base(DeclarativeBase):
    """The tables of these tests."""


class Student(Base):
    """A student."""

    __tablename__ = "students"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    account: Mapped[str | None] = mapped_column(String(20))
    born: Mapped[date | None]
    school_id: Mapped[int]


class Place(BaseModel):
    """The body of an action."""

    course_id: int


def new_api() -> API:
    """The least that an API says."""
    return API("School", roles=["student", "head"], attributes={"school": int})


def test_the_caller_is_a_typed_parameter() -> None:
    """`me`, `now` and `today` compare with columns like any other expression."""
    assert_type(me.id, BindParameter[str])
    assert_type(me.attr["school"], BindParameter[Any])
    assert_type(now, BindParameter[datetime])
    assert_type(today, BindParameter[date])
    assert_type(Student.account == me.id, ColumnElement[bool])
    assert_type(Student.school_id == me.attr["school"], ColumnElement[bool])
    assert_type(Student.name.in_(me.roles), BinaryExpression[bool])


def test_rules_are_values() -> None:
    """Operations unite, rules can be kept in variables, fields are names or attributes."""
    assert_type(CREATE | READ | UPDATE | DELETE, Operation)
    assert_type(allow("student", READ), Rule)
    assert_type(deny(["student", ANYONE], READ | UPDATE, fields=["name", Student.born]), Rule)
    assert_type(allow("head", CREATE, where=Student.born < today, set={Student.account: me.id}), Rule)
    assert_type(when(networks=["10.0.0.0/8"], between=("08:00", "18:00")), When)
    assert_type(allow(ANYONE, READ, when=when(credential="token")), Rule)


def test_mistakes_in_a_rule_are_seen() -> None:
    """A condition that Python decided, a credential that there is not, an operation that is a word."""
    with pytest.raises(DeclarationError, match="where-python"):
        allow("student", READ, where=Student.name is None)  # type: ignore[arg-type]
    allow("student", "READ")  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="when-value"):
        when(credential="password")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        allow("student", READ, Student.name == "x")  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        me.name  # type: ignore[attr-defined]  # noqa: B018  # the attribute is what is tested


def test_declarations_return_what_they_are_about() -> None:
    """A resource is its resource; a decorated function stays the function that it was."""
    api = new_api()
    assert_type(api.resource(Student, allow("head", READ), filters=["name", Student.born]), Resource)
    assert_type(api.accounts.add("head-1", roles=["head"], attributes={"school": 1}), Account)

    @api.action(Student, "enrol", allow("head"), body=Place)
    def enrol(call: Call, student: Student, body: Place) -> Student:
        return student

    @api.post("/reports", allow("head"), body=Place, cost=5)
    async def report(call: Call, body: Place) -> Place:
        return body

    @api.get("/health", allow(ANYONE))
    def health(call: Call) -> dict[str, int]:
        return {"up": 1}

    @api.on_start
    async def warm() -> None:
        """Nothing."""

    @api.on_seed
    def seed(db: Session) -> None:
        """Nothing."""

    call = cast(Call, None)  # nothing below looks at it
    assert_type(enrol(call, Student(), Place(course_id=1)), Student)
    assert_type(report(call, Place(course_id=1)), Coroutine[Any, Any, Place]).close()
    assert_type(health(call), dict[str, int])
    assert_type(warm(), Coroutine[Any, Any, None]).close()
    assert_type(seed(db=cast(Session, None)), None)
    assert report.__name__ == "report"
    assert api.resources[Student].filters == ("name", "born")


def test_mistakes_in_a_declaration_are_seen() -> None:
    """Roles are named, plans are plans, bodies are types."""
    with pytest.raises(TypeError):
        API("School")  # type: ignore[call-arg]
    with pytest.raises(DeclarationError, match="plan-form"):
        API("School", roles=["head"], plans={"free": "5/min"})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        new_api().put("/x", allow("head"))  # type: ignore[call-arg]
    with pytest.raises(DeclarationError, match="tenant-value"):
        API("School", roles=["head"], tenant=("school_id", 5))  # type: ignore[arg-type]


def test_plans_are_typed() -> None:
    """Rates are text or numbers; what is kept is always a rate."""
    plan = Plan(burst="20/s", hour=1_000, after_quota=Reduced("5/min"))
    assert_type(plan.burst, Rate)
    assert_type(plan.hour, int | None)
    assert_type(plan.after_quota, Reduced | None)


def typed_handler(call: Call) -> None:
    """Mypy alone reads it: what a handler does with its call."""
    assert_type(call.db, Session)
    assert_type(call.get(Student, 1), dict[str, Any])
    assert_type(call.list(Student, limit=5), Sequence[dict[str, Any]])
    assert_type(call.create(Student, {"name": "x"}), dict[str, Any] | None)
    assert_type(call.unrestricted("counting places"), Session)
    assert_type(call.now, datetime)
    assert_type(call.principal.id, str | None)


async def typed_async_handler(call: Call) -> int:
    """Mypy alone reads it: the result of a transaction is the result of its function."""
    assert_type(await call.transact(lambda inside: len(inside.request_id)), int)
    return await call.transact(lambda inside: 1)


def test_a_conflict_is_raised_like_an_exception() -> None:
    """`raise Conflict("The course is full.")`."""
    assert_type(Conflict("The course is full."), Refusal)
    with pytest.raises(Refusal):
        raise Conflict("The course is full.")


def test_the_public_names_are_those_that_editors_see() -> None:
    """Each name of `vallum` can be imported, and an invented one cannot."""
    for name in vallum.__all__:
        assert getattr(vallum, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Allow'"):
        vallum.Allow  # noqa: B018  # the attribute is what is tested
