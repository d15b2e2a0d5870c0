"""`vallum rls`: policies from the rules in a database, compared with the rules, and taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.unit.serve.served import Said, command

from tests import stores
from vallum.row_security import database
from vallum.row_security.identity import identity

Run = Callable[..., Said]
OWNER = "tiny_owner"
READER = "tiny_reader"
ATTACKED = "tiny \"reader'; DROP TABLE notes --"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose owner is no superuser, made by the command."""
    server = stores.server()
    for role in (OWNER, READER, ATTACKED):
        server.execute(f'CREATE ROLE "{role.replace(chr(34), chr(34) * 2)}" LOGIN')
    name = server.database()
    server.execute(f"ALTER DATABASE {name} OWNER TO {OWNER}")
    place = tmp_path_factory.mktemp("rls")
    url = server.url(name).replace("postgres@", f"{OWNER}@")
    made = command(*("db", "create", "--dev", "--seed", "--port", "9443"), cwd=place, VALLUM_DATABASE=url)
    assert made.code == 0, made.err
    (place / "data" / stores.URL_FILE).write_text(url)
    return place


@pytest.fixture
def run(place: Path) -> Iterator[Run]:
    """A command on it; what a test puts there is taken away."""
    url = (place / "data" / stores.URL_FILE).read_text()

    def call(*arguments: str, **settings: str) -> Said:
        return command(*arguments, cwd=place, **{"VALLUM_DATABASE": url, **settings})

    yield call
    assert call("rls", "remove").code == 0


def asked(place: Path, text: str, caller: tuple[str | None, list[str]] | None = None, user: str = READER) -> Any:
    """Rows of one statement of the reader's, in a transaction with this identity."""
    name = stores.name_of((place / "data" / stores.URL_FILE).read_text())
    server = stores.server()

    async def ask() -> list[Any]:
        connection = await server.connect(name, user)
        try:
            async with connection.transaction():
                if caller is not None:
                    said = identity(*caller)
                    await connection.fetch(said.text, *said.arguments)
                return [tuple(row) for row in await connection.fetch(text)]
        finally:
            await connection.close()

    return server.wait(ask())


def test_what_is_applied_holds(run: Run, place: Path) -> None:
    """The reader sees what the rules give, nobody without an identity, and Vallum's own role everything."""
    said = run("rls", "apply", "--role", READER, "--json")
    assert (said.code, said.json()) == (0, {"role": READER, "tables": 1}), said.err
    assert len(asked(place, "SELECT id FROM notes", ("rita", ["reader"]))) == 3
    assert len(asked(place, "SELECT id FROM notes", ("will", ["writer"]))) == 5
    assert asked(place, "SELECT id FROM notes", ("rita", [])) == []
    assert asked(place, "SELECT id FROM notes") == []
    assert len(asked(place, "SELECT id FROM notes", user=OWNER)) == 5
    assert (run("rls", "check").out, run("rls", "check", "--json").json()) == (
        "The policies are those of the rules.\n",
        [],
    )
    ((verb, note),) = asked(place, "SELECT verb, note FROM vallum_audit ORDER BY id DESC LIMIT 1", user=OWNER)
    assert (verb, READER in note) == ("rls apply", True)
    run("rls", "remove")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asked(place, "SELECT id FROM notes", ("rita", ["reader"]))
    assert "There were none" in run("rls", "remove").out


