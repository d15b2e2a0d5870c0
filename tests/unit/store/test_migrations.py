"""Vallum's own tables: made once, brought forward, and refused when they are from the future."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Column, Connection, Integer, MetaData, Table, text
from sqlalchemy.orm import Session
from tests.unit.store.sqlite_support import Base, run

from tests import stores
from vallum.declare.accounts import Account
from vallum.store import guards, migrations, principals
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase, Script, Statement, WithSession
from vallum.store.postgres import PostgresCommands
from vallum.store.postgres_address import parse
from vallum.store.schema import METADATA
from vallum.store.sqlite import SqliteDatabase, SqliteFile


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty.db"
    SqliteFile.create(path).close()
    return path


def tables(file: SqliteFile) -> set[str]:
    return {name for (name,) in file.read(Statement("SELECT name FROM sqlite_master WHERE type = 'table'", ()))}


def set_version(file: SqliteFile, number: int) -> None:
    file.write(run("UPDATE vallum_meta SET value = ? WHERE key = 'schema'", str(number)))


def test_create_makes_both_sets_of_tables(empty: Path) -> None:
    """Vallum's tables and the application's, with the version they are of."""
    with SqliteFile(empty) as file:
        assert file.write(migrations.version("sqlite")) is None
        file.write(migrations.create("sqlite", [Base.metadata]))
        assert tables(file) - {"sqlite_sequence"} == {*METADATA.tables, *Base.metadata.tables}
        assert file.write(migrations.version("sqlite")) == migrations.VERSION


def test_create_makes_nothing_twice(path: Path) -> None:
    """A database that has them is left alone."""
    with SqliteFile(path) as file, pytest.raises(StoreError, match="schema-exists"):
        file.write(migrations.create("sqlite", [Base.metadata]))


def test_create_is_all_or_nothing(empty: Path) -> None:
    """A table of the application that cannot be made leaves none behind."""
    with SqliteFile(empty) as file:
        broken = MetaData()
        Table("broken", broken, Column("id", Integer, CheckConstraint("no such thing")))
        with pytest.raises(sqlite3.OperationalError):
            file.write(migrations.create("sqlite", [Base.metadata, broken]))
        assert tables(file) == set()


def test_tables_and_triggers_are_of_this_version(path: Path) -> None:
    """A change of a table asks for a step and a new version: this is what version 7 is."""
    with SqliteFile(path) as file:
        rows = file.read(
            Statement(
                "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p ORDER BY m.name, p.cid", ()
            )
        )
        triggers = file.read(Statement("SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name", ()))
    columns: dict[str, list[str]] = {}
    for table, column in rows:
        if table.startswith("vallum_"):
            columns.setdefault(table, []).append(column)
    assert migrations.VERSION == 7
    assert columns == {
        "vallum_api_key": [
            "id",
            "principal",
            "digest",
            "scopes",
            "networks",
            "created",
            "expires",
            "revoked",
            "last_used",
        ],
        "vallum_audit": [
            "id",
            "at",
            "request_id",
            "principal",
            "verb",
            "resource",
            "row_key",
            "fields",
            "before",
            "after",
            "note",
            "api_key",
        ],
        "vallum_audit_segment": ["number", "ids", "highest", "digest", "marks", "previous", "at", "hash"],
        "vallum_client": ["id", "scopes", "introspects"],
        "vallum_client_assertion": ["client", "jti", "expires"],
        "vallum_client_credential": ["client", "id", "digest", "public_jwk", "created", "expires", "revoked"],
        "vallum_idempotency": ["id", "fingerprint", "rights", "row_key", "json", "tag", "expires"],
        "vallum_mark": ["id", "holder", "mark"],
        "vallum_meta": ["key", "value"],
        "vallum_nonce": ["digest", "caller", "second"],
        "vallum_principal": [
            "id",
            "kind",
            "roles",
            "attributes",
            "plan",
            "epoch",
            "tokens_from",
            "disabled",
            "password",
            "created",
        ],
        "vallum_revoked_token": ["jti", "expires"],
        "vallum_signing_key": ["kid", "algorithm", "public_jwk", "created", "retires", "revoked"],
        "vallum_window": ["key", "policy", "start", "count"],
    }
    assert triggers == [
        (f"{table}_no_{change}",)
        for table in ("vallum_audit", "vallum_audit_segment")
        for change in ("delete", "replace", "update")
    ]


def _add_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE vallum_meta ADD COLUMN extra TEXT"))


def _fail(_: Connection) -> None:
    raise LookupError


def test_migrate_runs_the_missing_steps_in_order(path: Path) -> None:
    """From the version found to the present one, each step once."""
    done: list[int] = []

    def step(number: int) -> migrations.Step:
        return lambda _: done.append(number)

    with SqliteFile(path) as file:
        set_version(file, 1)
        assert file.write(migrations.migrate("sqlite", {n: step(n) for n in range(1, 4)}, 4)) == (1, 4)
        assert done == [1, 2, 3]
        assert file.write(migrations.version("sqlite")) == 4
        assert file.write(migrations.migrate("sqlite", {}, 4)) == (4, 4)


def test_a_failed_migration_changes_nothing(path: Path) -> None:
    """The second step fails: the first one is undone with it."""
    with SqliteFile(path) as file:
        set_version(file, 1)
        with pytest.raises(LookupError):
            file.write(migrations.migrate("sqlite", {1: _add_column, 2: _fail}, 3))
        assert file.write(migrations.version("sqlite")) == 1
        assert file.read(Statement("SELECT count(*) FROM pragma_table_info('vallum_meta')", ())) == [(2,)]


def test_migrate_refuses_what_it_does_not_know(empty: Path, path: Path) -> None:
    """A newer database is not touched, and one without our tables is not ours."""
    with SqliteFile(empty) as file, pytest.raises(StoreError, match="schema-missing"):
        file.write(migrations.migrate("sqlite"))
    with SqliteFile(path) as file:
        set_version(file, migrations.VERSION + 1)
        with pytest.raises(StoreError, match="schema-new"):
            file.write(migrations.migrate("sqlite"))
        assert file.write(migrations.version("sqlite")) == migrations.VERSION + 1


FIRST_VERSION = """
DROP TABLE vallum_api_key;
DROP TABLE vallum_idempotency;
DROP TABLE vallum_audit_segment;
DROP TABLE vallum_client;
DROP TABLE vallum_client_credential;
DROP TABLE vallum_client_assertion;
DROP TABLE vallum_revoked_token;
DROP TABLE vallum_mark;
DROP TABLE vallum_nonce;
ALTER TABLE vallum_audit DROP COLUMN api_key;
DROP TRIGGER vallum_audit_no_delete;
CREATE TRIGGER vallum_audit_no_delete BEFORE DELETE ON vallum_audit BEGIN SELECT RAISE(ABORT, 'append only'); END
"""


def test_a_database_of_the_first_version_becomes_one_of_this(path: Path) -> None:
    """Afterwards it has the very tables that a new database has, and its accounts are kept."""
    # A column that was added stands elsewhere in the text of its table.
    shape = Statement(
        "SELECT type, sql FROM sqlite_master WHERE tbl_name LIKE 'vallum%' AND name <> 'vallum_audit' ORDER BY name", ()
    )
    columns = Statement("SELECT * FROM pragma_table_info('vallum_audit') ORDER BY cid", ())
    with SqliteFile(path) as file:
        expected, audit = file.read(shape), file.read(columns)
        for part in FIRST_VERSION.split(";\n"):
            file.write(run(part))
        set_version(file, 1)
        file.write(principals.add(Account("rita", frozenset(), {}, "default"), "user", 0, "sqlite"))
        assert file.read(shape) != expected
        assert file.write(migrations.migrate("sqlite")) == (1, migrations.VERSION)
        assert file.read(shape) == expected
        assert len(expected) > 10
        assert file.read(columns) == audit
        assert file.read(principals.load("rita", "sqlite")) != []
        assert file.write(migrations.migrate("sqlite")) == (migrations.VERSION, migrations.VERSION)


@pytest.mark.parametrize(("found", "identifier"), [(None, "schema-missing"), (1, "schema-old"), (3, "schema-new")])
def test_a_server_serves_its_own_version_only(found: int | None, identifier: str) -> None:
    """Neither older nor newer tables, and the message names the command that mends it."""
    with pytest.raises(StoreError) as caught:
        migrations.check(found, "vallum.db", 2)
    assert caught.value.identifier == identifier
    migrations.check(2, "vallum.db", 2)


async def test_the_start_asks_for_the_version(path: Path) -> None:
    """A newer database stops the server before it answers anything."""
    with SqliteFile(path) as file:
        set_version(file, migrations.VERSION + 1)
    with pytest.raises(StoreError, match="schema-new"):
        await SqliteDatabase(path).start()


# PostgreSQL, and what Alembic says -----------------------------------------------------------

FIRST_ON_POSTGRESQL = """
DROP TABLE vallum_api_key, vallum_idempotency, vallum_audit_segment, vallum_client, vallum_client_credential,
  vallum_client_assertion, vallum_revoked_token, vallum_mark, vallum_nonce;
