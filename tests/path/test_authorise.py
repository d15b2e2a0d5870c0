"""Stage 4 through the whole path: who may, on which rows and fields, and what a refusal gives away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.general import app as general
from tests.path.conftest import As
from tests.path.small import NOON, Clock
from tests.path.test_authenticate import change, comparable, key_of
from tests.path.test_authenticate import scope as asgi_scope

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, allow
from vallum.crypto import access_token
from vallum.store import principals
from vallum.testing import ORIGIN, Answer, Client
from vallum.testing.wire import freshness

HOUR = 3600


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    data = tmp_path_factory.mktemp("projects") / "data"
    stores.create(general.api, data, seed=general.seed, clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture
def office(projects: Path, tmp_path: Path) -> Path:
    """The second application's data, for this test."""
    return stores.copied(projects, tmp_path / "office")


@pytest.fixture
def worker(office: Path, clock: Clock) -> Iterator[As]:
    """`worker("mia")` calls the second application."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(general.api, name, office, clock))


def code(answer: Answer) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


def ids(answer: Answer) -> list[Any]:
    """The keys of a list."""
    assert answer.status_code == 200
    return [row["id"] for row in answer.json()["items"]]


# Rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seen"),
    [("rita", [1, 4, 5]), ("walt", [1, 2]), ("wilma", [4, 5, 6]), ("both", [1, 4]), ("ada", [1, 2, 4, 5, 6])],
)
def test_lists_and_items_show_the_same_rows(client: As, name: str, seen: list[int]) -> None:
    """One rule decides both: what is not in the list is a 404, and the other way round."""
    caller = client(name)
    assert ids(caller.get("/books")) == seen
    assert [n for n in range(1, 8) if caller.get(f"/books/{n}").status_code == 200] == seen


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "POST"])
def test_an_invisible_row_and_a_missing_one_are_the_same_bytes(client: As, method: str) -> None:
    """Another writer's book, one that is deleted and one that never was: nothing tells them apart."""
    walt = client("walt")
    suffix = "/publish" if method == "POST" else ""
    body = {"title": "Mine"} if method == "PATCH" else None
    answers = [
        walt.request(method, f"/books/{n}{suffix}", json=body, headers={"If-Match": '"x"'} if body else {})
        for n in (5, 3, 999)
    ]
    assert [code(answer) for answer in answers] == [(404, "not_found")] * 3

    def without_limits(answer: Answer) -> tuple[int, dict[str, str], str]:
        status, headers, text = comparable(answer)
        return status, {k: v for k, v in headers.items() if k != "ratelimit"}, text

    assert without_limits(answers[0]) == without_limits(answers[1]) == without_limits(answers[2])


def test_a_row_that_is_read_but_not_changed_by_the_caller_is_a_403(client: As) -> None:
    """Unreadable is 404, readable and not allowed 403, allowed and stale 412: in that order."""
    both = client("both")
    match = {"If-Match": '"stale"'}
    assert both.patch("/books/5", json={"pages": 1}, headers=match).status_code == 404
    assert code(both.patch("/books/4", json={"pages": 1}, headers=match)) == (403, "forbidden")
    assert code(client("walt").patch("/books/2", json={"pages": 1}, headers=match)) == (412, "stale")
    assert code(both.delete("/books/4")) == (403, "forbidden")
    assert code(both.post("/books/4/publish")) == (403, "forbidden")


def test_roles_that_never_may_are_refused_before_any_row_is_looked_at(client: As) -> None:
    """A reader's DELETE is the same 403 for a row that it sees, one that it does not see and none at all."""
    rita = client("rita")
    for path in ("/books/1", "/books/2", "/books/999"):
        assert code(rita.delete(path)) == code(rita.patch(path, json={"title": "x"})) == (403, "forbidden")
        assert code(rita.post(f"{path}/publish")) == (403, "forbidden")
    assert code(rita.post("/books", json={"no": "such"})) == (403, "forbidden")
    assert code(client("nina").get("/books?no=such")) == (403, "forbidden")


