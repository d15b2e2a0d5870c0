"""What the scripts of a request share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from threading import Event

import pytest

from vallum.execute.frame import Plans
from vallum.store.sql import Prepared


@dataclass(frozen=True, slots=True)
class Key:
    """Compared by Python code, in the middle of which another thread may go on."""

    number: int
    parts: tuple[str, ...] = ("x",)


def prepared(number: int) -> Prepared:
    return Prepared(str(number), ())


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads change over all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_plans_of_two_threads() -> None:
    """The event loop and the writer's thread ask at once, while statements are dropped: each gets its own."""
    plans = Plans(limit=50)

    def ask(seed: int) -> bool:
        random = Random(seed)
        numbers = [random.randrange(60) for _ in range(20_000)]
        return all(plans.get(Key(number), prepared, number).text == str(number) for number in numbers)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, (1, 2))) == [True, True]


def test_a_plan_that_is_being_made_keeps_nobody() -> None:
    """The event loop does not wait for a statement that the writer's thread is building."""
    plans, begun, goes_on = Plans(), Event(), Event()

    def build() -> Prepared:
        begun.set()
        assert goes_on.wait(5)
        return prepared(1)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(plans.get, "slow", build)
        assert begun.wait(5)
        assert plans.get("quick", prepared, 2).text == "2"
        goes_on.set()
        assert slow.result().text == "1"


def test_the_least_recently_used_plan_is_dropped() -> None:
    """A plan is made again only after it was dropped."""
    plans = Plans(limit=2)
    made: list[int] = []

    def build(number: int) -> Prepared:
        made.append(number)
        return prepared(number)

    for number in (1, 2, 1, 3, 1, 2):
        plans.get(number, build, number)
    assert made == [1, 2, 3, 2]
