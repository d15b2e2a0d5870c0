"""A write in one statement on PostgreSQL is what the script of the same write is: same answers, same rows, same refusals."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, and_, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.general.app import api, number, seed
from tests.path.small import NOON, Clock

from tests import stores
from vallum import API, CREATE, READ, UPDATE, allow, me
from vallum.execute import stage
from vallum.store import principals
from vallum.store.postgres import PostgresDatabase
from vallum.store.postgres_transaction import Transactions
from vallum.testing import Answer, Client

ANY = {"if-match": "*"}
NAMES = ("mia", "mona", "alex", "otto", "lena")
BRIDGE, DAM, BUILD, DIG, COUNT = (str(number(n)) for n in (20, 21, 30, 31, 33))

WRITES: list[tuple[str, str, Any]] = [
    ("PATCH", f"/tasks/{DIG}", {"title": "Dig deeper"}),
    ("PATCH", f"/tasks/{DIG}", {"done": True, "effort": 3}),
    ("PATCH", f"/tasks/{DIG}", {"assignee_id": str(number(12))}),
    ("PATCH", f"/tasks/{DIG}", {"project_id": DAM}),
    ("PATCH", f"/tasks/{DIG}", {"parent_id": DIG}),
    ("PATCH", f"/tasks/{COUNT}", {"title": "x"}),
    ("PATCH", f"/tasks/{BUILD}", {"priority": 9}),
    ("PATCH", f"/people/{number(10)}", {"born": "1991-05-05"}),
    ("PATCH", f"/people/{number(10)}", {"settings": {"a": 1}}),
    ("PATCH", f"/people/{number(11)}", {"rate": 1.5, "name": "Mona"}),
    ("PATCH", f"/people/{number(11)}", {"active": False}),
    ("PATCH", f"/projects/{BRIDGE}", {"stage": "draft"}),
    ("PATCH", f"/projects/{BRIDGE}", {"budget": "12.50", "lead_id": str(number(13))}),
    ("PATCH", "/organisations/1", {"name": "East"}),
    ("PATCH", "/tags/1", {"hidden": True}),
    ("PATCH", "/comments/1", {"text": "Dry."}),
    ("PATCH", "/invoices/2026,1", {"amount": "7.00", "settled": True}),
    ("PATCH", "/invoices/2026,3", {"paid": "99.00"}),
    ("PATCH", "/invoice_lines/2026,1,1", {"amount": "1.00"}),
    ("POST", "/tasks", {"project_id": BRIDGE, "title": "New", "priority": 2}),
    ("POST", "/tasks", {"project_id": DAM, "title": "Elsewhere"}),
    ("POST", "/tasks", {"project_id": BRIDGE, "parent_id": str(number(32))}),
    ("POST", "/tasks", {"project_id": BRIDGE, "assignee_id": None, "due": "2026-03-01T00:00:00Z"}),
    ("POST", "/tags", {"id": 1, "name": "again"}),
    ("POST", "/tags", {"name": "new"}),
    ("POST", "/comments", {"task_id": DIG, "text": "Hm."}),
    ("POST", "/comments", {"task_id": DIG, "text": "Hm.", "internal": True}),
    ("POST", "/memberships", {"project_id": BRIDGE, "person_id": str(number(11)), "part": "viewer"}),
    ("POST", "/memberships", {"project_id": BRIDGE, "person_id": str(number(13)), "part": "viewer"}),
    ("POST", "/projects", {"title": "New", "stage": "running"}),
    ("POST", "/invoice_lines", {"year": 2026, "number": 3, "position": 1, "amount": "2.00"}),
    ("DELETE", f"/tasks/{DIG}", None),
    ("DELETE", f"/tasks/{BUILD}", None),
    ("DELETE", f"/projects/{BRIDGE}", None),
    ("DELETE", f"/projects/{DAM}", None),
    ("DELETE", "/comments/1", None),
    ("DELETE", "/tags/1", None),
    ("DELETE", "/invoices/2026,1", None),
    ("DELETE", f"/memberships/{BRIDGE},{number(12)}", None),
]


TRIGGER = """
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE tags SET name = name || '!' WHERE id = NEW.id AND name NOT LIKE '%!'; RETURN NULL; END $$;
CREATE TRIGGER t AFTER UPDATE ON tags FOR EACH ROW EXECUTE FUNCTION f()
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("general") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - 86_400, store=stores.POSTGRESQL)
    return data


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for each write of a row that the adapter ran: one statement, or a script."""
    seen: list[str] = []
    for cls, method, word in ((PostgresDatabase, "run", "statement"), (Transactions, "run", "script")):
        monkeypatch.setattr(cls, method, _noted(seen, word, getattr(cls, method)))
    return seen


def _noted(seen: list[str], word: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def noted(self: Any, what: Any) -> Any:
        # Before each write its nonce is claimed, by a statement; the sealer and others beside it write by scripts.
        if "vallum_nonce" not in what.text if word == "statement" else what.__module__ == stage.__name__:
            seen.append(word)
        return original(self, what)

    return noted


def state(data: Path) -> Mapping[str, Any]:
    """Every row of the application, and what the audit says of each write, but for the time of day."""
    tables = [table.name for table in next(iter(api.resources.values())).table.metadata.sorted_tables]
    found: dict[str, Any] = {}
    for table in tables:
        rows = [json.loads(text) for (text,) in stores.rows(data, f"SELECT row_to_json(t)::text FROM {table} t")]
        found[table] = sorted(json.dumps({**row, "changed": None, "id": _made(row)}) for row in rows)
    text = "SELECT principal, verb, resource, fields, before IS NULL, after IS NULL FROM vallum_audit ORDER BY id"
    return {**found, "audit": stores.rows(data, text)}


KNOWN = {str(number(n)) for n in range(100)}
SEEDED = 3
"""Numbers beyond are of a sequence, which counts what was undone as well."""


def _made(row: Mapping[str, Any]) -> Any:
    """A key that was given; one that a default made is another each time."""
    key = row.get("id")
    known = key in KNOWN if isinstance(key, str) else key is None or key <= SEEDED
    return key if known else "made"


def told(answer: Answer) -> tuple[int, Any, bool]:
    """Status, body and whether there is a tag, but for what is made anew."""
    body = answer.json() if answer.content else None
    if isinstance(body, dict):
        body = {**body, "request_id": None, "id": _made(body), "changed": None}
    return answer.status_code, body, "etag" in answer.headers


def test_each_write_in_both_ways(filled: Path, tmp_path: Path) -> None:
    """Each caller tries each write, one after the other: the same answers, and in the end the same rows and audit."""
    ways = {way: stores.copied(filled, tmp_path / way) for way in ("one", "many")}
    statuses: set[int] = set()
    with ExitStack() as stack:
        clients: dict[tuple[str, str], Client] = {}
        for way, name in itertools.product(ways, NAMES):
            clients[way, name] = stack.enter_context(stores.client(api, name, ways[way], Clock()))
        many = clients["many", "mia"].service.database
        assert isinstance(many, PostgresDatabase)
        assert many.opaque is not None
        many.opaque = None
        for (method, path, body), name in itertools.product(WRITES, NAMES):
            for headers in ({"if-match": '"stale"'}, ANY) if method != "POST" else ({},):
                answers = [clients[way, name].request(method, path, json=body, headers=headers) for way in ways]
                one, other = map(told, answers)
                assert one == other, (name, method, path, body)
                statuses.add(one[0])
        assert state(ways["one"]) == state(ways["many"])
    assert statuses >= {200, 201, 204, 403, 404, 409, 412, 422}


@pytest.mark.parametrize(
    ("name", "method", "path", "body"),
    [
        ("mona", "PATCH", "/organisations/1", {"name": "East"}),
        ("mona", "POST", "/tags", {"name": "new"}),
        ("mia", "POST", "/comments", {"task_id": DIG, "text": "Hm."}),
        ("mia", "DELETE", "/comments/1", None),
        ("alex", "PATCH", "/invoice_lines/2026,1,1", {"amount": "1.00"}),
    ],
)
def test_an_ordinary_write_is_one_statement(
    filled: Path, tmp_path: Path, ran: list[str], name: str, method: str, path: str, body: Any
) -> None:
    """The epoch, the references, the rules before and after, the row and its audit."""
    data = stores.copied(filled, tmp_path / "data")
    with stores.client(api, name, data, Clock()) as client:
        assert client.get("/tags").status_code == 200
        ran.clear()
        assert client.request(method, path, json=body, headers=ANY if method == "PATCH" else {}).status_code < 300
        assert ran == ["statement"]
    assert len(stores.rows(data, "SELECT 1 FROM vallum_audit")) == 1


@pytest.mark.parametrize(
    ("name", "method", "path", "body"),
    [
        ("mia", "PATCH", f"/people/{number(10)}", {"settings": {"a": 1}}),
        ("mona", "PATCH", f"/tasks/{BUILD}", {"title": "x"}),
    ],
    ids=["a document is merged", "a rule reads the table itself"],
)
def test_what_the_statement_could_not_see_is_left_to_the_script(
    filled: Path, tmp_path: Path, ran: list[str], name: str, method: str, path: str, body: Any
) -> None:
    """And carried out by it, at the first attempt."""
    with stores.client(api, name, stores.copied(filled, tmp_path / "data"), Clock()) as client:
        assert client.get("/tags").status_code == 200
        ran.clear()
        answer = client.request(method, path, json=body, headers=ANY)
        assert (answer.status_code, ran) == (200, ["script"]), answer.text


@pytest.mark.parametrize(
    "made",
    [
        TRIGGER,
        "CREATE RULE r AS ON UPDATE TO tags DO ALSO UPDATE organisations SET name = name || '!' WHERE NEW.id = 1",
    ],
    ids=["trigger", "rule"],
)
def test_a_table_with_triggers_or_rules_is_left_to_the_script(
    filled: Path, tmp_path: Path, ran: list[str], made: str
) -> None:
    """What they do shows in the answer, or undoes the write."""
    data = stores.copied(filled, tmp_path / "data")
    for text in made.split(";\nCREATE TR"):
        stores.rows(data, text.replace("IGGER", "CREATE TRIGGER", 1) if text.startswith("IGGER") else text)
    with stores.client(api, "mona", data, Clock()) as client:
        ran.clear()
        answer = client.patch("/tags/1", json={"name": "iron"}, headers=ANY)
        assert (answer.status_code, ran[-1]) == (200, "script"), answer.text
        assert answer.json() == client.get("/tags/1").json()


class Base(DeclarativeBase):
    """All tables of these tests' own."""


