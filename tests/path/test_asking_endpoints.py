"""A GET of an endpoint is a read: where its handler changes nothing it leaves nothing, whoever asks; else it is audited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.path.small import NOON, Clock

from tests import stores
from vallum import ANYONE, API, CREATE, READ, UPDATE, Call, Plan, allow
from vallum.refusals import Refusal
from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

As = Callable[[str | None], Client]


class Base(DeclarativeBase):
    """All tables."""


class Page(Base):
    """Read by anyone, changed by editors."""

    __tablename__ = "pages"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


DEEDS: Final[list[Callable[[Call], Any]]] = []
"""What the endpoints do: the last one."""

api: Final = API("Asking", roles=["editor"], fresh="off", plans={"anonymous": Plan(burst="100000/s")})
api.resource(Page, allow(ANYONE, READ), allow("editor", READ | CREATE | UPDATE))
api.accounts.add("edda", roles=["editor"])


@api.get("/ask", allow([ANYONE, "editor"]))
@api.post("/ask", allow([ANYONE, "editor"]))
def ask(call: Call) -> Any:
    """Whatever the test wants."""
    return DEEDS[-1](call)


@api.get("/wait", allow([ANYONE, "editor"]))
async def wait(call: Call) -> Any:
    """The same, in a transaction of its own."""
    return await call.transact(DEEDS[-1])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """One page."""
    data = tmp_path_factory.mktemp("asking") / "data"
    seed = Page(id=1, text="old")
    stores.create(api, data, seed=lambda db: db.add(seed), clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own."""
    return stores.copied(filled, tmp_path / "data")


@pytest.fixture
def client(data: Path) -> Iterator[As]:
    """`client("edda")`, `client(None)`."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(api, name, data, Clock()))
    DEEDS.clear()


def audit(data: Path) -> list[tuple[Any, ...]]:
    """Verb, resource, account."""
    return stores.rows(data, "SELECT verb, resource, principal FROM vallum_audit ORDER BY id")


def nothing(_: Call) -> str:
    """No question to the store."""
    return "hello"


def looks(call: Call) -> list[str]:
    """By every way in which a handler may read."""
    found = call.db.scalars(select(Page)).one()
    return [found.text, call.get(Page, 1)["text"], call.list(Page)[0]["text"]]


def tries(call: Call) -> str:
    """A write that is refused, and undone."""
    try:
        call.create(Page, {"text": 7})
    except Refusal:
        return "refused"
    return "made"


def touches(call: Call) -> str:
    """An instance of the Session."""
    page = call.db.scalars(select(Page)).one()
    page.text = "new"
    return page.text


def passes(call: Call) -> int:
    """A statement that the Session's unit of work does not see."""
    beyond = call.unrestricted("A test of the audit.")
    found = beyond.execute(update(Page).values(text="new"))
    return int(getattr(found, "rowcount", 0))


def slips(call: Call) -> str:
    """By the connection below the Session, of which no unit of work hears."""
    call.db.connection().execute(text("UPDATE pages SET text = 'new'"))
    return "done"


def writes(call: Call) -> Any:
    """Under the rules."""
    return call.update(Page, 1, {"text": "new"})


@pytest.mark.parametrize("path", ["/ask", "/wait"])
def test_a_get_that_changes_nothing_leaves_no_entry(client: As, data: Path, path: str) -> None:
    """Strangers could fill the database by it otherwise, and the audit would drown in reads."""
    before = audit(data)
    for who in (None, "edda"):
        for deed in (nothing, looks, tries):
            DEEDS.append(deed)
            assert client(who).get(path).status_code == 200
    assert audit(data) == before


@pytest.mark.parametrize("path", ["/ask", "/wait"])
@pytest.mark.parametrize(
    ("deed", "entries"),
    [
        (touches, [("act", None), ("change", "pages")]),
        (passes, [("act", None), ("unrestricted", None)]),
        (slips, [("act", None)]),
        (writes, [("act", None), ("change", "pages")]),
    ],
)
def test_a_get_that_changes_something_is_audited(
    client: As, data: Path, path: str, deed: Callable[[Call], Any], entries: list[tuple[str, str | None]]
) -> None:
    """Whatever the method says: no write is without an entry, nor a look past the rules."""
    DEEDS.append(deed)
    before = audit(data)
    assert client("edda").get(path).status_code == 200
    found = audit(data)[len(before) :]
    assert sorted(found) == sorted((verb, what or path, "edda") for verb, what in entries)
    assert stores.rows(data, "SELECT text FROM pages") == [("new",)]


def test_a_post_is_audited_even_where_it_changes_nothing(client: As, data: Path) -> None:
    """It may have done something elsewhere."""
    DEEDS.append(nothing)
    before = audit(data)
    assert client(None).post("/ask").status_code == 200
    assert audit(data)[len(before) :] == [("act", "/ask", None)]


def test_a_get_takes_no_input(client: As) -> None:
    """No handler would be given it, so it is refused rather than ignored."""
    DEEDS.append(nothing)
    asked = client(None).get("/ask?name=x")
    told = client(None).request("GET", "/ask", json={})
    assert (asked.status_code, asked.json()["code"]) == (400, "query_invalid")
    assert (told.status_code, told.json()["code"]) == (400, "body_unexpected")
