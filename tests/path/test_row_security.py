"""Row-level security beside the path: what a role of PostgreSQL sees and writes is what the API shows and lets write."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from tests.existing import places as existing
from tests.existing.app import api_of
from tests.general.app import api, number, seed
from tests.path.small import NOON
from tests.under_policies import OWNER, READER, Under, in_order, made

from tests import stores
from vallum.row_security.identity import identity
from vallum.store.postgres_catalog import opaque_names
from vallum.testing import create_database

DIG: Final = number(31)
COUNT: Final = number(33)
REFUSED: Final = asyncpg.InsufficientPrivilegeError


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Under:
    """The general application."""
    return made(api, tmp_path_factory.mktemp("under") / "data", seed, lambda: NOON - 86_400)


@pytest.mark.parametrize("name", sorted(api.accounts.declared))
def test_a_select_shows_what_a_list_shows(under: Under, name: str) -> None:
    """Of every resource, to every account, while Vallum itself is served from the same tables."""
    shown = {}
    for resource in api.resources.values():
        rows = under.selected(name, resource)
        assert in_order(rows) == in_order(under.listed(name, resource)), resource.name
        shown[resource.name] = len(rows)
    assert sum(shown.values()) > 3


def test_vallum_itself_writes_as_before(under: Under) -> None:
    """A create with references, a change, a removal, by the tables' owner under FORCE; still in one statement each."""
    with stores.client(api, "mona", under.data) as client:
        made = client.post("/tasks", json={"project_id": str(number(20)), "title": "Paint"})
        assert made.status_code == 201, made.text
        path = made.headers["location"]
        headers = {"if-match": made.headers["etag"]}
        assert client.patch(path, json={"title": "Paint it"}, headers=headers).status_code == 200
        assert client.delete(path).status_code == 204


def test_what_comes_with_policies_hides_no_table_from_single_statements(under: Under) -> None:
    """The views bear the names of tables, and are in no statement of Vallum's."""

    async def names() -> frozenset[str]:
        connection = await under.server.connect(under.name)
        try:
            return await opaque_names(lambda statement: connection.fetch(statement.text, *statement.arguments))
        finally:
            await connection.close()

    assert not under.server.wait(names()) & {"tasks", "people", "me_id"}
    assert under.as_owner("SELECT count(*) FROM pg_views WHERE schemaname = 'vallum_rls'")[0][0] > 3


def comment(author: str = "'mia'", written: str = "now()", task: Any = DIG, organisation: int = 1) -> str:
    return (
        "INSERT INTO comments (organisation_id, task_id, author, body, internal, written)"
        f" VALUES ({organisation}, '{task}', {author}, 'Dry.', FALSE, {written})"
    )


def test_a_new_row_is_what_the_api_would_have_made_of_it(under: Under) -> None:
    """The author and the instant are those that `set=` writes; the task is one that may be read."""
    mia = under.caller("mia")
    undone = "DELETE FROM comments WHERE body = 'Dry.'"
    assert under.asked(mia, comment(), "SELECT author FROM comments WHERE body = 'Dry.'", undone)[1] == [("mia",)]
    for text in (
        comment(author="'mona'"),
        comment(author="NULL"),
        comment(written="now() - interval '1 second'"),
        comment(task=number(34)),
        comment(organisation=2),
    ):
        with pytest.raises(REFUSED):
            under.asked(mia, text)
    with pytest.raises(REFUSED):
        under.asked(under.caller("alex"), comment(author="'alex'"))
    with pytest.raises(REFUSED):
        under.asked(None, comment())


def test_a_change_is_one_that_the_api_would_have_made(under: Under) -> None:
    """Only fields that a rule grants on this row, before and after; a done parent freezes what is below."""
    mia = under.caller("mia")
    done = f"UPDATE tasks SET %s WHERE id = '{DIG}' RETURNING id"
    assert len(under.asked(mia, done % "title = 'Dig'")[0]) == 1
    assert len(under.asked(mia, done % "title = 'Dig', done = FALSE, priority = NULL")[0]) == 1
    with pytest.raises(REFUSED):
        under.asked(mia, done % f"project_id = '{number(23)}'")  # readable by nobody of this organisation
    with pytest.raises(REFUSED):
        under.asked(mia, done % f"assignee_id = '{number(13)}'")
    assert under.asked(mia, f"UPDATE tasks SET title = 'x' WHERE id = '{COUNT}' RETURNING id") == [[]]
    assert under.asked(mia, f"UPDATE tasks SET title = 'x' WHERE id = '{number(34)}' RETURNING id") == [[]]


