"""Makes a backup of a data directory that may be in use: the database, and the public keys that verify its audit.

No private key is in it. A restore makes new ones, for every token ends with it anyway; so a stolen backup signs nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

from vallum import defaults
from vallum.audit import keys
from vallum.audit.fault import Report
from vallum.audit.verify import verify
from vallum.crypto.digest import hex256_of
from vallum.own_files import sync_directory
from vallum.serve.after_restore import LABEL
from vallum.serve.files import DATABASE_FILE, KEYS_FOLDER
from vallum.store import sqlite_copy
from vallum.store.errors import StoreError
from vallum.store.migrations import VERSION
from vallum.store.sqlite import SqliteFile

FORMAT: Final = 1


@final
@dataclass(frozen=True, slots=True)
class Backup:
    """One that was written and looked at.

    Attributes:
        sha256: of the file, in hex digits.
        tables: rows of each table.
        audit: whether the audit in it is whole.
    """

    file: Path
    sha256: str
    bytes: int
    tables: Mapping[str, int]
    audit: Report


def make_backup(data: Path, target: Path, now: float) -> Backup:
    """Copy, look at every page, bring it to the disk, and only then give it its name.

    Args:
        target: a new file, or a directory in which one is made.
        now: Unix seconds.

    Raises:
        StoreError: `backup-exists`, `backup-directory`, `backup-damaged`; nothing is left behind.
    """
    path = _named(target, now)
    public = keys.public_jwks(data / KEYS_FOLDER)
    with _draft(path) as draft:
        sqlite_copy.copy(data / DATABASE_FILE, draft)
        label = {"format": FORMAT, "at": now, "schema": VERSION, "audit_keys": public}
        sqlite_copy.label(draft, LABEL, json.dumps(label))
        tables = sqlite_copy.counted(draft, path)
        with SqliteFile(draft) as file:
            audit = file.look(lambda: verify(keys.key_set(public), {}, file.dialect, now))
        sqlite_copy.settle(draft)
        digest = hex256_of(pieces(draft))
        size = draft.stat().st_size
    return Backup(path, digest, size, tables, audit)


def pieces(path: Path) -> Iterator[bytes]:
    """The content of a file."""
    with path.open("rb") as file:
        while piece := file.read(defaults.MIB):
            yield piece


def _named(target: Path, now: float) -> Path:
    path = target
    if target.is_dir():
        path = target / f"vallum-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.db"
    if path.exists():
        raise StoreError("backup-exists", str(path), "Use another name: a backup is never written over.")
    if not path.parent.is_dir():
        raise StoreError("backup-directory", str(path.parent), "There is no such directory.")
    return path


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Where to make the file that is `path` once it is whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    sqlite_copy.remove(draft)
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        sqlite_copy.remove(draft)
    sync_directory(path.parent)
