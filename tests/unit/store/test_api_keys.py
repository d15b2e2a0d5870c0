"""API keys in the store: what is kept of them, how they end, and that every change moves the epoch."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from vallum import defaults
from vallum.crypto import api_key
from vallum.crypto.api_key import NewKey
from vallum.declare.accounts import Account
from vallum.store import api_keys, principals
from vallum.store.api_keys import ApiKeys, Limits, StoredKey
from vallum.store.errors import StoreError
from vallum.store.ports import Statement
from vallum.store.sqlite import SqliteDatabase, SqliteFile

NOW = 1_790_000_000.75
SECOND = int(NOW)
DAY = 86_400
ROBOT = Account("robot", frozenset({"reader"}), {"floor": 3}, "large")
LIMITS = Limits(frozenset({"b", "a"}), ("192.0.2.0/24", "2001:db8::/32"), SECOND + 90 * DAY)


def added(file: SqliteFile, limits: Limits = LIMITS, account: Account = ROBOT) -> NewKey:
    key = api_key.generate()
    file.write(api_keys.add(account, key, limits, NOW, "sqlite"))
    return key


def found(file: SqliteFile, key: NewKey) -> StoredKey:
    rows = file.read(api_keys.find(key.identifier, "sqlite"))
    return api_keys.stored(rows[0])


def epoch(file: SqliteFile) -> int:
    number: int = file.read(principals.epoch(ROBOT.name, "sqlite"))[0][0]
    return number


def rotated(file: SqliteFile, now: float, overlap: int = 7 * DAY, life: int | None = None) -> tuple[NewKey, int | None]:
    key = api_key.generate()
    script = api_keys.rotate(ROBOT.name, key, now, "sqlite", overlap_seconds=overlap, life_seconds=life)
    return key, file.write(script)


def listed(file: SqliteFile, now: float = NOW) -> list[dict[str, Any]]:
    return [api_keys.described(row, now) for row in file.read(api_keys.all_keys("sqlite"))]


def test_a_key_comes_back_with_its_account(file: SqliteFile) -> None:
    """In one statement, so that a revocation is seen with the epoch that it moved."""
    key = added(file)
    stored = found(file, key)
    assert stored.principal == principals.principal(file.read(principals.load("robot", "sqlite"))[0])
    assert stored.principal is not None
    assert (stored.principal.roles, stored.principal.plan, stored.principal.epoch) == (ROBOT.roles, "large", 1)
    assert (stored.digest, stored.scopes, stored.expires, stored.revoked) == (
        key.digest,
        frozenset({"a", "b"}),
        SECOND + 90 * DAY,
        None,
    )
    assert stored.networks == (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    kind = file.read(Statement("SELECT kind FROM vallum_principal WHERE id = 'robot'", ()))
    assert kind == [("key",)]


def test_no_limit_is_no_limit_and_an_empty_list_is_one(file: SqliteFile) -> None:
    """None and the empty set are kept apart: a key with no scope at all must not come back with all."""
    assert found(file, added(file, Limits())).scopes is None
    stored = found(file, added(file, Limits(frozenset(), ()), Account("other", frozenset(), {}, "default")))
    assert (stored.scopes, stored.networks, stored.expires) == (frozenset(), (), None)


def test_nothing_of_the_secret_is_stored(file: SqliteFile) -> None:
    """The database has the digest and the identifier; neither the text nor its secret part."""
    key = added(file)
    rows = file.read(Statement("SELECT * FROM vallum_api_key", ()))
    stored = repr(rows)
    assert key.identifier in stored
    assert key.digest.hex() in stored
    assert key.text[19:62] not in stored


async def test_the_path_finds_it_by_its_identifier_only(file: SqliteFile, database: SqliteDatabase) -> None:
    """Exactly: neither case nor patterns are forgiven."""
    key = added(file)
    keys = ApiKeys(database.read, "sqlite")
    stored = await keys.find(key.identifier)
    assert stored is not None
    assert stored.digest == key.digest
    for other in ("", key.identifier.swapcase(), "%", key.identifier[:-1] + "%", key.text):
        assert await keys.find(other) is None


def test_a_name_that_is_taken_gets_no_key(file: SqliteFile) -> None:
    """Neither that of a person nor that of a key: nothing is written."""
    file.write(principals.add(Account("rita", frozenset(), {}, "default"), "user", NOW, "sqlite", "$argon2id$…"))
    added(file)
    for name in ("rita", "robot"):
        with pytest.raises(StoreError, match="account-exists"):
            added(file, account=Account(name, frozenset(), {}, "default"))
    assert [row["name"] for row in listed(file)] == ["robot"]


def test_a_rotation_lets_both_live_until_the_overlap_ends(file: SqliteFile) -> None:
    """The new one has the limits and the life of the old one, and the epoch moves: cached copies know no such end."""
    old = added(file)
    later = NOW + 10 * DAY
    new, expires = rotated(file, later)
    assert epoch(file) == 2
    assert found(file, old).expires == int(later) + 7 * DAY
    assert expires == found(file, new).expires == int(later) + 90 * DAY
    assert (found(file, new).scopes, found(file, new).networks) == (found(file, old).scopes, found(file, old).networks)


def test_an_overlap_never_lengthens_a_life(file: SqliteFile) -> None:
    """A key that ends within the overlap ends when it would have; nor does a second rotation revive the first."""
    first = added(file, Limits(expires=SECOND + DAY))
    second, _ = rotated(file, NOW)
    assert found(file, first).expires == SECOND + DAY
    rotated(file, NOW, overlap=0)
    assert found(file, second).expires == SECOND
    third, _ = rotated(file, NOW + 5, overlap=100 * DAY)
    assert found(file, second).expires == SECOND
    assert found(file, third).expires == SECOND + 5 + DAY


def test_a_rotation_may_change_the_life(file: SqliteFile) -> None:
    """A key without an end gets successors without one, unless one is given."""
    added(file, Limits())
    assert rotated(file, NOW)[1] is None
    assert rotated(file, NOW + 1, life=DAY)[1] == SECOND + 1 + DAY
    assert rotated(file, NOW + 2)[1] == SECOND + 2 + DAY


def test_a_revocation_takes_all_keys_and_moves_the_epoch(file: SqliteFile) -> None:
    """Old and new; doing it again says that there is none; a rotation afterwards revives none of them."""
    old = added(file)
    new, _ = rotated(file, NOW)
    assert file.write(api_keys.revoke("robot", NOW + 1, "sqlite")) == sorted([old.identifier, new.identifier])
    assert epoch(file) == 3
    assert found(file, old).revoked == found(file, new).revoked == SECOND + 1
    with pytest.raises(StoreError, match="api-key-unknown"):
        file.write(api_keys.revoke("robot", NOW + 2, "sqlite"))
    assert epoch(file) == 3
    again, _ = rotated(file, NOW + 3)
    assert [row["state"] for row in listed(file) if row["key"] != again.identifier] == ["revoked", "revoked"]
    assert found(file, again).revoked is None


def test_one_key_may_be_revoked_alone(file: SqliteFile) -> None:
    """The other one lives on, the epoch moves; twice, or by another account's name, is an error that changes nothing."""
    old = added(file)
    new, _ = rotated(file, NOW)
    other = added(file, account=Account("other", frozenset(), {}, "default"))
    assert file.write(api_keys.revoke("robot", NOW + 1, "sqlite", old.identifier)) == [old.identifier]
    assert (found(file, old).revoked, found(file, new).revoked, epoch(file)) == (SECOND + 1, None, 3)
    for identifier in (old.identifier, other.identifier, "", "%", new.identifier.swapcase()):
        with pytest.raises(StoreError, match="api-key-unknown"):
            file.write(api_keys.revoke("robot", NOW + 2, "sqlite", identifier))
    assert (found(file, new).revoked, found(file, other).revoked, epoch(file)) == (None, None, 3)


