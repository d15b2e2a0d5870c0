"""The command `vallum` in processes of its own, and a client over TLS."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytest

from tests import stores
from vallum.cli import main
from vallum.testing.wire import FRESHNESS, freshness

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
PROGRAM = [sys.executable, "-c", "from vallum.cli import main; main()"]
START_SECONDS = 60.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_store(place: Path, settings: Mapping[str, str], template: Path | None = None) -> dict[str, str]:
    """The settings, and under `TEST_STORES=postgresql` the database of the commands that run in this directory.

    Args:
        template: the directory of which `place` is a copy.
    """
    if os.environ.get("TEST_STORES") != stores.POSTGRESQL:
        return {**settings}
    data = place / "data"
    if data not in stores.PLACES:
        source = None if template is None else stores.name_of(stores.PLACES[template / "data"])
        stores.PLACES[data] = stores.server().url(stores.server().database(source))
    return {"VALLUM_DATABASE": stores.PLACES[data], **settings}


def environment(**settings: str) -> dict[str, str]:
    """That of a command; nothing of ours is inherited."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("VALLUM_")}
    path = os.pathsep.join([str(ROOT / "src"), str(HERE)])
    return {**kept, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "120", "VALLUM_APP": "tiny:api", **settings}


@final
@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its answer to --json."""
        return json.loads(self.out)


def command(*arguments: str, cwd: Path, stdin: str = "", **settings: str) -> Said:
    """Run a command in this process, which has loaded already what a process of its own would have to load."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.syspath_prepend(str(HERE))
        for variable in [name for name in os.environ if name.startswith("VALLUM_")]:
            patch.delenv(variable)
        for variable, value in {"VALLUM_APP": "tiny:api", "COLUMNS": "120", **on_store(cwd, settings)}.items():
            patch.setenv(variable, value)
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            main(arguments)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
    return Said(code, out.getvalue(), err.getvalue())


def vallum(*arguments: str, cwd: Path, stdin: str | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment(**on_store(cwd, settings)),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )


class Served:
    """`vallum serve --dev` on data of its own.

    Args:
        place: an empty directory; `data` is made in it.
        flags: none for production.
        settings: VALLUM_… variables.
    """

    def __init__(self, place: Path, flags: Sequence[str] = ("--dev",), /, **settings: str) -> None:
        self.flags = flags
        self.place = place
        self.port, self.ops_port = free_port(), free_port()
        self.settings = {"VALLUM_PORT": str(self.port), "VALLUM_OPS_PORT": str(self.ops_port), **settings}
        self.authority = place / "data" / "dev-ca.pem"
        self.process: subprocess.Popen[str] | None = None
        made = self.run("db", "create", *self.flags, "--seed")
        assert made.code == 0, made.err

    def run(self, *arguments: str, stdin: str = "") -> Said:
        """A command on the same data."""
        return command(*arguments, cwd=self.place, stdin=stdin, **self.settings)

    def token(self, name: str) -> str:
        """By `vallum token`."""
        made = self.run("token", name)
        assert made.code == 0, made.err
        return made.out.strip()

    def start(self) -> None:
        """Until it says that it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*PROGRAM, "serve", *self.flags],
                cwd=self.place,
                env=environment(**on_store(self.place, self.settings)),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        assert self.said, self.log.read_text()

    @property
    def log(self) -> Path:
        """What it wrote to standard error."""
        return self.place / "log"

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        assert self.process is not None
        return self.process.pid

    def workers(self) -> list[int]:
        """Its children."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop, and wait; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=START_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def context(self) -> ssl.SSLContext:
        """A client that trusts the development authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own, fresh unless a timestamp or nonce is given."""
        fields = dict(headers or {})
        if FRESHNESS.isdisjoint(map(str.lower, fields)):
            fields |= freshness(time.time())
        if token is not None:
            fields["Authorization"] = f"Bearer {token}"
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            fields.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.context(), timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body=content, headers=fields)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def ops(self, path: str, host: str | None = None) -> tuple[int, str]:
        """The health and metrics listener."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={} if host is None else {"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def lines(self) -> list[dict[str, Any]]:
        """The log as JSON lines."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextlib.contextmanager
def serving(place: Path, flags: Sequence[str] = ("--dev",), /, **settings: str) -> Iterator[Served]:
    """A started server, which is stopped in the end whatever happens."""
    server = Served(place, flags, VALLUM_LOG_FORMAT="json", **settings)
    server.start()
    try:
        yield server
    finally:
        assert server.process is not None
        if server.process.poll() is None:
            server.stop()
        elif server.process.stdout is not None:
            server.process.stdout.close()


def eventually(holds: Any, seconds: float = 15.0) -> bool:
    """Whether it becomes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.05)
    return False
