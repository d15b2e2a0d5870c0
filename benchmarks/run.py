"""`make bench`: how fast is the secured path, beside whom, and what does its timing give away?

Each part starts its servers on loopback, shows that they answer the same and refuse the same, and measures them in turns.
What is compared, and how to read it: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import report
from benchmarks.bench import Bench
from benchmarks.conditions import BUSY_LOAD, conditions, sentences
from benchmarks.parts import depth, peers, stores, visibility

PARTS: Final[dict[str, Callable[[Bench], report.Section | None]]] = {
    "sqlite": stores.sqlite,
    "postgres": stores.postgres,
    "peers": peers.peers,
    "depth": depth.depth,
    "visibility": visibility.visibility,
}
WITHOUT_WRK: Final = {"visibility"}
SECONDS: Final = 4
ROUNDS: Final = 5
CONNECTIONS: Final = 16

NO_WRK: Final = """\
make bench drives the servers with wrk, which is not here. Install it and come again:
  Debian, Ubuntu   apt-get install wrk
  Fedora           dnf install wrk
  macOS            brew install wrk
  from source      https://github.com/wg/wrk
"""


def main() -> int:
    """Measure, print, write; the exit code is 1 when a part failed. A goal that is missed is no failure."""
    given = _arguments()
    if given.seconds and set(given.parts) - WITHOUT_WRK and shutil.which("wrk") is None:
        sys.stderr.write(NO_WRK)
        return 2
    console = Console(stderr=True)
    found = {"command": _command(given), **conditions()}
    if given.seconds and found["load_before"] > BUSY_LOAD:
        console.print(f"[yellow]The machine is busy (load {found['load_before']:.1f}): these numbers will not hold.")
    try:
        sections, failures = _run(given, console)
    except KeyboardInterrupt:  # the servers were stopped on the way here
        return 130
    found["load_after"] = os.getloadavg()[0]
    if given.seconds:
        _write(given.out, found, sections, failures)
        out = Console()
        for section in sections:
            report.shown(section, out)
            out.print()
        out.print(sentences(found), highlight=False)
        out.print(f"Written: {given.out}.json, {given.out}.md")
    return 1 if failures else 0


def _command(given: argparse.Namespace) -> str:
    """What has to be given for the same run."""
    parts = [] if given.parts == list(PARTS) else [f"PARTS={','.join(given.parts)}"]
    return " ".join(["make bench", *parts, *([] if given.seconds == SECONDS else [f"SECONDS={given.seconds}"])])


def _run(given: argparse.Namespace, console: Console) -> tuple[list[report.Section], dict[str, str]]:
    """One part after the other; what fails in one is told and does not stop the others."""
    sections, failures = [], {}
    with tempfile.TemporaryDirectory(prefix="vallum-bench-") as folder, ExitStack() as stack:
        bench = Bench(given.seconds, given.rounds, CONNECTIONS, Path(folder), console, stack)
        for name in given.parts:
            began = time.monotonic()
            try:
                section = PARTS[name](bench)
            except (SystemExit, Exception) as error:  # noqa: BLE001  # it is told, and the other parts go on
                failures[name] = str(error) if isinstance(error, SystemExit) else repr(error)
                console.print(f"{name}: FAILED: {failures[name]}", markup=False)
                continue
            console.print(
                f"{name}: {'measured' if section else 'starts and agrees'} in {time.monotonic() - began:.0f} s"
            )
            if section is not None:
                sections.append(section)
    return sections, failures


def _write(out: Path, found: dict[str, Any], sections: Sequence[report.Section], failures: dict[str, str]) -> None:
    """The JSON file for programs, the Markdown for docs/benchmarks.md."""
    parts = {
        section.part: {
            "how": section.how,
            "columns": section.columns,
            "rows": section.rows,
            "goals": [{"goal": goal.text, "reached": goal.reached, "met": goal.met} for goal in section.goals],
            "notes": section.notes,
            "data": section.data,
        }
        for section in sections
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    document = {"conditions": found, "parts": parts, "failures": failures}
    out.with_name(f"{out.name}.json").write_text(json.dumps(document, indent=1) + "\n")
    pages = [report.markdown(section) for section in sections]
    out.with_name(f"{out.name}.md").write_text("\n".join([f"{sentences(found)}\n", *pages]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}; all by default")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each measurement; 0 measures nothing")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each target")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="the files are OUT.json and OUT.md")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = set(names) - PARTS.keys()
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no part is called {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}"
        )
    return names or list(PARTS)


if __name__ == "__main__":
    sys.exit(main())
