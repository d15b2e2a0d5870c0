"""A chain to look at, and to tamper with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.audit.chained import DENIED, NOW, event, make, newest, seal_all, writing

from vallum.store.sqlite import SqliteFile


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three segments of four entries and two that are not sealed; what was signed after the first two is kept."""
    data = tmp_path_factory.mktemp("chain") / "data"
    key = make(data)
    with SqliteFile(data / "vallum.db") as file:
        file.write(writing(*map(event, range(1, DENIED))))
        file.write(
            writing(event(DENIED, verb="refuse", note='{"code":"forbidden","count":17}'), event(8, note="what1?"))
        )
        assert seal_all(file, key, data / "keys") == 2
        (data / "earlier").write_text(newest(file))
        file.write(writing(*map(event, range(9, 13))))
        assert seal_all(file, key, data / "keys", NOW + 60) == 1
        (data / "outside").write_text(newest(file))
        file.write(writing(event(13), event(14)))
    return data


@pytest.fixture
def data(chain: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return shutil.copytree(chain, tmp_path / "data")
