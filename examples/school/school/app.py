"""The API itself: who there is, and how much they may ask for."""

from __future__ import annotations

from typing import Final

from vallum import API, Plan

api: Final = API(
    "School",
    roles=["student", "parent", "teacher", "registrar", "head", "reader"],
    # People have the default plan. The screen in the entrance hall shows articles and needs few requests; programs of
    # others, which come with an API key, may ask a thousand times an hour.
    plans={
        "screen": Plan(burst="20/min", hour=200, day=2_000),
        "reader": Plan(burst="20/s", hour=1_000, day=10_000),
    },
)
