"""What start-up finds out about the tables themselves, on a database that another program has made."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, ForeignKey, String
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.ext.declarative import DeferredReflection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.existing.app import api_of, models
from tests.existing.places import make, reflected
from tests.unit.serve.served import command

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Call, allow, me
from vallum.authorise.checks import check
from vallum.declare.checks_finding import Finding
from vallum.reflection import related
from vallum.serve.checks import declared, stored
from vallum.serve.create import create_database
from vallum.serve.database import command_database
from vallum.serve.files import DATABASE_FILE
from vallum.store.errors import StoreError
from vallum.store.postgres_address import parse

BOTH = pytest.mark.stores("sqlite", "postgresql")
POSTGRESQL = pytest.mark.stores("postgresql")
Build = Callable[[Connection], API]
READER = """
    CREATE ROLE {role} LOGIN;
    GRANT USAGE ON SCHEMA public, sales TO {role};
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """Nothing here changes it."""
    data = tmp_path_factory.mktemp("house") / "data"
    make(data, store)
    return data


def found(data: Path, build: Build, user: str | None = None) -> list[Finding]:
    """By a server of this API, as this user of the database."""
    api = reflected(data, build)
    url = stores.database_of(data)
    assert [f for f in declared(api, "sqlite" if url is None else "postgresql") if f.severity == "error"] == []
    address = None if url is None else parse(url if user is None else url.replace("postgres@", f"{user}@"))
    with command_database(address, data) as database:
        return stored(api, database)


def served(name: str, *rules: Any, **options: Any) -> Build:
    """One model of the house under these rules."""

    def build(connection: Connection) -> API:
        api = API("Trade", roles=["a"], existing_tables=True)
        found = models(connection)
        given = [rule(found[name]) if callable(rule) else rule for rule in rules]
        api.resource(found[name], *given, path="/it", **options)
        return api

    return build


@BOTH
def test_the_house_is_served_as_it_is(house: Path) -> None:
    """With a word on the table that has no key."""
    errors = [f for f in found(house, api_of) if f.severity == "error"]
    assert errors == []
    assert ("key-not-unique", "/log, at") in {(f.identifier, f.place) for f in found(house, api_of)}


@BOTH
@pytest.mark.parametrize("operation", [CREATE, UPDATE, DELETE])
def test_nobody_writes_to_a_view(house: Path, operation: Any) -> None:
    """Not even to one that the database could write through."""
    rules = [allow("a", READ), allow("a", operation, fields=None if operation is DELETE else ["company"])]
    assert [f.identifier for f in found(house, served("Listed", *rules))] == ["view-written"]
    assert found(house, served("Listed", allow("a", READ))) == []


@BOTH
def test_no_action_has_a_row_of_a_view(house: Path) -> None:
    """Its row would have to be locked."""

    def build(connection: Connection) -> API:
        api = API("Trade", roles=["a"], existing_tables=True)
        listed = models(connection)["Listed"]
        api.resource(listed, allow("a", READ), path="/it")

        @api.action(listed, "greet", allow("a"))
        def greet(call: Call, row: Any) -> None: ...

        return api

    assert [f.identifier for f in found(house, build)] == ["view-written"]


@BOTH
def test_rows_without_a_key_are_not_written(house: Path) -> None:
    """One request would change two of them; reading is the author's risk."""
    assert [(f.identifier, f.severity) for f in found(house, served("Entry", allow("a", READ)))] == [
        ("key-not-unique", "warning")
    ]
    both = [allow("a", READ), allow("a", UPDATE, fields=["what"])]
    assert [(f.identifier, f.severity) for f in found(house, served("Entry", *both))] == [("key-not-unique", "error")]


class Base(DeclarativeBase):
    pass


class Absent(Base):
    __tablename__ = "absent"
    id: Mapped[int] = mapped_column(primary_key=True)


class Wider(Base):
    __tablename__ = "Customers"
    id: Mapped[str] = mapped_column("CustomerID", String(5), primary_key=True)
    shoe: Mapped[int]


