"""Mutation testing of what decides: the compiler of rules, their evaluator, SQL fragments.

    make mutation [MINUTES=30] [SAMPLE=200] [SEED=1] [FILES="src/vallum/authorise/rights.py …"]

Changes one place of one file at a time, in memory, and runs the tests that must notice it: the units of the file first,
those beside it, then the slow ones, with a hundred cases of the differential test, always the same. Survivors are printed as
`file function: was → became`. Each is to be killed by a test, or to be named in `equivalent.toml` with the reason why
nothing can.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.mutation import forked
from tests.mutation.forked import ROOT
from tests.mutation.mutants import Mutant, mutants_of

FILES: Final = (
    "src/vallum/authorise/checks.py",
    "src/vallum/authorise/conditions.py",
    "src/vallum/authorise/evaluator.py",
    "src/vallum/authorise/evaluator_decide.py",
    "src/vallum/authorise/evaluator_operators.py",
    "src/vallum/authorise/evaluator_select.py",
    "src/vallum/authorise/evaluator_terms.py",
    "src/vallum/authorise/evaluator_values.py",
    "src/vallum/authorise/relations.py",
    "src/vallum/authorise/rights.py",
    "src/vallum/authorise/united.py",
    "src/vallum/store/sql.py",
    "src/vallum/store/sql_dialects.py",
    "src/vallum/store/sql_relations.py",
)
SLOW: Final = ("tests/unit/authorise/test_matrix.py", "tests/property/test_differential.py")
UNITS: Final = tuple(
    sorted(
        {
            str(file.relative_to(ROOT))
            for pattern in (
                "authorise/test_*.py",
                "declare/test_checks*.py",
                "store/test_sql.py",
                "store/test_sql_*.py",
            )
            for file in ROOT.glob(f"tests/unit/{pattern}")
        }
        - {*SLOW}
    )
)
NEAREST: Final = 2
"""Files of tests that notice most mutants of a file; to collect all the others takes longer than to run these."""
EQUIVALENT: Final = ROOT / "tests/mutation/equivalent.toml"


def main() -> int:
    """The number of survivors that nobody has explained is the exit status, 100 at most."""
    options = _options()
    found = [mutant for name in options.files for mutant in mutants_of(ROOT / name, name)]
    known = {entry["mutant"] for entry in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["known"]}
    if options.files == FILES and (stale := known - {str(mutant) for mutant in found}):
        sys.exit("\n".join(["No mutants any more, in equivalent.toml:", *sorted(stale)]))
    random.Random(options.seed).shuffle(found)
    chosen = [mutant for mutant in found[: options.sample] if str(mutant) not in known]
    print(f"{len(found)} mutants of {len(options.files)} files; {len(chosen)} to try, seed {options.seed}", flush=True)
    forked.preload([*UNITS, *SLOW])
    _unchanged_passes()
    tried, survivors = _try(chosen, options.workers, time.monotonic() + options.minutes * 60)
    print(f"{tried} tried, {tried - survivors} killed, {survivors} survived")
    return min(survivors, 100)


def _unchanged_passes() -> None:
    """Otherwise every mutant would count as killed. The files go the way of the mutants, unchanged."""
    same = {name: ast.unparse(ast.parse((ROOT / name).read_text(encoding="utf-8"))) for name in FILES}
    process = forked.start([*UNITS, *SLOW], same, shown=True)
    if forked.killed(os.waitpid(process, 0)[1]):
        sys.exit("The tests fail on the library as it is.")


def _try(chosen: Sequence[Mutant], workers: int, end: float) -> tuple[int, int]:
    """So many at once; how many were tried, and how many of them survived."""
    waiting = iter(chosen)
    running: dict[int, tuple[Mutant, Iterator[Sequence[str]]]] = {}
    tried = survivors = 0
    while True:
        while len(running) < workers and time.monotonic() < end and (mutant := next(waiting, None)):
            _start(running, mutant, _stages(mutant))
            tried += 1
        if not running:
            return tried, survivors
        process, status = os.wait()
        mutant, further = running.pop(process)
        if not forked.killed(status) and not _start(running, mutant, further):
            survivors += 1
            print(f"survived  {mutant}", flush=True)


def _start(
    running: dict[int, tuple[Mutant, Iterator[Sequence[str]]]], mutant: Mutant, tests: Iterator[Sequence[str]]
) -> bool:
    """Whether there were tests left to run."""
    some = next(tests, None)
    if some is not None:
        running[forked.start(some, {mutant.name: mutant.source})] = mutant, tests
    return some is not None


def _stages(mutant: Mutant) -> Iterator[Sequence[str]]:
    """Tests to run one after the other as long as nothing is noticed: the nearest by name, the other units, the slow ones."""
    name = f"test_{Path(mutant.name).stem}"
    nearest = sorted(UNITS, key=lambda test: (-_alike(name, Path(test).stem), len(test)))
    return iter((nearest[:NEAREST], nearest[NEAREST:], SLOW))


def _alike(one: str, other: str) -> int:
    return len(os.path.commonprefix((one, other)).rstrip("_"))  # noqa: RUF071  # of letters


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation testing of what decides.")
    parser.add_argument("files", nargs="*", default=FILES)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
