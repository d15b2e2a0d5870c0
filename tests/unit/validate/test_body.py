"""Reading a body: counted and timed while it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.refusals import BODY_TOO_LARGE, REQUEST_MALFORMED, REQUEST_TIMEOUT, Reason, Refusal
from vallum.validate.body import read_body

LONG = 60.0
"""Seconds that no test waits for."""


class Messages:
    """An ASGI `receive` that gives the pieces of a body, and then never anything more."""

    def __init__(self, pieces: Iterable[bytes], *, complete: bool = True) -> None:
        self.pieces = list(pieces)
        self.complete = complete
        self.taken = 0

    async def __call__(self) -> Mapping[str, object]:
        if self.taken == len(self.pieces):
            await asyncio.Event().wait()
        self.taken += 1
        more = self.taken < len(self.pieces) or not self.complete
        return {"type": "http.request", "body": self.pieces[self.taken - 1], "more_body": more}


def read(
    receive: Messages, *, max_bytes: int = 100, seconds: float = LONG, expected_length: int | None = None
) -> bytes:
    return asyncio.run(read_body(receive, max_bytes=max_bytes, seconds=seconds, expected_length=expected_length))


def refused(receive: Messages, reason: Reason, *, seconds: float = LONG, expected_length: int | None = None) -> None:
    with pytest.raises(Refusal) as caught:
        read(receive, max_bytes=10, seconds=seconds, expected_length=expected_length)
    assert caught.value.reason is reason


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=20), st.booleans())
def test_the_pieces_are_put_together(pieces: list[bytes], announced: bool) -> None:
    """However a body is cut, with empty pieces anywhere, with its length announced or not."""
    body = b"".join(pieces)
    assert read(Messages(pieces), expected_length=len(body) if announced else None) == body


def test_a_body_in_one_message_is_not_copied() -> None:
    """The ordinary case takes the server's own bytes."""
    body = b'{"name": "Anna"}'
    assert read(Messages([body])) is body


def test_a_message_may_leave_out_what_it_does_not_need() -> None:
    """ASGI: `body` is empty and `more_body` false unless given."""

    async def receive() -> Mapping[str, object]:
        return {"type": "http.request"}

    assert asyncio.run(read_body(receive, max_bytes=0, seconds=LONG, expected_length=0)) == b""


def test_the_largest_body_is_accepted() -> None:
    """Exactly the limit, in one piece and in many."""
    assert len(read(Messages([b"x" * 100]))) == 100
    assert len(read(Messages([b"x"] * 100))) == 100


@pytest.mark.parametrize("pieces", [[b"x" * 11], [b"x" * 10, b"x"], [b"x"] * 11])
def test_a_body_that_is_too_large_is_refused_at_once(pieces: list[bytes]) -> None:
    """Not a message more is taken once the limit is passed, though the client would go on."""
    receive = Messages([*pieces, b"rest"], complete=False)
    refused(receive, BODY_TOO_LARGE)
    assert receive.taken == len(pieces)


@pytest.mark.parametrize("pieces", [[], [b"{"], [b"{", b"", b'"a"']])
def test_a_body_that_does_not_arrive_in_time_is_refused(pieces: list[bytes]) -> None:
    """The time is that of the whole body: a piece now and then does not lengthen it."""
    refused(Messages(pieces, complete=False), REQUEST_TIMEOUT, seconds=0.001)


def test_a_timeout_of_the_server_itself_is_not_taken_for_ours() -> None:
    """A fault below stays a fault."""

    async def receive() -> Mapping[str, object]:
        raise TimeoutError("from below")

    with pytest.raises(TimeoutError, match="from below"):
        asyncio.run(read_body(receive, max_bytes=10, seconds=LONG, expected_length=None))


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_body_that_breaks_off_is_refused(before: int) -> None:
    """Half a body is never taken for a whole one; `http.disconnect` is also what a server says of broken chunks."""
    pieces = Messages([b"x"] * before, complete=False)

    async def receive() -> Mapping[str, object]:
        return await pieces() if pieces.taken < before else {"type": "http.disconnect"}

    with pytest.raises(Refusal) as caught:
        asyncio.run(read_body(receive, max_bytes=10, seconds=LONG, expected_length=None))
    assert caught.value.reason is REQUEST_MALFORMED


@pytest.mark.parametrize(
    ("pieces", "length"),
    [([b"abc"], 4), ([b"a", b"bc"], 4), ([b""], 1), ([b"abc"], 2), ([b"a", b"bc"], 2), ([b"a"], 0)],
)
def test_a_body_of_another_length_than_announced_is_refused(pieces: list[bytes], length: int) -> None:
    """RFC 9112 §6.3: shorter is incomplete; longer is a second request hidden in the first."""
    refused(Messages(pieces), REQUEST_MALFORMED, expected_length=length)


def test_more_than_announced_is_refused_at_once() -> None:
    """What follows is not waited for."""
    receive = Messages([b"abc", b"d", b"e"], complete=False)
    refused(receive, REQUEST_MALFORMED, expected_length=3)
    assert receive.taken == 2


def test_empty_pieces_are_bounded() -> None:
    """They would cost work for ever without reaching the limit of bytes; some are ordinary."""
    most = defaults.MAX_EMPTY_BODY_MESSAGES
    assert read(Messages([b"", *[b""] * (most - 1), b"x"])) == b"x"
    endless = Messages([b""] * 10 * most, complete=False)
    refused(endless, REQUEST_MALFORMED)
    assert endless.taken <= most + 2
