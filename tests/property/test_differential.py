"""One policy, told alike by all who carry it out: the evaluator in memory, SQL on SQLite and SQL on PostgreSQL.

Models, rows, rules, a caller and its requests are drawn. The requests go through the whole pipeline on both stores; what
has to be answered, and what is in the tables afterwards, says the evaluator.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import Phase, given, note, seed, settings
from hypothesis import strategies as st
from tests.native import MAKE_ROLE
from tests.property.asked import Asked, Case
from tests.property.natively import judged
from tests.property.served import Both

from tests import stores

CASES: Final = int(os.environ.get("DIFFERENTIAL_CASES", "500"))
SEED: Final = int(os.environ.get("DIFFERENTIAL_SEED") or random.SystemRandom().randrange(2**32))
PART: Final = 50
"""Cases of one test, which has a time limit."""
NATIVELY: Final = 20
"""One case in so many goes to row-level security, too, which is slow to install."""
SCHEMAS: Final = min(max(CASES // 20, 1), 200)
"""So many different models; each costs as much as a case or two."""
PHASES: Final = (Phase.generate, Phase.shrink) if os.environ.get("DIFFERENTIAL_SHRINK") else (Phase.generate,)
"""To find a smaller example takes minutes, in which nothing else is said."""

MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of its own is made there
"""Each write waits for the disk, where there is one."""


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Empty tables of every schema."""
    print(f"\nThe same cases again: DIFFERENTIAL_SEED={SEED} DIFFERENTIAL_CASES={CASES}")
    server = stores.server()
    server.execute(MAKE_ROLE)
    name = server.database()
    with tempfile.TemporaryDirectory(prefix="vallum-", dir=MEMORY if MEMORY.is_dir() else None) as place:
        found = Both([Path(place) / "here", Path(place) / "there"], server.url(name), SCHEMAS)
        found.native = server.wait(server.connect(name))
        yield found
        server.wait(found.native.close())
        found.close()
    server.drop(name)


def cases() -> st.SearchStrategy[Case]:
    """A schema's number, and bytes that choose the rest."""
    return st.builds(
        Case,
        st.integers(0, SCHEMAS - 1),
        st.binary(min_size=200, max_size=200),
        st.binary(min_size=256, max_size=256),
        st.binary(min_size=96, max_size=96),
    )


@pytest.mark.parametrize("part", range(math.ceil(CASES / PART)))
def test_all_agree(both: Both, part: int) -> None:
    """Lists, masks, filters, sorts, items, creates, changes and removals; then every row."""

    @seed(SEED + part)
    @settings(max_examples=min(PART, CASES), database=None, report_multiple_bugs=False, phases=PHASES)
    @given(case=cases())
    def agree(case: Case) -> None:
        note(repr(case))
        both.run(Asked(both, case).all())

    agree()


@pytest.mark.parametrize("part", range(math.ceil(CASES / PART / NATIVELY)))
def test_row_security_agrees(both: Both, part: int) -> None:
    """What the database alone shows, and lets be changed and removed, of models and under rules that are drawn."""

    @seed(SEED + part)
    @settings(
        max_examples=min(PART, math.ceil(CASES / NATIVELY)), database=None, report_multiple_bugs=False, phases=PHASES
    )
    @given(case=cases())
    def agree(case: Case) -> None:
        note(repr(case))
        both.run(both.fill(case.rows))
        stores.server().wait(judged(both.native, case))

    agree()
