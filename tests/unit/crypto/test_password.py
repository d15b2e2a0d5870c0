from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from vallum.crypto import NotAuthentic, password
from vallum.defaults import MAX_PASSWORD_BYTES

STORED = password.hash_password("correct horse")


def assert_refused(stored: str | None, text: str) -> None:
    with pytest.raises(NotAuthentic) as caught:
        password.verify_password(stored, text)
    assert caught.value.reason == "password"


def test_parameters() -> None:
    """Argon2id, 19 MiB, two passes, one lane (OWASP), readable from the stored text."""
    assert STORED.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_right_password() -> None:
    """The right password returns without a value; so does argon2-cffi by itself."""
    password.verify_password(STORED, "correct horse")
    assert PasswordHasher().verify(STORED, "correct horse")


@pytest.mark.parametrize(
    "text", ["", "Correct horse", "correct horse ", "correct", "correct horse\0", "\ud800", "x" * 5000]
)
def test_wrong_passwords(text: str) -> None:
    """Another case, a blank more, a part, nothing, no text, far too much: one reason for all."""
    assert_refused(STORED, text)


def test_salted() -> None:
    """The same password is stored differently each time."""
    assert password.hash_password("correct horse") != STORED


@settings(max_examples=10, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_any_text(text: str) -> None:
    """Any text can be a password, control characters and NUL among it."""
    password.verify_password(password.hash_password(text), text)


def test_composed_and_decomposed() -> None:
    """One password typed on two systems: é as one character and as two is the same (RFC 8265 §4.2.2)."""
    password.verify_password(password.hash_password("caf\u00e9"), "cafe\u0301")


@pytest.mark.parametrize("text", ["", "x" * (MAX_PASSWORD_BYTES + 1), "é" * (MAX_PASSWORD_BYTES // 2 + 1), "\ud800"])
def test_not_stored(text: str) -> None:
    """Nothing, too much in characters or in bytes, and what has no UTF-8 cannot become a password."""
    with pytest.raises(ValueError, match=r"."):
        password.hash_password(text)


@pytest.mark.parametrize("text", ["x" * MAX_PASSWORD_BYTES, "é" * (MAX_PASSWORD_BYTES // 2)])
def test_longest(text: str) -> None:
    """Exactly the bound, in bytes, is accepted, and its last byte counts."""
    stored = password.hash_password(text)
    password.verify_password(stored, text)
    assert_refused(stored, text[:-1] + "z")


@pytest.mark.parametrize(
    "stored",
    ["", "x", "plain text", "$argon2id$", STORED[:-4], "$2b$12$abcdefghijklmnopqrstuv"],
    ids=["empty", "letter", "plain", "prefix", "cut", "bcrypt"],
)
def test_broken_hashes(stored: str) -> None:
    """A stored text that is no Argon2 hash lets nobody in."""
    assert_refused(stored, "correct horse")
    assert_refused(stored, stored)


def test_absent_account_is_always_refused() -> None:
    """Without an account every password is wrong, the empty one too."""
    for text in ("", "correct horse", "x" * 64):
        assert_refused(None, text)


def test_absent_account_takes_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an unknown account the same function runs with the same parameters and the whole password."""
    seen: list[tuple[str, bytes]] = []
    real = PasswordHasher.verify

    def spy(self: PasswordHasher, stored: str, octets: bytes) -> bool:
        seen.append((stored, octets))
        return real(self, stored, octets)

    monkeypatch.setattr(PasswordHasher, "verify", spy)
    assert_refused(STORED, "wrong")
    assert_refused(None, "wrong")
    (known, first), (absent, second) = seen
    assert first == second == b"wrong"
    assert extract_parameters(known) == extract_parameters(absent)
    assert known != absent


def test_absent_account_even_if_the_password_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a password ever match the stand-in hash, it opens nothing."""
    monkeypatch.setattr(password, "_ABSENT", STORED)
    assert_refused(None, "correct horse")


def test_needs_rehash() -> None:
    """Today's parameters need none; fewer passes, less memory and another variant do."""
    assert not password.needs_rehash(STORED)
    for old in (
        PasswordHasher(time_cost=1, memory_cost=19456, parallelism=1).hash("x"),
        PasswordHasher(time_cost=2, memory_cost=8192, parallelism=1).hash("x"),
        STORED.replace("argon2id", "argon2i"),
    ):
        assert password.needs_rehash(old)


def test_old_parameters_still_verify() -> None:
    """A hash of other parameters verifies, so that it can be replaced at the next login."""
    password.verify_password(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("old"), "old")
