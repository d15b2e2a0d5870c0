"""OAuth clients in the store (RFC 6749 §2): an account of the kind `client`, with secrets or public keys.

A change of credentials voids no token; :func:`revoke` does, by the account's epoch and `tokens_from`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, final

from vallum.crypto.api_key import NewKey
from vallum.declare.accounts import Account
from vallum.declare.dialect import DialectName
from vallum.store import principals
from vallum.store.credential import Read, parsed, state, text, words
from vallum.store.errors import StoreError
from vallum.store.ports import Row, Script, Statement, Violation
from vallum.store.sql import Param, each_dialect


@final
@dataclass(frozen=True, slots=True)
class Credential:
    """A secret or a public key to be registered.

    Attributes:
        id: the identifier in the secret's text, or the kid.
        digest: of a secret.
        public_jwk: of a key.
    """

    id: str
    digest: bytes | None = None
    public_jwk: Mapping[str, str] | None = None

    @classmethod
    def secret(cls, made: NewKey) -> Credential:
        """Of a new secret."""
        return cls(made.identifier, digest=made.digest)

    @classmethod
    def key(cls, jwk: Mapping[str, str]) -> Credential:
        """Of a key as `crypto.public_key` reads it."""
        return cls(jwk["kid"], public_jwk=jwk)


@final
class StoredCredential(NamedTuple):
    """One of a client's credentials: a secret with its `digest`, or a key with its `public_jwk` as JSON text."""

    digest: bytes | None
    public_jwk: str | None
    expires: int | None
    revoked: int | None

    def valid(self, now: float) -> bool:
        """Whether it may be used."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@final
@dataclass(frozen=True, slots=True)
class Client:
    """A client and its credentials, read in one statement.

    Attributes:
        scopes: what its tokens may carry; None when they are not limited by scopes.
        introspects: whether it may ask about tokens of others.
        disabled: its account is.
        credentials: all that it ever had.
    """

    id: str
    scopes: frozenset[str] | None
    introspects: bool
    disabled: bool
    credentials: tuple[StoredCredential, ...]


_FIND: Final = each_dialect(
    "SELECT c.scopes, c.introspects, p.disabled, k.digest, k.public_jwk, k.expires, k.revoked"
    " FROM vallum_client c JOIN vallum_principal p ON p.id = c.id JOIN vallum_client_credential k ON k.client = c.id"
    " WHERE c.id = ",
    Param("id"),
    " ORDER BY k.created DESC, k.id",
)
_LIST: Final = each_dialect(
    "SELECT p.id, k.id, k.digest, k.created, k.expires, k.revoked, p.roles, c.scopes, c.introspects, p.plan, p.disabled"
    " FROM vallum_client c JOIN vallum_principal p ON p.id = c.id JOIN vallum_client_credential k ON k.client = c.id"
    " ORDER BY p.id, k.created, k.id"
)
_ADD: Final = each_dialect(
    *("INSERT INTO vallum_client (id, scopes, introspects) VALUES (", Param("client"), ", ", Param("scopes"), ", "),
    *(Param("introspects"), ")"),
)
_GIVE: Final = each_dialect(
    "INSERT INTO vallum_client_credential (client, id, digest, public_jwk, created) VALUES (",
    *(
        Param("client"),
        ", ",
        Param("id"),
        ", ",
        Param("digest"),
        ", ",
        Param("public_jwk"),
        ", ",
        Param("created"),
        ")",
    ),
)
_END: Final = each_dialect(
    *("UPDATE vallum_client_credential SET expires = ", Param("until"), " WHERE client = ", Param("client")),
    *(" AND revoked IS NULL AND (expires IS NULL OR expires > ", Param("until"), ")"),
)
_KNOWN: Final = each_dialect("SELECT 1 FROM vallum_client WHERE id = ", Param("client"))
_REVOKE: Final = each_dialect(
    *("UPDATE vallum_client_credential SET revoked = ", Param("revoked"), " WHERE client = ", Param("client")),
    " AND revoked IS NULL RETURNING id",
)


@final
class Clients:
    """Clients as the OAuth endpoints ask for them.

    Args:
        read: runs a SELECT on the store.
    """

    def __init__(self, read: Read, dialect: DialectName) -> None:
        self._read = read
        self._dialect = dialect

    async def find(self, client_id: str) -> Client | None:
        """The client of this id, whether it may still do something or not."""
        rows = await self._read(find(client_id, self._dialect))
        return client(client_id, rows) if rows else None


def find(client_id: str, dialect: DialectName) -> Statement:
    """A row for each of its credentials, newest first; none when there is no such client."""
    return _FIND[dialect].bind({"id": client_id})


def client(client_id: str, rows: Sequence[Row]) -> Client:
    """From the rows of :func:`find`, at least one."""
    scopes, introspects, disabled, *_ = rows[0]
    return Client(
        client_id,
        words(scopes),
        bool(introspects),
        bool(disabled),
        tuple([_credential(*row[3:]) for row in rows]),
    )


def all_clients(dialect: DialectName) -> Statement:
    """A row for :func:`described` for each credential of each client, oldest first."""
    return _LIST[dialect].bind({})


def described(row: Row, now: float) -> dict[str, Any]:
    """A client's credential as it is shown. Times are Unix seconds."""
    name, identifier, digest, created, expires, revoked, roles, scopes, introspects, plan, disabled = row
    return {
        "client_id": name,
        "credential": identifier,
        "kind": "key" if digest is None else "secret",
        "state": state(expires, revoked, now, disabled=disabled),
        "created": created,
        "expires": expires,
        "revoked": revoked,
        "roles": json.loads(roles),
        "scopes": parsed(scopes),
        "introspects": bool(introspects),
        "plan": plan,
    }


