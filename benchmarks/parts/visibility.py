"""Does time tell a row that the caller may not see from a row that is not there?

Over one connection, in shuffled triples: a student of another class, a number that nobody has, and another such number.
What the two missing ones differ by is what this measurement cannot see; the invisible one is compared with that.
"""

from __future__ import annotations

import random
import statistics
from typing import Final, NamedTuple

from benchmarks import servers
from benchmarks.bench import SCHOOL_APP, STORES, Bench
from benchmarks.bootstrap import median_interval
from benchmarks.connection import Connection, Timed
from benchmarks.filled import SPARSE
from benchmarks.report import Section
from benchmarks.servers import running

TRIPLES_A_SECOND: Final = 1_000
WARM_TRIPLES: Final = 300
SEED: Final = 17
KINDS: Final = ("invisible", "missing", "other missing")
COLUMNS: Final = ("", "median µs", "difference µs", "from", "to", "slower in")


class Triples(NamedTuple):
    """Nanoseconds, by kind; entries of one index were made right after each other."""

    invisible: list[int]
    missing: list[int]
    other: list[int]


class Difference(NamedTuple):
    """From the missing row of the same triple.

    Attributes:
        median_us, low_us, high_us: microseconds, and where the median lies with 95 % confidence.
        slower: the part of the triples in which it took longer; a half says nothing.
    """

    median_us: float
    low_us: float
    high_us: float
    slower: float


def visibility(bench: Bench) -> Section | None:
    """On both stores; None when nothing was to be measured."""
    rows, notes, data = [], [], {}
    count = bench.seconds * TRIPLES_A_SECOND
    for store in STORES:
        school = bench.school(store)
        port = servers.free_port()
        token = school.token(f"https://localhost:{port}")
        command = servers.vallum(SCHOOL_APP, school.data, port, school.database)
        log = bench.folder / f"visibility-{store}.log"
        with running(command, port, log) as server, Connection(server, token) as connection:
            _triples(connection, WARM_TRIPLES)
            if not count:
                continue
            with bench.console.status(f"Asking for what is not there on {store}"):
                found = _triples(connection, count)
        invisible, other = (_difference(values, found.missing) for values in (found.invisible, found.other))
        rows += _rows(store, found, invisible, other)
        notes.append(_verdict(store, invisible, other))
        data[store] = {"invisible": invisible._asdict(), "other missing": other._asdict()}
    if not count:
        return None
    return Section(
        part="visibility",
        title="Visibility: an invisible row beside a missing one",
        how=f"{count:,} triples of requests on one connection; differences within a triple: the median, and from where to"
        " where it lies with 95 % confidence (bootstrap)",
        columns=COLUMNS,
        rows=rows,
        notes=notes,
        data=data,
    )


def _triples(connection: Connection, count: int) -> Triples:
    """Ask, and see that the three answers are the same but for the request's own number and the moment.

    Raises:
        SystemExit: they are not.
    """
    source = random.Random(SEED)
    found = Triples([], [], [])
    for _ in range(count):
        there, *gaps = source.sample(range(len(SPARSE)), 3)
        numbers = (SPARSE[there], *(SPARSE[gap] + 1 for gap in gaps))
        answers: dict[int, Timed] = {}
        for kind in source.sample(range(3), 3):
            answers[kind] = connection.ask(f"/students/{numbers[kind]}")
            found[kind].append(answers[kind].nanoseconds)
        if {answer.status for answer in answers.values()} != {404}:
            raise SystemExit(f"{[(numbers[kind], answer.status) for kind, answer in answers.items()]} are not all 404.")
        if len({(len(answer.head), len(answer.body)) for answer in answers.values()}) != 1:
            raise SystemExit("An invisible and a missing row are answered with different lengths.")
    return found


def _difference(values: list[int], missing: list[int]) -> Difference:
    nanoseconds = [value - base for value, base in zip(values, missing, strict=True)]
    low, high = median_interval(nanoseconds, SEED)
    slower = sum(difference > 0 for difference in nanoseconds) / len(nanoseconds)
    return Difference(statistics.median(nanoseconds) / 1e3, low / 1e3, high / 1e3, slower)


def _rows(store: str, found: Triples, invisible: Difference, other: Difference) -> list[list[str]]:
    compared = {"invisible": invisible, "other missing": other}
    rows = []
    for kind, values in zip(KINDS, found, strict=True):
        row = [f"{store}, {kind}", f"{statistics.median(values) / 1e3:.1f}"]
        difference = compared.get(kind)
        if difference is None:
            rows.append([*row, "", "", "", ""])
        else:
            *microseconds, slower = difference
            rows.append([*row, *(f"{value:+.1f}" for value in microseconds), f"{slower:.0%}"])
    return rows


def _verdict(store: str, invisible: Difference, other: Difference) -> str:
    """Whether the invisible row differs by more than nothing, and by how much more than the two missing ones."""
    noise = max(abs(other.low_us), abs(other.high_us))
    if invisible.low_us <= 0 <= invisible.high_us:
        return f"On {store} so many requests do not tell them apart; less than {noise:.1f} µs could not be seen."
    return (
        f"On {store} time tells them apart: an invisible row takes {invisible.median_us:+.1f} µs, where two missing rows"
        f" differ by {other.median_us:+.1f}."
    )
