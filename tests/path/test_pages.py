"""How large a page becomes and how far it is counted: both are bounded, whatever is in the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.path.small import NOON, Clock

from tests import stores
from vallum import API, CREATE, READ, Call, Plan, allow, me
from vallum.defaults import COUNT_EXACT_ROWS, PAGE_BYTES
from vallum.execute.counting import Total, estimate
from vallum.store.postgres import PostgresDatabase
from vallum.testing import Client

As = Callable[[str], Client]

pytestmark = pytest.mark.stores("sqlite", "postgresql")


class Base(DeclarativeBase):
    """All tables."""


class Book(Base):
    """As long as it is."""

    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(20), index=True)
    shelf: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)


class Line(Base):
    """One of many."""

    __tablename__ = "lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(20), index=True)
    word: Mapped[str] = mapped_column(String(20), index=True)


api = API(
    "Books",
    roles=["reader", "librarian"],
    plans={"default": Plan(burst="100000/s"), "anonymous": Plan(burst="100000/s")},
)
api.resource(
    Book,
    allow("reader", READ | CREATE, where=Book.owner == me.id),
    allow("librarian", READ, where=Book.shelf == "a"),
    allow("librarian", READ, where=Book.shelf == "b", fields=["id", "text"]),
    filters=["owner"],
    sorts=["shelf"],
)
api.resource(Line, allow("reader", READ, where=Line.owner == me.id), filters=["word"])


@api.get("/pile", allow("reader"))
def pile(call: Call) -> dict[str, Any]:
    """All that a handler is given."""
    return {"rows": len(call.list(Book))}


for name in ("ann", "ben", "cleo", "dora"):
    api.accounts.add(name, roles=["reader"])
api.accounts.add("lib", roles=["librarian"])

FRAME = len('{"id":1,"owner":"ann","shelf":"a","text":""}')
"""Bytes of a row of Ann's but for its text."""
MANY = 2_600


def books(owner: str, first: int, *sizes: int, shelf: str = "a") -> list[Book]:
    """So many bytes of text each, a few of them of more than one byte a character."""
    return [
        Book(id=first + n, owner=owner, shelf=shelf, text="é" * 8 + "x" * (size - 16)) for n, size in enumerate(sizes)
    ]


def seed(db: Session) -> None:
    """Ann's four fill a page to the byte; Ben's second goes one beyond; Cleo's first is too large for any page."""
    quarter = PAGE_BYTES // 4 - FRAME
    db.add_all(books("ann", 1, *[quarter] * 4, 100))
    db.add_all(books("ben", 6, quarter, quarter, quarter, quarter + 1))
    db.add_all(books("cleo", 10, PAGE_BYTES + 1, 100, PAGE_BYTES + 1, shelf="b"))
    db.flush()
    words = [("ann", "a", COUNT_EXACT_ROWS), ("ben", "a", COUNT_EXACT_ROWS + 1), ("cleo", "a", MANY), ("dora", "b", 3)]
    words.append(("cleo", "b", 5))
    db.add_all(Line(owner=owner, word=word) for owner, word, count in words for _ in range(count))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """No test changes it."""
    data = tmp_path_factory.mktemp("books") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture(scope="module")
def client(filled: Path) -> Iterator[As]:
    """`client("ann")`."""
    with ExitStack() as stack:
        made: dict[str, Client] = {}

        def as_(name: str) -> Client:
            if name not in made:
                made[name] = stack.enter_context(stores.client(api, name, filled, Clock()))
            return made[name]

        yield as_


