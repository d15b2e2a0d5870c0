"""The commands on a PostgreSQL database: what they say and do is what they say and do on SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.serve.served import Said, command

from tests import stores

Run = Callable[..., Said]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the command, in a database that was empty."""
    place = tmp_path_factory.mktemp("template")
    url = stores.server().url(stores.server().database())
    made = command(*("db", "create", "--dev", "--seed", "--port", "9443", "--json"), cwd=place, VALLUM_DATABASE=url)
    assert made.code == 0, made.err
    assert made.json()["accounts"] == 2
    (place / "data" / stores.URL_FILE).write_text(url)
    return place


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return stores.copied(template / "data", tmp_path / "data")


@pytest.fixture
def run(data: Path) -> Iterator[Run]:
    """A command on it, which finds the database by a variable."""
    url = stores.database_of(data) or ""

    def call(*arguments: str, stdin: str = "", **settings: str) -> Said:
        return command(*arguments, cwd=data.parent, stdin=stdin, **{"VALLUM_DATABASE": url, **settings})

    yield call
    assert not (data / "vallum.db").exists()


def test_it_makes_everything_that_is_needed(data: Path) -> None:
    """Tables, rows, accounts, a signing key whose file is here, statistics; new rows are numbered behind the seed."""
    assert stores.rows(data, "SELECT count(*) FROM notes") == [(5,)]
    assert stores.rows(data, "SELECT id FROM vallum_principal ORDER BY id") == [("rita",), ("will",)]
    ((kid,),) = stores.rows(data, "SELECT kid FROM vallum_signing_key")
    assert (data / "keys" / f"{kid}.pem").exists()
    assert (data / "keys" / "secret").exists()
    assert stores.rows(data, "SELECT reltuples::int FROM pg_class WHERE relname = 'notes'") == [(5,)]
    assert stores.rows(data, "INSERT INTO notes (owner, text) VALUES ('rita', 'x') RETURNING id") == [(6,)]


def test_a_database_is_made_once(run: Run, data: Path) -> None:
    """What is there is left as it is, the keys in the directory too."""
    keys = set((data / "keys").iterdir())
    said = run("db", "create", "--dev")
    assert (said.code, "schema-exists" in said.err) == (1, True)
    assert set((data / "keys").iterdir()) == keys


def test_accounts(run: Run) -> None:
    """Made, changed, listed, disabled."""
    added = run(
        "user", "add", "mona", "--role", "reader", "--attr", "floor=3", "--password-stdin", stdin="long enough\n"
    )
    assert (added.code, added.out) == (0, "mona is made.\n")
    assert "account-exists" in run("user", "add", "mona", "--no-password").err
    changed = run("user", "change", "mona", "--role", "writer", "--remove-attr", "floor", "--json").json()
    assert (changed["roles"], changed["attributes"]) == (["writer"], {})
    assert run("user", "disable", "mona").code == 0
    listed = run("user", "list", "--json").json()
    assert [(row["name"], row["disabled"]) for row in listed] == [("mona", True), ("rita", False), ("will", False)]
    assert "account-unknown" in run("user", "enable", "nobody").err


def test_api_keys(run: Run) -> None:
    """Made, rotated, listed, revoked."""
    assert run("key", "add", "robot", "--role", "reader").out.startswith("vk_")
    assert run("key", "rotate", "robot", "--overlap", "0").code == 0
    states = [row["state"] for row in run("key", "list", "--json").json()]
    assert sorted(states) == ["expired", "valid"]
    assert len(run("key", "revoke", "robot", "--json").json()["revoked"]) == 2


def test_signing_keys_and_tokens(run: Run) -> None:
    """A token of the newest key, for accounts that are there."""
    kid = run("keys", "rotate", "--json").json()["kid"]
    assert [row["state"] for row in run("keys", "list", "--json").json()] == ["verifies", "signs"]
    assert run("token", "rita").out.count(".") == 2
    assert run("token", "rita", VALLUM_DATABASE="").out.count(".") == 2, "the directory says where it is served"
    assert "account-unknown" in run("token", "nobody").err
    assert run("keys", "revoke", kid, "--json").json()["made"] is not None


def test_explain_check_and_migrate(run: Run) -> None:
    """What reads rows, what reads the declaration, and what has nothing to do."""
    explained = run("explain", "GET", "/notes/1", "--as", "rita")
    assert (explained.code, "allowed" in explained.out) == (0, True), explained.err
    assert run("explain", "GET", "/notes/4", "--as", "rita").code == 1
    checked = run("check", "--dev", "--json")
    assert (checked.code, json.loads(checked.out)) == (0, [])
    migrated = run("db", "migrate", "--json").json()
    assert migrated["before"] == migrated["after"]


@pytest.mark.parametrize(
    ("settings", "identifier"),
    [
        ({"VALLUM_DATABASE": "postgresql:///nowhere?host={socket}"}, "database-missing"),
        ({"VALLUM_DATABASE": "postgresql://nobody@/postgres?host={socket}"}, "database-login"),
        ({"VALLUM_DATABASE": "postgresql:///postgres?host={data}"}, "database-unreachable"),
        ({"VALLUM_DATABASE": "postgresql://localhost:1/postgres"}, "database-unreachable"),
        ({"VALLUM_DATABASE": "postgresql://localhost/x?sslrootcert={data}/none.pem"}, "database-certificate"),
        ({"VALLUM_DATABASE": "postgresql://db.example/x?sslmode=disable"}, "database-plain"),
        ({"VALLUM_DATABASE": "postgresql://ann:hunter2@db.example/x"}, "database-password"),
    ],
)
def test_what_is_wrong_with_the_way_to_the_server_is_said(
    run: Run, data: Path, settings: dict[str, str], identifier: str
) -> None:
    """By every command alike, `vallum token` too, and without a traceback."""
    places = {"socket": stores.server().directory, "data": str(data)}
    given = {"PGUSER": "postgres", **{name: value.format(**places) for name, value in settings.items()}}
    for arguments in (["user", "list"], ["token", "rita"]):
        said = run(*arguments, **given)
        assert (said.code, said.err.split()[:2]) == (1, ["vallum:", identifier])
        assert "hunter2" not in said.err
