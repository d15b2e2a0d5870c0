"""`vallum.testing.Client`: one service for each data directory, which ends with its last client and leaves nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from vallum import API, READ, DeclarationError, allow
from vallum.testing import Client, create_database


class Base(DeclarativeBase):
    """The table of these tests."""


class Lamp(Base):
    """Something to ask for."""

    __tablename__ = "lamps"

    id: Mapped[int] = mapped_column(primary_key=True)


def declared(*roles: str) -> API:
    """An API whose `on` reads lamps; so do the other roles that are named."""
    api = API("Lamps", roles=["on", "off"])
    api.resource(Lamp, *(allow(role, READ) for role in ("on", *roles)))
    api.accounts.add("off", roles=["off"])
    return api


@pytest.fixture
def data(tmp_path: Path) -> Path:
    create_database(declared(), tmp_path / "data")
    return tmp_path / "data"


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "vallum-testing"}


def noon() -> float:
    """Of some day."""
    return 1_800_000_000.0


OTHERS: list[Callable[[API, Path], Client]] = [
    lambda _, data: Client(declared("off"), "off", data),
    lambda api, data: Client(api, "off", data, noon),
    lambda api, data: Client(api, "off", data, database="postgresql://somebody@127.0.0.1/other"),
]


@pytest.mark.parametrize("other", OTHERS, ids=["api", "clock", "database"])
def test_what_differs_is_not_served_by_the_first(data: Path, other: Callable[[API, Path], Client]) -> None:
    """A test would pass or fail by the rules, the time or the rows of another."""
    api = declared()
    with Client(api, "off", data) as first:
        with pytest.raises(ValueError, match="is served already"):
            other(api, data)
        assert first.get("/lamps").status_code == 403
        with Client(api, None, data, time.time) as same:
            assert same.service is first.service
    with Client(declared("off"), "off", data) as after:
        assert after.get("/lamps").status_code == 200


def test_a_declaration_that_a_start_refuses_is_not_served(data: Path) -> None:
    """A test of a rule that applies to nobody would show nothing."""
    before = threads()
    with pytest.raises(DeclarationError, match=r"^rule-role: /lamps, rule 2"):
        Client(declared("of"), "off", data)
    assert threads() == before


def test_a_second_close_does_nothing(data: Path) -> None:
    """Other clients of the directory go on."""
    api = declared()
    with Client(api, "off", data) as other:
        one = Client(api, "off", data)
        one.close()
        one.close()
        assert other.get("/lamps").status_code == 403
    assert threads() == set()


def test_a_service_that_does_not_start_leaves_nothing(data: Path) -> None:
    """Neither its thread, nor its place: the next client is served. Nor does one that does not stop."""
    before, api, failing = threads(), declared(), {"start"}

    def fail(when: str) -> None:
        if when in failing:
            raise RuntimeError("not now")

    api.on_start(lambda: fail("start"))
    api.on_stop(lambda: fail("stop"))
    for place in (data, None):
        with pytest.raises(RuntimeError, match="not now"):
            Client(api, "off", place)
        assert threads() == before
    failing.clear()
    client = Client(api, "off", data)
    failing.add("stop")
    with pytest.raises(RuntimeError, match="not now"):
        client.close()
    assert threads() == before