def add(
    account: Account,
    credential: Credential,
    scopes: frozenset[str] | None,
    now: float,
    dialect: DialectName,
    *,
    introspects: bool = False,
    given: Iterable[str] = principals.WHOLE,
) -> Callable[[], Script[Account]]:
    """An account of the kind `client`, with its first credential; returns it as it is stored.

    Args:
        given: see :func:`principals.equip`.

    Raises:
        StoreError: `account-exists`.
    """
    values = {
        "client": account.name,
        "scopes": text(scopes),
        "introspects": int(introspects),
    }

    def script() -> Script[Account]:
        found = yield from principals.equip(account, "client", now, dialect, given)()
        yield _ADD[dialect].bind(values)
        yield _given(account.name, credential, now, dialect)
        return found

    return script


def rotate(
    client_id: str, credential: Credential, now: float, dialect: DialectName, *, overlap_seconds: int
) -> Callable[[], Script[None]]:
    """A further credential; those before it end with the overlap, if not earlier. 0 ends them at once.

    Raises:
        StoreError: `client-unknown`, `client-key-exists`.
    """

    def script() -> Script[None]:
        rows = yield _KNOWN[dialect].bind({"client": client_id})
        if not rows:
            raise _unknown(client_id)
        yield _END[dialect].bind({"client": client_id, "until": int(now) + overlap_seconds})
        try:
            yield _given(client_id, credential, now, dialect)
        except Violation:
            raise StoreError(
                "client-key-exists", credential.id, "It had this key already: register a new one."
            ) from None

    return script


def revoke(client_id: str, now: float, dialect: DialectName) -> Callable[[], Script[list[str]]]:
    """Void its secrets, its keys and every token that it was given, at once; returns the identifiers.

    Raises:
        StoreError: `client-unknown`, also when all of them are revoked already.
    """

    def script() -> Script[list[str]]:
        rows = yield _REVOKE[dialect].bind({"client": client_id, "revoked": int(now)})
        if not rows:
            raise _unknown(client_id)
        yield from principals.revoke_tokens(client_id, now, dialect)()
        return sorted(identifier for (identifier,) in rows)

    return script


def _given(client_id: str, credential: Credential, now: float, dialect: DialectName) -> Statement:
    return _GIVE[dialect].bind(
        {
            "client": client_id,
            "id": credential.id,
            "digest": None if credential.digest is None else credential.digest.hex(),
            "public_jwk": None if credential.public_jwk is None else json.dumps(dict(credential.public_jwk)),
            "created": int(now),
        }
    )


def _credential(digest: str | None, jwk: str | None, expires: int | None, revoked: int | None) -> StoredCredential:
    return StoredCredential(None if digest is None else bytes.fromhex(digest), jwk, expires, revoked)


def _unknown(client_id: str) -> StoreError:
    return StoreError("client-unknown", client_id, "There is no such client: `vallum client list` shows them.")