@BOTH
def test_what_is_missing_is_named(house: Path) -> None:
    """A table and a column that the model has and the database has not; nothing is asked of them then."""

    def build(_: Connection) -> API:
        api = API("Trade", roles=["a"], existing_tables=True)
        api.resource(Absent, allow("a", READ))
        api.resource(Wider, allow("a", READ), path="/customers")
        return api

    missing, column = found(house, build)
    assert (missing.identifier, missing.place) == ("table-missing", "/absent, absent")
    assert (column.identifier, column.message) == ("column-missing", "The table has no column shoe.")


@BOTH
def test_a_cascade_into_a_table_that_nobody_knows(house: Path) -> None:
    """The models have the orders and not their details, which the database would take along."""

    def build(connection: Connection) -> API:
        base = automap_base()
        base.metadata.reflect(connection, only=["order"], resolve_fks=True)
        base.prepare()
        api = API("Trade", roles=["a"], existing_tables=True)
        api.resource(base.classes["order"], allow("a", READ | DELETE))
        return api

    (cascade,) = found(house, build)
    assert (cascade.identifier, "Order Details" in cascade.message) == ("cascade-unknown", True)


@pytest.mark.stores("sqlite")
def test_a_cascade_that_reflection_does_not_see(house: Path) -> None:
    """SQLAlchemy reads no ON DELETE of SQLite that stands behind a column."""

    def build(connection: Connection) -> API:
        return deleting(automap_base(), connection)

    def mended(connection: Connection) -> API:
        base = automap_base()
        line = 'order_id: Mapped[int] = mapped_column("Order ID", ForeignKey("order.id", ondelete="CASCADE"), primary_key=True)'
        assert cascade.mend.endswith(f": {line}.")
        scope = {"ForeignKey": ForeignKey, "Mapped": Mapped, "mapped_column": mapped_column, "Base": base}
        program = f"class Detail(Base):\n    __tablename__ = 'Order Details'\n    {line}"
        exec(compile(program, "pasted", "exec", dont_inherit=True), scope)  # noqa: S102  # as an author pastes it
        return deleting(base, connection)

    (cascade,) = found(house, build)
    assert (cascade.identifier, cascade.message.startswith("The models know Order Details")) == (
        "cascade-unknown",
        True,
    )
    assert found(house, mended) == []


def deleting(base: Any, connection: Connection) -> API:
    """All tables, and orders that may be deleted."""
    base.prepare(autoload_with=connection, generate_relationship=related)
    api = API("Trade", roles=["a"], existing_tables=True)
    api.resource(base.classes["order"], allow("a", READ | DELETE))
    return api


@BOTH
def test_a_column_that_is_left_out_and_cannot_be_empty(house: Path) -> None:
    """No row can be made where the class does without it; what the database fills in is no hindrance."""

    def build(connection: Connection) -> API:
        class Base(DeferredReflection, DeclarativeBase):
            pass

        class Customer(Base):
            __tablename__ = "Customers"
            __mapper_args__ = {"exclude_properties": ["user", "since", "code", "balance", "home"]}  # noqa: RUF012
            id: Mapped[str] = mapped_column("CustomerID", primary_key=True)
            company: Mapped[str] = mapped_column("Company Name")

        Base.prepare(connection)
        api = API("Trade", roles=["a"], existing_tables=True)
        api.resource(Customer, allow("a", READ | CREATE), path="/customers")
        return api

    (warned,) = [f for f in check(reflected(house, build), dialect="sqlite") if f.identifier == "create-incomplete"]
    assert "give user, which" in warned.message


@pytest.fixture(scope="module")
def reader(house: Path) -> str:
    """A user that may read what is in `public`."""
    name = stores.name_of(stores.database_of(house) or "")
    stores.server().script(name, READER.format(role=f"reader_{name}"))
    return f"reader_{name}"


