"""The School, with one more plan: its limits are counted and compared at every request, and never met.

A run that shows a limit being met sets LIMIT.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from vallum import Plan
from vallum.declare.app import API

SCHOOL: Final = Path(__file__).resolve().parent.parent / "examples" / "school"
PLAN: Final = "bench"
LIMIT: Final = "BENCH_LIMIT"
"""The variable with the requests a minute that a caller may make."""
UNREACHED: Final = 999_999_999


def _school() -> API:
    sys.path.insert(0, str(SCHOOL))  # an example is not installed
    from school import api  # noqa: PLC0415

    found: API = api
    found.plans = {**found.plans, PLAN: Plan(burst=_burst(), hour=UNREACHED, day=UNREACHED)}
    return found


def _burst() -> str:
    limit = os.environ.get(LIMIT)
    return f"{UNREACHED}/s" if limit is None else f"{limit}/min"


api: Final = _school()
