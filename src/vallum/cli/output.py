"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, final

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_C1: Final = re.compile(r"[\x7f-\x9f]")
"""Control characters that JSON does not escape, and some terminals carry out."""
UNBOUNDED: Final = 100_000
"""Columns: what is read by a program is not folded at the width of a terminal."""


@final
class Lines(tuple[str, ...]):
    """Texts that stand below each other in one cell of a table."""

    __slots__ = ()


def show(value: Any) -> None:
    """One JSON document."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    typer.echo(_C1.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Rows as a JSON array, or as a table with these columns; without a terminal it is as wide as it must be."""
    if as_json:
        show(list(rows))
        return
    grid = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(_cell(row[column])) for column in columns))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNBOUNDED)
    console.print(grid)


def _cell(value: Any) -> str:
    return "\n".join(map(_visible, value)) if isinstance(value, Lines) else _visible(_text(value))


def _visible(text: str) -> str:
    """With escapes for what a terminal would carry out or hide: keys of rows are what some client has written."""
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() else each.encode("unicode_escape").decode() for each in text])


def time_text(seconds: int | None) -> str | None:
    """Unix seconds as RFC 3339 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: Any) -> str:
    match value:
        case None:
            return "–"
        case list() | tuple() | dict() if not value:
            return "–"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(_part, value))
        case dict():
            return ", ".join(f"{key}={_part(part)}" for key, part in value.items())
        case _:
            return str(value)


def _part(value: Any) -> str:
    """A member of a list or mapping: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
