"""A database with a short chain, and somebody who may write in its file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from vallum import defaults
from vallum.audit import keys
from vallum.audit.checkpoint import signer
from vallum.audit.entry import SELECT, line
from vallum.audit.event import AuditEvent
from vallum.audit.fault import Report
from vallum.audit.seal import batch
from vallum.audit.segment import NAMES, Segment, sealed, unpacked
from vallum.audit.verify import verify
from vallum.audit.write import insert
from vallum.crypto.signing_key import SigningKey
from vallum.store import migrations
from vallum.store.ports import Script, Statement
from vallum.store.sql import render
from vallum.store.sqlite import SqliteFile

NOW: Final = 1_790_000_000.0
ROWS: Final = 4
"""Entries of a segment here."""
DENIED: Final = 7
"""The entry that counts refusals."""


def event(number: int, **members: Any) -> AuditEvent:
    """One that differs from the others."""
    key = f'{{"id":{number}}}'
    made = AuditEvent(NOW + number, f"{number:032x}", "teacher-17", "change", "students", key, ("name",), "aa", "bb")
    return replace(made, **members)


def writing(*events: AuditEvent) -> Any:
    """A script that records them."""

    def script() -> Script[None]:
        for each in events:
            yield insert(each, "sqlite")

    return script


def seal_all(file: SqliteFile, key: SigningKey, folder: Path, now: float = NOW) -> int:
    """Seal what is there; the number of segments made."""
    trusted = keys.key_set(keys.public_jwks(folder))
    made = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defaults, "AUDIT_SEGMENT_ROWS", ROWS)
        while file.write(lambda: batch(signer(key), trusted, now, "sqlite")):
            made += 1
    return made


def make(data: Path) -> SigningKey:
    """A database with the tables, and the audit's key."""
    data.mkdir(mode=0o700)
    with SqliteFile.create(data / "vallum.db") as file:
        file.write(migrations.create("sqlite"))
    return keys.make(data / "keys", None)


def checked(data: Path, outside: Mapping[str, str] | None = None, now: float = NOW) -> Report:
    """What a verification says."""
    with SqliteFile(data / "vallum.db") as file:
        return file.look(lambda: verify(keys.key_set(keys.public_jwks(data / "keys")), outside or {}, "sqlite", now))


@contextmanager
def tampering(data: Path) -> Iterator[sqlite3.Connection]:
    """The file as its owner could write in it; the triggers are put back as they were."""
    with closing(sqlite3.connect(data / "vallum.db", isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, text in triggers:
            connection.execute(text)


def rechain(connection: sqlite3.Connection, *, first: int = 1) -> Segment | None:
    """What a forger without the key does: write every segment from `first` on anew, so that all hashes fit."""
    select = render(SELECT, "sqlite").text
    rows = connection.execute(f"SELECT {', '.join(NAMES)} FROM vallum_audit_segment ORDER BY number").fetchall()
    previous: Segment | None = None
    for row in rows:
        segment = Segment(*row)
        if segment.number >= first:
            ids = [number for each in unpacked(segment.ids) for number in each]
            found = [connection.execute(f"{select} WHERE id = ?", (number,)).fetchone() for number in ids]
            entries = [(entry[0], line(entry)) for entry in found if entry is not None]
            segment = sealed(previous, entries, segment.at)
            connection.execute("DELETE FROM vallum_audit_segment WHERE number = ?", (segment.number,))
            values = [getattr(segment, name) for name in NAMES]
            marks = ", ".join("?" * len(NAMES))
            connection.execute(f"INSERT INTO vallum_audit_segment ({', '.join(NAMES)}) VALUES ({marks})", values)
        previous = segment
    return previous


def newest(file: SqliteFile) -> str:
    """The checkpoint in the database."""
    return str(file.read(Statement("SELECT value FROM vallum_meta WHERE key = 'audit_checkpoint'", ()))[0][0])
