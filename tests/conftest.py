"""What every test shares: how many examples hypothesis draws. The rest stands in pyproject.toml.

`HYPOTHESIS_PROFILE=thorough make test` looks longer; `ci` draws the same examples on every run, so that a red
build is red for the change that it builds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.stores import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.stores import pytest_generate_tests as pytest_generate_tests
from tests.stores import store as store

# No deadline: two workers share two cores, and speed is the benchmark's business.
_SHARED = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("default", parent=_SHARED, max_examples=100)
settings.register_profile("ci", parent=_SHARED, max_examples=100, derandomize=True)
settings.register_profile("thorough", parent=_SHARED, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is nine hours ahead of UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()
