"""Row-level security of a table in parts: what lies below it has the same rows, and policies and rights of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import asyncpg
import pytest
from sqlalchemy import DDL, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.path.small import NOON
from tests.under_policies import OWNER, READER, Under, made, make_role

from tests import stores
from vallum import API, CREATE, READ, allow, me
from vallum.row_security import database
from vallum.store.errors import StoreError
from vallum.store.postgres import PostgresCommands
from vallum.store.postgres_address import parse

REFUSED = asyncpg.InsufficientPrivilegeError
PARTS = """
CREATE TABLE payments_old PARTITION OF payments FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE payments_oldest PARTITION OF payments_old FOR VALUES FROM (0) TO (50);
CREATE TABLE "payments'$1%%s" PARTITION OF payments FOR VALUES FROM (100) TO (200);
CREATE TABLE orders () INHERITS ("old  documents");
GRANT SELECT, INSERT, TRUNCATE ON ALL TABLES IN SCHEMA public TO under_reader;
GRANT UPDATE (payer) ON payments_oldest TO under_reader;
"""


class _Base(DeclarativeBase):
    pass


class _Payment(_Base):
    __tablename__ = "payments"
    __table_args__ = ({"postgresql_partition_by": "RANGE (id)"},)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    payer: Mapped[str] = mapped_column(index=True)


class _Document(_Base):
    __tablename__ = "old  documents"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    payer: Mapped[str] = mapped_column(index=True)


class _OtherBase(DeclarativeBase):
    pass


class _Old(_OtherBase):
    """A part of it, served by itself."""

    __tablename__ = "payments_old"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    payer: Mapped[str] = mapped_column(index=True)


for part in PARTS.strip().split(";\n"):
    event.listen(_Base.metadata, "after_create", DDL(part.removesuffix(";")))  # type: ignore[no-untyped-call]  # SQLAlchemy's own


def _api() -> API:
    api = API("Payments", roles=["customer"])
    rule = allow("customer", READ | CREATE, where=_Payment.payer == me.id)
    api.resource(_Payment, rule, path="/payments")
    api.resource(_Document, allow("customer", READ, where=_Document.payer == me.id), path="/documents")
    api.accounts.add("ann", roles=["customer"])
    return api


def _seed(session: Session) -> None:
    session.add_all([_Payment(id=number, payer="ann" if number % 2 else "bob") for number in (1, 2, 101, 102)])


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Under:
    """Partitions of two levels and a child, to all of which the reader had rights before."""
    make_role(READER)
    found = made(_api(), tmp_path_factory.mktemp("parts") / "data", _seed, lambda: NOON - 86_400)
    found.server.script(found.name, "INSERT INTO orders VALUES (7, 'ann'), (8, 'bob')")
    return found


@pytest.fixture
def opened(under: Under) -> Iterator[PostgresCommands]:
    """A connection of the owner's; what a test changes is put under the policies again."""
    with closing(PostgresCommands(parse(stores.database_of(under.data) or ""))) as commands:
        yield commands
        commands.write(database.apply(under.api, READER))


def test_through_the_table_the_rows_are_those_of_its_policies(under: Under) -> None:
    """Wherever they lie; new ones too, and Vallum itself sees what the rules give."""
    ann = under.caller("ann")
    payments, documents = under.api.resources.values()
    assert under.selected("ann", payments) == under.listed("ann", payments) == [{"id": 1}, {"id": 101}]
    assert under.selected("ann", documents) == under.listed("ann", documents) == [{"id": 7}]
    new = "INSERT INTO payments VALUES (%s) RETURNING id"
    assert under.asked(ann, new % "3, 'ann'", "SELECT count(*) FROM payments") == [[(3,)], [(3,)]]
    with pytest.raises(REFUSED):
        under.asked(ann, new % "5, 'bob'")
    under.as_owner("DELETE FROM payments WHERE id = 3")


@pytest.mark.parametrize("table", ["payments_old", "payments_oldest", '"payments\'$1%s"', "orders"])
@pytest.mark.parametrize("text", ["SELECT * FROM {}", "INSERT INTO {} VALUES (9, 'ann')", "TRUNCATE {}"])
def test_what_lies_below_is_closed_under_its_own_name(under: Under, table: str, text: str) -> None:
    """Though the role had been given rights to it; whoever else has some sees no row, and the owner each."""
    with pytest.raises(REFUSED):
        under.asked(under.caller("ann"), text.format(table))
    under.as_owner(f"GRANT SELECT ON {table} TO pg_monitor")
    rows = under.session(OWNER, None, f"SELECT count(*) FROM {table}")
    forced = f"SELECT relforcerowsecurity FROM pg_class WHERE oid = '{table.replace(chr(39), chr(39) * 2)}'::regclass"
    under.as_owner(f"REVOKE SELECT ON {table} FROM pg_monitor")
    assert (rows, under.as_owner(forced)) == ([[(2,)]], [(True,)])


