from __future__ import annotations

import base64
import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum.crypto import BadKey, NotAuthentic, sealed
from vallum.crypto.sealed import Sealer, derive_key

MASTER = bytes(range(32))
SEALER = Sealer(MASTER, "cursor")

contents = st.binary(max_size=100)
parts = st.lists(st.binary(max_size=20), max_size=5)


def assert_refused(text: str, *associated: bytes, sealer: Sealer = SEALER) -> None:
    with pytest.raises(NotAuthentic) as caught:
        sealer.open(text, *associated)
    assert caught.value.reason == "sealed"


@given(contents, parts)
def test_round_trip(data: bytes, associated: list[bytes]) -> None:
    """What was sealed comes out, under the same associated data, in another process as well."""
    text = SEALER.seal(data, *associated)
    assert SEALER.open(text, *associated) == data
    assert Sealer(MASTER, "cursor").open(text, *associated) == data


@given(contents, parts)
def test_form(data: bytes, associated: list[bytes]) -> None:
    """The text is base64url without padding, 16 bytes longer than the content, and deterministic."""
    text = SEALER.seal(data, *associated)
    assert len(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) == len(data) + 16
    assert "=" not in text
    assert SEALER.seal(data, *associated) == text


@given(st.binary(max_size=24))
def test_every_bit_counts(data: bytes) -> None:
    """Flipping any single bit of a sealed text is refused."""
    text = SEALER.seal(data, b"caller")
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for bit in range(len(octets) * 8):
        changed = bytearray(octets)
        changed[bit // 8] ^= 1 << bit % 8
        assert_refused(base64.urlsafe_b64encode(changed).decode().rstrip("="), b"caller")


@given(st.binary(max_size=24), st.data())
def test_every_character_counts(data: bytes, draw: st.DataObject) -> None:
    """Any other character in any place is refused: the text has no second spelling."""
    text = SEALER.seal(data)
    at = draw.draw(st.integers(0, len(text) - 1))
    other = draw.draw(st.characters(codec="utf-8").filter(lambda c: c != text[at]))
    assert_refused(text[:at] + other + text[at + 1 :])


@given(contents, parts, parts)
def test_other_associated_data(data: bytes, one: list[bytes], other: list[bytes]) -> None:
    """Under any other list of associated data a text does not open."""
    text = SEALER.seal(data, *one)
    if one == other:
        assert SEALER.open(text, *other) == data
    else:
        assert_refused(text, *other)


def test_boundaries_between_parts_count() -> None:
    """Moving a byte from one part to the next, an empty part and the order make other associated data."""
    text = SEALER.seal(b"x", b"ab", b"c")
    for other in ([b"a", b"bc"], [b"abc"], [b"ab", b"c", b""], [b"", b"ab", b"c"], [b"c", b"ab"], []):
        assert_refused(text, *other)


@pytest.mark.parametrize("change", ["", "A", "AAAA", "A" * 21, "?", "ä", " "])
def test_not_sealed(change: str) -> None:
    """Texts that are too short or no base64url are refused with the same reason."""
    assert_refused(change)


@given(st.text(max_size=60))
def test_arbitrary_texts(text: str) -> None:
    """No text that was not sealed opens, and nothing but NotAuthentic escapes."""
    assert_refused(text)


@given(contents, st.integers(1, 10))
def test_truncated_and_extended(data: bytes, count: int) -> None:
    """A part of a sealed text, and a sealed text with a tail, are refused."""
    text = SEALER.seal(data)
    assert_refused(text[:-count])
    assert_refused(text[count:])
    assert_refused(text + "A" * count)


def test_other_purpose_and_other_master() -> None:
    """A text opens only under the purpose and the master secret that sealed it."""
    text = SEALER.seal(b"x")
    assert_refused(text, sealer=Sealer(MASTER, "cookie"))
    assert_refused(text, sealer=Sealer(MASTER[::-1], "cursor"))


def test_content_does_not_show() -> None:
    """Neither the content nor its beginning is in the text."""
    data = b"account=4711;school=3;" * 3
    assert data[:8] not in base64.urlsafe_b64decode(SEALER.seal(data) + "==")


@pytest.mark.parametrize("octets", [0, 16, 31])
def test_short_master(octets: int) -> None:
    """A master secret of fewer than 32 bytes is refused with the mend."""
    with pytest.raises(BadKey, match=r"secret_short.*make a new one"):
        derive_key(bytes(octets), "cursor")
    with pytest.raises(BadKey, match="secret_short"):
        Sealer(bytes(octets), "cursor")


def test_hkdf() -> None:
    """RFC 5869 done by hand: extract with a zero salt, expand with our `info`."""
    extracted = hmac.digest(bytes(32), MASTER, "sha256")
    info = b"vallum 64 cursor"
    first = hmac.digest(extracted, info + b"\1", "sha256")
    second = hmac.digest(extracted, first + info + b"\2", "sha256")
    assert derive_key(MASTER, "cursor", 64) == first + second


def test_derived_keys_are_unrelated() -> None:
    """Other purposes give other keys, and a short key is not the beginning of a long one."""
    assert len({derive_key(MASTER, purpose) for purpose in ("cursor", "cursor2", "", "cookie")}) == 4
    assert derive_key(MASTER, "cursor", 64)[:32] != derive_key(MASTER, "cursor", 32)


def test_threads_share_a_sealer() -> None:
    """Two thousand texts sealed and opened in four threads at once all come back."""

    def once(number: int) -> bool:
        data, caller = number.to_bytes(4, "big") * 20, str(number).encode()
        return SEALER.open(SEALER.seal(data, caller), caller) == data

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(once, range(2000)))


def test_known_answer() -> None:
    """A text sealed once opens for ever: a change of format would break every cursor in use."""
    assert sealed.Sealer(MASTER, "known").seal(b"vallum", b"a", b"b") == "BKcxtpjNrOgPOH1xxN8p6GoMfcioBQ"
