"""The second application's API: rules of every kind, over the models beside it.

Who there is: `mia` is a member of the project Bridge and works on its tasks, `mona` manages, `alex` keeps the books,
`otto` is an outside member, `lena` belongs to the other organisation.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session
from tests.general.models import (
    Comment,
    Currency,
    Invoice,
    Line,
    Membership,
    Organisation,
    Part,
    Person,
    Project,
    Stage,
    Tag,
    Task,
)

from vallum import ANYONE, API, CREATE, DELETE, READ, UPDATE, Call, Conflict, Plan, allow, deny, me, now, when

EVERYBODY: Final = ["member", "manager", "accountant"]
OFFICE: Final = ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]

api: Final = API(
    "Projects",
    roles=EVERYBODY,
    attributes={"organisation": int, "region": str, "external": bool},
    tenant=("organisation_id", me.attr["organisation"]),
    plans={"default": Plan(burst="1000/s")},  # the tests ask more in a moment than people do
)

own = Person.account == me.id
in_project = Project.memberships.any(Membership.person.has(own))
may_edit = Project.memberships.any(and_(Membership.person.has(own), Membership.part != Part.VIEWER))
for_insiders = and_(Tag.hidden, me.attr["external"] == Tag.hidden)

api.resource(
    Organisation,
    allow(EVERYBODY, READ, fields=["organisation_id", "name"]),
    allow("manager", READ | UPDATE, fields=["name", "country"]),
)

api.resource(
    Person,
    allow(EVERYBODY, READ, where=Person.active.is_not(False), fields=["id", "name"]),
    allow(EVERYBODY, READ, where=own),
    allow(EVERYBODY, UPDATE, where=own, fields=["settings", "born"]),
    allow("manager", CREATE | READ | UPDATE),
    # A person without account is not known to be another one: the condition is NULL and the deny applies.
    deny(["member", "manager"], READ | UPDATE, where=Person.account != me.id, fields=["rate"]),
    filters=["name", "active", "born"],
    sorts=["name", "born"],
)

api.resource(
    Project,
    allow("member", READ, where=in_project, fields=["id", "title", "stage", "starts", "open_tasks", "running"]),
    allow("member", READ, where=Project.lead.has(own), fields=["id", "budget"]),
    allow("manager", CREATE | READ | UPDATE | DELETE),
    allow("accountant", READ, where=Project.invoices.any(), fields=["id", "title", "budget"]),
    deny("member", READ, where=Project.stage == Stage.DRAFT),
    deny("manager", DELETE, where=Project.open_tasks > 0),
    filters=["title", "stage", "starts"],
    sorts=["title", "starts"],
    soft_delete=Project.deleted_at,
)

api.resource(
    Membership,
    allow("member", READ, where=Membership.person.has(own)),
    allow("member", READ, where=Membership.project.has(in_project), fields=["project_id", "person_id"]),
    allow("manager", CREATE | READ | UPDATE | DELETE),
    bulk=50,
)

api.resource(
    Task,
    allow("member", READ, where=Task.project.has(in_project)),
    allow(
        "member",
        CREATE,
        where=Task.project.has(may_edit),
        fields=["project_id", "parent_id", "assignee_id", "title", "priority", "effort", "due"],
    ),
    allow("member", UPDATE, where=Task.assignee.has(own), fields=["title", "done", "effort", "reminder"]),
    allow("member", UPDATE, where=Task.project.has(may_edit), fields=["title", "priority", "assignee_id"]),
    allow("manager", CREATE | READ | UPDATE | DELETE),
    deny(ANYONE, READ, where=Task.tags.any(for_insiders)),
    # What is done below stays done above: nothing under a finished task changes.
    deny("member", UPDATE, where=Task.parent.has(Task.done.is_(True))),
    deny("manager", DELETE, where=Task.children.any()),
    filters=["title", "done", "priority", "due", "project_id"],
    sorts=["title", "priority", "due"],
    cost={"list": 2},
    bulk=50,
)

api.resource(
    Tag,
    allow(ANYONE, READ, where=~Tag.hidden, fields=["id", "name"]),
    allow("manager", CREATE | READ | UPDATE | DELETE),
    filters=["name"],
    sorts=["name"],
    bulk=50,
)

api.resource(
    Comment,
    allow(EVERYBODY, READ, where=Comment.task.has(Task.project.has(in_project))),
    allow(
        "member",
        CREATE,
        where=Comment.task.has(Task.project.has(in_project)),
        fields=["task_id", "text", "internal"],
        set={Comment.author: me.id, Comment.written: now},
    ),
    allow("member", UPDATE, where=Comment.author == me.id, fields=["text"], when=when(login_within=timedelta(hours=1))),
    allow("member", DELETE, where=Comment.author == me.id),
    deny("member", READ, where=and_(Comment.internal, Comment.author != me.id)),
    filters=["task_id", "author", "text"],
    sorts=["written"],
)

api.resource(
    Invoice,
    allow("accountant", READ),
    allow("accountant", CREATE | UPDATE, where=Invoice.settled.is_not(True), when=when(networks=OFFICE)),
    allow("accountant", DELETE, where=Invoice.paid.is_(None), when=when(scope="books", between=("08:00", "18:00"))),
    allow(
        "manager",
        READ,
        where=Invoice.project.has(Project.title.startswith(me.attr["region"])),
        fields=["year", "number", "amount", "open_amount"],
    ),
    deny("accountant", UPDATE, where=Invoice.open_amount <= 0, fields=["amount", "currency"]),
    filters=["currency", "amount", "issued"],
    sorts=["amount", "issued"],
    cascade=[Line],
    bulk=50,
)

api.resource(
    Line,
    allow("accountant", CREATE | READ | UPDATE | DELETE, where=Line.invoice.has(Invoice.settled.is_not(True))),
    allow("accountant", READ),
)


@api.action(Project, "close", allow("manager", where=Project.stage == Stage.RUNNING))
def close(call: Call, project: Project) -> Project:
    """End a project in which nothing is left to do."""
    if project.open_tasks:
        raise Conflict(f"{project.open_tasks} tasks are open.")
    project.stage = Stage.CLOSED
    return project


@api.get("/workload", allow("manager"))
def workload(call: Call) -> dict[str, int]:
    """How many tasks that the caller sees have a title that begins with the same word."""
    counted = call.db.execute(select(Task.title, func.count()).group_by(Task.title)).all()
    return {title or "": number for title, number in counted}


for name, roles, organisation, external in (
    ("mia", ["member"], 1, False),
    ("mona", ["manager", "member"], 1, False),
    ("alex", ["accountant"], 1, False),
    ("otto", ["member"], 1, True),
    ("lena", ["member", "manager"], 2, False),
):
    api.accounts.add(name, roles=roles, attributes={"organisation": organisation, "region": "B", "external": external})


def number(n: int) -> uuid.UUID:
    """The same key in each run."""
    return uuid.UUID(int=n)


@api.on_seed
def seed(db: Session) -> None:
    """A few rows: enough that each rule above holds for one and fails for another."""
    db.add_all([Organisation(organisation_id=1, name="Ost"), Organisation(organisation_id=2, name="West")])
    db.flush()
    db.add_all(_people())
    db.flush()
    db.add_all(_projects())
    db.flush()
    db.add_all(_tasks())
    db.flush()
    db.add_all(_papers())


def _people() -> list[Person]:
    accounts = (("mia", 1, True), ("mona", 1, True), ("otto", 1, None), ("lena", 2, True), (None, 1, False))
    return [
        Person(
            id=number(10 + index),
            organisation_id=organisation,
            account=account,
            name=(account or "nobody").title(),
            born=date(1990, 1, 1 + index),
            active=active,
            rate=12.5 * index,
            settings={"theme": "dark"},
        )
        for index, (account, organisation, active) in enumerate(accounts)
    ]


def _projects() -> list[Project | Membership]:
    deleted = datetime(2026, 1, 31, tzinfo=UTC)
    projects = [
        Project(id=number(20), organisation_id=1, lead_id=number(10), title="Bridge", stage=Stage.RUNNING),
        Project(id=number(21), organisation_id=1, title="Dam", stage=Stage.DRAFT, budget=Decimal("1000.50")),
        Project(id=number(22), organisation_id=1, title="Road", stage=Stage.CLOSED, deleted_at=deleted),
        Project(id=number(23), organisation_id=2, title="Tower", stage=Stage.RUNNING, starts=date(2026, 1, 1)),
    ]
    parts = ((20, 10, Part.EDITOR), (20, 12, Part.VIEWER), (21, 10, Part.OWNER), (22, 10, Part.OWNER))
    memberships = [
        Membership(project_id=number(project), person_id=number(person), organisation_id=1, part=part)
        for project, person, part in parts
    ]
    return [
        *projects,
        Membership(project_id=number(23), person_id=number(13), organisation_id=2, part=Part.OWNER),
        *memberships,
    ]


def _tasks() -> list[Task]:
    plain = Tag(id=1, organisation_id=1, name="steel")
    hidden = Tag(id=2, organisation_id=1, name="secret", hidden=True)
    top = Task(
        id=number(30), organisation_id=1, project_id=number(20), title="Build", priority=1, effort=8, tags=[plain]
    )
    below = Task(
        id=number(31),
        organisation_id=1,
        project_id=number(20),
        parent=top,
        assignee_id=number(10),
        title="Dig",
        done=False,
    )
    secret = Task(id=number(32), organisation_id=1, project_id=number(20), title="Bribe", done=True, tags=[hidden])
    under = Task(
        id=number(33), organisation_id=1, project_id=number(20), parent=secret, assignee_id=number(10), title="Count"
    )
    other = Task(
        id=number(34), organisation_id=2, project_id=number(23), assignee_id=number(13), title="Lift", done=True
    )
    return [top, below, secret, under, other]


def _papers() -> list[Comment | Invoice | Line]:
    written = datetime(2026, 2, 1, 9, 30, tzinfo=UTC)
    comments = [
        Comment(
            id=n, organisation_id=1, task_id=number(31), author=author, text=text, internal=internal, written=written
        )
        for n, author, text, internal in (
            (1, "mia", "Wet.", False),
            (2, "mia", "Too wet.", True),
            (3, "mona", "Hm.", True),
        )
    ]
    invoices = [
        Invoice(
            year=2026,
            number=n,
            organisation_id=1,
            project_id=number(20),
            currency=Currency.SWISS,
            amount=Decimal("100.25"),
            paid=paid,
            settled=settled,
        )
        for n, paid, settled in ((1, None, None), (2, Decimal("100.25"), True), (3, Decimal("0.10"), False))
    ]
    lines = [Line(year=2026, number=1, position=p, organisation_id=1, amount=Decimal("50.25") - p) for p in (1, 2)]
    return [*comments, *invoices, *lines]
