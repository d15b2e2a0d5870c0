"""The syntax of `Idempotency-Key`: a quoted text of structured fields, or a bare token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.refusals import Refusal
from vallum.validate.idempotency import parse_key

DELIMITERS = set(' ,;"\\()<>@?[]{}')
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def quoted(text: str) -> str:
    """RFC 9651 §4.1.6: serialising a string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(st.text(PRINTABLE, min_size=1, max_size=defaults.MAX_IDEMPOTENCY_KEY_CHARACTERS))
def test_every_quoted_text_is_read_back(text: str) -> None:
    """Whatever a serialiser of structured fields writes, and nothing more or less than that."""
    assert parse_key(quoted(text)) == text
    for broken in (quoted(text)[:-1], quoted(text)[1:], quoted(text) + " ", " " + quoted(text), quoted(text) + ";a"):
        with pytest.raises(Refusal):
            parse_key(broken)


@given(st.text(PRINTABLE, max_size=20))
def test_what_is_taken_is_quoted_or_bare(value: str) -> None:
    """A bare key is itself and has no space, comma, semicolon, quote or backslash."""
    try:
        key = parse_key(value)
    except Refusal:
        assert not value or set(value) & DELIMITERS
        return
    assert value == (quoted(key) if value.startswith('"') else key) != ""
    assert value.startswith('"') or not set(value) & DELIMITERS


def test_the_length_is_that_of_the_text() -> None:
    """Quotes and escapes do not count; 255 is a key and 256 is none."""
    longest = "\\" * defaults.MAX_IDEMPOTENCY_KEY_CHARACTERS
    assert parse_key(quoted(longest)) == longest
    for value in (quoted(longest + "\\"), "k" * 256, "", '""'):
        with pytest.raises(Refusal):
            parse_key(value)
