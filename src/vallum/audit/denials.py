"""Refusals, counted: one entry a minute for each caller, route and reason, however many there were.

An attacker must not be able to fill the audit, or the memory. What there is no room for is counted as lost, and the
count is written. Callers that are known and network addresses have rooms of their own: a flood of strangers must not
hide what a thief of a credential was refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from vallum import defaults
from vallum.audit.event import AuditEvent
from vallum.audit.write import insert
from vallum.declare.dialect import DialectName
from vallum.store.memory import address_key
from vallum.store.ports import Script

STATUSES: Final = frozenset({401, 403, 404, 405, 409, 421, 429})
"""Of refusals that say something of who asks. Others are faults of the input (400, 422), races (412) or ours (503)."""
VERB: Final = "refuse"
ANY: Final = "*"
"""The route of what was lost, and of a request that came to no route."""


class Kind(NamedTuple):
    """What is counted together.

    Attributes:
        known: `who` is the id of an account, else a network address (IPv6: its /64).
        route: the pattern of the path, or `*`.
        code: of the refusal.
    """

    known: bool
    who: str
    route: str
    code: str


@final
@dataclass(slots=True)
class Count:
    """How often, from when to when (Unix seconds), and the last request."""

    count: int
    since: float
    last: float
    request_id: str

    def add(self, other: Count) -> None:
        """Count those of the other as well."""
        self.count += other.count
        self.since = min(self.since, other.since)
        if other.last >= self.last:
            self.last, self.request_id = other.last, other.request_id


@final
class Denials:
    """Counts of one process, in memory until they are written."""

    def __init__(
        self, known: int = defaults.AUDIT_DENIALS_KNOWN, strangers: int = defaults.AUDIT_DENIALS_STRANGERS
    ) -> None:
        self._rooms = {True: known, False: strangers}
        self._counts: dict[bool, dict[Kind, Count]] = {True: {}, False: {}}
        self._lost: Count | None = None

    def refused(
        self, code: str, principal: str | None, address: str, route: str | None, request_id: str, now: float
    ) -> None:
        """Count one refusal of `STATUSES`.

        Args:
            principal: None for a caller that is not known; then the address stands for it.
            now: Unix seconds.
        """
        who = address_key(address) if principal is None else principal
        self._add(Kind(principal is not None, who, route or ANY, code), Count(1, now, now, request_id))

    def take(self) -> list[tuple[Kind | None, Count]]:
        """What was counted since it was last taken; None stands for what was lost."""
        taken: list[tuple[Kind | None, Count]] = [each for room in self._counts.values() for each in room.items()]
        if self._lost is not None:
            taken.append((None, self._lost))
        self._counts, self._lost = {True: {}, False: {}}, None
        return taken

    def put_back(self, taken: Iterable[tuple[Kind | None, Count]]) -> None:
        """What could not be written is written next time."""
        for kind, count in taken:
            self._add(kind, count)

    def _add(self, kind: Kind | None, count: Count) -> None:
        room = {} if kind is None else self._counts[kind.known]
        present = self._lost if kind is None else room.get(kind)
        if present is not None:
            present.add(count)
        elif kind is None:
            self._lost = count
        elif len(room) < self._rooms[kind.known]:
            room[kind] = count
        else:
            self._add(None, count)


def write(taken: Iterable[tuple[Kind | None, Count]], dialect: DialectName) -> Script[None]:
    """An entry for each count."""
    for event in map(_event, taken):
        yield insert(event, dialect)


def _event(counted: tuple[Kind | None, Count]) -> AuditEvent:
    kind, count = counted
    principal = kind.who if kind is not None and kind.known else None
    note = json.dumps(dict(_note(kind, count)), ensure_ascii=False)
    route = ANY if kind is None else kind.route
    return AuditEvent(count.last, count.request_id, principal, VERB, route, note=note)


def _note(kind: Kind | None, count: Count) -> Iterator[tuple[str, object]]:
    if kind is None:
        yield "lost", count.count
    else:
        yield "code", kind.code
        yield "count", count.count
    if kind is not None and not kind.known:
        yield "address", kind.who
    yield "since", count.since