def test_two_rules_do_not_add_up_to_a_change(under: Under) -> None:
    """Otto views the project and is given no task: `title` by the one rule, the project by another, is nobody's step."""
    task = f"UPDATE tasks SET title = 'x' WHERE id = '{DIG}' RETURNING id"
    assert under.asked(under.caller("otto"), task) == [[]]


def test_a_removal_is_one_that_the_api_would_have_done(under: Under) -> None:
    """Nothing that is only marked deleted there is destroyed here, and nothing goes along that may not."""
    with pytest.raises(REFUSED):
        under.asked(under.caller("mona"), "DELETE FROM projects")
    assert under.asked(under.caller("mona"), f"DELETE FROM tasks WHERE id = '{number(30)}' RETURNING id") == [[]]
    assert under.asked(under.caller("mia"), "DELETE FROM comments WHERE author <> 'mia' RETURNING id") == [[]]


def test_conditions_on_the_request_are_never_met(under: Under) -> None:
    """An accountant changes invoices from the office network alone; the database does not know where a request is from."""
    for text in ("UPDATE invoices SET currency = 'EURO'", "DELETE FROM invoices", "UPDATE comments SET body = 'x'"):
        with pytest.raises(REFUSED):
            under.asked(under.caller("alex"), text)


def test_a_column_that_no_rule_names_is_closed(under: Under) -> None:
    """To read or to write, whoever asks: that is a grant, not a policy."""
    mona = under.caller("mona")
    for text in ("UPDATE tasks SET organisation_id = 1", "INSERT INTO tags (id) VALUES (9)", "TRUNCATE tasks"):
        with pytest.raises(REFUSED):
            under.asked(mona, text)


# Identity -----------------------------------------------------------------------------------


def test_without_an_identity_there_is_nothing(under: Under) -> None:
    """No row of any table, though ANYONE may read tags; a caller without credential says that it has none."""
    for resource in api.resources.values():
        assert under.asked(None, f"SELECT 1 FROM {resource.table.name}") == [[]]
    assert under.asked((None, [], {}), "SELECT id FROM tags") == [[]]  # the tenant is an attribute
    assert under.asked((None, [], {"organisation": 1}), "SELECT id FROM tags") == [[(1,)]]


def test_an_identity_ends_with_its_transaction(under: Under) -> None:
    """A commit, a rollback and an error leave nothing behind for who gets the connection next."""
    said = identity(*under.caller("mona"))
    count = "SELECT count(*) FROM tasks"

    async def ask() -> list[int]:
        connection = await under.server.connect(under.name, READER)
        found = []
        try:
            for end in ("COMMIT", "ROLLBACK", "SELECT 1 / 0"):
                await connection.execute("BEGIN")
                await connection.fetch(said.text, *said.arguments)
                found.append(await connection.fetchval(count))
                try:
                    await connection.execute(end)
                except asyncpg.DivisionByZeroError:
                    await connection.execute("ROLLBACK")
                found.append(await connection.fetchval(count))
        finally:
            await connection.close()
        return found

    assert under.server.wait(ask()) == [4, 0, 4, 0, 4, 0]


@pytest.mark.parametrize(
    "name", ["mia' OR '1'='1", "'; DROP TABLE tasks; --", '"', "\\", "mia\n", "MIA", " mia", "mia\u200b", "{mia}", "%"]
)
def test_an_identity_is_a_value(under: Under, name: str) -> None:
    """Whatever is in it: a name that is nobody's sees what a member without projects sees."""
    caller = (name, ["member"], {"organisation": 1})
    assert under.asked(caller, "SELECT id FROM tasks", "SELECT id FROM projects") == [[], []]
    assert under.asked((name, [name], {name: name}), "SELECT id FROM people") == [[]]
    strange = ("mia", ['member","manager', "member'] || ARRAY['manager", "Manager"], {"organisation": 1})
    assert under.asked(strange, "SELECT id FROM people") == [[]]


