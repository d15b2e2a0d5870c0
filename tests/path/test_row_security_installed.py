"""What an installation of policies gives to its role, takes back from it, and does not take from others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import asyncpg
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.path.small import NOON
from tests.under_policies import READER, Under, made, make_role

from tests import stores
from vallum import API, CREATE, READ, allow
from vallum.row_security import database
from vallum.store.errors import StoreError
from vallum.store.postgres import PostgresCommands
from vallum.store.postgres_address import parse


class _Base(DeclarativeBase):
    pass


class _Note(_Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class _Letter(_Base):
    __tablename__ = "letters"
    __table_args__ = ({"schema": "second"},)
    id: Mapped[int] = mapped_column(primary_key=True)


def _api(*models: type[_Base]) -> API:
    api = API("Notes", roles=["writer"])
    for model in models:
        api.resource(model, allow("writer", READ | CREATE), path=f"/{model.__tablename__}")
    api.accounts.add("will", roles=["writer"])
    return api


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Under:
    """The policies of the first schema's API."""
    return made(_api(_Note), tmp_path_factory.mktemp("one") / "data", lambda _: None, lambda: NOON - 86_400, ["second"])


@pytest.fixture
def opened(under: Under) -> Iterator[PostgresCommands]:
    """A connection of the owner's; what a test changes is made anew."""
    with closing(PostgresCommands(parse(stores.database_of(under.data) or ""))) as commands:
        yield commands
        commands.write(database.remove)
        commands.write(database.apply(under.api, READER))


def may_count(under: Under) -> bool:
    sequence = "pg_get_serial_sequence('notes', 'id')"
    ((found,),) = under.as_owner(f"SELECT has_sequence_privilege('{READER}', {sequence}, 'USAGE')")
    return bool(found)


def test_a_removal_takes_the_key_s_sequence_back(under: Under, opened: PostgresCommands) -> None:
    """It was given with the right to INSERT; a rule that allows no more CREATE takes it back, too."""
    assert may_count(under)
    opened.write(database.remove)
    assert not may_count(under)
    under.as_owner(f"GRANT ALL ON SEQUENCE notes_id_seq TO {READER}")
    reading = API("Notes", roles=["writer"])
    reading.resource(_Note, allow("writer", READ), path="/notes")
    opened.write(database.apply(reading, READER))
    assert not may_count(under)


def test_functions_are_the_role_s_alone(under: Under, opened: PostgresCommands) -> None:
    """Whether everybody may call a new function by default is the database's choice; the role may either way."""
    under.as_owner("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    opened.write(database.apply(under.api, READER))
    rows = under.asked(under.caller("will"), "INSERT INTO notes (text) VALUES ('x') RETURNING text")
    assert rows == [[("x",)]]
    granted = "SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) g WHERE p.proname LIKE 'me_%' AND g.grantee = 0"
    for default in ("REVOKE EXECUTE ON FUNCTIONS FROM", "GRANT EXECUTE ON FUNCTIONS TO"):
        under.as_owner(f"ALTER DEFAULT PRIVILEGES {default} PUBLIC")
        opened.write(database.apply(under.api, READER))
        assert under.as_owner(granted) == [(0,)]


def test_another_api_s_policies_are_not_replaced(under: Under, opened: PostgresCommands) -> None:
    """A database has one installation: an API of other tables, or for another role, is refused, and the first one holds."""
    make_role("under_other")
    for api, role in ((_api(_Letter), READER), (under.api, "under_other")):
        with pytest.raises(StoreError, match="rls-installed"):
            opened.write(database.apply(api, role))
    assert opened.look(database.drifted(under.api)) == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        under.asked(None, "INSERT INTO notes (text) VALUES ('x')")
    opened.write(database.apply(_api(_Note, _Letter), READER))
    with pytest.raises(StoreError, match="letters"):
        opened.write(database.apply(under.api, READER))


def test_a_table_that_was_closed_to_all_is_not_laid_open(under: Under, opened: PostgresCommands) -> None:
    """It has the owner's policy alone, as a partition has, but a resource served it: that is written down."""
    closed = _api(_Note)
    closed.resource(_Letter, path="/letters")
    opened.write(database.apply(closed, READER))
    with pytest.raises(StoreError, match="letters"):
        opened.write(database.apply(under.api, READER))
