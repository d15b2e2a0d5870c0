"""API keys: their form, their checksum, and that only the whole secret verifies."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum.crypto import api_key
from vallum.crypto.api_key import NewKey
from vallum.crypto.errors import NotAuthentic


def refusal(text: str) -> str:
    """Why a text is no key."""
    with pytest.raises(NotAuthentic) as caught:
        api_key.identifier_of(text)
    return caught.value.reason


def resealed(body: str) -> str:
    """A text with the checksum that it should have: what an attacker who knows the form makes."""
    return body + api_key._checksum(body)


TEXT = resealed("vk_7Qm2xK0aBcD9eFgH" + "Zr4tYu8iOp1aSd5fGh9jKl3zXc7vBn2mQw6eRt0yUi4")
KEY = NewKey(TEXT, TEXT[3:19], sha256(TEXT.encode()).digest())
"""The same in every run: the names of the tests have it in them."""


def test_a_key_has_the_documented_form() -> None:
    """`vk_`, 16 characters of identifier, 43 of secret, 6 of checksum, one word for a double click."""
    for key in (KEY, api_key.generate()):
        assert re.fullmatch(r"vk_[0-9A-Za-z]{16}[0-9A-Za-z]{43}[0-9A-Za-z]{6}", key.text)
        assert key.text[3:19] == key.identifier == api_key.identifier_of(key.text)


def test_the_secret_has_256_bits() -> None:
    """So many characters of so large an alphabet, each of which occurs, and no two keys share a secret."""
    assert len(set(api_key.ALPHABET)) == 62
    assert 62**api_key.SECRET_CHARACTERS >= 2**256
    assert 62**api_key.CHECKSUM_CHARACTERS >= 2**32
    keys = [api_key.generate() for _ in range(200)]
    assert len({key.text[19:62] for key in keys}) == len({key.identifier for key in keys}) == 200
    assert set("".join(key.text[3:62] for key in keys)) == set(api_key.ALPHABET)


def test_what_is_stored_is_a_digest_of_the_whole_text() -> None:
    """SHA-256, 32 bytes, and the text is not in it."""
    key = api_key.generate()
    assert key.digest == sha256(key.text.encode()).digest()
    api_key.verify(key.text, key.digest)


def test_a_checksum_can_be_computed_by_anyone() -> None:
    """The form is a promise to scanners: this text is the same for ever."""
    body = "vk_0123456789abcdef" + "A" * 43
    assert resealed(body) == body + "13Funf"
    assert api_key.identifier_of(resealed(body)) == "0123456789abcdef"


@given(st.integers(3, len(KEY.text) - 1), st.sampled_from(api_key.ALPHABET))
def test_one_wrong_character_is_seen_without_a_lookup(position: int, character: str) -> None:
    """Wherever it is: CRC-32 sees every change within 32 bits."""
    if KEY.text[position] == character:
        return
    assert refusal(KEY.text[:position] + character + KEY.text[position + 1 :]) == "api_key_checksum"


@given(st.integers(3, len(KEY.text) - 2))
def test_two_neighbours_in_the_wrong_order_are_seen(position: int) -> None:
    """The other typing error that people make."""
    a, b = KEY.text[position], KEY.text[position + 1]
    if a == b:
        return
    assert refusal(KEY.text[:position] + b + a + KEY.text[position + 2 :]) == "api_key_checksum"


@pytest.mark.parametrize(
    "text",
    [
        *("", "vk_", "vk_1", KEY.text[:-1], KEY.text + "0", KEY.text + "\n", " " + KEY.text, KEY.text.upper()),
        *(KEY.text[3:], "VK_" + KEY.text[3:], "sk_" + KEY.text[3:], KEY.text[:-1] + "-", KEY.text[:-1] + "é"),
        *(KEY.text[:20] + "\x00" + KEY.text[21:], KEY.text[:20] + "٣" + KEY.text[21:], "vk_" + "_" * 65),
    ],
)
def test_another_form_is_no_key(text: str) -> None:
    """Length, prefix and alphabet are exact; other scripts' digits are none."""
    assert refusal(text) == "api_key_form"


@given(st.text(max_size=100))
def test_any_text_is_refused_or_a_key(text: str) -> None:
    """Nothing but NotAuthentic comes out, whatever goes in."""
    for candidate in (text, "vk_" + text):
        try:
            identifier = api_key.identifier_of(candidate)
        except NotAuthentic:
            continue
        assert candidate[3:19] == identifier


def test_only_the_secret_verifies() -> None:
    """A right identifier with another secret, another key's digest, a part of the digest and no key: one refusal."""
    forged = resealed(KEY.text[:19] + "0" * 43)
    assert api_key.identifier_of(forged) == KEY.identifier
    for text, digest in (
        (forged, KEY.digest),
        (KEY.text, api_key.generate().digest),
        (KEY.text, KEY.digest[:16]),
        (KEY.text, b""),
        (KEY.text, None),
        (KEY.text, bytes(32)),
    ):
        with pytest.raises(NotAuthentic) as caught:
            api_key.verify(text, digest)
        assert caught.value.reason == "api_key_secret"


def test_the_comparison_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of `hmac`, asked once for a key that exists and once for one that does not."""
    asked: list[tuple[int, int]] = []

    def compare(a: bytes, b: bytes) -> bool:
        asked.append((len(a), len(b)))
        return a == b

    monkeypatch.setattr("hmac.compare_digest", compare)
    api_key.verify(KEY.text, KEY.digest)
    with pytest.raises(NotAuthentic):
        api_key.verify(KEY.text, None)
    assert asked == [(32, 32), (32, 32)]
