"""Is page 10,000 as fast as page 1? One long table on both stores, by key and by a sort with many equal values."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from benchmarks import filled, servers
from benchmarks.bench import STORES, Bench
from benchmarks.connection import Connection
from benchmarks.deep_app import READER, ROWS, api, fill
from benchmarks.measure import Measured, Wrk, in_turns, ratio
from benchmarks.report import LOAD_COLUMNS, Goal, Line, Section, load_data, load_rows
from benchmarks.servers import Server, running
from vallum.serve.create import create_database
from vallum.store.postgres_address import parse

APP: Final = "benchmarks.deep_app:api"
DEPTH: Final = 100_000
STRIDE: Final = 100
"""Rows of a page on the way down; the pages that are measured have ten."""
DEPTHS: Final = (STRIDE, DEPTH)
"""What the first costs more than page 1 is the cursor, what the second costs more is depth."""
GOAL: Final = 1.2
"""Page 1's requests a second over those at that depth."""
PAGES: Final = ("page 1", *(f"behind {rows:,} rows" for rows in DEPTHS))
PAGE: Final = 10
SORTS: Final = (("by key", f"/entries?limit={PAGE}"), ("by day", f"/entries?limit={PAGE}&sort=day"))


def depth(bench: Bench) -> Section | None:
    """On both stores; None when nothing was to be measured."""
    lines: list[Line] = []
    results: list[list[Measured]] = []
    for store in STORES:
        lines += [
            Line(f"{store}, {name}, {where}", None if where == PAGES[0] else len(lines) + number * len(PAGES))
            for number, (name, _) in enumerate(SORTS)
            for where in PAGES
        ]
        results += _on(store, bench)
    if not bench.seconds:
        return None
    groups = [results[first : first + len(PAGES)] for first in range(0, len(results), len(PAGES))]
    worst = max(ratio(first, deep) for first, _, deep in groups)
    alone = max(ratio(near, deep) for _, near, deep in groups)
    return Section(
        part="depth",
        title=f"Depth: a page of 10 of {ROWS:,} rows",
        how=f"medians of {bench.rounds} runs of {_short(bench)} s, in turns, {bench.connections} connections, one worker",
        columns=LOAD_COLUMNS,
        rows=load_rows(lines, results),
        goals=[Goal(f"a page at depth {DEPTH:,} within {GOAL} times page 1, the worst of them", worst, worst <= GOAL)],
        notes=[f"Beside the page behind {STRIDE} rows, which has a cursor too: {alone:.2f}, the worst of them."],
        data=load_data(lines, results),
    )


def _on(store: str, bench: Bench) -> list[list[Measured]]:
    """The pages of each sort, in the order of `PAGES`."""
    data, database = bench.folder / f"deep-{store}", None if store == "sqlite" else bench.new_database()
    with bench.console.status(f"Filling {ROWS:,} rows on {store}"):
        address = None if database is None else parse(database)
        create_database(api, data, now=time.time(), seeders=(fill,), address=address)
        if database is not None:
            bench.vacuum(database)
    port = servers.free_port()
    token = filled.token(api, READER, data, database, f"https://localhost:{port}")
    with running(servers.vallum(APP, data, port, database), port, bench.folder / f"deep-{store}.log") as server:
        paths = []
        for _, path in SORTS:
            cursors = [_cursor_behind(rows, server, token, path, bench) for rows in DEPTHS]
            paths += [path, *(f"{path}&after={cursor}" for cursor in cursors)]
        if not bench.seconds:
            return []
        targets = [Wrk(server, path, token, bench.connections) for path in paths]
        return in_turns(targets, bench.rounds, _short(bench), bench.console, f"Measuring depth on {store}")


def _cursor_behind(rows: int, server: Server, token: str, path: str, bench: Bench) -> str:
    """The cursor that begins the page behind so many rows, come by as a client comes by it: page after page."""
    seen: set[int] = set()
    pages = rows // STRIDE if bench.seconds else 1
    path = path.replace(f"limit={PAGE}", f"limit={STRIDE}")
    after = cursor = ""
    with bench.console.status(f"Following {pages:,} pages"), Connection(server, token) as connection:
        for _ in range(pages):
            answer: dict[str, Any] = json.loads(connection.ask(path + after).body)
            seen.update(row["id"] for row in answer["items"])
            cursor = answer["next"]
            after = f"&after={cursor}"
    if len(seen) != pages * STRIDE:
        raise SystemExit(f"{pages * STRIDE:,} rows were to be passed, and {len(seen):,} were.")
    return cursor


def _short(bench: Bench) -> int:
    """There are many targets, much alike."""
    return max(1, bench.seconds // 4)
