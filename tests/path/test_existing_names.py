"""Names that were chosen to break out of SQL: quotes, placeholders, comments, formats; and a trigger on such a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, String
from sqlalchemy.ext.declarative import DeferredReflection
from sqlalchemy.orm import DeclarativeBase
from tests.existing.places import make, reflected

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Plan, allow, me
from vallum.serve.checks import declared, stored
from vallum.serve.create import create_database
from vallum.serve.database import command_database
from vallum.store.postgres_address import parse

pytestmark = pytest.mark.stores("sqlite", "postgresql")

TABLE = "a\"b'; DROP -- $1 ?"
COLUMNS = {
    "quote": 'x"y',
    "apostrophe": "it's",
    "placeholder": "$1",
    "mark": "?",
    "percent": "%s %(a)s",
    "braces": "{0} {a}",
    "colon": ":a ::text",
    "comment": "a -- b /* c",
    "backslash": "a\\b",
    "dot": "n.k",
    "letters": "Größe 数",
}


def q(name: str) -> str:
    """Quoted, as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def table_sql(store: str) -> str:
    """The table, its rows, and a trigger behind a write that changes who owns the row."""
    columns = ", ".join(f"{q(name)} VARCHAR(20) NOT NULL DEFAULT 'd'" for name in COLUMNS.values())
    text = f'\nCREATE TABLE {q(TABLE)} ("the key" INTEGER PRIMARY KEY, "my owner" VARCHAR(20) NOT NULL, {columns});'
    text += f'CREATE INDEX "by ""owner" ON {q(TABLE)} ("my owner");'
    text += f"INSERT INTO {q(TABLE)} (\"the key\", \"my owner\") VALUES (1, 'ann'), (2, 'ben');"
    given = f'UPDATE {q(TABLE)} SET "my owner" = \'ben\' WHERE "the key" = NEW."the key" AND NEW.{q("$1")} = \'give\';'
    if store == "sqlite":
        return text + f'CREATE TRIGGER "t ""1" AFTER INSERT ON {q(TABLE)} BEGIN {given} END;'
    return text + (
        f"CREATE FUNCTION given() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {given.replace(chr(39), chr(39) * 2)} RETURN NULL; END';"
        f'CREATE TRIGGER "t ""1" AFTER INSERT ON {q(TABLE)} FOR EACH ROW EXECUTE FUNCTION given();'
    )


def api_of(connection: Connection) -> API:
    """The table under a rule on its owner."""

    class Base(DeclarativeBase):
        pass

    class Reflected(DeferredReflection, Base):
        __abstract__ = True

    fields: dict[str, Any] = {name: Column(column, String(20), nullable=False) for name, column in COLUMNS.items()}
    owner = Column("my owner", String(20), nullable=False)
    odd = type(
        "Odd",
        (Reflected,),
        {
            "__tablename__": TABLE,
            "key": Column("the key", Integer, primary_key=True, autoincrement=False),
            "owner": owner,
        }
        | fields,
    )
    Reflected.prepare(connection)
    api = API("Odd", roles=["a"], plans={"wide": Plan("1000/s")}, existing_tables=True)
    names = list(COLUMNS)
    mine = odd.owner == me.id  # type: ignore[attr-defined]  # made just now
    rules = [allow("a", READ | CREATE | DELETE, where=mine), allow("a", UPDATE, where=mine, fields=names)]
    api.resource(odd, *rules, path="/odd", filters=names, sorts=names)
    api.accounts.add("ann", roles=["a"], plan="wide")
    return api


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, store: str) -> tuple[API, Path]:
    data = tmp_path_factory.mktemp("odd") / "data"
    make(data, store, table_sql(store))
    api = reflected(data, api_of)
    url = stores.database_of(data)
    create_database(api, data, now=1.7e9, address=None if url is None else parse(url))
    return api, data


def test_every_statement_quotes_them(odd: tuple[API, Path], tmp_path: Path) -> None:
    """Rows are read, filtered, sorted, paged, made, changed and removed, and nothing else happens."""
    api, source = odd
    with stores.client(api, "ann", stores.copied(source, tmp_path / "data")) as ann:
        for name in COLUMNS:
            found = ann.get(f"/odd?{name}=d&{name}[startswith]=d&{name}[lte]=d&sort=-{name}&fields={name}&limit=1")
            assert found.status_code == 200, found.text
            assert found.json()["items"] == [{name: "d"}]
        made = ann.post("/odd", json={"key": 3, "owner": "ann", **dict.fromkeys(COLUMNS, "n")})
        assert made.status_code == 201, made.text
        changed = ann.patch("/odd/3", json=dict.fromkeys(COLUMNS, "m"), headers={"If-Match": made.headers["ETag"]})
        assert (changed.status_code, changed.json()["quote"]) == (200, "m")
        page = ann.get("/odd?sort=quote&limit=1").json()
        rest = ann.get(f"/odd?sort=quote&limit=1&after={page['next']}").json()
        assert [page["items"][0]["key"], rest["items"][0]["key"]] == [1, 3]
        assert ann.delete("/odd/3").status_code == 204
        assert ann.get("/odd/2").status_code == 404


def test_a_trigger_on_such_a_table_is_not_overlooked(odd: tuple[API, Path], tmp_path: Path) -> None:
    """It gives the new row away after the write: no rule holds for what the row is then, and nothing is kept."""
    api, source = odd
    with stores.client(api, "ann", stores.copied(source, tmp_path / "data")) as ann:
        made = ann.post("/odd", json={"key": 4, "owner": "ann", **dict.fromkeys(COLUMNS, "n"), "placeholder": "give"})
        assert (made.status_code, made.json()["code"]) == (403, "state_forbidden")
        assert ann.get("/odd/4").status_code == 404


def test_the_checks_read_them(odd: tuple[API, Path]) -> None:
    """The catalogue knows the index and the key by the names that they have."""
    api, data = odd
    url = stores.database_of(data)
    assert declared(api, "sqlite" if url is None else "postgresql") == []
    with command_database(None if url is None else parse(url), data) as database:
        assert stored(api, database, lists=True) == []
