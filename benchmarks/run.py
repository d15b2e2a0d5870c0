"""How fast is the secured path? The School under wrk, beside a handler that does the same query and checks nothing.

Vallum and the bare handler are measured in turns, so that what else the machine does meets both; of each the median
of five rounds is told. What is compared and how to read it: docs/benchmarks.md. Takes about two minutes, on loopback.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, final

import served
from rich.console import Console
from rich.table import Table

from school.seed import fill
from vallum.serve.create import create_database
from vallum.serve.files import DATABASE_FILE
from vallum.store import principals
from vallum.store.ports import Row, Statement
from vallum.store.sqlite import SqliteFile
from vallum.testing import Client

ROUNDS: Final = 5
SECONDS: Final = 4
CONNECTIONS: Final = 16
CALLER: Final = "teacher-17"
LIST: Final = "/students"
ITEM: Final = "/students/401"
"""A student of that teacher's class."""
GOAL: Final = 0.6
TOKEN_SECONDS: Final = 900
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 20.0

NO_WRK: Final = """\
make bench drives the servers with wrk, which is not here. Install it and come again:
  Debian, Ubuntu   apt-get install wrk
  Fedora           dnf install wrk
  macOS            brew install wrk
  from source      https://github.com/wg/wrk
"""


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """One run of wrk.

    Attributes:
        per_second: answered requests.
        cpu_us: processor time of the worker process for each of them, all of its threads together.
        p50_us, p99_us: latency.
    """

    per_second: float
    cpu_us: float
    p50_us: float
    p99_us: float


@final
class Recorder:
    """A database that notes the statement it is asked for last."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.last = Statement("", ())

    async def read(self, statement: Statement) -> list[Row]:
        """Run it."""
        self.last = statement
        rows: list[Row] = await self._database.read(statement)
        return rows


@final
class Server:
    """One of the two, running.

    Attributes:
        worker: the process that answers.
    """

    def __init__(self, which: str, data: Path, port: int, log: Path) -> None:
        self.origin = f"https://localhost:{port}"
        script = str(Path(__file__).with_name("served.py"))
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, script, which, str(data), str(port)], stdout=file, stderr=file
            )
        _await_port(port, self._process, log)
        self.worker = _worker(self._process.pid)

    def stop(self) -> None:
        """As an operator would."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()


def main() -> None:
    """Measure and print."""
    if shutil.which("wrk") is None:
        sys.stderr.write(NO_WRK)
        raise SystemExit(2)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="vallum-bench-") as folder, ExitStack() as stack:
        data = Path(folder) / "data"
        with console.status("Filling a School"):
            port, bare_port = _free_port(), _free_port()
            token = prepare(data, f"https://localhost:{port}")
        vallum = stack.enter_context(running("vallum", data, port, Path(folder) / "vallum.log"))
        bare = stack.enter_context(running("bare", data, bare_port, Path(folder) / "bare.log"))
        _check(vallum, bare, token)
        turns = [(vallum, LIST), (bare, LIST), (vallum, ITEM), (bare, ITEM)]
        results = measure(turns, token, console)
    report(results, Console())


def prepare(data: Path, issuer: str) -> str:
    """Make the School, write down the statements that Vallum runs, and return the caller's token."""
    create_database(served.api, data, now=time.time(), seeders=(fill,))
    with SqliteFile(data / DATABASE_FILE) as file:
        file.write(principals.alter(CALLER, "sqlite", plan=served.PLAN))
    with Client(served.api, as_=CALLER, data=data) as client:
        recorder = Recorder(client.service.database)
        pipeline = client.service.pipeline
        execution: Any = dataclasses.replace(pipeline.execution, database=recorder)
        client.service.pipeline = dataclasses.replace(pipeline, execution=execution)
        statements = {}
        for path in (LIST, ITEM):
            if client.get(path).status_code != 200:
                raise SystemExit(f"{CALLER} cannot read {path}")
            statements[path] = (recorder.last.text, list(recorder.last.arguments))
        keyring = client.service.keyring
        issued = keyring.issue(CALLER, issuer=issuer, audience=issuer, lifetime_seconds=TOKEN_SECONDS)
        token = client._running.run(issued)  # noqa: SLF001  # a token for another address than the client's
    (data / served.STATEMENTS_FILE).write_text(json.dumps(statements))
    return token


@contextmanager
def running(which: str, data: Path, port: int, log: Path) -> Iterator[Server]:
    """A server, stopped in the end."""
    server = Server(which, data, port, log)
    try:
        yield server
    finally:
        server.stop()


