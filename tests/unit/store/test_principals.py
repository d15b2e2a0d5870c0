"""Accounts in the store: every change moves the epoch, and only those who asked for it change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vallum.declare.accounts import Account
from vallum.store import principals
from vallum.store.errors import StoreError
from vallum.store.ports import Principal, Script, Statement
from vallum.store.sqlite import SqliteDatabase, SqliteFile

NOW = 1_790_000_000.75
TEACHER = Account("teacher-17", frozenset({"teacher", "head"}), {"school": 3, "sub": "7", "full": True}, "large")
OTHER = Account("student-1", frozenset({"student"}), {}, "default")


@pytest.fixture
def accounts(file: SqliteFile) -> SqliteFile:
    for account in (TEACHER, OTHER):
        file.write(principals.add(account, "user", NOW, "sqlite"))
    return file


def loaded(file: SqliteFile, name: str = TEACHER.name) -> Principal | None:
    rows = file.read(principals.load(name, "sqlite"))
    return principals.principal(rows[0]) if rows else None


def column(file: SqliteFile, name: str, of: str = TEACHER.name) -> Any:
    return file.read(Statement(f"SELECT {name} FROM vallum_principal WHERE id = ?", (of,)))[0][0]


async def test_an_account_comes_back_as_it_was_given(path: Path, database: SqliteDatabase) -> None:
    """Roles are a set, attributes keep their types, the credential is for others to add."""
    await database.write(principals.add(TEACHER, "user", NOW, "sqlite"))
    assert await database.load("teacher-17") == Principal(
        id="teacher-17",
        roles=frozenset({"teacher", "head"}),
        attributes={"school": 3, "sub": "7", "full": True},
        plan="large",
        epoch=1,
    )
    found = await database.load("teacher-17")
    assert found is not None
    assert {key: type(value) for key, value in found.attributes.items()} == {"school": int, "sub": str, "full": bool}
    assert await database.epoch("teacher-17") == 1


def test_accounts_without_their_plan_are_named(accounts: SqliteFile) -> None:
    """One of them, how many more there are, and what would do; a disabled account asks for nothing."""
    rows = accounts.read(principals.plans("sqlite"))
    principals.check_plans(rows, {"default", "large"})
    with pytest.raises(
        StoreError, match=r"account-plan: account 'teacher-17': Unknown plan 'large'; known are \['d'\]"
    ):
        principals.check_plans([("large", 1, "teacher-17")], ["d"])
    with pytest.raises(StoreError, match="account 'student-1' and 8 more"):
        principals.check_plans([("default", 9, "student-1")], [])
    accounts.write(principals.disable("teacher-17", "sqlite"))
    principals.check_plans(accounts.read(principals.plans("sqlite")), {"default"})


async def test_an_unknown_account_is_none(database: SqliteDatabase) -> None:
    """Names are compared exactly: neither case nor spaces are forgiven."""
    await database.write(principals.add(TEACHER, "user", NOW, "sqlite"))
    for name in ("", "Teacher-17", "teacher-17 ", "teacher-1%", "'"):
        assert await database.load(name) is None
        assert await database.epoch(name) is None


def test_what_an_account_is_stored_with(accounts: SqliteFile) -> None:
    """Kind, second of creation, password hash; the columns are plain JSON text."""
    accounts.write(principals.add(Account("robot", frozenset(), {}, "default"), "client", NOW, "sqlite", "$argon2id$…"))
    assert column(accounts, "kind") == "user"
    assert column(accounts, "created") == 1_790_000_000
    assert column(accounts, "password") is None
    assert (column(accounts, "kind", "robot"), column(accounts, "password", "robot")) == ("client", "$argon2id$…")
    assert column(accounts, "roles") == '["head", "teacher"]'
    assert column(accounts, "attributes") == '{"full": true, "school": 3, "sub": "7"}'


@pytest.mark.parametrize("disabled", [False, True])
def test_a_name_is_given_once(accounts: SqliteFile, disabled: bool) -> None:
    """Also that of a disabled account: its epoch must never begin again."""
    if disabled:
        accounts.write(principals.disable(TEACHER.name, "sqlite"))
    with pytest.raises(StoreError, match="account-exists"):
        accounts.write(principals.add(TEACHER, "user", NOW, "sqlite"))


CHANGES: dict[str, Callable[[str], Callable[[], Script[int]]]] = {
    "roles": lambda name: principals.alter(name, "sqlite", roles=["student"]),
    "attributes": lambda name: principals.alter(name, "sqlite", attributes={"school": 4}),
    "plan": lambda name: principals.alter(name, "sqlite", plan="small"),
    "nothing": lambda name: principals.alter(name, "sqlite"),
    "disable": lambda name: principals.disable(name, "sqlite"),
    "enable": lambda name: principals.enable(name, "sqlite"),
    "revoke": lambda name: principals.revoke_tokens(name, NOW, "sqlite"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_moves_the_epoch_of_its_account_only(accounts: SqliteFile, change: str) -> None:
    """By one, returned to who asked, and stored with the change."""
    script = CHANGES[change](TEACHER.name)
    assert [accounts.write(script), accounts.write(script)] == [2, 3]
    assert column(accounts, "epoch") == 3
    assert column(accounts, "epoch", OTHER.name) == 1


@pytest.mark.parametrize("change", CHANGES)
def test_an_unknown_account_is_not_changed_silently(accounts: SqliteFile, change: str) -> None:
    """A misspelt name in a command is an error."""
    with pytest.raises(StoreError, match="account-unknown"):
        accounts.write(CHANGES[change]("teacher-71"))


def test_alter_replaces_what_is_given_and_leaves_the_rest(accounts: SqliteFile) -> None:
    """One at a time, and empty is not the same as not given."""
    accounts.write(principals.alter(TEACHER.name, "sqlite", roles=["student", "student"]))
    assert loaded(accounts) == Principal(TEACHER.name, frozenset({"student"}), TEACHER.attributes, "large", 2)
    accounts.write(principals.alter(TEACHER.name, "sqlite", attributes={"school": 4}, plan="small"))
    assert loaded(accounts) == Principal(TEACHER.name, frozenset({"student"}), {"school": 4}, "small", 3)
    accounts.write(principals.alter(TEACHER.name, "sqlite", roles=[], attributes={}))
    assert loaded(accounts) == Principal(TEACHER.name, frozenset(), {}, "small", 4)
    assert loaded(accounts, OTHER.name) == Principal(OTHER.name, OTHER.roles, {}, "default", 1)


async def test_a_disabled_account_is_unknown(path: Path, database: SqliteDatabase) -> None:
    """To the path it does not exist; enabled again it is what it was, at a later epoch."""
    with SqliteFile(path) as file:
        file.write(principals.add(TEACHER, "user", NOW, "sqlite"))
        file.write(principals.disable(TEACHER.name, "sqlite"))
        assert await database.load(TEACHER.name) is None
        assert await database.epoch(TEACHER.name) is None
        file.write(principals.enable(TEACHER.name, "sqlite"))
        assert await database.epoch(TEACHER.name) == 3


def test_revoking_voids_the_running_second_and_never_goes_back(accounts: SqliteFile) -> None:
    """A token of this very second has the same `iat` as one stolen in it; an earlier revocation changes nothing."""
    accounts.write(principals.revoke_tokens(TEACHER.name, NOW, "sqlite"))
    assert column(accounts, "tokens_from") == 1_790_000_001
    accounts.write(principals.revoke_tokens(TEACHER.name, NOW - 100, "sqlite"))
    assert column(accounts, "tokens_from") == 1_790_000_001
    found = loaded(accounts)
    assert found is not None
    assert (found.tokens_from, found.epoch) == (1_790_000_001, 3)


def test_bump_all_moves_every_epoch(accounts: SqliteFile) -> None:
    """Disabled ones included: they may be enabled while an old copy is still cached."""
    accounts.write(principals.disable(OTHER.name, "sqlite"))
    assert accounts.write(principals.bump_all("sqlite")) == 2
    assert (column(accounts, "epoch"), column(accounts, "epoch", OTHER.name)) == (2, 3)


def test_several_changes_are_one_transaction(accounts: SqliteFile) -> None:
    """Scripts are put together with `yield from`; the failure of one undoes all."""

    def both() -> Script[None]:
        yield from principals.disable(TEACHER.name, "sqlite")()
        yield from principals.disable("nobody", "sqlite")()

    with pytest.raises(StoreError, match="account-unknown"):
        accounts.write(both)
    assert loaded(accounts) is not None
    assert column(accounts, "epoch") == 1
