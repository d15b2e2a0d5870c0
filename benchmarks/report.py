"""What a part found, as a table for people, as Markdown for docs/benchmarks.md and as JSON for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final, final

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, cpu_ratio, median, ratio

LOAD_COLUMNS: Final = ("", "requests/s", "ratio", "CPU µs a request", "ratio", "p50 µs", "p99 µs")


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Goal:
    """What was to be reached."""

    text: str
    reached: float
    met: bool

    def __str__(self) -> str:
        return f"Goal: {self.text}: {'met' if self.met else 'MISSED'} ({self.reached:.2f})."


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """Of one part.

    Attributes:
        how: how long, how often, with how many connections.
        rows: cells; the first column is text, the others are numbers.
        notes: sentences below the table.
        data: every single run, for the JSON file.
    """

    part: str
    title: str
    how: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = ()
    data: Any = None


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A row of a table of loads.

    Attributes:
        base: index of the row that it is compared with; None for one that others are compared with.
    """

    name: str
    base: int | None = None


def load_rows(lines: Sequence[Line], results: Sequence[Sequence[Measured]]) -> list[list[str]]:
    """The cells under `LOAD_COLUMNS`."""
    rows = []
    for line, runs in zip(lines, results, strict=True):
        middle = median(runs)
        base = runs if line.base is None else results[line.base]
        per_second, cpu, *latency = (_number(value) for value in middle)
        rows.append([line.name, per_second, _factor(ratio(runs, base)), cpu, _factor(cpu_ratio(runs, base)), *latency])
    return rows


def load_data(lines: Sequence[Line], results: Sequence[Sequence[Measured]]) -> list[dict[str, Any]]:
    """The same for programs: every run."""
    return [
        {"name": line.name, "compared_with": line.base, "runs": [run._asdict() for run in runs]}
        for line, runs in zip(lines, results, strict=True)
    ]


def shown(section: Section, console: Console) -> None:
    """On the terminal."""
    table = Table(title=section.title, caption=section.how)
    for index, heading in enumerate(section.columns):
        table.add_column(heading, justify="right" if index else "left")
    for row in section.rows:
        table.add_row(*row)
    console.print(table)
    for sentence in (*section.goals, *section.notes):
        console.print(str(sentence))


def markdown(section: Section) -> str:
    """For docs/benchmarks.md."""
    lines = [f"### {section.title}", "", f"`make bench PARTS={section.part}`: {section.how}.", ""]
    lines.append(_line(section.columns))
    lines.append("|---" + "|--:" * (len(section.columns) - 1) + "|")
    lines += [_line(row) for row in section.rows]
    sentences = [str(sentence) for sentence in (*section.goals, *section.notes)]
    return "\n".join(lines + ([""] if sentences else []) + sentences) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _factor(value: float | None) -> str:
    return "–" if value is None else f"{value:.{2 if value < 10 else 1}f}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.0f}" if value >= 100 else f"{value:.1f}"
