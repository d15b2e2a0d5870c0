"""Form bodies."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.refusals import FORM_MALFORMED, Refusal
from vallum.validate.form import decode, read_form

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20
)  # every character but controls and lone surrogates
FORMS = st.dictionaries(TEXT, TEXT, max_size=defaults.MAX_FORM_PARAMETERS)


@given(FORMS)
def test_what_clients_encode_is_read(form: dict[str, str]) -> None:
    """Any form comes through form encoding unchanged."""
    assert read_form(urlencode(form).encode()) == form


@given(FORMS.filter(bool), st.data())
def test_a_repeated_parameter_is_refused(form: dict[str, str], data: st.DataObject) -> None:
    """RFC 6749 §3.2: parameters must not be included more than once, wherever the second stands."""
    name = data.draw(st.sampled_from(sorted(form)))
    pairs = list(form.items())
    pairs.insert(data.draw(st.integers(0, len(pairs))), (name, data.draw(st.just("") | TEXT)))
    with pytest.raises(Refusal) as caught:
        read_form(urlencode(pairs).encode())
    assert caught.value.reason is FORM_MALFORMED


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Whatever arrives is read or refused, and what was read has no control character and no empty value."""
    form: dict[str, str] = {}
    with suppress(Refusal):
        form = read_form(data)
    for text in (*form, *form.values()):
        assert text
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)


def test_the_number_of_parameters() -> None:
    """As many as the limit says, and not one more."""
    pairs = [f"p{n}=1" for n in range(defaults.MAX_FORM_PARAMETERS)]
    assert len(read_form("&".join(pairs).encode())) == defaults.MAX_FORM_PARAMETERS
    with pytest.raises(Refusal):
        read_form("&".join([*pairs, "p=1"]).encode())


def test_a_parameter_without_a_value() -> None:
    """RFC 6749 §3.2: it is treated as if it were omitted."""
    assert read_form(b"scope=&a=1&b") == {"a": "1"}


@pytest.mark.parametrize("text", ["a\x00b", "a%00b", "a\nb", "a%0Ab", "a\x7fb", "a%C2%85b"])
def test_a_control_character_is_refused_encoded_or_not(text: str) -> None:
    """PostgreSQL takes no NUL: a client's name with one was an error of ours instead of the client's."""
    with pytest.raises(ValueError, match=r"^$"):
        decode(text)
