"""What docs/declaring.md and docs/testing.md show is what happens: the program, the tests, every argument there is."""

from __future__ import annotations

import inspect
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.pages import DOCS, SECONDS, blocks

import vallum
from vallum import API, Plan, allow, defaults, deny, when
from vallum.authorise.checks import check
from vallum.declare.accounts import Accounts
from vallum.declare.app import OPERATION_COST
from vallum.testing import Answer, Client, create_database

PAGE = DOCS / "declaring.md"
TESTING = DOCS / "testing.md"
TEXT = PAGE.read_text(encoding="utf-8")
SIGNATURES: dict[str, list[Callable[..., Any]]] = {
    "`API(title, …)`": [API.__init__],
    "`api.resource(Model, *rules, …)`": [API.resource],
    "`allow(…)` and `deny(…)`": [allow, deny, when],
    "Actions and endpoints": [API.action, API.get, API.post, API.put, API.delete],
    "`Plan(…)`": [Plan.__init__],
}


def arguments(function: Callable[..., Any]) -> set[str]:
    """Its own, by name."""
    return set(inspect.signature(function).parameters) - {"self"}


def section(heading: str) -> str:
    """Of the page."""
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("heading", SIGNATURES)
def test_each_argument_has_its_line(heading: str) -> None:
    """And no line is of one that there is not."""
    lines = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section(heading), re.MULTILINE)
    told = [name for line in lines for name in re.findall(r"`(\w+)`", line)]
    assert len(told) == len(set(told))
    assert set(told) == set().union(*map(arguments, SIGNATURES[heading]))


def test_which_endpoints_take_what() -> None:
    """The second column of the table is that of the signatures."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([\w, ]+) \|", section("Actions and endpoints"), re.MULTILINE)
    functions = {word: getattr(API, word) for word in ("action", "get", "post", "put", "delete")}
    for names, of in rows:
        for name in re.findall(r"\w+", names):
            takers = {word for word, function in functions.items() if name in arguments(function)}
            words = {"all": set(functions), "endpoints": set(functions) - {"action"}}
            assert takers == words.get(of, set(of.split(", "))), name


def test_every_public_name_is_on_the_page() -> None:
    """Of the package, and of an account."""
    assert [name for name in vallum.__all__ if not re.search(rf"\b{name}\b", TEXT)] == []
    assert [name for name in arguments(Accounts.add) if name not in section("Accounts and hooks")] == []


def test_the_defaults_are_as_they_are_told() -> None:
    """Those that are numbers."""
    assert set(re.findall(r"`(\w+)`", re.findall(r"^\| `cost` \| (.*?) \|", TEXT, re.MULTILINE)[0])) == set(
        OPERATION_COST
    )
    assert f"1 each, `count` {defaults.COUNT_COST}, `include` {defaults.INCLUDE_COST}" in TEXT
    assert (defaults.MAX_BODY_BYTES, defaults.FRESH_SECONDS, defaults.BULK_ROWS) == (1 << 20, 180, 100)
    assert f'| `"{defaults.PLAN_BURST}"` |' in section("`Plan(…)`")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the program and its tests."""
    place = tmp_path_factory.mktemp("library")
    (program,) = blocks(PAGE, "python")
    (tests,) = blocks(TESTING, "python")
    (place / "library.py").write_text(program, encoding="utf-8")
    (place / "test_library.py").write_text(tests, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def program(place: Path) -> dict[str, Any]:
    """Its names."""
    return runpy.run_path(str(place / "library.py"))


@pytest.fixture
def lou(program: dict[str, Any], tmp_path: Path) -> Iterator[Client]:
    """The librarian, at a shelf of this branch."""

    def seed(db: Any) -> None:
        db.add(program["Shelf"](id=1, branch=7, label="Fiction"))
        db.flush()
        db.add(program["Hold"](id=1, branch=7, shelf_id=1))

    seconds = count(1_800_000_000.0, step=1.0)  # a second at each look: no burst is used up
    create_database(program["api"], tmp_path / "data", seed, clock=seconds.__next__)
    with Client(program["api"], "lou", tmp_path / "data", clock=seconds.__next__) as client:
        yield client


def test_the_declaration_has_no_fault(program: dict[str, Any]) -> None:
    """On either store."""
    assert check(program["api"], dialect="sqlite") == []
    assert check(program["api"], dialect="postgresql") == []


def test_the_program_does_what_its_arguments_say(lou: Client, program: dict[str, Any]) -> None:
    """The path, the body, what the server sets, what is frozen, what is derived, the bulk, the soft removal, the plan."""

    def asked(answer: Answer) -> tuple[int, str | None]:
        return answer.status_code, answer.json().get("code") if answer.content else None

    assert asked(lou.post("/bookshelves", json={"label": "X"})) == (422, "body_invalid")
    assert asked(lou.post("/bookshelves", json={"label": "x" * 5_000})) == (413, "body_too_large")
    book = lou.post("/books", json={"shelf_id": 1, "title": "Emma", "copies": 3}).json()
    assert (book["branch"], book["bought_by"], book["left"]) == (7, "lou", 3)
    assert asked(lou.patch(f"/books/{book['id']}", json={"bought_by": "mia"}, headers={"if-match": "*"}))[0] == 422
    assert lou.post(f"/books/{book['id']}/lend").json()["left"] == 2
    assert [row["left"] for row in lou.get("/books?left=2&include=shelf").json()["items"]] == [2]
    assert lou.post("/books", json=[{"shelf_id": 1, "title": "Persuasion"}]).status_code == 201
    assert lou.delete(f"/books/{book['id']}").status_code == 204
    assert lou.get(f"/books/{book['id']}").status_code == 404
    assert asked(lou.delete("/bookshelves/1")) == (403, "forbidden")  # this token is of no login
    assert lou.request("PUT", "/greeting", json="Hello").json() == "Hello"
    assert lou.delete("/greeting").status_code == 204
    allowed = lou.get("/hours", headers={"origin": "https://library.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://library.example"
    with Client(program["api"], "mia", lou._running.data) as mia:
        assert mia.get("/limits").json()["after_quota"] is not None


def test_freshness_is_asked_for_where_it_is_said(lou: Client, program: dict[str, Any]) -> None:
    """All that is done with books, else what writes."""
    with Client(program["api"], "lou", lou._running.data, fresh=False) as stale:
        assert stale.get("/books").json()["code"] == "freshness_missing"
        assert stale.get("/bookshelves").status_code == 200
        assert stale.delete("/greeting").json()["code"] == "freshness_missing"


def test_the_tests_of_the_page_pass(place: Path) -> None:
    """By pytest, as they stand there."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_library.py"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (ran.returncode, "3 passed" in ran.stdout) == (0, True), ran.stdout


def test_the_page_of_testing_names_every_argument() -> None:
    """Of a client, its requests, and of what makes a database."""
    text = TESTING.read_text(encoding="utf-8")
    for function in (Client.__init__, create_database):
        assert [name for name in arguments(function) if not re.search(rf"\b{name}\b", text)] == []
    for name in arguments(Client.request) - {"method", "path"}:
        assert f"`{name}=`" in text
    for name in ("status_code", "headers", "text", "content", "json()"):
        assert f"`{name}`" in text
