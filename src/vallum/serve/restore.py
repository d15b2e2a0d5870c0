"""Brings a data directory back from a backup.

1. The directory is empty, and nobody else uses it.
2. The copy is what was backed up: its digest if that is known, every page, and the chain of its audit.
3. It becomes a database of today (`after_restore`).
4. It gets its name last: a restore that was stopped, even by a kill, leaves no database.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from vallum.audit import keys
from vallum.crypto.digest import hex256_of
from vallum.own_files import sync_directory
from vallum.serve.after_restore import LABEL, Ended, Wanted, end_everything
from vallum.serve.alone import LOCK_FILE, alone
from vallum.serve.backup import FORMAT, pieces
from vallum.serve.files import DATABASE_FILE, KEYS_FOLDER
from vallum.store import sqlite_copy
from vallum.store.errors import StoreError
from vallum.store.sqlite import SqliteFile

WORK: Final = ".restoring"
MAY_BE_THERE: Final = frozenset({LOCK_FILE, WORK, "lost+found"})


@final
@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back.

    Attributes:
        backup_at: Unix seconds of the backup.
        tables: rows of each table, as they were in it.
    """

    backup_at: float
    tables: Mapping[str, int]
    ended: Ended


def restore(backup: Path, data: Path, wanted: Wanted, now: float) -> Restored:
    """Fill an empty data directory.

    Args:
        now: Unix seconds.

    Raises:
        StoreError: `restore-not-empty`, `backup-unreadable`, `backup-digest`, `backup-damaged`, `backup-unknown`,
            `schema-new`, `audit-broken`; nothing is left behind.
        SettingsError: `data-in-use`.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(data):
        found = sorted(path.name for path in data.iterdir() if path.name not in MAY_BE_THERE)
        if found:
            raise StoreError("restore-not-empty", str(data), f"It has {', '.join(found[:3])}: use an empty directory.")
        work = data / WORK
        shutil.rmtree(work, ignore_errors=True)  # of a restore that was killed
        work.mkdir(mode=0o700)
        try:
            done = _fill(work, backup, wanted, now)
            _move(work, data)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return done


def _fill(work: Path, backup: Path, wanted: Wanted, now: float) -> Restored:
    path = work / DATABASE_FILE
    digest = _taken(backup, path)
    if wanted.sha256 is not None and digest != wanted.sha256.strip().lower():
        raise StoreError("backup-digest", str(backup), f"It is another file: its SHA-256 is {digest}.")
    label = _label(path, backup)
    tables = sqlite_copy.counted(path, backup)
    keys.publish(work / KEYS_FOLDER, keys.parsed(json.dumps({"keys": label["audit_keys"]}).encode(), str(backup)))
    note = {"backup_at": label["at"], "sha256": digest}
    with SqliteFile(path) as file:
        ended = end_everything(file, work, wanted, note, now)
    return Restored(label["at"], tables, ended)


def _taken(backup: Path, path: Path) -> str:
    """A copy for the owner alone, which nobody can exchange while it is looked at; returns its digest."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:

        def through() -> Iterator[bytes]:
            for piece in pieces(backup):
                file.write(piece)
                yield piece

        try:
            return hex256_of(through())
        except OSError as error:
            raise StoreError("backup-unreadable", str(backup), f"{error.strerror}.") from None


def _label(path: Path, backup: Path) -> dict[str, Any]:
    """What the backup says of itself."""
    unknown = StoreError("backup-unknown", str(backup), "It was not made by `vallum backup`.")
    try:
        label: dict[str, Any] = json.loads(sqlite_copy.labelled(path, LABEL, backup) or "")
        label["audit_keys"], label["at"] = list(label["audit_keys"]), float(label["at"])
    except (ValueError, KeyError, TypeError):
        raise unknown from None
    if label.get("format") != FORMAT:
        raise StoreError("backup-unknown", str(backup), "A newer Vallum made it: use that one.")
    return label


def _move(work: Path, data: Path) -> None:
    """The database last, so that a directory that has one has everything."""
    names = sorted((path.name for path in work.iterdir()), key=lambda name: (name == DATABASE_FILE, name))
    for name in names:
        (work / name).rename(data / name)
        sync_directory(data)