class Box(Base):
    """What may be changed while it is open."""

    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    state: Mapped[str]
    by: Mapped[str | None]


def boxes() -> API:
    """Open ones are changed and removed by their owner; nobody makes a closed one."""
    made = API("Boxes", roles=["packer"])
    is_open = and_(Box.owner == me.id, Box.state != "closed")
    made.resource(
        Box,
        allow("packer", READ, where=Box.owner == me.id),
        allow("packer", UPDATE, where=is_open, fields=["state"]),
        allow("packer", CREATE, where=is_open, fields=["id", "state"], set={Box.owner: me.id}),
    )
    made.accounts.add("pam", roles=["packer"])
    return made


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "made"),
    [
        ("PATCH", "/boxes/1", {"state": "half"}, 200, ["statement"]),
        ("PATCH", "/boxes/1", {"state": "closed"}, 403, ["statement", "script"]),
        ("POST", "/boxes", {"id": 2, "state": "open"}, 201, ["statement"]),
        ("POST", "/boxes", {"id": 2, "state": "closed"}, 403, ["statement", "script"]),
        ("POST", "/boxes", {"id": 1, "state": "open"}, 409, ["statement", "script"]),
    ],
)
def test_a_state_that_no_rule_allows_undoes_the_statement(
    tmp_path: Path, ran: list[str], method: str, path: str, body: Any, status: int, made: list[str]
) -> None:
    """The statement wrote, judged and undid; the script says why. Nothing is left, the audit neither."""
    app = boxes()
    stores.create(
        app, tmp_path / "data", lambda db: db.add(Box(id=1, owner="pam", state="open")), store=stores.POSTGRESQL
    )
    with stores.client(app, "pam", tmp_path / "data") as client:
        ran.clear()
        answer = client.request(method, path, json=body, headers=ANY if method == "PATCH" else {})
        assert (answer.status_code, ran) == (status, made), answer.text
        changed = status < 300
        assert len(stores.rows(tmp_path / "data", "SELECT 1 FROM vallum_audit")) == changed
        untouched = (1, "pam", "open", None) in stores.rows(tmp_path / "data", "SELECT * FROM boxes")
        assert untouched or (changed and method == "PATCH")


