"""Mutation testing of what decides: the compiler of rules, their evaluator, SQL fragments.

    make mutation [MINUTES=30] [SAMPLE=200] [SEED=1] [FILES="src/vallum/authorise/rights.py …"]

Changes one place of one file at a time, in a copy of the library, and runs the tests that must notice it: the units beside
the file first, then a hundred cases of the differential test, always the same ones. Survivors are printed as `file: was →
became`. Each is to be killed by a test, or to be named in `equivalent.toml` with the reason why nothing can.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Final

from tests.mutation.mutants import Mutant, mutants_of

ROOT: Final = Path(__file__).parents[2]
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
QUICK: Final = (
    "tests/unit/authorise",
    "tests/unit/declare/test_checks.py",
    "tests/unit/store/test_sql_relations.py",
    "tests/unit/store/test_sql_text.py",
    "--ignore=tests/unit/authorise/test_matrix.py",
)
DIFFERENTIAL: Final = ("tests/property/test_differential.py",)
TEST_SECONDS: Final = 300
"""Of one run of tests; a mutant that takes longer is noticed by whoever waits."""


def main() -> int:
    """The number of survivors that nobody has explained is the exit status, 100 at most."""
    options = _options()
    found = [mutant for name in options.files for mutant in mutants_of(ROOT / name, name)]
    random.Random(options.seed).shuffle(found)
    chosen = found[: options.sample]
    print(
        f"{len(found)} mutants of {len(options.files)} files; {len(chosen)} chosen by seed {options.seed}", flush=True
    )
    known = {entry["mutant"] for entry in tomllib.loads((ROOT / "tests/mutation/equivalent.toml").read_text())["known"]}
    end = time.monotonic() + options.minutes * 60
    survivors: list[Mutant] = []
    tried = 0
    with tempfile.TemporaryDirectory(prefix="vallum-mutation-") as place:
        shutil.copytree(ROOT / "src", Path(place) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for mutant in chosen:
            if time.monotonic() > end:
                break
            if str(mutant) in known:
                continue
            tried += 1
            if not _noticed(Path(place), mutant):
                survivors.append(mutant)
                print(f"survived  {mutant}", flush=True)
    print(f"{tried} tried, {tried - len(survivors)} killed, {len(survivors)} survived")
    return min(len(survivors), 100)


def _noticed(place: Path, mutant: Mutant) -> bool:
    path = place / mutant.name
    original = path.read_text(encoding="utf-8")
    path.write_text(mutant.source, encoding="utf-8")
    try:
        return any(_red(place, tests) for tests in (QUICK, DIFFERENTIAL))
    finally:
        path.write_text(original, encoding="utf-8")


def _red(place: Path, tests: tuple[str, ...]) -> bool:
    environment = os.environ | {
        "PYTHONPATH": str(place / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DIFFERENTIAL_CASES": "100",
        "DIFFERENTIAL_SEED": "1",
        "HYPOTHESIS_PROFILE": "ci",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={place}/src . "]
    command += [*tests]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=TEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation testing of what decides.")
    parser.add_argument("files", nargs="*", default=FILES)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
