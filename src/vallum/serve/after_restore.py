"""What has to happen to a database that was brought back, before anybody is served from it.

Every token, signing key and remembered epoch is void; what was secret is made anew; an entry of the audit says so, and
is sealed under the audit's new key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from vallum.audit import anchor, keys
from vallum.audit.checkpoint import signer
from vallum.audit.fault import Report
from vallum.audit.operator import Deed, recorded
from vallum.audit.seal import batch, newest
from vallum.audit.verify import verify
from vallum.crypto.signing_key import SigningKey
from vallum.serve.files import KEYS_FOLDER
from vallum.serve.keyring import cursor_secret, forget_cursor_secret, rotate
from vallum.store import migrations, restored
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase, Script
from vallum.store.schema import principal

LABEL: Final = "backup"
"""The key in `vallum_meta` of what a backup says of itself."""
COMMAND: Final = "restore"


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """How to bring it back.

    Attributes:
        sha256: of the backup, as `vallum backup` said it; None when it is not known any more.
        trusted: the audit's public keys, kept elsewhere; None: those in the backup.
        checkpoints: of the audit, kept elsewhere, by where.
        broken_audit: go on although the audit is not whole.
        void_credentials: revoke API keys and clients' secrets and keys too.
        passphrase: of the new keys' files, or None.
    """

    sha256: str | None = None
    trusted: list[Mapping[str, str]] | None = None
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    broken_audit: bool = False
    void_credentials: bool = False
    passphrase: bytes | None = None


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """What was done.

    Attributes:
        accounts: whose tokens are void.
        voided: credentials that were revoked because it was asked for.
        audit_key: signs checkpoints from now on.
        audit: as it was found.
    """

    accounts: int
    voided: int
    audit_key: str
    audit: Report


def end_everything(
    database: CommandDatabase, place: Path, wanted: Wanted, note: Mapping[str, object], now: float
) -> Ended:
    """Make the database one of today.

    Args:
        place: the directory of the keys and of the kept checkpoint.
        note: what else the entry says.
        now: Unix seconds.

    Raises:
        StoreError: `schema-missing`, `schema-new`, `audit-broken`; the database is as it was then, but for its version.
    """
    folder, dialect = place / KEYS_FOLDER, database.dialect
    database.write(migrations.migrate(database.dialect))
    public = keys.public_jwks(folder) if wanted.trusted is None else wanted.trusted
    report = database.look(lambda: verify(keys.key_set(public), wanted.checkpoints, dialect, now))
    _check(report, wanted)
    key = keys.make(folder, wanted.passphrase)
    forget_cursor_secret(folder)
    cursor_secret(folder, wanted.passphrase)

    def script() -> Script[tuple[int, int]]:
        accounts = yield from restored.end_sessions(now, dialect)
        voided = (yield from restored.void_credentials(now, dialect)) if wanted.void_credentials else 0
        yield from rotate(folder, now, dialect, wanted.passphrase)()
        yield from restored.forget(LABEL, dialect)
        return accounts, voided

    facts = {**note, "audit_key": key.kid, "audit_faults": len(report.faults) + report.further}
    deed = Deed(COMMAND, principal.name, note={**facts, "void_credentials": wanted.void_credentials})
    accounts, voided = database.write(recorded(lambda _: deed, script, now, dialect))
    _seal(database, place, key, now)
    return Ended(accounts, voided, key.kid, report)


def _check(report: Report, wanted: Wanted) -> None:
    if report.whole or wanted.broken_audit:
        return
    mend = f"The audit is not as it was sealed: {report.faults[0].detail}. `--broken-audit` restores it all the same."
    raise StoreError("audit-broken", report.faults[0].kind, mend)


def _seal(database: CommandDatabase, place: Path, key: SigningKey, now: float) -> None:
    """Everything under the new key; the checkpoint that was kept belongs to what was there before."""
    dialect, trusted = database.dialect, keys.key_set(keys.public_jwks(place / KEYS_FOLDER))
    while database.write(lambda: batch(signer(key), trusted, now, dialect)):
        pass
    anchor.put_away(place, now)
    anchor.keep(place, database.write(lambda: newest(dialect)) or "")
