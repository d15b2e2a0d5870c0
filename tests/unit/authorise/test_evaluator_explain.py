"""What an operator reads: each rule with its verdict, each condition with its value, and the same outcome as `decide`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, not_, or_
from tests.general.app import api, number
from tests.general.models import Membership, Part, Person, Project, Task

from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Question
from vallum.authorise.evaluator_explain import Line, Verdict, explain
from vallum.declare.policy import ANYONE, CREATE, DELETE, READ, UPDATE, Operation, Rule, allow, deny, me
from vallum.declare.when import when

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS = RequestFacts("token", None, None, "10.0.0.1", NOW.timestamp())
active: Any = Person.active  # its type is of a nullable boolean, which conditions do not take
CALLER = CallerValues("mia", frozenset({"member"}), {"organisation": 1})
ROW: dict[str, Any] = {
    "id": number(10),
    "organisation_id": 1,
    "account": None,
    "name": "Mia",
    "born": None,
    "active": True,
    "rate": None,
    "settings": {},
}


def lines(
    rules: Sequence[Rule],
    operation: Operation | None = READ,
    *,
    row: dict[str, Any] = ROW,
    caller: CallerValues = CALLER,
    after: dict[str, Any] | None = None,
) -> list[tuple[int, str, Verdict]]:
    """The explanation under these rules of a person's row, without its first line."""
    resource = replace(api.resources[Person], rules=tuple(rules))
    question = Question(Evaluator({}, caller, NOW), resource, FACTS)
    return [(line.depth, line.text, line.verdict) for line in explain(rules, operation, question, row, after=after)][1:]


WHAT = f"READ people {number(10)}"


def test_who_asks_stands_first() -> None:
    """The caller's name, roles and attributes; an anonymous one says so."""
    question = Question(Evaluator({}, CALLER, NOW), api.resources[Person], FACTS)
    assert explain((), READ, question, ROW)[0] == Line(0, "caller mia; roles: member; attributes: organisation=1")
    nobody = Question(Evaluator({}, CallerValues(None), NOW), api.resources[Person], FACTS)
    assert explain((), READ, nobody, ROW)[0] == Line(0, "anonymous caller; roles: none; attributes: none")


def test_a_rule_of_an_action_in_words() -> None:
    """It names no operation; what it is about stands in the first line alone."""
    question = Question(
        Evaluator({}, CALLER, NOW), replace(api.resources[Person], rules=(allow("member", READ),)), FACTS
    )
    told = [line.text for line in explain((allow("member"),), None, question, ROW)][1:]
    assert (told[0].split(":")[0], told[-1]) == (f"action on people {number(10)}", "rule 1: allow(member)")


def test_conditions_with_their_values() -> None:
    """AND, OR and NOT are taken apart; each part shows the values that it reads."""
    rule = allow(
        "member",
        READ,
        where=and_(or_(Person.account == me.id, Person.name == "Mia"), not_(and_(active, Person.rate > 1))),
        fields=["id", "name"],
    )
    assert lines([rule]) == [
        (0, WHAT, "not found"),
        (1, "rule 1: allow(member, READ) on id, name", "no"),
        (2, "all of", "null"),
        (3, "any of", "true"),
        (4, "people.account = me.id  [account=NULL]", "null"),
        (4, "people.name = 'Mia'  [name='Mia']", "true"),
        (3, "not", "null"),
        (4, "all of", "null"),
        (5, "people.active  [active=True]", "true"),
        (5, "people.rate > 1  [rate=NULL]", "null"),
    ]


def test_a_deny_that_applies_by_null() -> None:
    """The operator sees that the condition is NULL and that the deny applies all the same."""
    rules = [
        allow(ANYONE, READ, fields=["id", "rate"]),
        deny("member", READ, where=Person.account != me.id, fields=["rate"]),
    ]
    assert lines(rules) == [
        (0, f"{WHAT}: fields id", "allowed"),
        (1, "rule 1: allow(ANYONE, READ) on id, rate", "grants"),
        (1, "rule 2: deny(member, READ) on rate", "applies"),
        (2, "people.account != me.id  [account=NULL]", "null"),
    ]


