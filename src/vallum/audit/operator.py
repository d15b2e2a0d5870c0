"""What an operator does by a command is in the audit like any other write, in its transaction, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, final

from vallum.audit.event import OPERATOR, AuditEvent
from vallum.audit.write import insert
from vallum.crypto.random import request_id
from vallum.declare.dialect import DialectName
from vallum.store.ports import Script

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Deed:
    """One command.

    Attributes:
        command: its words, such as `user add`.
        table: of Vallum's own tables, the one that it changes.
        key: of the row.
        fields: names of what was given.
        note: what a reviewer needs to know of it, such as the roles given; never a secret, nor personal data.
    """

    command: str
    table: str
    key: Mapping[str, str] | None = None
    fields: tuple[str, ...] = ()
    note: Mapping[str, object] | None = None


def recorded(
    deed: Callable[[T], Deed | None], make: Callable[[], Script[T]], now: float, dialect: DialectName
) -> Callable[[], Script[T]]:
    """The script with its entry.

    Args:
        deed: what it was, from its outcome; None when nothing was changed.
        now: Unix seconds.
    """

    def script() -> Script[T]:
        outcome = yield from make()
        found = deed(outcome)
        if found is not None:
            yield insert(_event(found, now), dialect)
        return outcome

    return script


def nothing() -> Script[None]:
    """For a deed outside the database: its entry alone."""
    yield from ()


def _event(deed: Deed, now: float) -> AuditEvent:
    key, note = _json(deed.key), _json(deed.note)
    return AuditEvent(now, request_id(), OPERATOR, deed.command, deed.table, key, deed.fields, note=note)


def _json(members: Mapping[str, object] | None) -> str | None:
    return None if members is None else json.dumps(members, ensure_ascii=False)
