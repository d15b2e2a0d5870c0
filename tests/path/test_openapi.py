"""`/openapi.json` through the whole path: whose document it is, and that answers are what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.general import app as general
from tests.path import wide
from tests.path.conftest import As
from tests.path.small import NOON
from tests.path.test_authenticate import change, comparable
from tests.unit.openapi.documents import Reader

from tests import stores
from vallum import API, defaults
from vallum.openapi.audience import Audience
from vallum.openapi.document import Site, document
from vallum.openapi.service import PATH, OpenApi
from vallum.store import principals
from vallum.testing import ORIGIN, Answer, Client


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[As]:
    """Clients of the second application and of the one with a column of each type, by account."""
    with ExitStack() as stack:
        places: dict[int, Path] = {}
        for api, seed in ((general.api, general.seed), (wide.api, wide.seed)):
            places[id(api)] = tmp_path_factory.mktemp("others") / "data"
            stores.create(api, places[id(api)], seed=seed, store=store)

        def client(name: str | None) -> Client:
            api = wide.api if name in wide.api.accounts.declared else general.api
            return stack.enter_context(stores.client(api, name, places[id(api)]))

        yield client


def reader(client: Client) -> Reader:
    """The caller's own document."""
    answer = client.get(PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return Reader(answer.json())


def fits(found: Reader, path: str, method: str, answer: Answer) -> None:
    """An answer is documented for its status, body and required header fields alike."""
    operation = found.document["paths"][path][method.lower()]
    response = found.resolved(operation["responses"][str(answer.status_code)])
    for name, header in response["headers"].items():
        field, value = found.resolved(header), answer.headers.get(name)
        assert value is not None or "required" not in field, name
        assert value is None or found.errors(field["schema"], value) == [], name
    if "content" in response and answer.content:
        ((media, content),) = response["content"].items()
        assert answer.headers["content-type"] == media
        assert found.errors(content["schema"], answer.json()) == []
    else:
        assert not answer.content


@pytest.mark.stores("sqlite", "postgresql")
@pytest.mark.parametrize("name", ["mia", "mona", "alex", "otto", "lena", "rosa", "paul", "wim", "adam"])
def test_rows_are_what_the_document_says(others: As, name: str) -> None:
    """Every list and the first item of each, of each caller of two applications: all column types, masks and nulls."""
    client = others(name)
    found, seen = reader(client), 0
    for path, method, _ in found.operations():
        if method != "GET" or "{" in path:
            continue
        answer = client.get(path, params={"limit": 100, "count": "exact"} if path != "/limits" else None)
        fits(found, path, method, answer)
        item = next((p for p in found.document["paths"] if p.rpartition("/")[0] == path and "{" in p), None)
        for row in answer.json().get("items", []) if item else []:
            where = item.format(**row) if item is not None else ""
            fits(found, item or "", "GET", client.get(where))
            seen += 1
    assert seen


def test_limits_are_what_the_document_says(client: As) -> None:
    """Of a known caller, of one whose plan goes on slowly, and of nobody."""
    for name in ("rita", "wim", None):
        fits(reader(client(name)), "/limits", "GET", client(name).get("/limits"))


REFUSED: list[tuple[str, str, str, dict[str, Any], int]] = [
    ("/books", "GET", "/books?limit=0&x=1", {}, 400),
    ("/books", "GET", "/books?after=x", {}, 400),
    ("/books/{id}", "GET", "/books/999", {}, 404),
    ("/books/{id}", "GET", "/books/1", {"headers": {"if-none-match": "x"}}, 400),
    ("/books/{id}", "PATCH", "/books/2", {"json": {}}, 428),
    ("/books/{id}", "PATCH", "/books/2", {"json": {}, "headers": {"if-match": '"x"'}}, 412),
    ("/books/{id}", "PATCH", "/books/2", {"json": {"x": 1}, "headers": {"if-match": "*"}}, 422),
    ("/books", "POST", "/books", {"json": {}}, 422),
    ("/books", "POST", "/books", {"content": b"{"}, 400),
    ("/books", "POST", "/books", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
    ("/books", "POST", "/books", {"json": {}, "headers": {"content-length": str(10**9)}}, 413),
    ("/books", "POST", "/books", {"json": {}, "headers": {"idempotency-key": '"'}}, 400),
    ("/books/{id}/publish", "POST", "/books/3/publish", {}, 404),
    ("/books/{id}/publish", "POST", "/books/1/publish", {}, 409),
    ("/books/{id}/publish", "POST", "/books/2/publish", {"json": {}}, 400),
    ("/books", "GET", "/books", {"headers": {"accept": "text/html"}}, 406),
    ("/books", "GET", "/books", {"headers": {"expect": "x"}}, 417),
    ("/books", "GET", "/books?" + "x" * 8000, {}, 414),
    ("/books", "GET", "/books", {"headers": {"x": "y" * 17_000}}, 431),
    ("/books", "GET", "/books", {"headers": {"host": "elsewhere"}}, 421),
    ("/books", "GET", "/books", {"headers": {"authorization": "Bearer x"}}, 401),
    ("/books", "GET", "/books", {"headers": {"x-api-key": "x"}}, 400),
    ("/books", "GET", "/books?access_token=x", {}, 400),
]


@pytest.mark.parametrize(
    ("path", "method", "target", "given", "status"),
    REFUSED,
    ids=[f"{m} {t[:40]} {g}"[:90] for _, m, t, g, _ in REFUSED],
)
def test_refusals_are_what_the_document_says(
    client: As, path: str, method: str, target: str, given: dict[str, Any], status: int
) -> None:
    """Status, code, members and header fields."""
    walt = client("walt")
    answer = walt.request(method, target, **given)
    assert answer.status_code == status
    fits(reader(walt), path, method, answer)


def test_methods_are_those_that_a_405_allows(client: As, others: As) -> None:
    """The document and the `Allow` of a path come from the same rights; the one of this moment may be less."""
    for caller in (client("rita"), client("walt"), client("ada"), client("both"), others("mia"), others("alex")):
        found = reader(caller)
        for path, methods in found.document["paths"].items():
            where = path.replace("{", "").replace("}", "")
            allowed = set(caller.request("PURGE", where).headers["allow"].split(", "))
            told = {method.upper() for method in methods}
            # Whether a login is young enough, and from where a call comes, is another matter each time.
            conditional = {"/comments/{id}", "/invoices", "/invoices/{year},{number}"}
            assert allowed == told or (allowed < told and path in conditional), path


def test_without_a_credential_there_is_what_anyone_may_do(client: As) -> None:
    """The same document that the command prints for nobody."""
    found = reader(client(None))
    assert found.document["paths"].keys() == {"/shelves", "/shelves/{id}", "/hello", "/limits"}
    assert reader(client("rita")).document["paths"].keys() > found.document["paths"].keys()


def test_where_nothing_is_open_to_anyone_it_is_like_any_other_path() -> None:
    """The same 401 to the byte as at a path that does not exist."""
    closed = API("Closed", roles=["a"])
    closed.accounts.add("ann", roles=["a"])
    noon: Callable[[], float] = lambda: NOON  # noqa: E731  # one and the same second for both answers
    with (
        Client(closed, clock=noon) as nobody,
        Client(closed, as_="ann", data=nobody._running.data, clock=noon) as ann,
    ):
        assert comparable(nobody.get(PATH)) == comparable(nobody.get("/nowhere"))
        assert nobody.get(PATH).status_code == 401
        assert ann.get(PATH).json()["paths"].keys() == {"/limits"}


def test_a_bad_credential_is_refused_here_too(client: As) -> None:
    """Nobody is taken for nobody who wanted to be somebody."""
    answer = client(None).get(PATH, headers={"authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid")


def test_it_is_asked_for_again_by_its_tag(client: As) -> None:
    """304 without a body while nothing has changed; a role set of its own has a tag of its own."""
    rita, walt = client("rita"), client("walt")
    first = rita.get(PATH)
    again = rita.get(PATH, headers={"if-none-match": f"W/{first.headers['etag']}"})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    other = walt.get(PATH, headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200
    assert other.headers["etag"] != first.headers["etag"]
    assert rita.get(PATH, headers={"if-none-match": "x"}).json()["code"] == "precondition_malformed"
    assert rita.get(f"{PATH}?x=1").json()["code"] == "query_invalid"
    assert client("tim").get(PATH).content == first.content


def test_a_change_of_roles_counts_from_the_next_request_on(client: As, data: Path) -> None:
    """What is kept is kept by role set, not by caller."""
    rita = client("rita")
    before = rita.get(PATH)
    change(data, principals.alter("rita", "sqlite", roles=("reader", "writer")))
    after = rita.get(PATH, headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    assert "post" in after.json()["paths"]["/books"]


def test_a_document_is_written_once_for_a_role_set_and_few_are_kept(
    client: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many callers have it."""
    written = []

    def counted(*arguments: Any) -> bytes:
        written.append(arguments[1].roles)
        return document(*arguments)

    monkeypatch.setattr("vallum.openapi.service.document", counted)
    monkeypatch.setattr(defaults, "DOCUMENTS_CACHED", 2)
    for name in ("rita", "tim", "walt", "wilma", "rita", None, "walt", None, "rita"):
        assert client(name).get(PATH).status_code == 200
    assert written == [("reader",), ("writer",), (), ("writer",), ("reader",)]
    assert client("rita").get(PATH).json()["servers"][0]["url"] == ORIGIN


async def test_many_who_ask_at_once_wait_for_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty first callers of a role set have it written once."""
    written = []

    def counted(*arguments: Any) -> bytes:
        written.append(arguments[1].roles)
        return b"{}"

    monkeypatch.setattr("vallum.openapi.service.document", counted)
    service = OpenApi(general.api, Site(ORIGIN, dev=False, dialect="sqlite"))
    audiences = [Audience((role,), frozenset(), identified=True) for role in ("member", "manager")] * 10
    assert len(await asyncio.gather(*(service._of(audience) for audience in audiences))) == 20
    assert sorted(written) == [("manager",), ("member",)]
