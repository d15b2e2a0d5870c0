"""API keys in the store, each a credential of an account of the kind `key`.

What changes which keys are valid moves the account's epoch in the same transaction. A last use does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, final

from vallum import defaults
from vallum.crypto.api_key import NewKey
from vallum.declare.accounts import Account
from vallum.declare.dialect import DialectName
from vallum.store import principals
from vallum.store.credential import Read, parsed, state, text, words
from vallum.store.errors import StoreError
from vallum.store.ports import Principal, Row, Script, Statement
from vallum.store.sql import Param, each_dialect

Networks = tuple[IPv4Network | IPv6Network, ...]


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """What a key is limited to.

    Attributes:
        scopes: None when it is not limited by scopes.
        networks: from where it is good, in CIDR; None for everywhere.
        expires: void from this Unix second on; None for never.
    """

    scopes: frozenset[str] | None = None
    networks: tuple[str, ...] | None = None
    expires: int | None = None


@final
@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key and its account, read in one statement: a revocation is seen with the epoch that it moved.

    Attributes:
        digest: see `crypto.api_key`.
        principal: None when the account is disabled.
    """

    digest: bytes
    scopes: frozenset[str] | None
    networks: Networks | None
    expires: int | None
    revoked: int | None
    principal: Principal | None


_COLUMNS: Final = ("id", "principal", "digest", "scopes", "networks", "created", "expires")
_FIND: Final = each_dialect(
    "SELECT k.digest, k.scopes, k.networks, k.expires, k.revoked, p.disabled,"
    " p.id, p.roles, p.attributes, p.plan, p.epoch, p.tokens_from"
    " FROM vallum_api_key k JOIN vallum_principal p ON p.id = k.principal WHERE k.id = ",
    Param("id"),
)
_LIST: Final = each_dialect(
    "SELECT p.id, k.id, k.created, k.expires, k.revoked, k.last_used, p.roles, k.scopes, k.networks, p.plan, p.disabled"
    " FROM vallum_api_key k JOIN vallum_principal p ON p.id = k.principal ORDER BY p.id, k.created, k.id"
)
_NEWEST: Final = each_dialect(
    "SELECT scopes, networks, created, expires FROM vallum_api_key WHERE principal = ",
    Param("principal"),
    " ORDER BY created DESC, expires IS NULL DESC, expires DESC, id LIMIT 1",
)
_ADD: Final = each_dialect(
    f"INSERT INTO vallum_api_key ({', '.join(_COLUMNS)}) VALUES (",
    *(part for column in _COLUMNS[:-1] for part in (Param(column), ", ")),
    Param(_COLUMNS[-1]),
    ")",
)
_END: Final = each_dialect(
    *("UPDATE vallum_api_key SET expires = ", Param("until"), " WHERE principal = ", Param("principal")),
    *(" AND revoked IS NULL AND (expires IS NULL OR expires > ", Param("until"), ")"),
)
_REVOKE: Final = each_dialect(
    *("UPDATE vallum_api_key SET revoked = ", Param("revoked"), " WHERE principal = ", Param("principal")),
    " AND revoked IS NULL RETURNING id",
)
_REVOKE_ONE: Final = each_dialect(
    *("UPDATE vallum_api_key SET revoked = ", Param("revoked"), " WHERE principal = ", Param("principal")),
    *(" AND id = ", Param("id"), " AND revoked IS NULL RETURNING id"),
)
_USED: Final = each_dialect(
    *("UPDATE vallum_api_key SET last_used = ", Param("at"), " WHERE id = ", Param("id")),
    *(" AND (last_used IS NULL OR last_used <= ", Param("before"), ")"),
)


@final
class ApiKeys:
    """Keys as the path asks for them.

    Args:
        read: runs a SELECT on the store.
    """

    def __init__(self, read: Read, dialect: DialectName) -> None:
        self._read = read
        self._dialect = dialect

    async def find(self, identifier: str) -> StoredKey | None:
        """The key of this identifier, whether it is still valid or not."""
        rows = await self._read(find(identifier, self._dialect))
        return stored(rows[0]) if rows else None


def find(identifier: str, dialect: DialectName) -> Statement:
    """One row for :func:`stored`, or none."""
    return _FIND[dialect].bind({"id": identifier})