def test_a_deny_wins_over_the_roles_that_allow(client: As) -> None:
    """A public book is not deleted by anybody, and who writes posts no note, whatever else it may."""
    ada = client("ada")
    assert code(ada.delete("/books/1")) == (403, "forbidden")
    assert ada.delete("/books/2").status_code == 204
    assert client("rita").post("/notes", json={"text": "a"}).status_code == 200
    assert code(client("both").post("/notes", json={"text": "a"})) == (403, "forbidden")


def test_null_is_no_permission_for_an_allow_and_no_escape_from_a_deny(client: As) -> None:
    """Whether book 6 is public is unknown: readers do not see it, and the deny of its deletion applies."""
    assert 6 not in ids(client("rita").get("/books"))
    assert code(client("ada").delete("/books/6")) == (403, "forbidden")


def test_a_rule_with_an_attribute_that_the_caller_lacks_grants_nothing(client: As, data: Path) -> None:
    """A reader without a shelf has what the other rule gives, and the field of that rule does not exist for it."""
    change(data, principals.alter("rita", "sqlite", attributes={}))
    rita = client("rita")
    assert ids(rita.get("/books")) == [1, 4]
    assert "price" not in rita.get("/books/1").json()
    assert rita.get("/books?price=9.5").status_code == 400


def test_a_deny_with_an_attribute_that_the_caller_lacks_applies(worker: As, office: Path) -> None:
    """Nobody knows whether this member is from outside, so the tasks of which that matters are hidden, and all others."""
    mia = worker("mia")
    assert len(ids(mia.get("/tasks"))) == 4
    change(office, principals.alter("mia", "sqlite", attributes={"organisation": 1}))
    assert ids(mia.get("/tasks")) == []
    assert mia.get(f"/tasks/{general.number(31)}").status_code == 404


def test_an_external_member_does_not_see_what_is_tagged_as_hidden(worker: As) -> None:
    """The deny compares the attribute with the row: it hides the task of the hidden tag from otto alone."""
    hidden = str(general.number(32))
    assert hidden in ids(worker("mia").get("/tasks"))
    assert hidden not in ids(worker("otto").get("/tasks"))


def test_a_tenant_s_rows_exist_for_its_own_callers_only(worker: As) -> None:
    """Lena manages another organisation: none of the first one's rows is listed, read, changed or counted."""
    lena = worker("lena")
    for path in ("/people", "/projects", "/memberships", "/tasks", "/tags", "/comments", "/invoices"):
        answer = lena.get(f"{path}?count=exact")
        assert answer.status_code == 200
        assert answer.json()["count"] == len(answer.json()["items"]) <= 1
    assert [row["organisation_id"] for row in lena.get("/organisations").json()["items"]] == [2]
    bridge = f"/projects/{general.number(20)}"
    assert lena.get(bridge).status_code == lena.delete(bridge).status_code == 404


def test_a_caller_without_the_tenant_s_attribute_is_in_no_tenant(worker: As, office: Path) -> None:
    """Not in all of them: every route with rows is closed."""
    change(office, principals.alter("mona", "sqlite", attributes={}))
    for path in ("/people", "/projects", "/tags", f"/tasks/{general.number(31)}"):
        assert code(worker("mona").get(path)) == (403, "forbidden")


def test_a_tenant_is_given_by_the_server_and_not_by_the_body(worker: As) -> None:
    """A new row belongs to the creator's organisation; to name one is naming a field that does not exist."""
    mona = worker("mona")
    answer = mona.post("/tags", json={"name": "new"})
    assert (answer.status_code, answer.json()["organisation_id"]) == (201, 1)
    answer = mona.post("/tags", json={"name": "new", "organisation_id": 2})
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/organisation_id"]


