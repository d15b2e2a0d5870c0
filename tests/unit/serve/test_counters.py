"""Counts written behind, while callers go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vallum import Plan
from vallum.serve.counters import WriteBehind
from vallum.throttle.budget import Budget
from vallum.throttle.stage import Meter

NOW = 1_800_000_000.0


class Busy:
    """A store during whose every write the same caller asks again."""

    dialect = "sqlite"

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.writes = 0

    async def write(self, _: Callable[[], Any]) -> None:
        """Count it, and be counted on."""
        self.writes += 1
        assert self.writes < 10
        self.meter.known.claim("busy", Budget(Plan(hour=1000)), 1, NOW)


async def test_a_caller_that_never_stops_does_not_keep_the_writer_busy() -> None:
    """What is counted during a write is taken in the next round, not in this one for ever."""
    unused: Any = None
    meter = Meter({"default": Plan(), "anonymous": Plan()}, unused)
    meter.known.claim("busy", Budget(Plan(hour=1000)), 1, NOW)
    store: Any = Busy(meter)
    behind = WriteBehind(meter, NoUses(), store, unused, lambda: NOW)  # type: ignore[arg-type]  # nothing was used
    await behind._save()
    assert store.writes == 1
    assert meter.dirty == 1


class NoUses:
    """No API key was used."""

    def take(self, _: int) -> list[Any]:
        """Nothing to write."""
        return []
