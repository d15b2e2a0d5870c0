"""Entries and reports as people read them, and the times that they write."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import typer

from vallum.audit.entry import COLUMNS as MEMBERS
from vallum.audit.fault import Fault, Report
from vallum.store.ports import Row

COLUMNS: Final = ("id", "at", "principal", "verb", "resource", "row_key", "fields", "note")
TIMES: Final = {
    "refuse": "since",
    "prune": "before",
    "restore": "backup_at",
    "key add": "expires",
    "key rotate": "expires",
}
"""Verb → member of its note that is a time in Unix seconds."""


def described(row: Row) -> dict[str, Any]:
    """An entry; what is JSON in it as its value, and each time as people write it."""
    members = dict(zip(MEMBERS, row, strict=True))
    parsed = {name: _parsed(members[name]) for name in ("row_key", "fields", "note")}
    note, time = parsed["note"], TIMES.get(members["verb"], "")
    if isinstance(note, dict) and isinstance(note.get(time), (int, float)):
        parsed["note"] = {**note, time: shown(note[time])}
    return {**members, **parsed, "at": shown(members["at"])}


def shown(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str | None, option: str) -> float | None:
    """Unix seconds of a date or a time; in UTC unless it says otherwise.

    Raises:
        typer.BadParameter: it is neither.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write 2026-11-30 or 2026-11-30T12:00:00Z", param_hint=option) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def told(report: Report) -> str:
    """What a verification found."""
    lines = [f"Sealed: {counted(report.entries, 'entry')} in {counted(report.segments, 'segment')}{_pruned(report)}."]
    if report.sealed_at is not None:
        lines[0] += f" The newest was sealed at {shown(report.sealed_at)}."
    if report.unsealed:
        lines.append(f"Not sealed yet: {counted(report.unsealed, 'entry')}; it could still be changed unnoticed.")
    lines += [f"The checkpoint {name} signed segment {segment}." for name, segment in report.checkpoints.items()]
    if report.whole:
        return "\n".join([*lines, "Everything is as it was sealed."])
    faults = len(report.faults) + report.further
    lines.append(f"Not as it was sealed, {counted(faults, 'fault')}:")
    lines += [f"  {_fault(fault)}" for fault in report.faults]
    if report.further:
        lines.append(f"  and {report.further} more")
    return "\n".join(lines)


def counted(number: int, word: str) -> str:
    """`1 entry`, `2 entries`."""
    several = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number} {word if number == 1 else several}"


def _pruned(report: Report) -> str:
    return f", of which the first {report.pruned} are pruned" if report.pruned else ""


def _fault(fault: Fault) -> str:
    places = [f"{word} {at}" for word, at in (("segment", fault.segment), ("entry", fault.entry)) if at is not None]
    return f"{fault.kind}{' (' + ', '.join(places) + ')' if places else ''}: {fault.detail}"


def _parsed(text: Any) -> Any:
    """The JSON of what Vallum wrote as such; a handler's own words stay what they are."""
    if not isinstance(text, str) or text[:1] not in {"{", "["}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
