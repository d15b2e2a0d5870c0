from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from vallum.crypto import digest

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_known_value() -> None:
    """The example of FIPS 180-4 for "abc", cut to 128 bits and as bytes."""
    assert digest.etag128(b"abc") == ABC[:32]
    assert digest.cache_key(b"abc") == bytes.fromhex(ABC)


@given(st.binary(max_size=200))
def test_agrees_with_hashlib(data: bytes) -> None:
    """Both are the same SHA-256 in their own form."""
    expected = hashlib.sha256(data)
    assert digest.etag128(data) == expected.hexdigest()[:32]
    assert digest.cache_key(data) == expected.digest()


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_a_fingerprint_knows_where_its_texts_are_cut(first: list[bytes], second: list[bytes]) -> None:
    """Equal sequences have equal fingerprints, others have others, also when their texts join to the same."""
    assert (digest.fingerprint(*first) == digest.fingerprint(*second)) is (first == second)
    joined = b"".join(first)
    assert digest.fingerprint(joined) != digest.fingerprint(joined, b"")


def test_the_hash_of_an_inline_style() -> None:
    """The same digest of "abc", in base64 with its padding and between quotes, as a policy names it."""
    assert digest.csp_hash("abc") == "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='"
