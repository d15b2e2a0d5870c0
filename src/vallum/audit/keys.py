"""The audit's own key: its private half signs checkpoints, its public half and those before it verify them.

Both lie in files beside the other keys and never in the database: who can write there must not choose whom to trust.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from vallum.crypto import signing_key
from vallum.crypto.errors import BadKey
from vallum.crypto.jwk import KeySet
from vallum.crypto.keyfile import read_secret, write_secret
from vallum.crypto.signing_key import SigningKey
from vallum.store.errors import StoreError

ALGORITHM: Final = "Ed25519"
PRIVATE_FILE: Final = "audit.pem"
PUBLIC_FILE: Final = "audit.jwks"


def make(folder: Path, passphrase: bytes | None) -> SigningKey:
    """A new key in place of the present one, whose public half stays trusted; returns it.

    The public half is written first: a checkpoint that nobody can verify would look like a forged one.

    Args:
        folder: `<data>/keys`.
        passphrase: of the private file, when there is a master key.
    """
    key = signing_key.generate(ALGORITHM)
    publish(folder, [*public_jwks(folder), key.public_jwk])
    write_secret(folder / PRIVATE_FILE, key.private_pem(passphrase), replace=True)
    return key


def ensure(folder: Path, passphrase: bytes | None, *, signed: bool) -> SigningKey:
    """The present key; the first one is made.

    Args:
        signed: there is a checkpoint: then its key was here, and its loss is told rather than papered over.

    Raises:
        StoreError: `audit-key-missing`, `audit-key`.
    """
    if not signed and not (folder / PRIVATE_FILE).exists():
        return make(folder, passphrase)
    return load(folder, passphrase)


def load(folder: Path, passphrase: bytes | None) -> SigningKey:
    """The present key.

    Raises:
        StoreError: `audit-key-missing`, `audit-key`.
    """
    path = folder / PRIVATE_FILE
    try:
        return signing_key.load(read_secret(path), passphrase)
    except FileNotFoundError:
        mend = "Restore the file from where it went, or make another with `vallum audit rekey`."
        raise StoreError("audit-key-missing", str(path), mend) from None
    except BadKey as error:
        raise StoreError("audit-key", str(path), f"{error.detail}; `vallum audit rekey` makes another.") from None


def trust_only(folder: Path, key: SigningKey) -> None:
    """Believe no other key any more."""
    publish(folder, [key.public_jwk])


def publish(folder: Path, jwks: Iterable[Mapping[str, str]]) -> None:
    """Trust these public keys."""
    content = json.dumps({"keys": [dict(jwk) for jwk in jwks]}, indent=1).encode() + b"\n"
    write_secret(folder / PUBLIC_FILE, content, replace=True)


def public_jwks(folder: Path) -> list[Mapping[str, str]]:
    """Every public key that is trusted, oldest first; none when there is no file.

    Raises:
        StoreError: `audit-key`.
    """
    try:
        return parsed(read_secret(folder / PUBLIC_FILE), str(folder / PUBLIC_FILE))
    except FileNotFoundError:
        return []
    except BadKey as error:
        raise StoreError("audit-key", str(folder / PUBLIC_FILE), f"{error.detail}.") from None


def parsed(content: bytes, place: str) -> list[Mapping[str, str]]:
    """A JWK set (RFC 7517 §5).

    Raises:
        StoreError: `audit-key`.
    """
    try:
        listed = list(json.loads(content)["keys"])
        key_set(listed)
    except (ValueError, KeyError, TypeError, AttributeError, BadKey):
        raise StoreError("audit-key", place, "It is no JWK set of public keys.") from None
    return listed


def key_set(jwks: list[Mapping[str, str]]) -> KeySet:
    """For verification.

    Raises:
        BadKey: one of them is not a public key.
    """
    return KeySet.read(jwks)