def test_a_deleted_row_is_gone_for_everybody_and_stays_in_the_table(client: As) -> None:
    """Soft delete: neither the owner nor the admin reads, changes, deletes or refers to it any more."""
    walt, ada = client("walt"), client("ada")
    assert walt.delete("/books/2").status_code == 204
    for caller in (walt, ada):
        assert 2 not in ids(caller.get("/books"))
        assert caller.get("/books/2").status_code == 404
        assert caller.patch("/books/2", json={"pages": 1}, headers={"If-Match": "*"}).status_code == 404
        assert caller.delete("/books/2").status_code == 404
        assert caller.post("/books/2/publish").status_code == 404
    loan = {"reader": "rita", "since": "2027-01-15"}
    gone, never = (ada.post("/loans", json={**loan, "book_id": n}) for n in (2, 999))
    assert gone.status_code == never.status_code == 422
    assert gone.json()["errors"] == never.json()["errors"]


class Base(DeclarativeBase):
    """Of the next test alone."""


class Box(Base):
    """Something that one role may change and not read."""

    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)


def test_who_may_not_read_rows_changes_and_removes_none(clock: Clock) -> None:
    """UPDATE and DELETE find rows that are readable: with no READ at all that is a 403, and `Allow` has a CREATE alone."""
    api = API("Boxes", roles=["blind", "clerk"])
    api.resource(Box, allow("blind", CREATE | UPDATE | DELETE), allow("clerk", READ | DELETE))
    api.accounts.add("bo", roles=["blind"])
    api.accounts.add("cy", roles=["clerk"])
    with Client(api, "bo", clock=clock) as bo:
        answer = bo.post("/boxes", json={})
        assert (answer.status_code, answer.content, answer.headers.get("etag")) == (201, b"", None)
        for method in ("GET", "PATCH", "DELETE"):
            assert code(bo.request(method, "/boxes/1")) == (403, "forbidden")
        assert bo.request("OPTIONS", "/boxes/1").headers["allow"] == ""
        assert bo.request("OPTIONS", "/boxes").headers["allow"] == "POST"


# Fields -------------------------------------------------------------------------------------


def test_a_field_is_shown_by_row_and_null_where_it_is_hidden(client: As) -> None:
    """Rita's shelf shows the price and not whether a book is public; of other books it is the other way round."""
    rita = client("rita")
    rows = {row["id"]: row for row in rita.get("/books").json()["items"]}
    assert rows[1] == {"id": 1, "shelf_id": 1, "title": "Amber", "pages": 100, "price": 9.5, "public": True}
    assert rows[4] == {"id": 4, "shelf_id": 2, "title": "Dune", "pages": 400, "price": None, "public": True}
    assert rows[5] == {"id": 5, "shelf_id": None, "title": "Elm", "pages": None, "price": 3.5, "public": None}
    for number, row in rows.items():
        assert rita.get(f"/books/{number}").json() == row


def test_a_field_that_is_hidden_in_a_row_never_matches_a_filter(client: As) -> None:
    """The price of Dune is 20, and no filter finds that out: not by value, by range, nor by being null."""
    rita = client("rita")
    assert ids(rita.get("/books?price=20")) == []
    assert ids(rita.get("/books?price[gt]=0")) == [1, 5]
    assert ids(rita.get("/books?price[ne]=9.5")) == [5]
    assert ids(rita.get("/books?price[isnull]=true")) == []
    assert ids(rita.get("/books?public=false")) == []


@pytest.mark.parametrize(
    "query", ["{}=x", "{}[gt]=1", "sort={}", "sort=-{}", "fields={}", "fields=id,{}", "{}[isnull]=true"]
)
def test_a_field_without_a_grant_is_the_same_as_one_that_does_not_exist(client: As, query: str) -> None:
    """The owner of a book is not a reader's to know: naming it differs from a made-up name in that name alone."""
    rita = client("rita")
    status, headers, text = comparable(rita.get(f"/books?{query.format('owner')}"))
    unknown = comparable(rita.get(f"/books?{query.format('ghost')}"))
    assert status == 400
    assert unknown[2] == text.replace("owner", "ghost")
    assert unknown[1].keys() == headers.keys()


def test_a_field_that_the_caller_may_not_write_is_the_same_as_one_that_does_not_exist(client: As) -> None:
    """Owner and key are set by the server; neither a create nor a change may name them."""
    walt = client("walt")
    for field in ("owner", "id", "deleted_at", "public"):
        answers = [walt.post("/books", json={"title": "New", name: None}) for name in (field, "ghost")]
        assert [answer.status_code for answer in answers] == [422, 422]
        faults = [answer.json()["errors"] for answer in answers]
        assert str(faults[0]).replace(field, "ghost") == str(faults[1])
        answer = walt.patch("/books/2", json={field: None}, headers={"If-Match": "*"})
        assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/{field}"]


