"""Accepted nonces in memory: each once, bounded, and forgotten only when that lets nothing in again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum.refusals import NONCE_REUSED, NONCES_LIMITED, NONCES_UNAVAILABLE, TIMESTAMP_STALE, Reason, Refusal
from vallum.store.nonces import NEVER, Nonces

NOW = 1_800_000_000.0
STRANGER = "\n192.0.2.1"


def opened(window: int, **limits: int) -> Nonces:
    """Of a first process."""
    nonces = Nonces(window, **limits)
    nonces.restore(NEVER, NEVER, ())
    return nonces


def refusal(nonces: Nonces, caller: str, nonce: bytes, at: float, now: float) -> Reason | None:
    """Why it is refused; None when it is accepted."""
    try:
        nonces.claim(caller, nonce, at, now)
    except Refusal as refused:
        return refused.reason
    return None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", STRANGER]),
            st.sampled_from([b"x", b"y", b"z"]),
            st.floats(-60, 30),
            st.floats(-20, 70),
        ),
        max_size=60,
    )
)
def test_nothing_is_accepted_twice_whatever_the_clock_does(asked: list[tuple[str, bytes, float, float]]) -> None:
    """One process, all of whose clocks wander: a nonce of a caller has one timestamp at which it was accepted."""
    nonces = opened(60)
    accepted: list[tuple[str, bytes, float]] = []
    now = NOW
    for caller, nonce, ahead, passed in asked:
        now += passed
        if refusal(nonces, caller, nonce, now + ahead, now) is None:
            accepted.append((caller, nonce, now + ahead))
        for request in accepted:
            if now - 60 <= request[2] <= now + 30:
                assert refusal(nonces, *request, now) is not None
    assert len(set(accepted)) == len(accepted)


def test_bounds_count_what_is_live_and_nothing_else() -> None:
    """Per caller and in all; strangers apart; what was refused takes no place."""
    nonces = opened(60, per_caller=2, known=3, strangers=1)
    assert [refusal(nonces, "a", bytes([n]), NOW, NOW) for n in range(3)] == [None, None, NONCES_LIMITED]
    assert refusal(nonces, "a", b"\x00", NOW, NOW) is NONCE_REUSED
    assert [refusal(nonces, "b", bytes([n]), NOW + n, NOW) for n in range(2)] == [None, NONCES_UNAVAILABLE]
    assert [refusal(nonces, STRANGER, bytes([n]), NOW, NOW) for n in range(2)] == [None, NONCES_UNAVAILABLE]
    assert len(nonces) == 4
    nonces.forget(NOW + 61)
    assert len(nonces) == 0
    assert nonces._held == {}
    assert set(nonces._totals.values()) == {0}
    assert [refusal(nonces, "a", bytes([n]), NOW + 61, NOW + 61) for n in range(3)] == [None, None, NONCES_LIMITED]


def test_it_says_when_there_is_room_again() -> None:
    """Of the caller's own oldest nonce, or of the oldest of all; a second later is enough, and not before."""
    nonces = opened(60, per_caller=1, known=2)
    nonces.claim("a", b"x", NOW - 20, NOW)
    nonces.claim("b", b"x", NOW - 10, NOW)
    for caller, wait in (("c", 41), ("b", 51)):
        with pytest.raises(Refusal) as refused:
            nonces.claim(caller, b"y", NOW, NOW)
        assert refused.value.retry_after_seconds == wait
    for caller, wait in (("c", 41), ("b", 51)):
        assert refusal(nonces, caller, b"y", NOW + wait - 1, NOW + wait - 1) is not None
        assert refusal(nonces, caller, b"y", NOW + wait, NOW + wait) is None


def test_each_nonce_is_forgotten_once() -> None:
    """A look that finds nothing to drop does no work that grows with what is there."""
    nonces = opened(60)
    for n in range(1000):
        nonces.claim("a", str(n).encode(), NOW + n % 30, NOW)
    seconds = nonces._seconds
    nonces._seconds = None  # type: ignore[assignment]  # whoever looks at it fails
    nonces.forget(NOW + 60)
    nonces._seconds = seconds
    nonces.forget(NOW + 61)
    assert len(nonces) == 1000 - 34


def test_what_an_earlier_process_accepted_is_known() -> None:
    """Its rows are all taken, beyond the bounds too; the same row twice is as good as once; below its floor nothing passes."""
    earlier = opened(60)
    for n in range(5):
        earlier.claim("a", bytes([n]), NOW, NOW)
    rows = list(earlier.rows())
    nonces = opened(60, per_caller=2)
    nonces.restore(int(NOW) - 5, int(NOW) + 2, rows + rows[:2])
    assert len(nonces) == 5
    assert refusal(nonces, "a", b"\x00", NOW, NOW) is NONCE_REUSED
    assert refusal(nonces, "a", b"new", NOW, NOW) is NONCES_LIMITED
    assert refusal(nonces, "b", b"old", NOW - 5, NOW) is TIMESTAMP_STALE
    assert refusal(nonces, "b", b"old", NOW - 4.9, NOW) is None


def test_a_row_is_asked_for_beyond_the_mark_only() -> None:
    """Seconds are rounded up: a fraction of a second beyond the mark is beyond it."""
    nonces = opened(60)
    nonces.restore(0, int(NOW) + 2, ())
    assert nonces.claim("a", b"1", NOW + 2, NOW) is None
    row = nonces.claim("a", b"2", NOW + 2.001, NOW)
    assert row is not None
    assert (row[0], len(row[1]), row[2]) == ("a", 30, int(NOW) + 3)


def test_a_closed_one_accepts_nothing() -> None:
    """Before it knows what was accepted, nothing is. While its nonces are written down, none may be added; and one that was seen is still told from a new one."""
    assert refusal(Nonces(60), "a", b"1", NOW, NOW) is NONCES_UNAVAILABLE
    nonces = opened(60)
    nonces.claim("a", b"1", NOW, NOW)
    nonces.close()
    assert refusal(nonces, "a", b"1", NOW, NOW) is NONCE_REUSED
    assert refusal(nonces, "a", b"2", NOW, NOW) is NONCES_UNAVAILABLE