COUNTING = """CREATE FUNCTION is_alone(t text) RETURNS bool LANGUAGE sql STABLE AS
$$ SELECT count(*) < 2 FROM boxes WHERE state = t $$"""


def test_a_function_of_the_database_is_left_to_the_script(tmp_path: Path, ran: list[str]) -> None:
    """It may read what the statement changes, as this one does: two boxes in one state are not allowed."""
    app = API("Boxes", roles=["packer"])
    alone = func.is_alone(Box.state, type_=Boolean)
    app.resource(Box, allow("packer", READ), allow("packer", UPDATE, where=alone, fields=["state"]))
    app.accounts.add("pam", roles=["packer"])
    data = tmp_path / "data"
    stores.create(
        app, data, lambda db: db.add_all(Box(id=n, owner="", state=str(n)) for n in (1, 2)), store="postgresql"
    )
    stores.rows(data, COUNTING)
    with stores.client(app, "pam", data) as client:
        ran.clear()
        assert client.patch("/boxes/1", json={"state": "3"}, headers=ANY).status_code == 200
        assert client.patch("/boxes/1", json={"state": "2"}, headers=ANY).json()["code"] == "state_forbidden"
        assert ran == ["script", "script"]


def test_a_value_of_a_rule_that_does_not_hold_is_not_kept(tmp_path: Path, ran: list[str]) -> None:
    """Two rules would add up to a row that neither allows: the script writes it anew without that value."""
    app = API("Boxes", roles=["packer"])
    app.resource(
        Box,
        allow("packer", READ),
        allow("packer", CREATE, where=Box.state == "packed", fields=["id", "owner", "state"], set={Box.by: me.id}),
        allow("packer", CREATE, where=Box.state == "free", fields=["id", "owner", "state"]),
    )
    app.accounts.add("pam", roles=["packer"])
    stores.create(app, tmp_path / "data", store="postgresql")
    with stores.client(app, "pam", tmp_path / "data") as client:
        ran.clear()
        for key, state, by in ((1, "packed", "pam"), (2, "free", None)):
            made = client.post("/boxes", json={"id": key, "owner": "x", "state": state})
            assert (made.status_code, made.json()["by"]) == (201, by)
        assert ran == ["statement", "statement", "script"]


def test_rights_that_have_changed_count_in_the_statement(filled: Path, tmp_path: Path, ran: list[str]) -> None:
    """A remembered caller whose role is gone: the statement compares the epoch, and writes nothing."""
    data = stores.copied(filled, tmp_path / "data")
    with stores.client(api, "mona", data, Clock()) as client:
        assert client.patch("/tags/1", json={"name": "iron"}, headers=ANY).status_code == 200
        stores.change(data, principals.alter("mona", "postgresql", roles=["member"]))
        ran.clear()
        assert client.patch("/tags/1", json={"name": "lead"}, headers=ANY).status_code == 403
        assert ran == ["statement", "script"]
    assert stores.rows(data, "SELECT name FROM tags WHERE id = 1") == [("iron",)]
