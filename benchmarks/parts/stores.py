"""Vallum beside a handler that runs the same statement and checks nothing; on PostgreSQL beside pgbench too."""

from __future__ import annotations

from functools import partial
from typing import Final

from benchmarks import compared, servers
from benchmarks.bench import SCHOOL_APP, Bench
from benchmarks.filled import ITEM, LIST, School
from benchmarks.measure import Target, Wrk, in_turns, ratio
from benchmarks.pgbench import NO_PGBENCH, PgBench, program
from benchmarks.report import LOAD_COLUMNS, Goal, Line, Section, load_data, load_rows
from benchmarks.school_app import LIMIT
from benchmarks.servers import Server, running

PARTS: Final = {"sqlite": "sqlite", "postgresql": "postgres"}
TITLES: Final = {
    "sqlite": "On SQLite, beside a bare handler",
    "postgresql": "On PostgreSQL, beside a bare handler and pgbench",
}
GOALS: Final = {"sqlite": 0.7, "postgresql": 0.8}
PATHS: Final = (("list of 10", LIST), ("item", ITEM))
SHOWN_LIMIT: Final = 3


def beside_bare(bench: Bench, store: str) -> Section | None:
    """The list and the item, on one store; None when nothing was to be measured."""
    school = bench.school(store)
    port, bare_port = servers.free_port(), servers.free_port()
    token = school.token(f"https://localhost:{port}")
    command = servers.vallum(SCHOOL_APP, school.data, port, school.database)
    log = bench.folder / f"{store}.log"
    with running(command, port, log, variables={LIMIT: str(SHOWN_LIMIT)}) as limited:
        compared.refuses_more(limited, token, SHOWN_LIMIT)
    bare_command = servers.bare(school.data, bare_port, school.database)
    bare_log = bench.folder / f"bare-{store}.log"
    with running(command, port, log) as vallum, running(bare_command, bare_port, bare_log) as bare:
        compared.same_rows(vallum, token, bare, None)
        compared.same_item(vallum, token, bare)
        compared.refuses_strangers(vallum, token)
        compared.is_hardened(vallum, token)
        lines, targets = _targets(bench, school, vallum, bare, token)
        if not bench.seconds:
            for target in targets:
                if isinstance(target, PgBench):
                    target.run(1)
            return None
        results = in_turns(targets, bench.rounds, bench.seconds, bench.console, f"Measuring on {store}")
    reached, goal = ratio(results[0], results[1]), GOALS[store]
    return Section(
        part=PARTS[store],
        title=TITLES[store],
        how=f"medians of {bench.runs}, one worker each",
        columns=LOAD_COLUMNS,
        rows=load_rows(lines, results),
        goals=[Goal(f"the list at {goal} of the bare handler's requests/s or more", reached, reached >= goal)],
        notes=[NO_PGBENCH] if school.database is not None and program() is None else [],
        data=load_data(lines, results),
    )


def _targets(bench: Bench, school: School, vallum: Server, bare: Server, token: str) -> tuple[list[Line], list[Target]]:
    """The first two are Vallum's list and the bare one; on PostgreSQL pgbench follows each pair."""
    lines: list[Line] = []
    targets: list[Target] = []
    for name, path in PATHS:
        base = len(lines) + 1
        lines += [Line(f"{name}, Vallum", base), Line(f"{name}, bare")]
        targets += [Wrk(server, path, token, bench.connections) for server in (vallum, bare)]
        if school.database is not None and program() is not None:
            lines.append(Line(f"{name}, pgbench", base))
            targets.append(PgBench(school.database, school.statements[path], bench.connections, bench.folder))
    return lines, targets


sqlite = partial(beside_bare, store="sqlite")
postgres = partial(beside_bare, store="postgresql")