def test_a_part_that_comes_later_is_told(under: Under, opened: PostgresCommands) -> None:
    """Until then it is as open as it was made; so are rights that are given to one of them."""
    for deed in (
        "CREATE TABLE payments_new PARTITION OF payments FOR VALUES FROM (200) TO (300)",
        f"GRANT SELECT ON payments_oldest TO {READER}",
        "ALTER TABLE payments_new DISABLE ROW LEVEL SECURITY",
    ):
        assert opened.look(database.drifted(under.api)) == []
        under.as_owner(deed)
        drifts = opened.look(database.drifted(under.api)) or []
        assert [(drift.table, "partitions" in drift.drift) for drift in drifts] == [("payments", True)], deed
        opened.write(database.apply(under.api, READER))
    with pytest.raises(REFUSED):
        under.asked(None, "SELECT * FROM payments_oldest")


def test_a_part_that_left_is_told_and_let_go(under: Under, opened: PostgresCommands) -> None:
    """It is no part of what the rules are about: what closed it is taken away, and the role gets no right to it."""
    under.as_owner("CREATE TABLE payments_gone PARTITION OF payments FOR VALUES FROM (300) TO (400)")
    opened.write(database.apply(under.api, READER))
    under.as_owner("ALTER TABLE payments DETACH PARTITION payments_gone")
    drifts = opened.look(database.drifted(under.api)) or []
    assert [(drift.table, "partitions" in drift.drift) for drift in drifts] == [("payments", True)]
    opened.write(database.apply(under.api, READER))
    assert opened.look(database.drifted(under.api)) == []
    secured = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = 'payments_gone'"
    policies = "SELECT count(*) FROM pg_policy WHERE polrelid = 'payments_gone'::regclass"
    granted = "SELECT count(*) FROM information_schema.role_table_grants WHERE table_name = 'payments_gone'"
    assert under.as_owner(secured) == [(False, False)]
    assert under.as_owner(policies) == under.as_owner(f"{granted} AND grantee = '{READER}'") == [(0,)]
    under.as_owner("DROP TABLE payments_gone")


def test_rights_of_everybody_to_a_part_are_refused(under: Under, opened: PostgresCommands) -> None:
    """Like those to the table itself, and like another's policies."""
    for deed, undone, identifier in (
        ("GRANT SELECT ON payments_oldest TO PUBLIC", "REVOKE ALL ON payments_oldest FROM PUBLIC", "rls-role"),
        ("CREATE POLICY more ON orders USING (TRUE)", "DROP POLICY more ON orders", "rls-policies"),
    ):
        under.as_owner(deed)
        with pytest.raises(StoreError, match=identifier):
            opened.write(database.apply(under.api, READER))
        under.as_owner(undone)


def test_rights_to_a_table_above_are_refused(under: Under, opened: PostgresCommands) -> None:
    """Through it the rows are asked for without their policies."""
    opened.write(database.remove)
    under.as_owner("CREATE TABLE everything (payer varchar NOT NULL)")
    under.as_owner(f"GRANT SELECT (payer) ON everything TO {READER}")
    under.as_owner('ALTER TABLE "old  documents" INHERIT everything')
    with pytest.raises(StoreError, match="everything"):
        opened.write(database.apply(under.api, READER))
    under.as_owner(f"REVOKE ALL ON everything FROM {READER}")


def test_a_part_that_is_served_has_its_own_policies(under: Under, opened: PostgresCommands) -> None:
    """The table that it belongs to does not close it; what lies below it is closed."""
    api = _api()
    api.resource(_Old, allow("customer", READ, where=_Old.payer == "bob"), path="/old")
    opened.write(database.apply(api, READER))
    assert opened.look(database.drifted(api)) == []
    ann = under.caller("ann")
    rows = under.asked(ann, "SELECT id FROM payments_old", "SELECT id FROM payments WHERE id < 100")
    assert rows == [[(2,)], [(1,)]]
    with pytest.raises(REFUSED):
        under.asked(ann, "SELECT id FROM payments_oldest")


def test_what_was_put_there_is_taken_away(under: Under, opened: PostgresCommands) -> None:
    """From the parts, too."""
    opened.write(database.remove)
    assert under.as_owner("SELECT count(*) FROM pg_class WHERE relrowsecurity OR relforcerowsecurity") == [(0,)]
    assert under.as_owner("SELECT count(*) FROM pg_policy") == [(0,)]
