"""Decisions over the second application: the rules of product.md, one by one, against answers written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased
from tests.general.app import api, number
from tests.general.models import Comment, Invoice, Organisation, Person, Project, Stage, Tag, Task
from tests.general.rows import sample_rows

from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Decision, Question, decide, is_about
from vallum.declare.policy import CREATE, DELETE, READ, UPDATE, Operation, Rule, allow, deny
from vallum.declare.resource import Resource
from vallum.declare.when import when

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS = RequestFacts("token", NOW.timestamp() - 60, None, "10.0.0.1", NOW.timestamp())
HIDDEN = Decision(visible=False, allowed=False, fields=frozenset())


def caller_of(name: str | None) -> CallerValues:
    """The account of that name as the API declares it."""
    if name is None:
        return CallerValues(None)
    account = api.accounts.declared[name]
    return CallerValues(name, account.roles, account.attributes)


def question_of(name: str | None, model: type[Any], facts: RequestFacts = FACTS) -> Question:
    """What that caller asks about the rows of a model."""
    return Question(Evaluator(sample_rows(), caller_of(name), NOW), api.resources[model], facts)


def row_of(model: type[Any], *key: Any) -> dict[str, Any]:
    """A row by its key; a number stands for the UUID that the sample data makes of it."""
    table = model.__table__
    wanted = tuple(
        number(part) if "Uuid" in repr(column.type) else part
        for part, column in zip(key, table.primary_key, strict=True)
    )
    return next(r for r in sample_rows()[table] if tuple(r[c.key] for c in table.primary_key) == wanted)


def decided(
    name: str | None,
    operation: Operation,
    model: type[Any],
    row: Mapping[str, Any],
    *,
    facts: RequestFacts = FACTS,
    after: Mapping[str, Any] | None = None,
) -> Decision:
    """The decision under the rules of the model's resource."""
    question = question_of(name, model, facts)
    return decide(question.resource.rules, operation, question, row, after=after)


def readable(name: str | None, model: type[Any], *key: Any) -> set[str] | None:
    """The fields that the caller reads in a row; None when the row does not exist for it."""
    decision = decided(name, READ, model, row_of(model, *key))
    assert decision.allowed is decision.visible
    return set(decision.fields) if decision.visible else None


def test_only_granted_fields_are_readable() -> None:
    """A rule with fields shows these and no more."""
    assert readable("mia", Person, 11) == {"id", "name"}
    assert readable("mia", Organisation, 1) == {"organisation_id", "name"}


def test_rules_of_several_roles_unite_by_row() -> None:
    """A member who leads the project reads the fields of both rules; another member only those of one."""
    shared = {"id", "title", "stage", "starts", "open_tasks", "running"}
    assert readable("mia", Project, 20) == shared | {"budget"}
    assert readable("otto", Project, 20) == shared
    assert readable("alex", Project, 20) == {"id", "title", "budget"}


def test_what_no_rule_grants_is_not_there() -> None:
    """A role without a rule on the resource, and the anonymous caller, see nothing."""
    assert readable("alex", Comment, 1) is None
    assert readable(None, Project, 20) is None


def test_a_deny_on_rows_wins_over_every_allow() -> None:
    """A draft is hidden from its owner as long as the owner is only a member."""
    assert readable("mia", Project, 21) is None
    assert readable("mona", Project, 21) is None  # member and manager: the deny on members wins


def test_a_deny_on_fields_hides_only_these() -> None:
    """The rate of another person is hidden, their own one is not."""
    assert "rate" not in (readable("mona", Person, 10) or ())
    assert "rate" in (readable("mona", Person, 11) or ())


def test_a_deny_whose_condition_is_null_applies() -> None:
    """A person without account is not known to be another one, and still the rate is hidden."""
    fields = readable("mona", Person, 14)
    assert fields is not None
    assert "name" in fields
    assert "rate" not in fields


def test_an_allow_whose_condition_is_null_grants_nothing() -> None:
    """`settled IS NOT TRUE` holds for NULL, a comparison with NULL does not."""
    question = question_of("mona", Person)
    rule = allow("manager", READ, where=Person.account == "x")
    assert decide([rule], READ, _with(question, [rule]), row_of(Person, 14)) == HIDDEN


def test_another_tenant_does_not_exist() -> None:
    """The same manager role sees its own organisation only."""
    assert readable("lena", Project, 20) is None
    assert readable("lena", Task, 34) is not None
    assert readable("mona", Task, 34) is None


def test_a_deleted_row_does_not_exist() -> None:
    """Not for reading, changing or deleting, whoever asks."""
    for operation in (READ, UPDATE, DELETE):
        assert decided("mona", operation, Project, row_of(Project, 22)) == HIDDEN


