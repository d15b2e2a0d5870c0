"""If-Match and If-None-Match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.refusals import PRECONDITION_MALFORMED, Refusal
from vallum.validate.preconditions import EntityTags, parse_entity_tags

OPAQUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=8)
SPACE = st.text(" \t", max_size=2)


def refused(value: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_entity_tags(value)
    assert caught.value.reason is PRECONDITION_MALFORMED


def test_a_star_matches_whatever_exists() -> None:
    """RFC 9110 §13.1.1 and §13.1.2."""
    tags = parse_entity_tags("*")
    assert tags == EntityTags(any=True)
    assert tags.matches("anything")
    assert tags.matches_weakly("anything")


@pytest.mark.parametrize(
    ("value", "strong", "weak"),
    [
        ('"xyzzy"', ("xyzzy",), ()),
        ('W/"xyzzy"', (), ("xyzzy",)),
        ('""', ("",), ()),
        ('"xyzzy", "r2d2xxxx", "c3piozzzz"', ("xyzzy", "r2d2xxxx", "c3piozzzz"), ()),
        ('W/"xyzzy", W/"r2d2xxxx", "c3piozzzz"', ("c3piozzzz",), ("xyzzy", "r2d2xxxx")),
        ('"a","b"\t , \t"c"', ("a", "b", "c"), ()),
        ('"a,b", "W/", "\\"', ("a,b", "W/", "\\"), ()),
        (', ,"a",, "b" ,', ("a", "b"), ()),
        ('"*"', ("*",), ()),
        ('"!#~"', ("!#~",), ()),
    ],
)
def test_tags_are_read_from_a_list(value: str, strong: tuple[str, ...], weak: tuple[str, ...]) -> None:
    """The examples of RFC 9110 §13.1, commas and backslashes inside a tag, and empty elements (§5.6.1.2)."""
    assert parse_entity_tags(value) == EntityTags(any=False, strong=strong, weak=weak)


@pytest.mark.parametrize(
    "value",
    [
        "", " ", ",", ", ,", "a", "'a'", '"', '"a', 'a"', '"a"b', '"a" "b"', '"a";"b"', '"a""b"', 'w/"a"', 'W/a', 'W/ "a"', "W/", '/"a"',
        '"a b"', '"a\tb"', '"\x7f"', '"\x00"', '"é"', '"a"\n', '"a", b', '*, "a"', '"a", *', "**", "*,", " *", '"a"; x=1', '"a"\x0b',
    ],
)  # fmt: skip
def test_anything_else_is_refused(value: str) -> None:
    """Unquoted, cut off, weak in small letters, spaces and control characters inside, a star in a list."""
    refused(value)


def test_a_weak_tag_never_matches_strongly() -> None:
    """RFC 9110 §8.8.3.2: for If-Match both must be strong; for If-None-Match the text alone counts."""
    tags = parse_entity_tags('W/"1", "2"')
    assert not tags.matches("1")
    assert tags.matches_weakly("1")
    assert tags.matches("2")
    assert tags.matches_weakly("2")
    assert not tags.matches("3")
    assert not tags.matches_weakly("3")


def test_tags_are_compared_letter_by_letter() -> None:
    """No prefix, no other case, no quotes."""
    tags = parse_entity_tags('"abc"')
    assert not any(map(tags.matches, ("ABC", "ab", "abcd", '"abc"', "")))


def test_the_number_of_tags_is_bounded() -> None:
    """The limit is accepted, one more is not; empty elements count."""
    most = defaults.MAX_ENTITY_TAGS
    assert len(parse_entity_tags(", ".join(['"a"'] * most)).strong) == most
    refused(", ".join(['"a"'] * (most + 1)))
    parse_entity_tags("," * (most - 1) + '"a"')
    refused("," * most + '"a"')


@given(st.lists(st.tuples(st.booleans(), OPAQUE, SPACE, SPACE), min_size=1, max_size=defaults.MAX_ENTITY_TAGS))
def test_every_list_that_the_grammar_allows_is_read(elements: list[tuple[bool, str, str, str]]) -> None:
    """Any tags with any white space around them; a tail that is no element is refused."""
    value = ",".join(f'{before}{"W/" * weak}"{opaque}"{after}' for weak, opaque, before, after in elements)
    tags = parse_entity_tags(value)
    assert tags.strong == tuple(opaque for weak, opaque, _, _ in elements if not weak)
    assert tags.weak == tuple(opaque for weak, opaque, _, _ in elements if weak)
    refused(value + "x")
    refused(value + '"')


@given(st.text('W/"*, \ta!', max_size=30) | st.text(max_size=10))
def test_any_text_is_read_or_refused(value: str) -> None:
    """Nothing but the one refusal comes out."""
    try:
        tags = parse_entity_tags(value)
    except Refusal:
        refused(value)
    else:
        assert tags.any == (value == "*")
        assert tags.any or tags.strong or tags.weak
        assert all(f'"{opaque}"' in value for opaque in tags.strong + tags.weak)
