"""Measuring in turns, so that what else the machine does meets everybody alike."""

from __future__ import annotations

import re
import statistics
import subprocess
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, final

from rich.console import Console

from benchmarks.servers import Server

WARM_SECONDS: Final = 1
UNITS: Final = {"us": 1, "ms": 1e3, "s": 1e6}


class Measured(NamedTuple):
    """One run against one target. What was not measured is None.

    Attributes:
        per_second: answered requests.
        cpu_us: processor time of the server's processes for each of them, all of their threads together.
        p50_us, p99_us: latency.
    """

    per_second: float
    cpu_us: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None


class Target(Protocol):
    """What can be measured."""

    def run(self, seconds: int) -> Measured:
        """For so long.

        Raises:
            SystemExit: an answer was no success.
        """


@final
class Wrk:
    """One path of one server, by wrk."""

    def __init__(self, server: Server, path: str, token: str, connections: int) -> None:
        self._server = server
        self._command = ["wrk", "-t1", f"-c{connections}", "--latency", "-H", f"Authorization: Bearer {token}"]
        self._url = server.origin + path

    def run(self, seconds: int) -> Measured:
        """See `Target`."""
        before = self._server.cpu_seconds()
        command = [*self._command, f"-d{seconds}s", self._url]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return read_wrk(text, self._server.cpu_seconds() - before)


def read_wrk(text: str, cpu_seconds: float) -> Measured:
    """What wrk printed.

    Raises:
        SystemExit: an answer was no success, or it is another text than expected.
    """
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"Not every request was answered with success:\n{text}")
    return Measured(
        per_second=float(found(r"Requests/sec:\s+([\d.]+)", text)),
        cpu_us=cpu_seconds * 1e6 / int(found(r"(\d+) requests in", text)),
        p50_us=_microseconds(found(r"\n +50% +(\S+)", text)),
        p99_us=_microseconds(found(r"\n +99% +(\S+)", text)),
    )


def in_turns(targets: Sequence[Target], rounds: int, seconds: int, console: Console, what: str) -> list[list[Measured]]:
    """Rounds of one run each, every other one backwards; one short run ahead warms them up."""
    results: list[list[Measured]] = [[] for _ in targets]
    for target in targets:
        target.run(WARM_SECONDS)
    forwards = range(len(targets))
    with console.status(what) as status:
        for number in range(rounds):
            for index in forwards if number % 2 == 0 else reversed(forwards):
                status.update(f"{what}, round {number + 1} of {rounds}")
                results[index].append(targets[index].run(seconds))
    return results


def median(runs: Sequence[Measured]) -> Measured:
    """Column by column."""
    per_second, *others = zip(*runs, strict=True)
    return Measured(statistics.median(per_second), *(None if None in c else statistics.median(c) for c in others))


def ratio(ours: Sequence[Measured], theirs: Sequence[Measured]) -> float:
    """The median of the rounds' ratios of requests a second: neighbours in time are compared."""
    return statistics.median(a.per_second / b.per_second for a, b in zip(ours, theirs, strict=True))


def cpu_ratio(ours: Sequence[Measured], theirs: Sequence[Measured]) -> float | None:
    """The same of the processor time of a request; None where it was not measured."""
    pairs = [(a.cpu_us, b.cpu_us) for a, b in zip(ours, theirs, strict=True)]
    found = [a / b for a, b in pairs if a is not None and b]
    return statistics.median(found) if found else None


def found(pattern: str, text: str) -> str:
    """The one group.

    Raises:
        SystemExit: it is not there.
    """
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"Another text than expected:\n{text}")
    return match[1]


def _microseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]  # wrk's own format
    return float(number) * UNITS[unit]
