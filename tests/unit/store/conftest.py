from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.unit.store.sqlite_support import create

from vallum.store.sqlite import SqliteDatabase, SqliteFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with the tables of `sqlite_support`."""
    place = tmp_path / "data" / "vallum.db"
    create(place)
    return place


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(path)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def file(path: Path) -> Iterator[SqliteFile]:
    with SqliteFile(path) as opened:
        yield opened