def test_a_field_that_a_deny_freezes_in_a_row_is_not_changed(client: As) -> None:
    """The title of a public book stays; its pages may change, and the title of another book too."""
    walt = client("walt")

    def patched(number: int, body: dict[str, object]) -> int:
        return walt.patch(f"/books/{number}", json=body, headers={"If-Match": "*"}).status_code

    assert patched(1, {"title": "Other"}) == 403
    assert patched(1, {"title": "Other", "pages": 7}) == 403
    assert walt.get("/books/1").json()["pages"] == 100
    assert patched(1, {"pages": 7}) == 200
    assert patched(2, {"title": "Other"}) == 200


def test_a_create_whose_row_breaks_the_rule_writes_nothing(client: As) -> None:
    """A reader borrows for itself alone."""
    rita, ada = client("rita"), client("ada")
    loan = {"book_id": 4, "since": "2027-01-15"}
    assert code(rita.post("/loans", json={**loan, "reader": "walt"})) == (403, "state_forbidden")
    assert len(ada.get("/loans").json()["items"]) == 2
    assert rita.post("/loans", json={**loan, "reader": "rita"}).status_code == 201


# Conditions on the request ------------------------------------------------------------------


def from_address(caller: Client, method: str, path: str, address: str, token: str | None = None) -> Answer:
    """A request without a body from there."""
    sent = {
        "host": "testserver",
        "authorization": f"Bearer {token or caller.token}",
        **freshness(caller.service.clock()),
    }
    headers = [(name.encode(), value.encode()) for name, value in sent.items()]
    return caller.send({**asgi_scope(path, headers, address), "method": method})


@pytest.mark.parametrize(
    ("address", "status"),
    [("10.1.2.3", 400), ("127.0.0.1", 400), ("::1", 400), ("::ffff:10.1.2.3", 400), ("11.0.0.1", 403), ("::2", 403)],
)
def test_a_rule_for_the_office_holds_there_alone(worker: As, address: str, status: int) -> None:
    """Invoices are written from its networks; elsewhere the accountant's rule does not exist."""
    assert from_address(worker("alex"), "POST", "/invoices", address).status_code == status
    allowed = from_address(worker("alex"), "OPTIONS", "/invoices", address).headers["allow"]
    assert allowed == ("GET, POST, PATCH, DELETE" if status == 400 else "GET, DELETE")


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        (NOON - 4 * HOUR - 0.001, 403),
        (NOON - 4 * HOUR, 204),
        (NOON + 6 * HOUR - 0.001, 204),
        (NOON + 6 * HOUR, 403),
        (NOON + 20 * HOUR, 204),
    ],
)
def test_a_rule_by_time_of_day_begins_and_ends_to_the_instant(
    worker: As, clock: Clock, moment: float, status: int
) -> None:
    """From 08:00 inclusive to 18:00 exclusive, UTC, and again on the next day."""
    clock.now = moment
    assert worker("alex").delete("/invoices/2026,1").status_code == status


@pytest.mark.parametrize(
    ("scopes", "status"), [([], 204), (["books"], 204), (["mail", "books"], 204), (["mail"], 403), (["book"], 403)]
)
def test_a_rule_by_scope_holds_for_credentials_that_carry_it(
    worker: As, office: Path, clock: Clock, scopes: list[str], status: int
) -> None:
    """A token limited to other scopes has no such right, whatever its account's roles; one without limits has."""
    token = access_token.issue(
        key_of(office),
        issuer=ORIGIN,
        audience=ORIGIN,
        subject="alex",
        client_id="app",
        now=clock(),
        scopes=scopes,
    )
    assert from_address(worker(None), "DELETE", "/invoices/2026,1", "192.0.2.1", token).status_code == status


