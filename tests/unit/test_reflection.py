"""The connection over which an author's program reads the tables of another: Vallum's own, and for reading only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.existing.places import make

from tests import stores
from vallum import API, READ, allow
from vallum.reflection import connected, named, related
from vallum.serve.create import create_database
from vallum.serve.settings import load, use
from vallum.store.errors import StoreError
from vallum.store.postgres_address import parse

pytestmark = pytest.mark.stores("sqlite", "postgresql")


@pytest.fixture
def house(tmp_path: Path, store: str) -> Iterator[Path]:
    """The other program's database, named by the settings of a command."""
    data = tmp_path / "data"
    make(data, store)
    before = load()
    use(load({"data": data, "database": stores.database_of(data), "dev": True}))
    yield data
    use(before)


def names(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def test_it_finds_what_the_command_was_told(house: Path) -> None:
    """By its flags, and where an event loop is running as well as where none is."""

    async def inside() -> set[str]:
        return connected(names)

    assert connected(names) >= {"Customers", "Order Details", "products"}
    assert asyncio.run(inside()) == connected(names)


def test_nothing_is_written_over_it(house: Path) -> None:
    """Neither rows nor tables, whatever the program does."""
    for statement in ("CREATE TABLE more (id INTEGER)", "DELETE FROM log"):
        with pytest.raises(DBAPIError, match=r"read-?only"):
            connected(lambda connection, text_=statement: connection.execute(text(text_)))  # type: ignore[misc]
    assert stores.rows(house, "SELECT count(*) FROM log") == [(2,)]


@pytest.mark.stores("sqlite")  # which is opened by the name of a file
def test_a_directory_of_any_name(tmp_path: Path) -> None:
    """What means something in an address means nothing in a name: the file is that one, and nothing is written over it."""
    data = tmp_path / "a#b?mode=rwc&c%41 d"
    make(data, stores.SQLITE)
    before = load()
    use(load({"data": data, "dev": True}))
    try:
        assert "Order Details" in connected(names)
        with pytest.raises(DBAPIError, match=r"read-?only"):
            connected(lambda connection: connection.execute(text("CREATE TABLE more (id INTEGER)")))
    finally:
        use(before)
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


def test_a_reference_that_is_named_like_its_table(house: Path) -> None:
    """The column keeps the name, the relation gets another; automap by itself maps neither."""
    text_ = "CREATE TABLE artist (id INTEGER PRIMARY KEY); CREATE TABLE album (id INTEGER PRIMARY KEY, artist INTEGER, "
    text_ += "artist_ INTEGER, FOREIGN KEY (artist) REFERENCES artist (id))"
    for statement in text_.split("; "):
        stores.rows(house, statement)
    base = automap_base()
    options = {"generate_relationship": related, "name_for_scalar_relationship": named}
    connected(lambda connection: base.prepare(autoload_with=connection, **options))
    album = inspect(base.classes.album)
    assert (set(album.columns.keys()), album.relationships.keys()) == ({"id", "artist", "artist_"}, ["artist__"])


@pytest.mark.stores("sqlite")
def test_a_file_that_is_not_there_is_not_made(house: Path) -> None:
    """It is asked for."""
    (house / "vallum.db").unlink()
    with pytest.raises(StoreError, match="database-missing"):
        connected(names)
    assert not (house / "vallum.db").exists()


class Base(DeclarativeBase):
    pass


class Absent(Base):
    __tablename__ = "absent"
    id: Mapped[int] = mapped_column(primary_key=True)


def test_a_table_that_is_not_there_is_not_made(house: Path) -> None:
    """`vallum db create` makes Vallum's own tables, and none of a model, when the tables are another program's."""
    api = API("Trade", roles=["a"], existing_tables=True)
    api.resource(Absent, allow("a", READ))
    url = stores.database_of(house)
    create_database(api, house, now=1e9, address=None if url is None else parse(url))
    assert "vallum_principal" in connected(names)
    assert "absent" not in connected(names)