def measure(turns: Sequence[tuple[Server, str]], token: str, console: Console) -> list[list[Measured]]:
    """Rounds of one run each; one short run ahead warms both up."""
    results: list[list[Measured]] = [[] for _ in turns]
    for server, path in turns:
        drive(server, path, token, 1)
    with console.status("Measuring") as status:
        for number in range(ROUNDS):
            status.update(f"Measuring, round {number + 1} of {ROUNDS}")
            for index, (server, path) in enumerate(turns):
                results[index].append(drive(server, path, token, SECONDS))
    return results


def drive(server: Server, path: str, token: str, seconds: int) -> Measured:
    """Run wrk once.

    Raises:
        SystemExit: an answer was no success.
    """
    before = cpu_seconds(server.worker)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    command += ["-H", f"Authorization: Bearer {token}", server.origin + path]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent = cpu_seconds(server.worker) - before
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"Not every request was answered with success:\n{text}")
    answered = int(_found(r"(\d+) requests in", text))
    return Measured(
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        cpu_us=spent * 1e6 / answered,
        p50_us=_microseconds(_found(r"\n +50% +(\S+)", text)),
        p99_us=_microseconds(_found(r"\n +99% +(\S+)", text)),
    )


def report(results: Sequence[Sequence[Measured]], console: Console) -> None:
    """The table, and whether the goal is met."""
    table = Table(
        title=f"medians of {ROUNDS} runs of {SECONDS} s, in turns, {CONNECTIONS} connections, one worker each"
    )
    table.add_column("")
    for heading in ("requests/s", "of bare", "CPU µs a request", "of bare", "p50 µs", "p99 µs"):
        table.add_column(heading, justify="right")
    ratios = []
    for name, ours, theirs in (("list of 10", results[0], results[1]), ("item", results[2], results[3])):
        vallum, bare = _median(ours), _median(theirs)
        ratios.append(statistics.median(a.per_second / b.per_second for a, b in zip(ours, theirs, strict=True)))
        table.add_row(f"{name}, Vallum", *_cells(vallum, f"{ratios[-1]:.2f}", f"{vallum.cpu_us / bare.cpu_us:.2f}"))
        table.add_row(f"{name}, bare", *_cells(bare, "1", "1"))
    console.print(table)
    optimised = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    console.print(
        f"Python {sys.version.split()[0]}, built {'with' if optimised else 'without'} profile-guided optimisation;"
        f" {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}."
    )
    verdict = "met" if ratios[0] >= GOAL else "MISSED"
    console.print(f"Goal: the list at {GOAL} of the bare handler's requests/s or more: {verdict} ({ratios[0]:.2f}).")


def _cells(measured: Measured, ratio: str, cpu_ratio: str) -> list[str]:
    return [
        f"{measured.per_second:,.0f}",
        ratio,
        f"{measured.cpu_us:.1f}",
        cpu_ratio,
        f"{measured.p50_us:,.0f}",
        f"{measured.p99_us:,.0f}",
    ]


def _median(runs: Sequence[Measured]) -> Measured:
    return Measured(*(statistics.median(column) for column in zip(*map(dataclasses.astuple, runs), strict=True)))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its threads included."""
    # The command's name stands in parentheses and may hold anything; fields 14 and 15 are utime and stime (proc(5)).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _worker(server: int) -> int:
    """The one process that granian started to answer."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    workers = [int(pid) for pid in children if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
    if len(workers) != 1:
        raise SystemExit(f"granian has {len(workers)} workers; one is measured")
    return workers[0]


def _check(vallum: Server, bare: Server, token: str) -> None:
    """Both answer the same rows, and Vallum only with the token.

    Raises:
        SystemExit: they do not.
    """
    rows = [json.loads(_fetched(server, LIST, token))["items"] for server in (vallum, bare)]
    if rows[0] != rows[1] or len(rows[0]) != 10:
        raise SystemExit("The two servers do not answer with the same ten rows.")
    try:
        _fetched(vallum, LIST, "")
    except urllib.error.HTTPError as error:
        if error.code == 401:
            return
    raise SystemExit("Vallum answers without a token.")


def _fetched(server: Server, path: str, token: str) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # wrk does not look at it either
    request = urllib.request.Request(server.origin + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        content: bytes = answer.read()
    return content


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"The server did not start:\n{log.read_text()}")


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"wrk printed something else than expected:\n{text}")
    return match[1]


def _microseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]  # wrk's own format
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


if __name__ == "__main__":
    main()
