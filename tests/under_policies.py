"""A database on PostgreSQL whose owner is no superuser, served and under policies, and a role that asks it beside the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, final

from sqlalchemy.orm import Session

from tests import stores
from vallum import API
from vallum.declare.resource import Resource
from vallum.row_security import database
from vallum.row_security.identity import identity
from vallum.store.postgres import PostgresCommands
from vallum.store.postgres_address import parse
from vallum.store.sql import quoted, table_sql
from vallum.testing import create_database

OWNER: Final = "under_owner"
READER: Final = "under_reader"
Caller = tuple[str | None, list[str], dict[str, Any]]


@final
class Under:
    """The database of a data directory."""

    def __init__(self, api: API, data: Path) -> None:
        self.api = api
        self.data = data
        self.server = stores.server()
        url = stores.database_of(data) or ""
        self.name = stores.name_of(url)
        make_role(READER)
        with closing(PostgresCommands(parse(url))) as opened:
            self.tables = opened.write(database.apply(api, READER))

    def as_owner(self, text: str) -> list[tuple[Any, ...]]:
        """Rows of one statement of the owner's."""
        return self.session(OWNER, None, text)[0]

    def asked(self, caller: Caller | None, *texts: str) -> list[list[tuple[Any, ...]]]:
        """Rows of each statement of the reader's, in one transaction with this identity; committed."""
        return self.session(READER, caller, *texts)

    def session(self, user: str, caller: Caller | None, *texts: str) -> list[list[tuple[Any, ...]]]:
        """See above."""

        async def ask() -> list[list[tuple[Any, ...]]]:
            connection = await self.server.connect(self.name, user)
            try:
                async with connection.transaction():
                    if caller is not None:
                        said = identity(*caller)
                        await connection.fetch(said.text, *said.arguments)
                    return [[tuple(row) for row in await connection.fetch(text)] for text in texts]
            finally:
                await connection.close()

        return self.server.wait(ask())

    def caller(self, name: str) -> Caller:
        """A declared account."""
        account = self.api.accounts.declared[name]
        return name, list(account.roles), dict(account.attributes)

    def selected(self, name: str, resource: Resource) -> list[dict[str, Any]]:
        """The keys that the account's SELECT shows, in order."""
        keys = [resource.fields[key].column for key in resource.key]
        columns = ", ".join(
            f"{quoted(column.name, 'postgresql')} AS {quoted(key, 'postgresql')}"
            for key, column in zip(resource.key, keys, strict=True)
            if column is not None
        )
        table = table_sql(resource.table, "postgresql")
        (rows,) = self.asked(
            self.caller(name),
            f"SELECT row_to_json(t)::text FROM (SELECT {columns} FROM {table} ORDER BY 1, 2) t"
            if len(keys) > 1
            else f"SELECT row_to_json(t)::text FROM (SELECT {columns} FROM {table} ORDER BY 1) t",
        )
        return [json.loads(row[0]) for row in rows]

    def listed(self, name: str, resource: Resource) -> list[dict[str, Any]]:
        """The keys that the account's lists show through the API."""
        client = stores.client(self.api, name, self.data)
        with client:
            answer = client.get(f"{resource.path}?limit=100&fields={','.join(resource.key)}")
            if answer.status_code == 403:
                return []
            assert answer.status_code == 200, answer.text
            assert answer.json()["next"] is None
            found: list[dict[str, Any]] = answer.json()["items"]
            return found


def make_role(name: str) -> None:
    """One that may connect, and nothing else."""
    known = f"SELECT FROM pg_roles WHERE rolname = '{name}'"
    stores.server().execute(f"DO $$ BEGIN IF NOT EXISTS ({known}) THEN CREATE ROLE {name} LOGIN; END IF; END $$")


def made(
    api: API, data: Path, seed: Callable[[Session], Any], clock: Callable[[], float], schemas: Sequence[str] = ()
) -> Under:
    """A new database; `seed` fills it, as in `vallum.testing.create_database`. The reader may use the schemas."""
    server = stores.server()
    make_role(OWNER)
    name = server.database()
    server.execute(f"ALTER DATABASE {name} OWNER TO {OWNER}")
    url = server.url(name).replace("postgres@", f"{OWNER}@")
    make_role(READER)
    for schema in schemas:
        made = f"CREATE SCHEMA {schema} AUTHORIZATION {OWNER}; GRANT USAGE ON SCHEMA {schema} TO {READER}"
        server.script(name, made)
    create_database(api, data, seed, clock, url)
    (data / stores.URL_FILE).write_text(url)
    return Under(api, data)


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    """Comparable."""
    return sorted(json.dumps(row) for row in rows)
