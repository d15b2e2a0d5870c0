"""The small library, served to each test from a data directory of its own, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.path.small import NOON, Clock, api, seed

from tests import stores
from vallum.testing import Client

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
