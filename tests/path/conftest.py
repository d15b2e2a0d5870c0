"""The small library, served to each test from a data directory of its own, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.path import oauth
from tests.path.small import NOON, Clock, api, seed

from tests import stores
from vallum.store.postgres import PostgresDatabase
from vallum.store.postgres_transaction import _Running
from vallum.store.sqlite import SqliteDatabase
from vallum.store.sqlite_transaction import Transactions
from vallum.testing import Client

BEHIND = (
    "vallum_window",
    "DELETE FROM vallum_idempotency",
    "vallum_meta",
    "vallum_audit_segment",
    "vallum_audit WHERE",
)
"""What a service does by itself now and then: counters, sweeping, sealing."""

As = Callable[[str | None], Client]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The data directory that every test copies; made a day before noon, so that its key is older than any token."""
    data = tmp_path_factory.mktemp("library") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def data(library: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own."""
    return stores.copied(library, tmp_path / "data")


@pytest.fixture
def client(data: Path, clock: Clock) -> Iterator[As]:
    """`client("rita")` calls the API as that account, `client(None)` without a credential."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(api, name, data, clock))


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory, store: str) -> oauth.Desk:
    """The API with two clients that have a secret and one that has a key; every test has a copy."""
    data = tmp_path_factory.mktemp("notes") / "data"
    clock = Clock(NOON - 86_400)
    stores.create(oauth.api, data, seed=oauth.seed, clock=clock, store=store)
    desk = oauth.Desk(data, clock)
    desk.add("heron", scopes={"texts", "more"})
    desk.add("osprey", scopes={"texts"})
    desk.add("kite", algorithm="Ed25519", scopes={"texts"})
    return desk


@pytest.fixture
def desk(notes: oauth.Desk, tmp_path: Path, clock: Clock) -> Iterator[oauth.Desk]:
    """The OAuth endpoints, served."""
    data = stores.copied(notes.data, tmp_path / "notes")
    with stores.client(oauth.api, None, data, clock, fresh=False) as client:
        yield oauth.Desk(data, clock, dict(notes.secrets), dict(notes.keys), client)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The text of each statement that the store runs, reads and writes."""
    seen: list[str] = []

    def note(request: Any) -> None:
        text = str(getattr(request, "text", "session"))
        if not any(word in text for word in BEHIND):
            seen.append(text)

    for database, method in ((SqliteDatabase, "read"), (PostgresDatabase, "read"), (PostgresDatabase, "run")):
        _spied(monkeypatch, database, method, note)
    for runner in (Transactions, _Running):
        _spied(monkeypatch, runner, "_answer", note)
    return seen


def _spied(monkeypatch: pytest.MonkeyPatch, cls: type[Any], method: str, note: Callable[[Any], None]) -> None:
    original = getattr(cls, method)

    def spied(self: Any, request: Any) -> Any:
        note(request)
        return original(self, request)

    monkeypatch.setattr(cls, method, spied)
