"""The newest checkpoint beside the database: who can only write in the database cannot replace the chain unnoticed."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

from vallum.audit.checkpoint import verified
from vallum.audit.seal import CHECKPOINT
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet
from vallum.crypto.keyfile import read_secret, write_secret
from vallum.declare.dialect import DialectName
from vallum.store.errors import StoreError
from vallum.store.ports import Script
from vallum.store.sql import Param, each_dialect

T = TypeVar("T")

FILE: Final = "audit.checkpoint"
_END: Final = each_dialect(  # one statement, one moment: another process may be sealing
    *("SELECT (SELECT value FROM vallum_meta WHERE key = ", Param("key"), "),"),
    " (SELECT number FROM vallum_audit_segment ORDER BY number DESC LIMIT 1),"
    " (SELECT hash FROM vallum_audit_segment ORDER BY number DESC LIMIT 1)",
)
_HASH: Final = each_dialect("SELECT hash FROM vallum_audit_segment WHERE number = ", Param("number"))


def kept(data: Path) -> str | None:
    """The checkpoint that was kept in the data directory, or None.

    Raises:
        BadKey: others may write it.
    """
    try:
        return read_secret(data / FILE).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None


def keep(data: Path, checkpoint: str) -> None:
    """Put a newer one in its place."""
    write_secret(data / FILE, checkpoint.encode() + b"\n", replace=True)


def put_away(data: Path, now: float) -> None:
    """Keep it under another name: the database is another one from now on."""
    path = data / FILE
    if path.exists():
        path.rename(data / f"{FILE}.{int(now)}")


def follow(before: str | None, keys: KeySet, dialect: DialectName) -> Script[str | None]:
    """The newest checkpoint, if the chain still has what was signed before, and ends with what was signed last.

    None when it is the same, or there is none. Hashes need no key: only what was signed is known to be ours.

    Args:
        before: one that is known from elsewhere than the database.

    Raises:
        StoreError: `audit-replaced`.
    """
    try:
        signed = None if before is None else verified(before, keys)
        rows = yield _END[dialect].bind({"key": CHECKPOINT})
        text, *end = rows[0]
        last = None if text is None else verified(text, keys)
    except NotAuthentic:
        raise _replaced() from None
    if end != ([None, None] if last is None else [last.segment, last.hash]):
        raise _replaced()
    if signed is not None and signed.segment:
        rows = yield _HASH[dialect].bind({"number": signed.segment})
        if not rows or rows[0][0] != signed.hash:
            raise _replaced()
    return None if text == before else text


def upon(before: str | None, keys: KeySet, dialect: DialectName, signing: Script[T]) -> Script[T]:
    """Run what signs the chain's end, in one transaction with the look at the end that was signed last.

    Raises:
        StoreError: `audit-replaced`.
    """
    yield from follow(before, keys, dialect)
    return (yield from signing)


def _replaced() -> StoreError:
    mend = "The chain is not the one that was signed: `vallum audit verify` says more. The file stays as evidence."
    return StoreError("audit-replaced", FILE, mend)
