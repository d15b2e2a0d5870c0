"""The strict JSON parser: what it takes, what it refuses, and where it says the fault is."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from vallum import defaults
from vallum.refusals import BODY_INVALID, BODY_MALFORMED, Refusal
from vallum.validate.strict_json import Json, parse

VECTORS = Path(__file__).parents[2] / "vectors"
REFUSED: list[dict[str, Any]] = [
    json.loads(line) for line in (VECTORS / "json_refused.jsonl").read_text(encoding="utf-8").splitlines()
]
IN_REACH = defaults.JSON_LOCATE_BYTES
TOO_FAR = f"after byte {IN_REACH}."


def bytes_of(vector: dict[str, Any]) -> bytes:
    """Its document."""
    return bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode()


def refusal(data: bytes, **limits: int) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(data, **limits)
    wellformed = ("The character NUL", "A key that occurs twice")
    assert caught.value.reason is (BODY_INVALID if caught.value.detail.startswith(wellformed) else BODY_MALFORMED)
    return caught.value


def test_a_document_of_every_kind_becomes_its_values() -> None:
    """Objects, arrays, strings, numbers, true, false and null, with white space anywhere between."""
    document = b' {"a" : [1, -2.50, true, false, null], "\xc3\xa9": {"": "x"}, "b":{}}\r\n\t'
    assert parse(document) == {"a": [1, Decimal("-2.50"), True, False, None], "é": {"": "x"}, "b": {}}


@pytest.mark.parametrize(
    ("document", "value"),
    [(b"null", None), (b"true", True), (b"false", False), (b"0", 0), (b'""', ""), (b"[]", []), (b"{}", {})],
)
def test_any_value_may_stand_at_the_top(document: bytes, value: Json) -> None:
    """RFC 8259 §2: a text is any value, not only an object or an array."""
    parsed = parse(document)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["id"])
def test_what_is_not_acceptable_is_refused_with_its_place(vector: dict[str, Any]) -> None:
    """Each class of fault is named, with the offset of its byte in the document."""
    detail = refusal(bytes_of(vector)).detail
    if vector["byte"] is None:  # the place differs between versions of Python
        assert detail.startswith(f"{vector['fault']}, at byte ")
    else:
        assert detail == f"{vector['fault']}, at byte {vector['byte']}."


def test_the_refusal_carries_nothing_of_the_document() -> None:
    """Neither the detail nor a chained exception, which a log would print, repeats what the client sent."""
    for document in (b'{"hunter2":1,"hunter2":2}', b'"hunter2', b'["hunter2", hunter2]', b'"hunter2\xff"'):
        caught = refusal(document)
        assert "hunter2" not in caught.detail
        assert caught.__context__ is None
        assert caught.__cause__ is None


# strings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (rb'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
        (rb'"\u0041\u00e9\u20AC\uFFFF"', "A\xe9\u20ac\uffff"),
        (rb'"\ud83d\ude00\uD83D\uDE00"', "😀😀"),
        (rb'"\uDBFF\uDFFF"', "\U0010ffff"),
        ('"😀é\x7f\u2028"'.encode(), "😀é\x7f\u2028"),
        (rb'"\\u0000"', "\\u0000"),
        (rb'"\\ud800"', "\\ud800"),
        (rb'"\\\\ud800\\\\\u0001"', "\\\\ud800\\\\\x01"),
        (rb'"\\\ud83d\ude00\\udc00"', "\\😀\\udc00"),
        (rb'"\ud7ff\ue000"', "\ud7ff\ue000"),
    ],
)
def test_escapes_mean_what_the_rfc_says(document: bytes, value: str) -> None:
    """RFC 8259 §7, with surrogate pairs, and with escaped backslashes before text that looks like an escape."""
    assert parse(document) == value


def test_a_long_text_of_escapes_is_read_and_its_last_one_checked() -> None:
    """The check for lone surrogates neither recurses nor stops early on a large string."""
    pairs = rb"\ud83d\ude00" * 40_000
    assert parse(b'"' + pairs + b'"') == "😀" * 40_000
    assert refusal(b'"' + pairs + rb'\ud83d"').detail.endswith(f"at byte {len(pairs) + 1}.")


# numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "-1", "9007199254740993", "18446744073709551616", "9" * 32, "-" + "9" * 32])
def test_integers_stay_exact(text: str) -> None:
    """An integer is an int of the same digits, beyond 53 and 64 bits too."""
    value = parse(text.encode())
    assert type(value) is int
    assert str(value) == text


@pytest.mark.parametrize(
    "text",
    [
        "0.1",
        "-0.0",
        "1.10",
        "12345678901234567890.123456789012",
        "1e2",
        "1E-2",
        "1.5e+07",
        "1.7976931348623157e308",
        "5e-324",
        "0." + "0" * 77 + "1",
        "0." + "0" * 290 + "9" * 32,
    ],
)
def test_fractions_and_exponents_stay_exact(text: str) -> None:
    """Any other number is the Decimal of its text, trailing zeros included, and a finite float when converted."""
    value = parse(text.encode())
    assert type(value) is Decimal
    assert value.as_tuple() == Decimal(text).as_tuple()
    assert abs(float(value)) <= sys.float_info.max


@pytest.mark.parametrize(
    "text",
    ["9" * 33, "-" + "9" * 33, "1" + "0" * 5000, "0." + "9" * 33, "1." + "0" * 32, "1" * 1000 + "e5", "1" * 33 + ".5"],
)
def test_a_number_has_at_most_so_many_digits(text: str) -> None:
    """One digit above the limit is refused, and thousands are, before they are converted."""
    assert refusal(f"[{text}]".encode()).detail == "A number with too many digits, at byte 1."


# sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":[', b"]}]")])
def test_depth_is_bounded(opening: bytes, closing: bytes) -> None:
    """The limit itself is accepted, one more is refused, for arrays, objects and both in turn."""
    levels = opening.count(b"[") + opening.count(b"{")
    most = defaults.MAX_JSON_DEPTH // levels
    parse(opening * most + b"0" + closing * most)
    assert refusal(opening * (most + 1) + b"0" + closing * (most + 1)).detail.startswith("Arrays and objects nested")


def test_depth_can_be_set() -> None:
    """`[]` has a depth of one; a scalar has none."""
    assert parse(b"1", depth=0) == 1
    assert parse(b"[1]", depth=1) == [1]
    assert refusal(b"[[1]]", depth=1).detail == "Arrays and objects nested too deeply, at byte 1."
    assert refusal(b'{"a":0,"b":{"c":[]}}', depth=2).detail.endswith("at byte 16.")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"":'])
def test_a_document_of_nothing_but_depth_is_refused_without_recursion(opening: bytes) -> None:
    """A mebibyte of opening brackets neither exhausts the stack nor reaches the parser."""
    assert "nested too deeply" in refusal(opening * (defaults.MIB // len(opening))).detail


def test_brackets_in_strings_are_no_depth() -> None:
    """Opening brackets in strings do not count, and closing ones there do not hide real depth."""
    text = "[" * 100 + '\\"[' * 10 + "\\\\"
    assert parse(f'["{text}", "{text}"]'.encode())
    most = defaults.MAX_JSON_DEPTH
    hidden = '["]",' * (most + 1) + "0" + "]" * (most + 1)
    assert "nested too deeply" in refusal(hidden.encode()).detail
    escaped = r'["\"]",' * (most + 1) + "0" + "]" * (most + 1)
    assert "nested too deeply" in refusal(escaped.encode()).detail


def test_many_shallow_containers_are_accepted() -> None:
    """Depth is what counts, not the number of brackets."""
    assert parse(b"[" + b'[{}],{"a":[]},' * 400 + b"0]")


@pytest.mark.parametrize("head", [b"]]]", b"]", b'{1:{"a":', b"\xc3\xa9", b"1", b'\\"', b'"', b'{"a"'])
def test_depth_in_text_that_is_no_json_is_refused_too(head: bytes) -> None:
    """The search for the place of a fault survives text that is not JSON at all, and names no place outside it."""
    detail = refusal(head + b"[" * 40).detail
    assert detail.endswith("deeply.") or int(detail.rstrip(".").rpartition(" ")[2]) <= len(head) + 40


def test_keys_are_bounded() -> None:
    """The number of keys in one object, and the length of one, have limits that are themselves accepted."""
    members = [f'"{n:03}":0'.encode() for n in range(defaults.MAX_JSON_KEYS + 1)]
    parse(b"{" + b",".join(members[:-1]) + b"}")
    place = len(b"{" + b",".join(members[:-1]) + b",")
    assert refusal(b"{" + b",".join(members) + b"}").detail == f"An object with too many keys, at byte {place}."

    longest = b"k" * defaults.MAX_JSON_KEY_CHARACTERS
    parse(b'{"a":0,"' + longest + b'":1}')
    assert refusal(b'{"a":0,"' + longest + b'k":1}').detail == "A key that is too long, at byte 7."


def test_items_are_bounded() -> None:
    """An array may have so many items, however deep it lies; commas elsewhere do not count."""
    most = defaults.MAX_JSON_ITEMS
    full = b"[" + b"0," * (most - 1) + b"0]"
    parse(full)
    parse(b"[" + full + b"," + full + b',"' + b"," * most + b'"]')
    assert refusal(b"[" + b"0," * most + b"0]").detail == f"An array with too many items, {TOO_FAR}"
    assert "too many items" in refusal(b'{"a":[' + full + b",[" + b"0," * most + b"0]]}").detail


def test_strings_are_bounded() -> None:
    """A string may have so many characters, not bytes, and one more is refused, in an object too."""
    most = defaults.MAX_JSON_STRING_CHARACTERS
    assert parse(b'{"a":["' + "é".encode() * most + b'"]}')
    assert refusal(b'{"a":["' + b"x" * (most + 1) + b'"]}').detail == f"A string that is too long, {TOO_FAR}"


def test_a_fault_far_in_is_named_without_its_place() -> None:
    """Beyond the part that is searched the detail says so; what the parser itself tells stays exact."""
    far = b"[" + b"0," * IN_REACH
    assert refusal(far[: IN_REACH + 1] + b"NaN]").detail == f"NaN or Infinity, {TOO_FAR}"
    assert refusal(far[: IN_REACH + 1] + b"x]").detail == f"An unexpected character, at byte {IN_REACH + 1}."
    assert refusal(b'["' + b"x" * IN_REACH + b'",NaN]').detail == f"NaN or Infinity, {TOO_FAR}"