def pages(caller: Client, query: str) -> list[list[int]]:
    """The keys on each page, to the last one."""
    found: list[list[int]] = []
    after = ""
    while len(found) < 20:
        answer = caller.get(f"/books?{query}{after}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found.append([row["id"] for row in page["items"]])
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"
    raise AssertionError(found)


# Bytes --------------------------------------------------------------------------------------


def test_a_page_ends_where_its_bytes_do(client: As) -> None:
    """To the byte; what has no room begins the next page. A list without the long field is not cut."""
    assert pages(client("ann"), "limit=100") == [[1, 2, 3, 4], [5]]
    assert pages(client("ben"), "limit=100") == [[6, 7, 8], [9]]
    assert pages(client("ben"), "limit=2") == [[6, 7], [8, 9]]
    assert pages(client("ben"), "limit=100&fields=id,shelf") == [[6, 7, 8, 9]]


def test_a_row_that_no_page_has_room_for_is_a_page(client: As) -> None:
    """It can be read, so a client that walks through comes to the end; the item is the same text."""
    assert pages(client("cleo"), "limit=100") == [[10], [11], [12]]
    alone = client("cleo").get("/books?limit=1").text
    assert alone.startswith('{"items":[' + client("cleo").get("/books/10").text + "]")


def test_a_page_of_several_rules_ends_there_too(client: As) -> None:
    """With hidden fields, and downwards: each row once."""
    for limit in (100, 3):
        found = pages(client("lib"), f"limit={limit}")
        assert [key for page in found for key in page] == list(range(1, 13))
    assert pages(client("ann"), "limit=100&sort=-shelf") == [[5, 4, 3, 2], [1]]


def test_a_handler_is_given_whole_rows(client: As) -> None:
    """Nothing is missing from what it works with."""
    assert client("cleo").get("/pile").json() == {"rows": 3}


# Counts -------------------------------------------------------------------------------------


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the planner was asked."""
    seen: list[str] = []
    read = PostgresDatabase.read

    def noted(self: Any, statement: Any) -> Any:
        if statement.text.startswith("EXPLAIN"):
            seen.append(statement.text)
        return read(self, statement)

    monkeypatch.setattr(PostgresDatabase, "read", noted)
    return seen


def test_an_estimate_is_a_count_as_far_as_that_goes(client: As, plans: list[str], store: str) -> None:
    """Up to and with `COUNT_EXACT_ROWS` it is exact and says so; one more, and the planner is asked where there is one."""
    exact = client("ann").get("/lines?limit=1&count=estimated").json()
    assert (exact["count"], exact["count_estimated"], plans) == (COUNT_EXACT_ROWS, False, [])
    beyond = client("ben").get("/lines?limit=1&count=estimated").json()
    assert (beyond["count"], beyond["count_estimated"]) == (COUNT_EXACT_ROWS, True)
    assert len(plans) == (store == stores.POSTGRESQL)
    assert client("ben").get("/lines?limit=1&count=exact").json()["count"] == COUNT_EXACT_ROWS + 1
    assert "count_estimated" not in client("ben").get("/lines?limit=1&count=exact").json()


def test_an_estimate_is_of_what_the_caller_may_read(client: As, store: str) -> None:
    """By the planner's knowledge of the rule and the filter, rounded to two digits; at least what was counted."""
    cleo = client("cleo")
    found = cleo.get("/lines?limit=1&word=a&count=estimated").json()
    whole = cleo.get("/lines?limit=1&count=estimated").json()
    assert found["count_estimated"] is whole["count_estimated"] is True
    if store == stores.POSTGRESQL:
        assert (MANY * 0.7 < found["count"] < MANY * 1.3, whole["count"]) == (True, MANY)
        assert found["count"] % 100 == 0
    else:
        assert found["count"] == whole["count"] == COUNT_EXACT_ROWS


def test_no_estimate_speaks_of_rows_out_of_sight(client: As, plans: list[str]) -> None:
    """A value that others have thousands of times and the caller three times is there three times, and no planner is asked."""
    dora = client("dora").get("/lines?limit=1&count=estimated&word=b").json()
    assert (dora["count"], dora["count_estimated"]) == (3, False)
    assert client("dora").get("/lines?limit=1&count=estimated&word=a").json()["count"] == 0
    assert plans == []


def test_another_count_is_none(client: As) -> None:
    """The two that there are are named."""
    refused = client("ann").get("/lines?count=planned").json()
    assert refused["errors"] == [
        {"pointer": "#query/count", "code": "choice", "detail": "Either “exact” or “estimated”."}
    ]


@pytest.mark.parametrize(
    ("rows", "told"), [(0, 1000), (999, 1000), (1049, 1000), (1051, 1100), (123_456, 120_000), (1e30, 10**30)]
)
def test_an_estimate_has_two_digits(rows: float, told: int) -> None:
    """And is never below what was counted."""
    assert estimate(rows) == Total(told, estimated=True)
