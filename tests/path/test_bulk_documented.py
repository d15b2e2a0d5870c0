"""Bulk writes are what the caller's own OpenAPI document says, over columns of every type and keys of several parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.general import app as general
from tests.path import wide
from tests.path.test_openapi import fits, reader
from tests.unit.openapi.documents import Reader

from tests import stores
from vallum.testing import Answer, Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

As = Callable[[str], Client]
ANY = {"if-match": "*"}
MISSING = "00000000-0000-0000-0000-00000000ffff"


@pytest.fixture
def client(tmp_path: Path, store: str) -> Iterator[As]:
    """Clients of both applications, by account."""
    with ExitStack() as stack:
        places = {}
        for api, seed in ((general.api, general.seed), (wide.api, wide.seed)):
            places[id(api)] = tmp_path / api.title
            stores.create(api, places[id(api)], seed=seed, store=store)

        def of(name: str) -> Client:
            api = wide.api if name in wide.api.accounts.declared else general.api
            return stack.enter_context(stores.client(api, name, places[id(api)]))

        yield of


def valid(found: Reader, path: str, method: str, body: Any) -> None:
    """The document takes this body."""
    assert found.errors(found.request(path, method), body) == [], (path, method)


def documented(found: Reader, path: str, method: str, answer: Answer, status: int) -> Any:
    """The answer has this status, and is what the document says of it."""
    assert answer.status_code == status, answer.text
    fits(found, path, method, answer)
    return answer.json() if answer.content else None


def test_rows_of_every_type_are_copied_changed_and_read_alike(client: As) -> None:
    """What a list shows of rows makes equal rows, and changes others into them; each body is a documented one."""
    wim = client("wim")
    found = reader(wim)
    rows = wim.get("/things", params={"limit": 100}).json()["items"]
    values = [{name: value for name, value in row.items() if name != "id"} for row in rows]
    assert len(rows) > 3
    valid(found, "/things", "post", values)
    made = documented(found, "/things", "POST", wim.post("/things", json=values), 201)["items"]
    assert [{**row, "id": 0} for row in made] == [{**row, "id": 0} for row in rows]
    turned = [{"id": new["id"], **old} for new, old in zip(made, reversed(values), strict=True)]
    valid(found, "/things", "patch", turned)
    changed = documented(found, "/things", "PATCH", wim.patch("/things", json=turned, headers=ANY), 200)["items"]
    # A document is merged, not replaced.
    assert [{**row, "doc": 0} for row in changed] == [{**row, "doc": 0} for row in turned]


def test_composite_keys_are_documented_and_work(client: As) -> None:
    """Each part among the members of a row, and among the parameters of a removal."""
    mona = client("mona")
    found = reader(mona)
    assert list(found.parameters("/memberships", "delete"))[:2] == ["project_id", "person_id[in]"]
    rows = mona.get("/memberships").json()["items"]
    project = rows[0]["project_id"]
    people = [row["person_id"] for row in rows if row["project_id"] == project]
    body = [{"project_id": project, "person_id": person, "part": "viewer"} for person in people]
    valid(found, "/memberships", "patch", body)
    documented(found, "/memberships", "PATCH", mona.patch("/memberships", json=body, headers=ANY), 200)
    listed = ",".join(map(str, people))
    gone = mona.delete(f"/memberships?project_id={project}&person_id[in]={listed}")
    documented(found, "/memberships", "DELETE", gone, 204)
    left = mona.get("/memberships", params={"limit": 100}).json()["items"]
    assert [row for row in left if row["project_id"] == project] == []


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", [{"title": 1}], 422),
        ("PATCH", [{"id": MISSING}], 404),
        ("PATCH", [{"id": 1, "nothing": 1}], 422),
        ("DELETE", None, 404),
        ("DELETE", "title=x", 400),
    ],
)
def test_refusals_are_documented(client: As, method: str, body: Any, status: int) -> None:
    """Also those that name rows by their places."""
    mona = client("mona")
    query = "" if method != "DELETE" else f"?id[in]={MISSING}" if body is None else f"?{body}"
    headers = ANY if method == "PATCH" else {}
    answer = mona.request(method, f"/tasks{query}", json=None if method == "DELETE" else body, headers=headers)
    documented(reader(mona), "/tasks", method, answer, status)