def test_a_table_that_somebody_holds(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command waits for a while, says that it was in vain, and has changed nothing."""
    monkeypatch.setattr(database, "_PATIENCE", "SET LOCAL lock_timeout = '50ms'")
    server = stores.server()
    holder = server.wait(server.connect(stores.name_of((place / "data" / stores.URL_FILE).read_text())))
    try:
        server.wait(holder.execute("BEGIN; SELECT count(*) FROM notes"))
        said = run("rls", "apply", "--role", READER)
    finally:
        server.wait(holder.close())
    assert (said.code, said.err.split(" ")[:2]) == (1, ["vallum:", "database-busy"])
    assert "There were none" in run("rls", "remove").out


def test_printed_statements_are_those_that_are_applied(run: Run, place: Path) -> None:
    """As a script, which does what `apply` does but for its notes, and as JSON."""
    script = run("rls", "print", "--role", READER).out
    assert script.startswith("BEGIN;\n")
    assert script.endswith("COMMIT;\n")
    statements = run("rls", "print", "--role", READER, "--json").json()
    assert len(statements) > 10
    assert all(f"{statement};\n" in script for statement in statements)
    server = stores.server()
    name = stores.name_of((place / "data" / stores.URL_FILE).read_text())

    async def carry_out() -> None:
        connection = await server.connect(name, OWNER)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    server.wait(carry_out())
    assert len(asked(place, "SELECT id FROM notes", ("rita", ["reader"]))) == 3
    assert "by a script" in run("rls", "check").out


def test_a_role_of_any_name(run: Run, place: Path) -> None:
    """Its name is quoted wherever it stands."""
    assert run("rls", "apply", "--role", ATTACKED).code == 0
    assert len(asked(place, "SELECT id FROM notes", ("rita", ["reader"]), user=ATTACKED)) == 3


def test_drift_is_told(run: Run, place: Path) -> None:
    """Nothing applied, a policy changed by hand, a grant more, the table laid open."""
    assert "rls apply" in run("rls", "check").out
    assert "rls-drift" not in run("check", "--dev").out
    for deed in (
        "ALTER POLICY vallum_select ON notes USING (TRUE)",
        "CREATE POLICY more ON notes USING (TRUE)",
        "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
        f"GRANT TRUNCATE ON notes TO {READER}",
    ):
        assert run("rls", "apply", "--role", READER).code == 0
        asked(place, deed, user=OWNER)
        said = run("rls", "check", "--json")
        assert (said.code, [drift["table"] for drift in said.json()]) == (1, ["notes"]), deed
        assert "rls-drift" in run("check", "--dev").out
        asked(place, "DROP POLICY IF EXISTS more ON notes", user=OWNER)


@pytest.mark.parametrize(
    ("deed", "undone", "table"),
    [
        (f"GRANT USAGE ON SCHEMA vallum_rls TO {READER}", "SELECT", "vallum_rls"),
        ("CREATE OR REPLACE FUNCTION vallum_rls.me_id() RETURNS text STABLE RETURN 'will'", "SELECT", "vallum_rls"),
        ("CREATE VIEW vallum_rls.more AS SELECT 1", "SELECT", "vallum_rls"),
        ("GRANT TRUNCATE ON notes TO PUBLIC", "REVOKE ALL ON notes FROM PUBLIC", "notes"),
        ("GRANT SELECT (id) ON notes TO PUBLIC", "REVOKE ALL ON notes FROM PUBLIC", "(all)"),
        (f"ALTER ROLE {READER} BYPASSRLS", f"ALTER ROLE {READER} NOBYPASSRLS", "(all)"),
        (f"GRANT {OWNER} TO {READER}", f"REVOKE {OWNER} FROM {READER}", "(all)"),
        (f"GRANT pg_monitor TO {READER}", f"REVOKE pg_monitor FROM {READER}", "(all)"),
    ],
)
def test_drift_of_what_is_around_the_tables_is_told(run: Run, place: Path, deed: str, undone: str, table: str) -> None:
    """What the policies call and look into, who may name it, and what the role has become since."""
    assert run("rls", "apply", "--role", READER).code == 0
    assert run("rls", "check").code == 0
    asked(place, deed, user="postgres")
    try:
        said = run("rls", "check", "--json")
        assert (said.code, table in [drift["table"] for drift in said.json()]) == (1, True), said
        assert "rls-drift" in run("check", "--dev").out
    finally:
        asked(place, undone, user="postgres")


@pytest.mark.parametrize(
    "power",
    ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "REPLICATION", OWNER, "pg_read_all_data", "tiny_power", "tiny_group"],
)
def test_a_role_that_could_see_past_the_policies_is_refused(run: Run, power: str) -> None:
    """By its own attributes, or by a role that it is a member of, and what was there stays."""
    server = stores.server()
    server.execute(f"CREATE ROLE strong LOGIN {power if power.isupper() else ''}")
    server.execute("CREATE ROLE tiny_power BYPASSRLS")
    server.execute("CREATE ROLE tiny_group")
    if not power.isupper():
        server.execute(f"GRANT {power} TO strong")
    try:
        said = run("rls", "apply", "--role", "strong")
        assert (said.code, "rls-role" in said.err) == (1, True), said
    finally:
        server.execute("DROP ROLE strong")
        server.execute("DROP ROLE tiny_power")
        server.execute("DROP ROLE tiny_group")


@pytest.mark.stores("sqlite")  # the last case is; the others name their database
def test_what_cannot_be_is_said(run: Run, place: Path) -> None:
    """An unknown role, an owner that is under its own policies, a database that is none of PostgreSQL's."""
    assert "rls-role-unknown" in run("rls", "apply", "--role", "nobody").err
    stores.server().execute(f"GRANT {READER} TO {OWNER}")
    assert "rls-member" in run("rls", "apply", "--role", READER).err
    stores.server().execute(f"REVOKE {READER} FROM {OWNER}")
    sqlite = command("rls", "apply", "--role", READER, cwd=place)
    assert (sqlite.code, "rls-postgresql" in sqlite.err) == (1, True)


def test_who_does_not_own_the_tables_is_told(run: Run, place: Path) -> None:
    """Before anything is changed."""
    url = (place / "data" / stores.URL_FILE).read_text().replace(OWNER, READER)
    assert "rls-owner" in run("rls", "apply", "--role", ATTACKED, VALLUM_DATABASE=url).err


def test_policies_of_somebody_else_are_not_added_to(run: Run, place: Path) -> None:
    """They would show more than the rules do, or be taken away with ours."""
    asked(place, "CREATE POLICY theirs ON notes USING (TRUE)", user=OWNER)
    assert "rls-policies" in run("rls", "apply", "--role", READER).err
    asked(place, "DROP POLICY theirs ON notes", user=OWNER)
    asked(place, "ALTER TABLE notes ENABLE ROW LEVEL SECURITY", user=OWNER)
    assert "rls-policies" in run("rls", "apply", "--role", READER).err
    asked(place, "ALTER TABLE notes DISABLE ROW LEVEL SECURITY", user=OWNER)
    assert run("rls", "apply", "--role", READER).code == 0
    assert run("rls", "apply", "--role", READER).code == 0


@pytest.mark.parametrize("right", ["SELECT", "SELECT (id)", "UPDATE", "UPDATE (id)", "DELETE", "TRUNCATE", "TRIGGER"])
def test_rights_beside_the_rules_are_refused(run: Run, place: Path, right: str) -> None:
    """What PUBLIC may do, the role may do: read a column that no rule names, or empty the table."""
    asked(place, f"GRANT {right} ON notes TO PUBLIC", user=OWNER)
    said = run("rls", "apply", "--role", READER)
    asked(place, "REVOKE ALL ON notes FROM PUBLIC", user=OWNER)
    assert (said.code, "rls-role" in said.err, "notes" in said.err) == (1, True, True)


def test_rights_that_another_has_granted_are_refused(run: Run, place: Path) -> None:
    """Who was given a right to pass on has passed it on: the owner's REVOKE takes back no more than the owner gave."""
    other = '"' + ATTACKED.replace('"', '""') + '"'
    asked(place, f"GRANT TRUNCATE ON notes TO {other} WITH GRANT OPTION", user=OWNER)
    asked(place, f"GRANT TRUNCATE ON notes TO {READER}", user=ATTACKED)
    said = run("rls", "apply", "--role", READER)
    asked(place, f"REVOKE ALL ON notes FROM {other} CASCADE", user=OWNER)
    assert (said.code, "rls-role" in said.err, "notes" in said.err) == (1, True, True)


def test_the_tables_are_closed_to_other_roles(run: Run, place: Path) -> None:
    """Who is granted a table and named by no policy sees no row, whatever identity it claims."""
    assert run("rls", "apply", "--role", READER).code == 0
    other = '"' + ATTACKED.replace('"', '""') + '"'
    asked(place, f"GRANT SELECT ON notes TO {other}", user=OWNER)
    assert asked(place, "SELECT id FROM notes", ("will", ["writer"]), user=ATTACKED) == []
    asked(place, f"REVOKE SELECT ON notes FROM {other}", user=OWNER)