@POSTGRESQL
def test_what_the_user_may_not_is_told_with_the_line_that_lets_it(house: Path, reader: str) -> None:
    """For each table: what its rules need and the database denies."""
    lines = {f.place: f.mend.partition("as the owner: ")[2] for f in found(house, api_of, reader)}
    assert lines["/products, products"] == f"GRANT INSERT, UPDATE, DELETE ON products TO {reader};"
    assert lines["/invoices, sales.invoice"].startswith(f"GRANT USAGE ON SCHEMA sales TO {reader}; GRANT SELECT, ")
    assert "/customer-list, customer_list" not in lines


@POSTGRESQL
def test_rights_on_single_columns_are_enough(house: Path, reader: str) -> None:
    """Where a rule changes no others."""
    name = stores.name_of(stores.database_of(house) or "")
    stores.server().script(name, f'GRANT UPDATE (amount) ON payment TO {reader}; GRANT INSERT ON "order" TO {reader};')
    may = [allow("a", READ), allow("a", UPDATE, fields=["amount"])]
    assert found(house, served("Payment", *may), reader) == []
    more = [allow("a", READ), allow("a", UPDATE, fields=["amount", "payer"])]
    assert [f.identifier for f in found(house, served("Payment", *more), reader)] == ["table-privilege"]
    (sequence,) = found(house, served("Order", allow("a", READ | CREATE)), reader)
    assert sequence.mend == f"As the owner: GRANT USAGE ON SEQUENCE public.order_id_seq TO {reader};"


@POSTGRESQL
def test_a_table_that_only_a_rule_looks_into(house: Path, reader: str) -> None:
    """It must be readable, too."""
    stores.server().script(
        stores.name_of(stores.database_of(house) or ""),
        f'GRANT SELECT ON sales.invoice TO {reader}; REVOKE SELECT ON "Customers" FROM {reader};',
    )
    rule = [lambda model: allow("a", READ, where=model.owner.has(user=me.id))]
    (beside,) = found(house, served("Invoice", *rule), reader)
    assert (beside.identifier, beside.place) == ("table-privilege", 'rules, "Customers"')


@pytest.mark.stores("sqlite")
def test_a_file_has_to_be_there(tmp_path: Path, house: Path) -> None:
    """It is not made where the tables are another program's."""
    api = reflected(house, api_of)
    with pytest.raises(StoreError, match="database-missing"):
        create_database(api, tmp_path / "data", now=1e9)
    assert not (tmp_path / "data" / DATABASE_FILE).exists()


@pytest.mark.stores("sqlite")
def test_what_reflection_brings_along_is_told_all_at_once(house: Path, tmp_path: Path) -> None:
    """Every table as it is, under a database that is ready: types and names that cannot be served, and nothing of SQL."""
    shutil.copytree(house, tmp_path / "data")
    (tmp_path / "whole.py").write_text(WHOLE)
    assert command("db", "create", "--dev", cwd=tmp_path, VALLUM_APP="whole:api").code == 0
    del sys.modules["whole"]  # the next command is a process of its own
    said = command("check", "--dev", "--json", cwd=tmp_path, VALLUM_APP="whole:api")
    told = {(f["identifier"], f["place"]) for f in said.json() if f["severity"] == "error"}
    assert said.code == 1
    assert {("column-type", "Customers.code"), ("field-name", "Customers.Company Name")} <= told
    (key,) = [f for f in said.json() if f["place"] == "Order Details.Order ID"]
    line = 'order_id: Mapped[int] = mapped_column("Order ID", primary_key=True)'
    assert (key["identifier"], line in key["mend"]) == ("field-name", True)
    assert ("table-reserved", "/vallum_principal") in told, "a loop over all tables finds those of Vallum, too"
    assert {identifier for identifier, _ in told} <= {
        *("column-type", "numeric-scale", "key-type", "field-name", "table-reserved")
    }


WHOLE = """
from sqlalchemy.ext.automap import automap_base
from vallum import API, READ, allow
from vallum.reflection import connected, related

Base = automap_base()
connected(lambda connection: Base.prepare(autoload_with=connection, generate_relationship=related))
api = API("Trade", roles=["clerk"], existing_tables=True)
for model in Base.classes:
    api.resource(model, allow("clerk", READ), path="/" + model.__table__.name.replace(" ", "-"))
"""