def test_anyone_is_every_caller_and_lacking_counts_against_it() -> None:
    """An external member is denied the task with a hidden tag, and so would be a caller who lacks the attribute."""
    assert readable("mia", Task, 32) is not None
    assert readable("otto", Task, 32) is None
    assert readable("otto", Task, 30) is not None
    assert readable("mia", Tag, 1) == {"id", "name"}
    assert readable("mia", Tag, 2) is None
    nobody = replace(caller_of("mia"), attributes={"organisation": 1})
    question = Question(Evaluator(sample_rows(), nobody, NOW), api.resources[Task], FACTS)
    assert decide(question.resource.rules, READ, question, row_of(Task, 30)) == HIDDEN


def test_update_grants_fields_by_rule() -> None:
    """Who is assigned writes some fields, who may edit the project others; a viewer writes none."""
    task = row_of(Task, 31)
    assert decided("mia", UPDATE, Task, task).fields == {
        "title", "done", "effort", "reminder", "priority", "assignee_id",
    }  # fmt: skip
    assert decided("otto", UPDATE, Task, task) == Decision(visible=True, allowed=False, fields=frozenset())


def test_update_needs_one_rule_before_and_after() -> None:
    """Who gives the task away keeps only the rule that still holds; who takes it gains none by the new state."""
    task = row_of(Task, 31)
    given = {**task, "assignee_id": number(12)}
    assert decided("mia", UPDATE, Task, task, after=given).fields == {"title", "priority", "assignee_id"}
    free = {**row_of(Task, 30), "assignee_id": None}
    taken = {**free, "assignee_id": number(10)}
    assert decided("mia", UPDATE, Task, free, after=taken).fields == {"title", "priority", "assignee_id"}
    elsewhere = {**task, "project_id": number(23), "assignee_id": None}
    assert not decided("mia", UPDATE, Task, task, after=elsewhere).allowed


def test_a_state_is_judged_among_the_rows_of_its_time() -> None:
    """A rule that reads the other rows of the table sees before what was there, and after what the change leaves."""
    other = aliased(Task)
    namesakes = select(func.count()).select_from(other).where(other.title == Task.title).scalar_subquery()
    rules = [allow("manager", READ), allow("manager", UPDATE, where=namesakes == 1)]
    task = {**row_of(Task, 31), "title": "like no other"}
    renamed = {**task, "title": "like none before"}
    before, then = (_with(_among("mona", [row_of(Task, 30), row]), rules) for row in (task, renamed))
    assert decide(rules, UPDATE, before, task, after=renamed, then=then).allowed
    assert not decide(rules, UPDATE, before, task, after=renamed).allowed


def _among(name: str, tasks: list[dict[str, Any]]) -> Question:
    resource = api.resources[Task]
    return Question(Evaluator({**sample_rows(), resource.table: tasks}, caller_of(name), NOW), resource, FACTS)


def test_update_into_another_tenant_or_into_deletion() -> None:
    """A state that does not exist for the caller is no state to leave the row in."""
    task, project = row_of(Task, 30), row_of(Project, 20)
    assert decided("mona", UPDATE, Task, task, after=task).allowed
    assert not decided("mona", UPDATE, Task, task, after={**task, "organisation_id": 2}).allowed
    assert not decided("mona", UPDATE, Project, project, after={**project, "deleted_at": NOW}).allowed


def test_a_deny_on_update_applies_before_or_after() -> None:
    """Nothing changes under a finished task, and nothing is moved there."""
    assert not decided("mia", UPDATE, Task, row_of(Task, 33)).allowed
    task = row_of(Task, 31)
    assert not decided("mia", UPDATE, Task, task, after={**task, "parent_id": number(32)}).allowed


def test_a_deny_on_fields_freezes_them() -> None:
    """A paid invoice keeps its amount; other fields of it may change."""
    unpaid, nearly = row_of(Invoice, 2026, 1), row_of(Invoice, 2026, 3)
    paid = {**nearly, "paid": nearly["amount"]}
    assert {"amount", "currency", "paid"} <= decided("alex", UPDATE, Invoice, nearly).fields
    for frozen in (unpaid, paid):  # NULL - as unknown as paid - counts as met
        fields = decided("alex", UPDATE, Invoice, frozen).fields
        assert "paid" in fields
        assert not {"amount", "currency"} & fields
    assert "amount" not in decided("alex", UPDATE, Invoice, nearly, after=paid).fields


def test_delete_needs_read_and_its_own_rule() -> None:
    """A member does not delete what a manager may; a deny keeps tasks with parts under them."""
    assert decided("mia", DELETE, Task, row_of(Task, 31)) == Decision(True, False, frozenset())
    assert decided("mona", DELETE, Task, row_of(Task, 31)) == Decision(True, True, frozenset())
    assert decided("mona", DELETE, Task, row_of(Task, 30)) == Decision(True, False, frozenset())
    assert decided("mia", DELETE, Comment, row_of(Comment, 1)).allowed
    assert not decided("mia", DELETE, Comment, row_of(Comment, 3)).visible