@pytest.mark.parametrize("name", ["nobody", "rita"])
def test_accounts_without_keys_are_left_alone(file: SqliteFile, name: str) -> None:
    """An unknown name and that of a person: nothing is written."""
    file.write(principals.add(Account("rita", frozenset(), {}, "default"), "user", NOW, "sqlite"))
    key = api_key.generate()
    rotating = api_keys.rotate(name, key, NOW, "sqlite", overlap_seconds=1, life_seconds=1)
    for script in (rotating, api_keys.revoke(name, NOW, "sqlite")):
        with pytest.raises(StoreError, match="api-key-unknown"):
            file.write(script)
    assert file.read(Statement("SELECT * FROM vallum_api_key", ())) == []
    assert file.read(principals.epoch("rita", "sqlite")) == [(1,)]


def test_a_last_use_is_written_once_a_minute_whoever_writes(file: SqliteFile) -> None:
    """Two processes may both have seen it; a late one does not set it back, and the epoch stays."""
    key = added(file)
    for at, expected in ((NOW, SECOND), (NOW + 59, SECOND), (NOW - 500, SECOND), (NOW + 61, SECOND + 61)):
        file.write(api_keys.used([(key.identifier, at), ("unknown", at)], "sqlite"))
        assert listed(file)[0]["last_used"] == expected
    assert epoch(file) == 1
    assert defaults.API_KEY_USE_SECONDS == 60


def test_how_a_key_is_shown(file: SqliteFile) -> None:
    """Valid, expired to the second, disabled with its account, revoked above all; never a digest."""
    key = added(file)
    assert listed(file) == [
        {
            "name": "robot",
            "key": key.identifier,
            "state": "valid",
            "created": SECOND,
            "expires": SECOND + 90 * DAY,
            "revoked": None,
            "last_used": None,
            "roles": ["reader"],
            "scopes": ["a", "b"],
            "addresses": ["192.0.2.0/24", "2001:db8::/32"],
            "plan": "large",
        }
    ]
    end = float(SECOND + 90 * DAY)
    assert [listed(file, now)[0]["state"] for now in (end - 0.1, end)] == ["valid", "expired"]
    file.write(principals.disable("robot", "sqlite"))
    assert listed(file)[0]["state"] == "disabled"
    assert found(file, key).principal is None
    file.write(api_keys.revoke("robot", NOW, "sqlite"))
    assert listed(file, end)[0]["state"] == "revoked"
