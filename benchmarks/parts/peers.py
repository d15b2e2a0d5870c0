"""Vallum beside what the same list is built with elsewhere: over TLS, on the same SQLite file, under the same rule."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import compared, peers_served, servers
from benchmarks.bench import SCHOOL_APP, Bench
from benchmarks.filled import LIST
from benchmarks.measure import Wrk, in_turns, ratio
from benchmarks.peers_served import DOCUMENTED, FASTIFY, PEERS, TUNED, Peer, serving
from benchmarks.report import LOAD_COLUMNS, Goal, Line, Section, load_data, load_rows
from benchmarks.school_app import UNREACHED
from benchmarks.servers import Server, running

ALL: Final = (DOCUMENTED, TUNED, FASTIFY)
WORKERS: Final = (1, 2)
"""Processes of each peer. Two share the two cores with wrk, and each of the two counts its limits for itself."""
SHOWN_LIMIT: Final = 3
GOALS: Final = {DOCUMENTED: 40.0, FASTIFY: 1.5}
"""Vallum's requests a second over the peer's, one process each."""


def peers(bench: Bench) -> Section | None:
    """All that can be installed; None when nothing was to be measured."""
    school = bench.sqlite_school
    port = servers.free_port()
    token = school.token(f"https://localhost:{port}")
    their_token = peers_served.token(time.time())
    places, notes = _installed(bench.folder)
    with ExitStack() as stack:
        command = servers.vallum(SCHOOL_APP, school.data, port, None)
        vallum = stack.enter_context(running(command, port, bench.folder / "peers-vallum.log"))
        lines, targets = [Line("Vallum")], [Wrk(vallum, LIST, token, bench.connections)]
        compared_with: dict[Peer, int] = {}
        for peer, place in places.items():
            _prove_limit(bench, peer, place, their_token)
            for workers in WORKERS:
                log = bench.folder / f"{peer.folder}-{workers}.log"
                started = serving(peer, school, servers.free_port(), workers, UNREACHED, log, place)
                server = stack.enter_context(started)
                _prove(vallum, token, server, their_token)
                compared.pages(server, their_token, peer.second_page)
                compared_with.setdefault(peer, len(lines))
                lines.append(Line(f"{peer.name}, {workers} process{'es' if workers > 1 else ''}", 0))
                targets.append(Wrk(server, LIST, their_token, bench.connections))
        if not bench.seconds:
            _all_here(places, notes)
            return None
        results = in_turns(targets, bench.rounds, bench.seconds, bench.console, "Measuring peers")
    goals = []
    for peer, index in compared_with.items():
        reached = ratio(results[0], results[index])
        if peer in GOALS:
            text = f"{GOALS[peer]:g} times the requests/s of {peer.name}, one process each"
            goals.append(Goal(text, reached, reached >= GOALS[peer]))
    return Section(
        part="peers",
        title="Beside peers: the list of 10, on SQLite",
        how=f"medians of {bench.runs}",
        columns=LOAD_COLUMNS,
        rows=load_rows(lines, results),
        goals=goals,
        notes=notes,
        data=load_data(lines, results),
    )


def _installed(folder: Path) -> tuple[dict[Peer, Path], list[str]]:
    """Where each peer is, and of whom there is none."""
    places, notes = {}, []
    missing = peers_served.missing_python()
    if missing:
        notes.append(f"FastAPI was not measured: {', '.join(missing)} of requirements/bench.txt are not installed.")
    else:
        places = {peer: PEERS / peer.folder for peer in (DOCUMENTED, TUNED)}
    try:
        places[FASTIFY] = peers_served.install_fastify(folder)
        notes.append(f"Fastify ran on Node.js {peers_served.node_version()}.")
    except SystemExit as error:
        notes.append(f"Fastify was not measured: {error}.")
    return places, notes


def _all_here(places: Mapping[Peer, Path], notes: Sequence[str]) -> None:
    """A measurement may do without a peer and says so; a look at whether everything works may not.

    Raises:
        SystemExit: one is missing.
    """
    if len(places) < len(ALL):
        raise SystemExit(" ".join(notes))


def _prove(vallum: Server, token: str, server: Server, their_token: str) -> None:
    """The same rows, the same refusals, the same kind of headers."""
    compared.same_rows(vallum, token, server, their_token)
    compared.refuses_strangers(server, their_token)
    compared.is_hardened(server, their_token)


def _prove_limit(bench: Bench, peer: Peer, place: Path, their_token: str) -> None:
    """Under a limit that can be met, it is."""
    log = bench.folder / f"{peer.folder}-limited.log"
    port = servers.free_port()
    with serving(peer, bench.sqlite_school, port, 1, SHOWN_LIMIT, log, place) as limited:
        compared.refuses_more(limited, their_token, SHOWN_LIMIT)