def test_create_is_judged_by_the_new_row() -> None:
    """A member adds tasks to their own projects; whoever only looks on does not."""
    new = {**row_of(Task, 31), "id": number(99), "parent_id": None}
    mia = decided("mia", CREATE, Task, new)
    assert mia == Decision(
        True, True, frozenset({"project_id", "parent_id", "assignee_id", "title", "priority", "effort", "due"})
    )
    assert decided("otto", CREATE, Task, new) == Decision(True, False, frozenset())
    assert not decided("mia", CREATE, Task, {**new, "project_id": number(23)}).allowed
    assert not decided("mona", CREATE, Task, {**new, "organisation_id": 2}).allowed


def test_who_creates_need_not_read() -> None:
    """A box for letters: what is put in is not seen again, and the caller may put in more."""
    rules = [allow("member", CREATE, fields=["text"])]
    decision = decide(rules, CREATE, _with(question_of("mia", Comment), rules), row_of(Comment, 1))
    assert decision == Decision(visible=False, allowed=True, fields=frozenset({"text"}))


def test_nobody_writes_what_the_server_writes() -> None:
    """The tenant, the mark of deletion, values that a rule sets, expressions and generated keys."""
    new = {**row_of(Comment, 1), "id": 9}
    assert decided("mia", CREATE, Comment, new).fields == {"task_id", "text", "internal"}
    rules = [allow("member", CREATE, fields=["id", "text"])]
    named = decide(rules, CREATE, _with(question_of("mia", Comment), rules), new)
    assert named.fields == {"id", "text"}  # a generated key that a rule names is the client's
    project = decided("mona", UPDATE, Project, row_of(Project, 20)).fields
    assert project == {"lead_id", "title", "stage", "budget", "starts"}
    assert decided("mona", CREATE, Project, {**row_of(Project, 20), "id": number(98)}).fields == project


def test_conditions_on_the_request() -> None:
    """An allow needs them met: the login is recent, the client is in the office, the scope and the hour are right."""
    comment, unpaid = row_of(Comment, 1), row_of(Invoice, 2026, 1)
    assert decided("mia", UPDATE, Comment, comment).allowed
    assert not decided("mia", UPDATE, Comment, comment, facts=replace(FACTS, login_at=None)).allowed
    assert decided("alex", UPDATE, Invoice, unpaid).allowed
    assert not decided("alex", UPDATE, Invoice, unpaid, facts=replace(FACTS, address="1.2.3.4")).allowed
    assert decided("alex", DELETE, Invoice, unpaid).allowed
    assert not decided("alex", DELETE, Invoice, unpaid, facts=replace(FACTS, scopes=frozenset())).allowed


def test_a_deny_whose_conditions_are_unknown_applies() -> None:
    """Without a login time nobody can say that the login is not recent."""
    rules = [allow("member", READ), deny("member", READ, when=when(login_within=timedelta(microseconds=1)))]
    question = _with(question_of("mia", Task), rules)
    assert decide(rules, READ, question, row_of(Task, 30)).visible
    unknown = _with(question_of("mia", Task, replace(FACTS, login_at=None)), rules)
    assert not decide(rules, READ, unknown, row_of(Task, 30)).visible


def test_an_action_is_judged_by_its_own_rules() -> None:
    """Whether the row is readable is said beside, by the rules of the resource."""
    route = next(r for r in api.routes.values() if r.name == "close")
    rules = route.handlers["POST"].rules
    question = question_of("mona", Project)
    running = {**row_of(Project, 20)}
    assert decide(rules, None, question, running).allowed
    assert decide(rules, None, question, running).fields == set(question.resource.fields)
    assert not decide(rules, None, question, {**running, "stage": Stage.CLOSED}).allowed
    assert not decide(rules, None, question_of("mia", Project), running).allowed
    assert decide(rules, None, question_of("mia", Project), running).visible


def test_a_rule_of_a_resource_is_not_about_an_action() -> None:
    """Nor one of an action about an operation; only two that name none are about each other."""
    of_rows, of_action = allow("member", READ), allow("member")
    assert (is_about(of_rows, READ), is_about(of_rows, UPDATE), is_about(of_rows, None)) == (True, False, False)
    assert (is_about(of_action, READ), is_about(of_action, None)) == (False, True)


def _with(question: Question, rules: list[Rule]) -> Question:
    resource: Resource = replace(question.resource, rules=tuple(rules))
    return Question(question.evaluator, resource, question.facts)
