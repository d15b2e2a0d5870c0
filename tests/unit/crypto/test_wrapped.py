"""Secrets at rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum.crypto import BadKey, wrapped

PASSPHRASE = b"nVtq4cdrZ6gy8bF2KpWmXhYs"
SECRET = bytes(range(32))
WRAPPED = wrapped.wrap(SECRET, PASSPHRASE)
OLD = b"vallum-wrapped-1.OR6SRUSz_fYqXo9psWjQng.qMucpWHjHiKa0k3KHo-5rv_8C65cklhK8yFPr1xcCMpMf74b5EpZYgT7llHPHi1B\n"
"""What `wrap` made on 23 November 2026."""


def test_what_was_wrapped_comes_back() -> None:
    """Under the same passphrase; and the same secret is wrapped in another way each time."""
    assert wrapped.unwrap(WRAPPED, PASSPHRASE) == SECRET
    assert wrapped.is_wrapped(WRAPPED)
    assert not wrapped.is_wrapped(SECRET)
    assert wrapped.wrap(SECRET, PASSPHRASE) != WRAPPED


def test_what_was_wrapped_once_opens_for_ever() -> None:
    """Other parameters, such as dearer passwords, must not keep anybody from the keys of before."""
    assert wrapped.unwrap(OLD, PASSPHRASE) == SECRET


def test_nothing_of_the_secret_is_to_be_seen() -> None:
    """Neither as bytes nor as text."""
    assert SECRET not in WRAPPED
    assert SECRET[:8].hex().encode() not in WRAPPED


@pytest.mark.parametrize("passphrase", [PASSPHRASE[:-1], PASSPHRASE + b"\n", PASSPHRASE.swapcase()])
def test_another_passphrase_opens_nothing(passphrase: bytes) -> None:
    """However like it is."""
    with pytest.raises(BadKey) as caught:
        wrapped.unwrap(WRAPPED, passphrase)
    assert caught.value.reason == "wrapped_passphrase"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"..",
        b"vallum-wrapped-1.",
        b"vallum-wrapped-1..",
        WRAPPED[:-2],
        WRAPPED + b"\n",
        WRAPPED + b".",
        b"\xff" * 32,
    ],
)
def test_what_was_not_wrapped_here(content: bytes) -> None:
    """Cut off, with a tail, or no text at all."""
    with pytest.raises(BadKey):
        wrapped.unwrap(content, PASSPHRASE)


@given(st.integers(len(wrapped.MARK) + 1, len(WRAPPED) - 2), st.sampled_from(b"AZaz09-_. \x00"))
def test_a_changed_byte(place: int, byte: int) -> None:
    """Of the salt as of what is sealed."""
    changed = WRAPPED[:place] + bytes([byte]) + WRAPPED[place + 1 :]
    if changed != WRAPPED:
        with pytest.raises(BadKey):
            wrapped.unwrap(changed, PASSPHRASE)
