"""`vallum user`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Run

from tests import stores
from vallum.cli import user
from vallum.crypto.password import verify_password


def account(run: Run, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in run("user", "list", "--json").json() if row["name"] == name)
    return found


def column(place: Path, name: str, column_: str) -> Any:
    ((found,),) = stores.rows(place / "data", f"SELECT {column_} FROM vallum_principal WHERE id = ?", name)
    return found


def test_an_account_is_made_with_its_password_from_standard_input(run: Run, place: Path) -> None:
    """It is stored as an Argon2 hash; the line's end is no part of it."""
    said = run("user", "add", "ada", "--role", "reader", "--attr", "floor=3", "--password-stdin", stdin="corr ect\n")
    assert (said.code, said.out) == (0, "ada is made.\n")
    found = account(run, "ada")
    assert (found["roles"], found["attributes"], found["plan"], found["kind"]) == (
        ["reader"],
        {"floor": 3},
        "default",
        "user",
    )
    verify_password(column(place, "ada", "password"), "corr ect")


def test_a_password_is_asked_for_twice_on_a_terminal(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never shown."""
    asked: dict[str, Any] = {}

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    def prompt(text: str, **how: Any) -> str:
        asked.update(how, text=text)
        return "from the terminal"

    monkeypatch.setattr("typer.prompt", prompt)
    monkeypatch.setattr("sys.stdin", Terminal)
    assert user._password(from_stdin=False) == "from the terminal"
    assert asked == {"text": "Password", "hide_input": True, "confirmation_prompt": True}


def test_without_a_terminal_the_password_must_be_given_somehow(run: Run) -> None:
    """By --password-stdin, or not at all by --no-password; too short or too long a one is refused."""
    assert run("user", "add", "ada").code == 2
    for password in ("", "7 chars", "x" * 1025):
        assert run("user", "add", "ada", "--password-stdin", stdin=f"{password}\n").code == 2
    assert run("user", "add", "ada", "--no-password").code == 0


@pytest.mark.parametrize(
    ("arguments", "identifier"),
    [
        (["ada", "--role", "king"], "account-role"),
        (["ada", "--attr", "colour=red"], "account-attribute"),
        (["ada", "--attr", "floor"], "account-attribute"),
        (["ada", "--attr", "floor=three"], "account-attribute"),
        (["ada", "--plan", "endless"], "account-plan"),
        (["a\nb"], "account-name"),
        (["rita"], "account-exists"),
    ],
)
def test_what_the_api_does_not_know_is_refused(run: Run, arguments: list[str], identifier: str) -> None:
    """Roles, attributes, plans; a name that is taken; before a password is asked for."""
    said = run("user", "add", *arguments)
    assert (said.code, identifier in said.err) == (1, True), said.err


def test_a_change_leaves_the_rest(run: Run, place: Path) -> None:
    """Roles are replaced as a whole, attributes one by one; each change moves the epoch once."""
    run("user", "change", "rita", "--attr", "floor=3")
    assert (account(run, "rita")["roles"], account(run, "rita")["attributes"]) == (["reader"], {"floor": 3})
    before = column(place, "rita", "epoch")
    said = run("user", "change", "rita", "--role", "writer", "--plan", "default", "--json")
    assert (said.json()["roles"], said.json()["attributes"], said.json()["plan"]) == (
        ["writer"],
        {"floor": 3},
        "default",
    )
    assert column(place, "rita", "epoch") == before + 1
    run("user", "change", "rita", "--remove-attr", "floor")
    assert account(run, "rita")["attributes"] == {}


def test_a_change_is_checked_like_a_new_account(run: Run, place: Path) -> None:
    """And what is refused changes nothing."""
    before = column(place, "rita", "epoch")
    assert "account-role" in run("user", "change", "rita", "--role", "king").err
    assert "account-unknown" in run("user", "change", "nobody", "--role", "reader").err
    assert column(place, "rita", "epoch") == before


def test_a_disabled_account_can_be_changed_and_enabled(run: Run) -> None:
    """So that it comes back with other rights."""
    assert run("user", "disable", "rita").out == "rita is disabled.\n"
    assert account(run, "rita")["disabled"] is True
    assert run("user", "change", "rita", "--role", "writer").code == 0
    assert run("user", "enable", "rita", "--json").json()["disabled"] is False
    assert account(run, "rita")["roles"] == ["writer"]


def test_tokens_are_revoked(run: Run, place: Path) -> None:
    """Those of the running second too."""
    before = column(place, "rita", "tokens_from")
    assert run("user", "revoke-tokens", "rita").code == 0
    assert column(place, "rita", "tokens_from") > before


def test_the_list_can_be_narrowed(run: Run) -> None:
    """By role; as a table for people it has a row each."""
    assert [row["name"] for row in run("user", "list", "--role", "reader", "--json").json()] == ["rita"]
    text = run("user", "list").out
    assert "rita" in text
    assert "will" in text
    assert next(line for line in text.splitlines() if "rita" in line).split()[2] == "reader"
