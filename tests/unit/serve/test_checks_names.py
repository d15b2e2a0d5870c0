"""What start-up finds out about names and rights that models and database have each in their own way."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from tests.existing.places import make
from tests.unit.serve.test_checks_tables import BOTH, POSTGRESQL, found

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, allow, me


class Base(DeclarativeBase):
    pass


class Cased(Base):
    __tablename__ = "CASED"
    trackid: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    under: Mapped[list[Below]] = relationship()


class Below(Base):
    __tablename__ = "below"
    id: Mapped[int] = mapped_column(primary_key=True)
    over: Mapped[int] = mapped_column(ForeignKey(Cased.trackid, ondelete="CASCADE"), index=True)


CASED = """
CREATE TABLE "{table}" ("{key}" INTEGER PRIMARY KEY, "Name" VARCHAR(9) NOT NULL UNIQUE);
CREATE TABLE "{below}" (id INTEGER PRIMARY KEY, over INTEGER NOT NULL REFERENCES "{table}" ON DELETE CASCADE);
CREATE INDEX "{below}_over" ON "{below}" (over);
"""


@BOTH
def test_names_that_differ_by_case(tmp_path: Path, store: str) -> None:
    """Are one to SQLite, key, index and cascade included; to PostgreSQL they are two, and each request would fail."""
    rules = [allow("a", READ | DELETE), allow("a", READ, where=Cased.under.any(Below.id == 1))]

    def build(_: Connection) -> API:
        api = API("Trade", roles=["a"], existing_tables=True)
        api.resource(Cased, *rules, path="/it")
        return api

    sqlite = store == stores.SQLITE
    names = ("Cased", "TrackId", "BELOW") if sqlite else ("CASED", "trackid", "below")
    make(tmp_path / "data", store, CASED.format(**dict(zip(("table", "key", "below"), names, strict=True))))
    expected = [] if sqlite else [("column-missing", "The table has no column name.")]
    assert [(f.identifier, f.message) for f in found(tmp_path / "data", build)] == expected


class Stamped(Base):
    __tablename__ = "stamped"
    id: Mapped[int] = mapped_column(primary_key=True)
    firm: Mapped[int] = mapped_column(index=True)
    phone: Mapped[str]
    made: Mapped[int] = mapped_column(default=1)
    changed: Mapped[int | None] = mapped_column(onupdate=lambda: 2)


@POSTGRESQL
def test_what_the_api_itself_writes_needs_a_right_too(tmp_path: Path) -> None:
    """A Python-side default, `onupdate=` and the tenant's column; a number that a default takes from another's sequence."""

    def build(_: Connection) -> API:
        tenant = ("firm", me.attr["firm"])
        api = API("Trade", roles=["a"], attributes={"firm": int}, tenant=tenant, existing_tables=True)
        rules = [allow("a", READ), allow("a", CREATE | UPDATE, fields=["phone"])]
        api.resource(Stamped, *rules, path="/it")
        return api

    data = tmp_path / "data"
    table = "firm integer NOT NULL, phone text NOT NULL, made integer NOT NULL, changed integer"
    id_ = "id integer PRIMARY KEY DEFAULT nextval('numbers')"
    sequence = f"CREATE SEQUENCE numbers; CREATE TABLE stamped ({id_}, {table}); CREATE INDEX ON stamped (firm);"
    make(data, stores.POSTGRESQL, sequence)
    name = stores.name_of(stores.database_of(data) or "")
    user = f"stamper_{name}"
    script = f"CREATE ROLE {user} LOGIN; GRANT SELECT, UPDATE (phone), INSERT (phone) ON stamped TO {user};"
    told = []
    for more in (script, *(f"GRANT {g} ON stamped TO {user}" for g in ("UPDATE (changed)", "INSERT (made, firm)"))):
        stores.server().script(name, more)
        told.append([f.message.partition(" to ")[0] for f in found(data, build, user)])
    locked = f"The database lets its user {user} take no number from public.numbers."
    denied = "The database denies INSERT"
    assert told == [[f"{denied}, UPDATE", locked], [denied, locked], [locked]]
    stores.server().script(name, f"GRANT USAGE ON SEQUENCE numbers TO {user}")
    assert found(data, build, user) == []


@POSTGRESQL
def test_tables_of_one_name_in_two_schemas(tmp_path: Path) -> None:
    """The models know the one that follows, the database has the other."""

    class Own(DeclarativeBase):
        pass

    class Whole(Own):
        __tablename__ = "whole"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Archived(Own):
        __tablename__ = "parts"
        __table_args__ = {"schema": "sales"}  # noqa: RUF012  # as authors do
        id: Mapped[int] = mapped_column(primary_key=True)
        whole: Mapped[int] = mapped_column(ForeignKey(Whole.id, ondelete="CASCADE"), index=True)

    def build(_: Connection) -> API:
        api = API("Trade", roles=["a"], existing_tables=True)
        api.resource(Whole, allow("a", READ | DELETE), path="/it")
        return api

    data = tmp_path / "data"
    part = "CREATE TABLE {}.parts (id integer PRIMARY KEY, whole integer NOT NULL REFERENCES whole ON DELETE CASCADE);"
    make(data, stores.POSTGRESQL, f"CREATE TABLE whole (id integer PRIMARY KEY); {part.format('sales')}")
    assert [f for f in found(data, build) if f.severity == "error"] == []
    stores.server().script(stores.name_of(stores.database_of(data) or ""), part.format("public"))
    (unknown,) = [f for f in found(data, build) if f.severity == "error"]
    assert (unknown.identifier, "rows of parts along" in unknown.message) == ("cascade-unknown", True)


@POSTGRESQL
def test_indexes_of_one_name_in_two_schemas(tmp_path: Path) -> None:
    """The one of the rule's own table serves it, though another's begins with another column. It is partial, so that the
    plan is asked.
    """

    def build(_: Connection) -> API:
        api = API("Trade", roles=["a"], attributes={"over": int}, existing_tables=True)
        api.resource(Below, allow("a", READ, where=Below.over == me.attr["over"]), path="/it")
        return api

    data = tmp_path / "data"
    table = (
        'CREATE TABLE {0}below (id integer PRIMARY KEY, over integer NOT NULL); CREATE INDEX "by" ON {0}below ({1});'
    )
    make(
        data, stores.POSTGRESQL, table.format("", "over) WHERE (over IS NOT NULL") + table.format("sales.", "id, over")
    )
    assert found(data, build) == []
    name = stores.name_of(stores.database_of(data) or "")
    stores.server().script(name, 'DROP INDEX "by"; CREATE INDEX "by" ON below (id, over)')
    assert [f.identifier for f in found(data, build)] == ["rule-index"]
