"""Turns of a key: one at a time, in order, for a bounded time, and forgotten when nobody wants them."""

from __future__ import annotations

import asyncio

import pytest

from vallum.refusals import IDEMPOTENCY_IN_FLIGHT, Refusal
from vallum.store.turns import Turns


async def test_one_at_a_time_in_order() -> None:
    """Those of one key never overlap and come as they asked; nothing of them is left."""
    turns, seen = Turns(), list[int]()

    async def visit(number: int) -> None:
        async with turns.turn(b"k", 10):
            seen.append(number)
            await asyncio.sleep(0)
            assert seen[-1] == number

    await asyncio.gather(*(visit(number) for number in range(20)))
    assert seen == list(range(20))
    assert len(turns._locks) == 0


async def test_other_keys_do_not_wait() -> None:
    """A turn of one key inside that of another."""
    turns = Turns()
    async with turns.turn(b"a", 0.01), turns.turn(b"b", 0.01):
        assert len(turns._locks) == 2


async def test_waiting_is_bounded() -> None:
    """Past the bound a refusal that says when to ask again."""
    turns = Turns()
    async with turns.turn(b"k", 10):
        with pytest.raises(Refusal) as refused:
            await turns.turn(b"k", 0.01).__aenter__()
    assert refused.value.reason is IDEMPOTENCY_IN_FLIGHT
    assert refused.value.retry_after_seconds == 1


async def test_who_is_cancelled_leaves_the_turn() -> None:
    """Holding it or waiting for it: the next one has it."""
    turns = Turns()

    async def stay() -> None:
        async with turns.turn(b"k", 10):
            await asyncio.Event().wait()

    leaving = [asyncio.create_task(stay()) for _ in range(3)]
    await asyncio.sleep(0)
    assert [task.cancel() for task in leaving] == [True] * 3
    async with turns.turn(b"k", 1):
        assert leaving[0].cancelled()


async def test_an_error_of_time_inside_is_not_the_bound() -> None:
    """What the holder raises is its own."""
    with pytest.raises(TimeoutError):
        async with Turns().turn(b"k", 10):
            raise TimeoutError
