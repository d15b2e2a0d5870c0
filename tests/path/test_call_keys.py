"""`call.get`, `update`, `delete` and `list` of rows with a composite key: one way of writing it, and clear errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from unittest.mock import Mock

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.path.small import NOON, Clock

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Call, allow, defaults
from vallum.execute.listing import list_statement
from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")


class Base(DeclarativeBase):
    """All tables."""


class Seat(Base):
    """In a row of a hall."""

    __tablename__ = "seats"

    line: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    taken: Mapped[bool] = mapped_column(default=False)


DEEDS: Final[list[Callable[[Call], Any]]] = []
"""What the endpoint does: the last one."""

api: Final = API("Hall", roles=["usher"], fresh="off")
api.resource(Seat, allow("usher", CREATE | READ | UPDATE | DELETE))
api.accounts.add("una", roles=["usher"])


@api.post("/do", allow("usher"))
def do(call: Call) -> Any:
    """Whatever the test wants."""
    return DEEDS[-1](call)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """A row of seats, one more than a page has."""
    data = tmp_path_factory.mktemp("hall") / "data"
    seats = [Seat(line="a", number=number) for number in range(1, defaults.PAGE_MAX + 2)]
    stores.create(api, data, seed=lambda db: db.add_all(seats), clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture
def una(filled: Path, tmp_path: Path) -> Iterator[Client]:
    """The usher, on a copy."""
    with stores.client(api, "una", stores.copied(filled, tmp_path / "data"), Clock()) as found:
        yield found
    DEEDS.clear()


def done(una: Client, deed: Callable[[Call], Any]) -> Any:
    """What the deed returned."""
    DEEDS.append(deed)
    answer = una.post("/do")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_composite_key_is_a_tuple(una: Client) -> None:
    """The same for all three, its parts in the order of the path; `get` and `delete` take them one by one as well."""

    def deed(call: Call) -> Any:
        changed = call.update(Seat, ("a", 2), {"taken": True})
        call.delete(Seat, ("a", 3))
        call.delete(Seat, "a", 4)
        return [changed, call.get(Seat, ("a", 2)), call.get(Seat, "a", 2), call.list(Seat, limit=3)]

    seat = {"line": "a", "number": 2, "taken": True}
    first, last = ({"line": "a", "number": number, "taken": False} for number in (1, 5))
    assert done(una, deed) == [seat, seat, seat, [first, seat, last]]


WRONG: Final[tuple[Callable[[Call], Any], ...]] = (
    lambda call: call.get(Seat, "a"),
    lambda call: call.get(Seat, ("a", 1, 2)),
    lambda call: call.get(Seat),
    lambda call: call.get(Seat, ("a",), 1, 1),
    lambda call: call.update(Seat, "a", {"taken": True}),
    lambda call: call.delete(Seat, ("a",)),
)


def test_a_composite_key_in_a_path(una: Client) -> None:
    """Commas between its parts, and an encoded one inside of a part."""
    made = una.post("/seats", json={"line": "a,b", "number": 7})
    assert made.headers["location"].endswith("/seats/a%2Cb,7")
    assert [una.get(f"/seats/{key}").json()["line"] for key in ("a%2Cb,7", "a,7")] == ["a,b", "a"]


def test_a_key_of_other_parts_is_an_error_of_the_program(una: Client) -> None:
    """It says which parts there are; the client hears of a 500 alone."""
    for deed in WRONG:
        DEEDS.append(deed)
        with pytest.raises(TypeError, match=r"Seat .*\(line, number\)"):
            una.post("/do")


def test_a_list_is_the_first_rows(una: Client) -> None:
    """As many as a page may have, by key, unless the program says how many."""
    pages = done(
        una, lambda call: [call.list(Seat), call.list(Seat, limit=defaults.PAGE_MAX + 2), call.list(Seat, limit=0)]
    )
    assert [len(page) for page in pages] == [defaults.PAGE_MAX, defaults.PAGE_MAX + 1, 0]
    assert [seat["number"] for seat in pages[0]] == list(range(1, defaults.PAGE_MAX + 1))


def test_a_list_of_less_than_nothing(una: Client) -> None:
    """It is not taken for all of them."""
    DEEDS.append(lambda call: call.list(Seat, limit=-1))
    with pytest.raises(ValueError, match="limit"):
        una.post("/do")


def test_lists_of_many_lengths_are_few_statements(una: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows as are asked for, by statements of so many as the next power of two."""
    made = Mock(wraps=list_statement)
    monkeypatch.setattr("vallum.execute.call.list_statement", made)
    lengths = [*range(40), defaults.PAGE_MAX]
    assert done(una, lambda call: [len(call.list(Seat, limit=limit)) for limit in lengths]) == lengths
    assert sorted(call.args[2].rows for call in made.call_args_list) == [1, 2, 4, 8, 16, 32, 64, defaults.PAGE_MAX]


def test_a_list_has_what_the_handler_has_just_added(una: Client) -> None:
    """As `call.get` has it."""

    def deed(call: Call) -> Any:
        call.db.add(Seat(line="A", number=7))
        return call.list(Seat, limit=1)

    assert done(una, deed) == [{"line": "A", "number": 7, "taken": False}]
