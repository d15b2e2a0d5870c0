"""`vallum keys`, `routes`, `check` and `explain`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.serve.served import Said, command

from tests import stores


def states(run: Run) -> list[str]:
    return [key["state"] for key in run("keys", "list", "--json").json()]


def test_a_rotation_adds_a_key_and_keeps_the_old_one_for_a_while(run: Run, place: Path) -> None:
    """The new one signs, the old one verifies until its tokens have expired; the new file is for the owner alone."""
    before = run("keys", "list", "--json").json()
    kid = run("keys", "rotate", "--json").json()["kid"]
    assert states(run) == ["verifies", "signs"]
    after = run("keys", "list", "--json").json()
    assert (after[0]["kid"], after[1]["kid"]) == (before[0]["kid"], kid)
    assert after[0]["until"] > before[0]["created"]
    assert (place / "data" / "keys" / f"{kid}.pem").stat().st_mode & 0o077 == 0


def test_a_revocation_leaves_a_key_that_signs(run: Run) -> None:
    """Of the only key: a new one is made at once, or nobody could sign in."""
    (only,) = run("keys", "list", "--json").json()
    said = run("keys", "revoke", only["kid"], "--json").json()
    assert said["revoked"] == only["kid"]
    assert states(run) == ["revoked", "signs"]
    assert run("keys", "revoke", only["kid"]).code == 1
    assert "key-unknown" in run("keys", "revoke", "nothing").err
    run("keys", "rotate")
    retired = next(key for key in run("keys", "list", "--json").json() if key["state"] == "verifies")
    assert run("keys", "revoke", retired["kid"], "--json").json()["made"] is None


def test_routes_are_those_that_a_rule_opens(run: Run) -> None:
    """With the roles and the cost; DELETE is declared by nobody and not listed."""
    rows = run("routes", "--json").json()
    listed = {(row["method"], row["path"]): (row["does"], row["roles"], row["cost"]) for row in rows}
    assert listed["GET", "/notes"] == ("list", ["reader", "writer"], 1)
    assert listed["POST", "/notes"] == ("create", ["writer"], 1)
    assert listed["POST", "/slow"] == ("act", ["writer"], 1)
    fresh = {row["method"]: row["fresh"] for row in rows}
    assert (fresh["GET"], fresh["POST"], fresh["PATCH"]) == (False, True, True)
    assert ("DELETE", "/notes/{id}") not in listed
    assert "/notes/{id}" in run("routes").out


def test_check_is_silent_about_what_is_well(run: Run) -> None:
    """The small API, as it would be served for development."""
    said = run("check", "--dev")
    assert (said.code, said.out) == (0, "0 errors, 0 warnings\n")
    assert run("check", "--dev", "--json").json() == []


def test_check_finds_settings_and_declarations(run: Run, place: Path) -> None:
    """Errors leave with 1, warnings with 0 unless --strict; each finding has its five parts."""
    said = run("check", "--json")
    assert said.code == 1
    found = {finding["identifier"]: finding for finding in said.json()}
    assert {"public-url-missing", "tls-missing", "development-data"} <= found.keys()
    assert set(found["tls-missing"]) == {"identifier", "severity", "place", "message", "mend"}
    old = {"VALLUM_TLS_MINIMUM": "1.2"}
    assert (run("check", "--dev", **old).code, run("check", "--dev", "--strict", **old).code) == (0, 1)
    assert "warning: tls-old (tls_minimum)" in run("check", "--dev", **old).out


BROKEN = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests import stores
from vallum import API, READ, allow
class Base(DeclarativeBase): pass
class Word(Base):
    __tablename__ = "words"
    id: Mapped[int] = mapped_column(primary_key=True)
api = API("Broken", roles=["reader"])
api.resource(Word, allow("king", READ))
"""


@pytest.mark.stores("sqlite")  # a server has a database, without tables, before `db create`
def test_accounts_without_their_plan_are_found_before_the_start(tmp_path: Path) -> None:
    """`check` says what `serve` would stop at; before there is a database there is nothing to say."""
    program = METERS.replace('roles=["reader"])', 'roles=["reader"], plans={"gold": Plan("9/s")})', 1)
    program = program.replace("import API,", "import API, Plan,")
    (tmp_path / "meters.py").write_text(program)

    def checked() -> list[str]:
        said = command("check", "--dev", "--json", cwd=tmp_path, VALLUM_APP="meters:api")
        return [finding["identifier"] for finding in said.json() if finding["severity"] == "error"]

    assert checked() == []
    for arguments in (["db", "create", "--dev"], ["key", "add", "rich", "--plan", "gold"]):
        assert command(*arguments, cwd=tmp_path, VALLUM_APP="meters:api").code == 0
    assert checked() == []
    stores.rows(tmp_path / "data", "UPDATE vallum_principal SET plan = 'silver' WHERE id = 'rich'")
    assert checked() == ["account-plan"]
    said = command("check", "--dev", cwd=tmp_path, VALLUM_APP="meters:api")
    assert "account 'rich'" in said.out
    stores.rows(tmp_path / "data", "DROP TABLE vallum_meta")
    assert checked() == ["schema-missing"]