@pytest.mark.parametrize("roles", ["manager", '{"manager": 1}', '["manager"', "null", '"manager"'])
def test_roles_that_are_no_list_are_an_error_or_none(under: Under, roles: str) -> None:
    """Set by hand and wrongly: nothing is shown."""
    set_ = f"SELECT set_config('vallum.me_roles', '{roles}', true), set_config('TimeZone', 'UTC', true)"
    with pytest.raises((asyncpg.DataError, asyncpg.InvalidParameterValueError)):
        under.asked(
            None, set_, "SELECT set_config('vallum.me_attributes', '{\"organisation\": 1}', true)", "TABLE tags"
        )


def test_an_identity_counts_in_utc_alone(under: Under) -> None:
    """In another zone a rule about a day would mean another day."""
    mia = under.caller("mia")
    assert under.asked(mia, "SET LOCAL TimeZone = 'Asia/Tokyo'", "SELECT id FROM tags")[1] == []
    assert under.asked(mia, "SET LOCAL TimeZone = 'UTC'", "SELECT id FROM tags")[1] == [(1,)]


# What the role cannot do --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY vallum_select ON tasks",
        "CREATE POLICY mine ON tasks USING (TRUE)",
        f"SET ROLE {OWNER}",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT id FROM vallum_rls.tasks",
        "SELECT vallum_rls.me_id()",
        "SELECT table_to_xml(to_regclass('vallum_rls.tasks'), true, false, '')",
        "CREATE VIEW vallum_rls.mine AS SELECT 1",
        "SELECT * FROM vallum_principal",
        "CREATE OR REPLACE FUNCTION vallum_rls.me_id() RETURNS text LANGUAGE sql RETURN 'mona'",
    ],
)
def test_the_role_cannot_get_past_the_policies(under: Under, text: str) -> None:
    """Neither switch them off, nor become who may, nor name what the policies look into."""
    with pytest.raises((REFUSED, asyncpg.UndefinedTableError)):
        under.asked(under.caller("mona"), text, "SELECT 1 / (SELECT 0)")


def test_row_security_switched_off_is_an_error(under: Under) -> None:
    """`row_security = off` shows an error in place of fewer rows; it shows no more of them."""
    with pytest.raises(REFUSED):
        under.asked(under.caller("mona"), "SET LOCAL row_security = off", "SELECT id FROM tasks")


def test_a_function_of_the_caller_learns_of_no_hidden_row(under: Under) -> None:
    """One that costs nothing is not asked before the policy, though the planner would like to."""
    told = (
        "CREATE FUNCTION pg_temp.told(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001"
        " AS $$ BEGIN RAISE EXCEPTION '%', t; END $$"
    )
    assert under.asked(None, told, "SELECT id FROM tasks WHERE pg_temp.told(title)")[1] == []


# What it costs ------------------------------------------------------------------------------


def test_the_caller_is_asked_for_once_a_statement(under: Under) -> None:
    """Each time that a policy names it, at most once, not once a row: the plan has it before the rows."""
    mia = under.caller("mia")
    (lines,) = under.asked(mia, "EXPLAIN (ANALYZE, TIMING OFF) SELECT project_id FROM memberships")
    plan = "\n".join(line for (line,) in lines)
    filters = [line for line in plan.splitlines() if "Filter:" in line or "Cond:" in line]
    assert filters
    assert not [line for line in filters if "current_setting" in line or "me_roles" in line]
    assert re.search(r"rows=4\b", plan)
    loops = [int(found) for found in re.findall(r"InitPlan[^\n]*\n[^\n]*loops=(\d+)", plan)]
    assert loops
    assert set(loops) == {1}


# Tables that were not made for Vallum ---------------------------------------------------------


def test_an_existing_database_is_put_under_policies_as_it_is(tmp_path: Path) -> None:
    """Strange names, other schemas, types and columns that the models leave out; a view is closed to the role."""
    data = tmp_path / "data"
    existing.make(data, stores.POSTGRESQL)
    trade = existing.reflected(data, api_of)
    create_database(trade, data, database=stores.database_of(data))
    found = Under(trade, data)
    assert found.tables == len(trade.resources) - 2
    stores.server().script(found.name, f"GRANT USAGE ON SCHEMA sales TO {READER}")
    seen = 0
    for name in trade.accounts.declared:
        for resource in trade.resources.values():
            if resource.name in ("customer-list", "stock"):
                with pytest.raises(REFUSED):
                    found.selected(name, resource)
            else:
                rows = found.selected(name, resource)
                assert in_order(rows) == in_order(found.listed(name, resource)), (name, resource.name)
                seen += len(rows)
    assert seen > 10
    clara = found.caller("clara")
    company = 'UPDATE "Customers" SET "Company Name" = "Company Name" || \'!\' RETURNING "CustomerID"'
    assert len(found.asked(clara, company)[0]) > 1
    with pytest.raises(REFUSED):
        found.asked(clara, 'UPDATE "Customers" SET balance = NULL')