ALTER TABLE vallum_audit DROP COLUMN api_key;
UPDATE vallum_meta SET value = '1' WHERE key = 'schema'
"""


@pytest.fixture
def server_database() -> Iterator[str]:
    """An empty one; its name."""
    name = stores.server().database()
    yield name
    stores.server().drop(name)


def _differences(session: Session) -> list[Any]:
    context = MigrationContext.configure(
        session.connection(),
        opts={
            "compare_type": True,
            "include_name": lambda name, kind, _: kind != "table" or name.startswith("vallum_"),
        },
    )
    # Comments explain the schema here; nothing reads them there.
    return [found for found in compare_metadata(context, METADATA) if "modify_comment" not in str(found)]


def differences(database: CommandDatabase) -> list[Any]:
    """What Alembic would change to make the tables those of `schema`."""

    def script() -> Script[list[Any]]:
        found: list[Any] = yield WithSession(_differences)
        return found

    return database.write(script)


def test_a_migrated_database_is_that_of_the_schema_to_alembic(path: Path, server_database: str) -> None:
    """On both stores: from the first version, and made new."""
    with SqliteFile(path) as file:
        for part in FIRST_VERSION.split(";\n"):
            file.write(run(part))
        set_version(file, 1)
        assert len(differences(file)) >= 10
        file.write(migrations.migrate("sqlite"))
        assert differences(file) == []
    server = stores.server()
    with PostgresCommands(parse(server.url(server_database))) as database:
        database.write(migrations.create("postgresql"))
        assert differences(database) == []
        for part in FIRST_ON_POSTGRESQL.split(";\n"):
            server.rows(server_database, part)
        assert len(differences(database)) >= 10
        assert database.write(migrations.migrate("postgresql")) == (1, migrations.VERSION)
        assert differences(database) == []
        assert database.write(partial(guards.broken, "postgresql")) == ([], [])


def test_nodes_that_begin_at_once_migrate_once(server_database: str) -> None:
    """Each says that it is at the present version; the steps ran once. The same of making the tables."""
    address = parse(stores.server().url(server_database))
    done: list[int] = []

    def slow(connection: Connection) -> None:
        done.append(1)
        connection.execute(text("SELECT pg_sleep(0.2)"))

    def at_once(work: Callable[[PostgresCommands], Any]) -> list[Any]:
        def node(_: int) -> Any:
            with PostgresCommands(address) as database:
                try:
                    return work(database)
                except StoreError as error:
                    return error.identifier

        with ThreadPoolExecutor(4) as threads:
            return sorted(threads.map(node, range(4)), key=str)

    made = at_once(lambda database: database.write(migrations.create("postgresql")))
    assert made == [None, *["schema-exists"] * 3]
    later = migrations.VERSION + 1
    steps = {migrations.VERSION: slow}
    moved = at_once(lambda database: database.write(migrations.migrate("postgresql", steps, later)))
    assert moved == [(migrations.VERSION, later), *[(later, later)] * 3]
    assert done == [1]