@pytest.mark.stores("sqlite")  # a server has a database, without tables, before `db create`
def test_check_and_serve_stop_at_a_rule_for_nobody(tmp_path: Path) -> None:
    """An unknown role is an error of the declaration, found before anything is served."""
    (tmp_path / "broken.py").write_text(BROKEN)
    for arguments in (["check", "--dev"], ["serve", "--dev"]):
        said = command(*arguments, cwd=tmp_path, VALLUM_APP="broken:api")
        assert said.code == 1
        assert "king" in said.out + said.err
        assert arguments[0] == "serve" or said.out.endswith("1 error, 0 warnings\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--as", "rita", "GET", "/notes/1"], 0, ["allowed", "notes.owner = me.id", "owner='rita'"]),
        (["--as", "rita", "GET", "/notes/5"], 1, ["not found", "owner='will'", "false"]),
        (["--as", "will", "GET", "/notes/1"], 0, ["allowed"]),
        (["--as", "rita", "PATCH", "/notes/1"], 1, ["refused", "not a role of this caller"]),
        (["--as", "will", "PATCH", "/notes/1"], 0, ["allowed", "fields owner, text"]),
        (["GET", "/notes/1"], 1, ["anonymous caller"]),
        (["--as", "rita", "GET", "/notes"], 0, ["grants", "notes.owner = me.id"]),
        (["--as", "rita", "GET", "/notes/1?fields=id"], 0, ["allowed", "notes.owner = me.id"]),
        (["--as", "rita", "POST", "/slow"], 1, ["not a role of this caller"]),
        (["--as", "will", "POST", "/slow"], 0, ["grants"]),
        (["--as", "rita", "GET", "/notes/99"], 1, ["no row with the key 99"]),
        (["--as", "rita", "GET", "/nowhere"], 1, ["no route has the path"]),
        (["--as", "rita", "PUT", "/notes"], 1, ["has no PUT"]),
        (["--as", "nobody", "GET", "/notes"], 1, ["account-unknown"]),
        (["--as", "rita", "GET", "/limits"], 0, ["every caller with a credential", "allowed"]),
        (["GET", "/limits"], 1, ["no rule opens anything to ANYONE", "refused"]),
        (["--as", "rita", "DELETE", "/limits"], 1, ["has no DELETE"]),
        (["--as", "nobody", "GET", "/openapi.json"], 1, ["account-unknown"]),
        (["GET", "/problems/forbidden"], 0, ["is public", "allowed"]),
        (["--as", "rita", "POST", "/oauth/token"], 0, ["is public", "allowed"]),
    ],
)
def test_explain_says_why(run: Run, arguments: list[str], code: int, words: list[str]) -> None:
    """The rules of the caller, the values that they looked at, and the decision as exit code."""
    said = run("explain", *arguments)
    assert said.code == code, said.out
    for word in words:
        assert word in said.out + said.err


METERS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from vallum import API, READ, allow, when
class Base(DeclarativeBase): ...
class Meter(Base):
    __tablename__ = "meters"
    id: Mapped[int] = mapped_column(primary_key=True)
api = API("Meters", roles=["reader"])
api.resource(Meter, allow("reader", READ, when=when(scope="meters", credential="key")))
api.accounts.add("rita", roles=["reader"])
"""


def test_explain_knows_api_keys(tmp_path: Path) -> None:
    """A request with the account's key: its scopes, its networks, and that there is none any more."""
    (tmp_path / "meters.py").write_text(METERS)

    def run(*arguments: str) -> Said:
        return command(*arguments, cwd=tmp_path, VALLUM_APP="meters:api")

    def explained(*arguments: str) -> tuple[int, str]:
        said = run("explain", *arguments, "GET", "/meters")
        return said.code, said.out + said.err

    assert run("db", "create", "--dev").code == 0
    for name, options in (
        ("right", ["--scope", "meters"]),
        ("wrong", ["--scope", "other"]),
        ("all", []),
        ("bound", ["--address", "192.0.2.0/24"]),
    ):
        assert run("key", "add", name, "--role", "reader", *options).code == 0
    assert [explained("--as", name)[0] for name in ("rita", "right", "wrong", "all")] == [1, 0, 1, 0]
    assert "its conditions on the request are not met" in explained("--as", "wrong")[1]
    for elsewhere in ([], ["--address", "198.51.100.1"], ["--address", "x"]):
        assert (
            "api-key-address (bound)\nIts key is good from 192.0.2.0/24 only"
            in explained("--as", "bound", *elsewhere)[1]
        )
    assert explained("--as", "bound", "--address", "::ffff:192.0.2.9")[0] == 0
    run("key", "revoke", "right")
    code, said = explained("--as", "right")
    assert (code, "api-key-unknown (right)" in said) == (1, True)


def test_explain_answers_programs(run: Run) -> None:
    """Lines with their depth and verdict."""
    lines = run("explain", "--as", "rita", "GET", "/notes/1", "--json").json()
    assert lines[1] == {"depth": 0, "text": "READ notes 1: fields id, owner, text", "verdict": "allowed"}