def test_what_else_waits_for_the_row_is_judged(under: Under) -> None:
    """Who waits for a row that another transaction changes: under REPEATABLE READ the change is refused."""
    mia = identity(*under.caller("mia"))
    change = f"UPDATE tasks SET title = 'late' WHERE id = '{DIG}'"

    async def ask() -> None:
        owner = await under.server.connect(under.name, OWNER)
        reader = await under.server.connect(under.name, READER)
        try:
            await owner.execute("BEGIN")
            await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            await reader.fetch(mia.text, *mia.arguments)
            await reader.fetch("SELECT 1 FROM tasks")
            await owner.execute(f"UPDATE tasks SET effort = 1 WHERE id = '{DIG}'")
            waiting = asyncio.ensure_future(reader.execute(change))
            await asyncio.sleep(0)
            await owner.execute("COMMIT")
            with pytest.raises(asyncpg.SerializationError):
                await waiting
        finally:
            await owner.close()
            await reader.close()

    under.server.wait(ask())


def test_a_column_that_policies_name_is_not_changed_beneath_them(under: Under) -> None:
    """PostgreSQL refuses it: a migration comes between `remove` and `apply`."""
    with pytest.raises((asyncpg.FeatureNotSupportedError, asyncpg.DependentObjectsStillExistError)):
        under.as_owner("ALTER TABLE tasks ALTER COLUMN title TYPE text")
    with pytest.raises(asyncpg.DependentObjectsStillExistError):
        under.as_owner("ALTER TABLE tasks DROP COLUMN project_id")


def test_what_the_caller_lacks_denies(under: Under) -> None:
    """A deny that asks for an attribute takes every row away from who has none; an allow gives none."""
    name, roles, attributes = under.caller("mia")
    outside = {key: value for key, value in attributes.items() if key != "external"}
    assert len(under.asked((name, roles, attributes), "SELECT id FROM tasks")[0]) > 0
    assert under.asked((name, roles, outside), "SELECT id FROM tasks") == [[]]
    assert under.asked((None, roles, attributes), "SELECT id FROM projects") == [[]]


def test_ways_round_an_insert(under: Under) -> None:
    """ON CONFLICT and MERGE change a row as an UPDATE does, RETURNING shows it as a SELECT does."""
    mona = under.caller("mona")
    other = "(id, organisation_id, name, hidden) VALUES (3, 2, 'theirs', FALSE)"
    under.as_owner(f"INSERT INTO tags {other} RETURNING id")
    new = "INSERT INTO tags (id, organisation_id, name, hidden) VALUES (3, 1, 'mine', FALSE)"
    merge = (
        "MERGE INTO tags USING (SELECT 3 AS id) s ON tags.id = s.id WHEN MATCHED THEN UPDATE SET name = 'mine'"
        " WHEN NOT MATCHED THEN DO NOTHING"
    )
    try:
        for text in (f"{new} ON CONFLICT (id) DO UPDATE SET name = 'mine'", new):
            with pytest.raises((REFUSED, asyncpg.UniqueViolationError)):
                under.asked(mona, text)
        under.asked(mona, merge)
        assert under.as_owner("SELECT name FROM tags WHERE id = 3") == [("theirs",)]
    finally:
        under.as_owner("DELETE FROM tags WHERE id = 3")


def test_what_policies_do_not_hide(under: Under) -> None:
    """As docs/rls.md says: how many rows a plan removed, and a lock of a table of which rows may be removed."""
    nobody = ("nobody", ["member"], {"organisation": 1})
    text = "EXPLAIN (ANALYZE, COSTS OFF) SELECT id FROM tasks"
    assert "Rows Removed by Filter" in str(under.asked(nobody, text))
    assert under.asked(nobody, "LOCK TABLE comments IN ACCESS EXCLUSIVE MODE") == [[]]
    with pytest.raises(REFUSED):
        under.asked(nobody, "LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE")
