"""How far a median can be trusted, without a guess at how the values are distributed."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import Final

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95


def median_interval(values: Sequence[float], seed: int, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Where the median lies with a confidence of 95 %: the percentile bootstrap (Efron 1979).

    Args:
        values: independent ones, at least one.
        seed: the same values and seed give the same interval.
    """
    source = random.Random(seed)
    size = len(values)
    medians = sorted(statistics.median(source.choices(values, k=size)) for _ in range(resamples))
    outside = (1 - CONFIDENCE) / 2
    return medians[int(outside * resamples)], medians[min(resamples - 1, int((1 - outside) * resamples))]
