"""Servers under measurement: each a process (with children) of its own, started, asked over TLS, and stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, final

ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
ASK_SECONDS: Final = 10.0


class Answered(NamedTuple):
    """An answer to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@final
class Server:
    """A running one.

    Attributes:
        origin: its address.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        log: Path,
        folder: Path = ROOT,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.origin = f"https://localhost:{port}"
        self.port = port
        environment = os.environ | dict(variables or {})
        with log.open("wb") as file:
            # A session of its own: Ctrl-C stops this program, which stops its servers in order.
            self._process = subprocess.Popen(
                command, stdout=file, stderr=file, cwd=folder, env=environment, start_new_session=True
            )
        try:
            self._await(log)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """As an operator would; what is left of it after that is killed."""
        self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def cpu_seconds(self) -> float:
        """User and system time of all its processes that run now, their threads included."""
        stats = _stats()
        own = {self._process.pid}
        while found := {pid for pid, (parent, _) in stats.items() if parent in own} - own:
            own |= found
        return sum(stats[pid][1] for pid in own if pid in stats)

    def ask(self, path: str, token: str | None = None) -> Answered:
        """One GET over a connection of its own."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # wrk does not look at it either
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=ASK_SECONDS)
        try:
            connection.request("GET", path, headers={} if token is None else {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, headers, answer.read())
        finally:
            connection.close()

    def _await(self, log: Path) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                self.ask("/")
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
            else:
                return
        raise SystemExit(f"The server did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def running(
    command: Sequence[str], port: int, log: Path, folder: Path = ROOT, variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server, stopped in the end."""
    server = Server(command, port, log, folder, variables)
    try:
        yield server
    finally:
        server.stop()


def vallum(app: str, data: Path, port: int, database: str | None) -> list[str]:
    """The command that serves `app` by Vallum."""
    place = [] if database is None else [database]
    return [sys.executable, "-m", "benchmarks.served", app, str(data), str(port), *place]


def bare(data: Path, port: int, database: str | None) -> list[str]:
    """The command that serves the bare handler."""
    place = [] if database is None else [database]
    return [sys.executable, "-m", "benchmarks.bare", str(data), str(port), *place]


def free_port() -> int:
    """Nobody listens on it now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _stats() -> dict[int, tuple[int, float]]:
    """Process → parent and processor seconds."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        # proc(5). The command's name stands in parentheses and may hold anything; then: state, parent, … utime, stime.
        fields = text.rpartition(")")[2].split()
        found[int(entry.name)] = (int(fields[1]), (int(fields[11]) + int(fields[12])) / ticks)
    return found