@pytest.mark.parametrize(("age", "status"), [(0, 428), (HOUR, 428), (HOUR + 1, 403), (None, 403)])
def test_a_rule_by_the_age_of_the_login_holds_up_to_its_last_second(
    worker: As, office: Path, clock: Clock, age: int | None, status: int
) -> None:
    """A comment is changed within an hour of signing in; a token that does not say when is too old."""
    token = access_token.issue(
        key_of(office),
        issuer=ORIGIN,
        audience=ORIGIN,
        subject="mia",
        client_id="app",
        now=clock(),
        auth_time=None if age is None else clock() - age,
    )
    assert from_address(worker(None), "PATCH", "/comments/1", "192.0.2.1", token).status_code == status


def test_a_condition_is_asked_of_each_request_and_not_of_the_token(worker: As, office: Path, clock: Clock) -> None:
    """The same token, known by then, loses the right with the hour."""
    token = access_token.issue(
        key_of(office), issuer=ORIGIN, audience=ORIGIN, subject="mia", client_id="app", now=clock(), auth_time=NOON
    )
    clock.now = NOON + 0.5
    long = access_token.issue(
        key_of(office),
        issuer=ORIGIN,
        audience=ORIGIN,
        subject="mia",
        client_id="app",
        now=clock(),
        auth_time=NOON,
        lifetime_seconds=2 * HOUR,
    )
    for known in (token, long):
        assert from_address(worker(None), "PATCH", "/comments/1", "192.0.2.1", known).status_code == 428
    clock.now = NOON + HOUR + 1
    assert from_address(worker(None), "PATCH", "/comments/1", "192.0.2.1", long).status_code == 403
    assert from_address(worker(None), "GET", "/comments/1", "192.0.2.1", long).status_code == 200


# Methods, actions, endpoints ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "Get", "gET", "DELETE ", "delete", "G\u00cbT", "", "GE T", "POST\x00"])
def test_a_method_is_what_it_says_in_upper_case(client: As, method: str) -> None:
    """RFC 9110 §9.1: methods have a case; `get` is not GET, and `delete` deletes nothing."""
    for path in ("/books/2", "/nothing"):
        assert code(client("walt").request(method, path)) == (400, "request_malformed")
    assert client("walt").get("/books/2").status_code == 200


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_header_does_not_make_another_method(client: As, header: str) -> None:
    """A proxy that lets GET through lets nothing else through by it."""
    walt = client("walt")
    answer = walt.get("/books/2", headers={header: "DELETE"})
    assert answer.status_code in {200, 400}
    assert walt.post("/books/2/publish", headers={header: "DELETE"}).status_code in {200, 400}
    assert walt.get("/books/2").status_code == 200


def test_an_action_runs_on_a_row_of_its_own_rule_alone(client: As) -> None:
    """The owner publishes; another writer does not see the book, a reader of it may not, the admin may."""
    assert client("wilma").post("/books/2/publish").status_code == 404
    assert client("rita").post("/books/1/publish").status_code == 403
    assert client("both").post("/books/1/publish").status_code == 403
    answer = client("walt").post("/books/2/publish")
    assert (answer.status_code, answer.json()["public"]) == (200, True)
    assert client("ada").post("/books/5/publish").status_code == 200
    assert client("both").get("/books/2").status_code == 200


@pytest.mark.parametrize("path", ["/books/2/Publish", "/books/2/publish/", "/books/publish", "/books/2/unpublish"])
def test_an_action_has_one_name(client: As, path: str) -> None:
    """Another spelling is another path: there is none, or it is an item."""
    assert client("walt").post(path).status_code in {404, 405}
    assert client("walt").get("/books/2").json()["public"] is False


def test_an_endpoint_is_open_to_the_roles_of_its_rules(client: As) -> None:
    """No role, no rule, no credential: 403, 403, 401; ANYONE is everybody."""
    body = {"text": "a"}
    found = [client(name).post("/notes", json=body).status_code for name in ("rita", "nina", "ada", "walt", None)]
    assert found == [200, 403, 403, 403, 401]
    assert [client(name).get("/hello").status_code for name in ("rita", "nina", None)] == [200, 200, 200]