def stored(row: Row) -> StoredKey:
    """From a row of :func:`find`."""
    digest, scopes, networks, expires, revoked, disabled, *account = row
    return StoredKey(
        bytes.fromhex(digest),
        words(scopes),
        None if networks is None else tuple(ip_network(network) for network in json.loads(networks)),
        expires,
        revoked,
        None if disabled else principals.principal(account),
    )


def all_keys(dialect: DialectName) -> Statement:
    """Every key that ever was, by account, oldest first: rows for :func:`described`."""
    return _LIST[dialect].bind({})


def described(row: Row, now: float) -> dict[str, Any]:
    """A key as it is shown. Times are Unix seconds."""
    name, identifier, created, expires, revoked, last_used, roles, scopes, networks, plan, disabled = row
    return {
        "name": name,
        "key": identifier,
        "state": state(expires, revoked, now, disabled=disabled),
        "created": created,
        "expires": expires,
        "revoked": revoked,
        "last_used": last_used,
        "roles": json.loads(roles),
        "scopes": parsed(scopes),
        "addresses": parsed(networks),
        "plan": plan,
    }


def add(
    account: Account,
    key: NewKey,
    limits: Limits,
    now: float,
    dialect: DialectName,
    given: Iterable[str] = principals.WHOLE,
) -> Callable[[], Script[Account]]:
    """An account of the kind `key`, with its first key; returns it as it is stored.

    Args:
        given: see :func:`principals.equip`.

    Raises:
        StoreError: `account-exists`.
    """
    values = _row(account.name, key, now, text(limits.scopes), text(limits.networks), limits.expires)

    def script() -> Script[Account]:
        found = yield from principals.equip(account, "key", now, dialect, given)()
        yield _ADD[dialect].bind(values)
        return found

    return script


def rotate(
    name: str, key: NewKey, now: float, dialect: DialectName, *, overlap_seconds: int, life_seconds: int | None
) -> Callable[[], Script[int | None]]:
    """A further key like the newest one of this account; those before end with the overlap, if not earlier.

    Args:
        overlap_seconds: 0 ends them at once.
        life_seconds: None for as long as the newest one was given; it may have been given no end.

    Returns when the new one expires, in Unix seconds, or None.

    Raises:
        StoreError: `api-key-unknown`.
    """
    until = int(now) + overlap_seconds

    def script() -> Script[int | None]:
        rows = yield _NEWEST[dialect].bind({"principal": name})
        if not rows:
            raise _unknown(name)
        scopes, networks, created, ends = rows[0]
        life = life_seconds if life_seconds is not None or ends is None else ends - created
        expires = None if life is None else int(now) + life
        yield _END[dialect].bind({"until": until, "principal": name})
        yield _ADD[dialect].bind(_row(name, key, now, scopes, networks, expires))
        yield from principals.bump(name, dialect)()
        return expires

    return script


def revoke(
    name: str, now: float, dialect: DialectName, identifier: str | None = None
) -> Callable[[], Script[list[str]]]:
    """Void every key of this account from its next request on, or the one with this identifier; returns which.

    Raises:
        StoreError: `api-key-unknown`, also when what is meant is revoked already.
    """
    values = {"revoked": int(now), "principal": name}
    one = None if identifier is None else _REVOKE_ONE[dialect].bind({**values, "id": identifier})
    statement = one or _REVOKE[dialect].bind(values)

    def script() -> Script[list[str]]:
        rows = yield statement
        if not rows:
            raise _unknown(name if identifier is None else f"{name}, key {identifier}")
        yield from principals.bump(name, dialect)()
        return sorted(identifier for (identifier,) in rows)

    return script


def used(uses: Iterable[tuple[str, float]], dialect: DialectName) -> Callable[[], Script[None]]:
    """Write last uses (identifier, Unix seconds), unless another process did within the minute."""
    kept = [(identifier, int(at)) for identifier, at in uses]

    def script() -> Script[None]:
        for identifier, at in kept:
            values = {"id": identifier, "at": at, "before": at - defaults.API_KEY_USE_SECONDS}
            yield _USED[dialect].bind(values)

    return script


def _row(
    name: str, key: NewKey, now: float, scopes: str | None, networks: str | None, expires: int | None
) -> dict[str, Any]:
    return {
        "id": key.identifier,
        "principal": name,
        "digest": key.digest.hex(),
        "scopes": scopes,
        "networks": networks,
        "created": int(now),
        "expires": expires,
    }


def _unknown(name: str) -> StoreError:
    return StoreError(
        "api-key-unknown", name, "It has no such key: `vallum key list` shows them, `key add` gives a first one."
    )
