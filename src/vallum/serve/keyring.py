"""The keys that sign access tokens: private halves in files, their state in the store.

A rotation leaves the old key to verify until the tokens it signed have expired. A revocation is at once: it moves
every epoch, so that running servers look at their keys again with the next request of each caller.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from vallum import defaults
from vallum.crypto import access_token, signing_key, wrapped
from vallum.crypto.errors import BadKey
from vallum.crypto.jwk import KeySet
from vallum.crypto.keyfile import read_secret, write_secret
from vallum.crypto.random import token_bytes
from vallum.crypto.signing_key import SigningKey
from vallum.declare.dialect import DialectName
from vallum.declare.document import Document
from vallum.store import principals
from vallum.store.errors import StoreError
from vallum.store.ports import Row, Script, Statement
from vallum.store.sql import Param, each_dialect

ALGORITHM: Final = "Ed25519"
OVERLAP_SECONDS: Final = defaults.TOKEN_SECONDS + defaults.TOKEN_LEEWAY_SECONDS
"""How long a rotated key verifies: the longest life of a token that it signed."""
SECRET_BYTES: Final = 32
CURSOR_FILE: Final = "secret"

Read = Callable[[Statement], Awaitable[Sequence[Row]]]


_ALL: Final = each_dialect(
    "SELECT kid, public_jwk, created, retires, revoked FROM vallum_signing_key"
    " ORDER BY created, retires IS NULL AND revoked IS NULL, kid"  # of one second the one that signs comes last
)
_ADD: Final = each_dialect(
    "INSERT INTO vallum_signing_key (kid, algorithm, public_jwk, created) VALUES (",
    *(Param("kid"), ", ", Param("algorithm"), ", ", Param("public_jwk"), ", ", Param("created"), ")"),
)
_RETIRE: Final = each_dialect(
    "UPDATE vallum_signing_key SET retires = ",
    Param("retires"),
    " WHERE retires IS NULL AND revoked IS NULL AND kid <> ",
    Param("kid"),
)
_REVOKE: Final = each_dialect(
    "UPDATE vallum_signing_key SET revoked = ",
    Param("revoked"),
    " WHERE kid = ",
    Param("kid"),
    " AND revoked IS NULL RETURNING kid",
)


@final
@dataclass(frozen=True, slots=True)
class KeyState:
    """One signing key as the store holds it. Times are Unix seconds."""

    kid: str
    public_jwk: Mapping[str, str]
    created: int
    retires: int | None
    revoked: int | None

    def verifies(self, now: float) -> bool:
        """Whether tokens that it signed are accepted."""
        return self.revoked is None and (self.retires is None or now < self.retires)

    @property
    def signs(self) -> bool:
        """Whether new tokens are signed by it."""
        return self.revoked is None and self.retires is None


def states(rows: Sequence[Row]) -> list[KeyState]:
    """From the rows of :func:`all_keys`."""
    return [KeyState(kid, json.loads(jwk), created, retires, revoked) for kid, jwk, created, retires, revoked in rows]


def all_keys(dialect: DialectName) -> Statement:
    """Every key that ever was, oldest first."""
    return _ALL[dialect].bind({})


def rotate(
    folder: Path, now: float, dialect: DialectName, passphrase: bytes | None = None
) -> Callable[[], Script[str]]:
    """Make a new key; the ones before it verify for :data:`OVERLAP_SECONDS` more. Returns its kid.

    The file is written first: a key in the store whose file is missing could not sign.
    """
    key = signing_key.generate(ALGORITHM)
    while key.kid.startswith("-"):  # `vallum keys revoke KID` would take it for an option
        key = signing_key.generate(ALGORITHM)
    write_secret(folder / f"{key.kid}.pem", key.private_pem(passphrase))

    def script() -> Script[str]:
        values = {
            "kid": key.kid,
            "algorithm": key.algorithm.name,
            "public_jwk": json.dumps(dict(key.public_jwk)),
            "created": int(now),
            "retires": int(now) + OVERLAP_SECONDS,
        }
        yield _ADD[dialect].bind(values)
        yield _RETIRE[dialect].bind(values)
        return key.kid

    return script


def revoke(kid: str, now: float, dialect: DialectName) -> Callable[[], Script[None]]:
    """Void a key and every token that it signed, at once.

    Raises:
        StoreError: `key-unknown`.
    """

    def script() -> Script[None]:
        rows = yield _REVOKE[dialect].bind({"kid": kid, "revoked": int(now)})
        if not rows:
            raise StoreError("key-unknown", kid, "`vallum keys list` shows the keys.")
        yield from principals.bump_all(dialect)()

    return script


@final
class Keyring:
    """The signing keys of one data directory.

    Args:
        folder: of the private keys, `<data>/keys`.
        read: runs a SELECT on the store.
        clock: Unix seconds.
        passphrase: of the private keys, when a master key is set.
    """

    def __init__(
        self,
        folder: Path,
        read: Read,
        dialect: DialectName,
        clock: Callable[[], float],
        passphrase: bytes | None = None,
    ) -> None:
        self._folder = folder
        self._read = read
        self._dialect = dialect
        self._clock = clock
        self._passphrase = passphrase
        self._parsed: tuple[list[str], KeySet] = ([], KeySet([]))
        self._signing: SigningKey | None = None

    async def signing_keys(self) -> KeySet:
        """The keys whose tokens are accepted now. Asked for each token that was not verified before."""
        valid = [state for state in states(await self._read(all_keys(self._dialect))) if state.verifies(self._clock())]
        kids = [state.kid for state in valid]
        if kids != self._parsed[0]:
            self._parsed = (kids, KeySet.read([state.public_jwk for state in valid]))
        return self._parsed[1]

    async def jwks(self, _: object) -> Document:
        """The same keys as a JWK set (RFC 7517 §5, §8.5.2): the service of a built-in route."""
        valid = [state for state in states(await self._read(all_keys(self._dialect))) if state.verifies(self._clock())]
        body = json.dumps({"keys": [dict(state.public_jwk) for state in valid]}).encode()
        return Document(200, "application/jwk-set+json", body)

    async def issue(self, subject: str, *, issuer: str, audience: str, lifetime_seconds: int, **claims: Any) -> str:
        """An access token for `subject`, signed by the newest key; as of `now`, the present when it is not given.

        Raises:
            StoreError: `key-missing`.
        """
        signing = [state for state in states(await self._read(all_keys(self._dialect))) if state.signs]
        if not signing:
            raise StoreError("key-missing", str(self._folder), "Run `vallum keys rotate`.")
        newest = signing[-1].kid
        if self._signing is None or self._signing.kid != newest:
            self._signing = signing_key.load(read_secret(self._folder / f"{newest}.pem"), self._passphrase)
        return access_token.issue(
            self._signing,
            issuer=issuer,
            audience=audience,
            subject=subject,
            client_id=claims.pop("client_id", subject),
            now=claims.pop("now", None) or self._clock(),
            lifetime_seconds=lifetime_seconds,
            **claims,
        )


def forget_cursor_secret(folder: Path) -> None:
    """Void every cursor that was given out."""
    (folder / CURSOR_FILE).unlink(missing_ok=True)


def cursor_secret(folder: Path, passphrase: bytes | None) -> bytes:
    """The secret behind cursors, made when it is first asked for, and put under a master key that is new.

    Args:
        folder: of the private keys, `<data>/keys`.
        passphrase: of its file, when a master key is set.

    Raises:
        BadKey: `wrapped_passphrase`: the file is under another master key, or under one while none is set.
    """
    path = folder / CURSOR_FILE
    if not path.exists():
        with suppress(FileExistsError):  # another process was first
            write_secret(path, _at_rest(token_bytes(SECRET_BYTES), passphrase))
    secret, is_wrapped = read_cursor_secret(folder, passphrase)
    if passphrase is not None and not is_wrapped:
        write_secret(path, wrapped.wrap(secret, passphrase), replace=True)
    return secret


def read_cursor_secret(folder: Path, passphrase: bytes | None) -> tuple[bytes, bool]:
    """The secret as its file has it, and whether the file is under a master key.

    Raises:
        FileNotFoundError: there is none yet.
        BadKey: `wrapped_passphrase`, as of :func:`cursor_secret`.
    """
    path = folder / CURSOR_FILE
    content = read_secret(path)
    if not wrapped.is_wrapped(content):
        return content, False
    mend = f"give the master key of {path}, or remove the file: cursors that were given out are void then"
    if passphrase is None:
        raise BadKey("wrapped_passphrase", f"no master key is set: {mend}")
    try:
        return wrapped.unwrap(content, passphrase), True
    except BadKey as error:
        raise BadKey("wrapped_passphrase", f"{error.detail}: {mend}") from None


def _at_rest(secret: bytes, passphrase: bytes | None) -> bytes:
    return secret if passphrase is None else wrapped.wrap(secret, passphrase)