def test_rules_that_are_not_about_the_caller() -> None:
    """Another role, an unmet condition on the request, a value that the caller lacks: each says which."""
    rules = [
        allow("manager", READ),
        allow("member", READ, when=when(networks=["192.0.2.0/24"])),
        allow("member", READ, where=Person.name == me.attr["region"]),
        deny("member", READ, where=Person.name == me.attr["region"]),
        allow("member", UPDATE),
    ]
    assert lines(rules) == [
        (0, WHAT, "not found"),
        (1, "rule 1: allow(manager, READ): not a role of this caller", "no"),
        (1, "rule 2: allow(member, READ): its conditions on the request are not met: from 192.0.2.0/24", "no"),
        (1, 'rule 3: allow(member, READ): the caller has no me.attr["region"]', "no"),
        (1, 'rule 4: deny(member, READ): the caller has no me.attr["region"]', "applies"),
    ]


def test_update_shows_read_before_and_after() -> None:
    """The rules that find the row, those on the state before, and those on the state after."""
    rules = [allow("member", READ, fields=["id"]), allow("member", UPDATE, where=Person.name == "Mia", fields=["name"])]
    assert lines(rules, UPDATE, after={**ROW, "name": "Ada"}) == [
        (0, f"UPDATE people {number(10)}", "refused"),
        (1, "rule 1: allow(member, READ) on id", "grants"),
        (1, "rule 2: allow(member, UPDATE) on name", "grants"),
        (2, "people.name = 'Mia'  [name='Mia']", "true"),
        (1, "after the change: rule 2: allow(member, UPDATE) on name", "no"),
        (2, "people.name = 'Mia'  [name='Ada']", "false"),
    ]


def test_refused_and_not_found_are_told_apart() -> None:
    """A row that is read but not deleted is refused; one that is not read is not found; a create is refused."""
    assert lines([allow("member", READ)], DELETE)[0][2] == "refused"
    assert lines([allow("member", DELETE)], DELETE)[0][2] == "not found"
    assert lines([], CREATE)[0][2] == "refused"
    assert lines([allow("member", READ), allow("member", DELETE)], DELETE)[0] == (
        0,
        f"DELETE people {number(10)}: no fields",
        "allowed",
    )


def test_a_row_of_another_tenant() -> None:
    """No rule is listed, because none is asked."""
    assert lines([allow("member", READ)], row={**ROW, "organisation_id": 2}) == [
        (0, WHAT, "not found"),
        (1, "the row belongs to another tenant or is deleted: it does not exist", "no"),
    ]


def test_what_the_evaluator_does_not_know_is_said() -> None:
    """The rule and its part are shown as unknown, and so is the outcome; the other parts keep their values."""
    rule = allow("member", READ, where=and_(Person.name == "Mia", Person.name.like("M%")))
    found = lines([rule])
    assert [(depth, verdict) for depth, _, verdict in found] == [
        (0, "unknown"),
        (1, "unknown"),
        (2, "unknown"),
        (3, "true"),
        (3, "unknown"),
    ]
    assert "like_op" in found[0][1]


def test_a_relationship_is_shown_as_it_runs() -> None:
    """The EXISTS behind has() and any(), its constants in place, with the outer values that it joins by."""
    where = Task.project.has(Project.memberships.any(Membership.part.in_([Part.OWNER, Part.EDITOR])))
    resource = replace(api.resources[Task], rules=(allow("member", READ, where=where),))
    tables: dict[Any, list[dict[str, Any]]] = {Project.__table__: [], Membership.__table__: []}
    question = Question(Evaluator(tables, CALLER, NOW), resource, FACTS)
    row = {"id": number(30), "organisation_id": 1, "project_id": number(20)}
    last = explain(resource.rules, READ, question, row)[-1]
    assert last.verdict == "false"
    assert last.text.startswith("EXISTS (SELECT 1 FROM projects WHERE projects.id = tasks.project_id AND (EXISTS")
    assert last.text.endswith(f"IN ('owner', 'editor'))))  [project_id={number(20)}]")
