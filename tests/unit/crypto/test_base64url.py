from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum.crypto import base64url

ALPHABET = string.ascii_letters + string.digits + "-_"


@given(st.binary(max_size=200))
def test_round_trip(data: bytes) -> None:
    """Any bytes come back, and the text is the standard library's without padding."""
    text = base64url.encode(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert base64url.decode(text) == data


@given(st.text(alphabet=ALPHABET + "=+/ \n?é", max_size=30))
def test_one_spelling(text: str) -> None:
    """Whatever decodes is exactly what encoding gives: no two texts mean the same bytes."""
    try:
        data = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(data) == text


@pytest.mark.parametrize(
    "text",
    ["QQ==", "QR", "QUI=", "QUJ", "A", "QUJDR", "Q Q", " QQ", "QQ\n", "Q+Q_", "Q/Q-", "QQ.", "ＱＱ", "QQ\0", "QQ==QQ"],
)
def test_refused(text: str) -> None:
    """Padding, unused bits, a lone character, whitespace, the other alphabet, foreign and wide characters."""
    with pytest.raises(ValueError, match=r"."):
        base64url.decode(text)


@pytest.mark.parametrize(
    ("text", "data"), [("", b""), ("QQ", b"A"), ("QUI", b"AB"), ("QUJD", b"ABC"), ("-_8", b"\xfb\xff")]
)
def test_known_values(text: str, data: bytes) -> None:
    """Each length of the last group, and both characters that differ from base64."""
    assert base64url.decode(text) == data
