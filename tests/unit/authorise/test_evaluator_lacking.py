"""Rules that use what the caller does not have: an allow grants nothing, a deny applies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Boolean, ColumnElement, literal, true
from tests.general.app import api
from tests.general.models import Comment, Person, Project, Task
from tests.general.rows import sample_rows

from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Question, decide, lacking
from vallum.declare.policy import ANYONE, CREATE, READ, allow, deny, me

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS = RequestFacts("token", None, None, "10.0.0.1", NOW.timestamp())


@pytest.mark.parametrize(
    ("where", "values", "name", "lacks"),
    [
        (Person.account == me.id, {}, None, ("me.id",)),
        (Person.account == me.id, {}, "mia", ()),
        (Person.organisation_id == me.attr["shoe"], {}, "mia", ('me.attr["shoe"]',)),
        (Task.project.has(Project.lead.has(Person.account == me.id)), {}, None, ("me.id",)),
        (Person.account.in_(me.roles), {}, None, ()),
        (true(), {Comment.author: me.id}, None, ("me.id",)),
    ],
    ids=["me", "known", "attribute", "nested", "roles", "set"],
)
def test_what_a_rule_uses_and_the_caller_lacks(
    where: ColumnElement[bool], values: Any, name: str | None, lacks: tuple[str, ...]
) -> None:
    """It is found in subqueries, and in the values that a CREATE writes."""
    rule = allow(ANYONE, CREATE, where=where, set=values)
    assert lacking(rule, CREATE, CallerValues(name)) == lacks


def test_lacking_makes_an_allow_false_and_a_deny_true() -> None:
    """Also where the rest of the condition would decide by itself."""
    always = true() | (Person.account == me.id)
    either = Person.id.is_not(None) | (Person.account == me.id)
    never = Person.id.is_(None) & (Person.account == me.id)
    null_value = literal(None, Boolean)
    person, anonymous = (
        sample_rows()[api.resources[Person].table][0],
        CallerValues(None, attributes={"organisation": 1}),
    )
    assert str(always) == "true"
    for rules, visible in (
        ([allow(ANYONE, READ)], True),
        ([allow(ANYONE, READ, where=either)], False),
        ([allow(ANYONE, READ), deny(ANYONE, READ, where=never)], False),
        ([allow(ANYONE, READ), deny(ANYONE, READ, where=Person.active == null_value)], False),
    ):
        resource = replace(api.resources[Person], rules=tuple(rules))
        question = Question(Evaluator(sample_rows(), anonymous, NOW), resource, FACTS)
        assert decide(rules, READ, question, person).visible is visible
