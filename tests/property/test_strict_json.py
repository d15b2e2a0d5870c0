"""The strict JSON parser against documents that hypothesis makes."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.refusals import BODY_INVALID, BODY_MALFORMED, Refusal
from vallum.validate.strict_json import Json, parse

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**32) + 1, 10**32 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5), max_leaves=20
)
DOCUMENTS = st.builds(
    lambda value, ascii_only, spaces: json.dumps(value, ensure_ascii=ascii_only, indent=spaces).encode(),
    VALUES,
    st.booleans(),
    st.sampled_from([None, 0, 3]),
)
# What breaks parsers: pieces of JSON and of what is nearly JSON.
PIECES = st.sampled_from(
    [
        *(
            b"[",
            b"]",
            b"{",
            b"}",
            b'"',
            b",",
            b":",
            b"\\",
            b"0",
            b"-",
            b".",
            b"e9",
            b" ",
            b"\n",
            b"\0",
            b"\xff",
            b"\xc3",
        ),
        *(b'"a":', b"null", b"NaN", b"1e999", b"9" * 40, b"[" * 12, b'{"a":{"b":'),
        *(rb"\u0000", rb"\ud800", rb"\udc00", rb"\u00"),
    ]
)


def plain(value: Json) -> object:
    """`value` with floats for Decimals, as json.loads would give it."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def refusal_of(data: bytes, depth: int = defaults.MAX_JSON_DEPTH) -> Refusal | None:
    """What `data` is refused with; any other exception fails the test."""
    try:
        parse(data, depth=depth)
    except Refusal as refusal:
        return refusal
    return None


def accepted(data: bytes) -> bool:
    """Whether `data` parses; if not, the refusal is the right one and its place is in the document."""
    refusal = refusal_of(data)
    if refusal is None:
        return True
    assert refusal.reason in (BODY_MALFORMED, BODY_INVALID)
    place = re.fullmatch(r".+?(?:, at byte ([0-9]+))?\.", refusal.detail)
    assert place is not None
    assert int(place[1] or 0) <= len(data)
    return False


@given(VALUES, st.booleans(), st.sampled_from([None, 0, 3]))
def test_what_json_dumps_writes_parses_to_the_same_value(value: Json, ascii_only: bool, spaces: int | None) -> None:
    """Every value of JSON survives, escaped or not, with white space or without; floats to the last bit."""
    parsed = plain(parse(json.dumps(value, ensure_ascii=ascii_only, indent=spaces).encode()))
    assert parsed == value
    assert json.dumps(parsed) == json.dumps(value)  # tells 1 from 1.0 and True, 0.0 from -0.0


@given(st.lists(PIECES, max_size=60).map(b"".join))
def test_pieces_of_json_in_any_order_are_parsed_or_refused(data: bytes) -> None:
    """Nothing but a refusal comes out, and what is accepted is what the standard library reads."""
    if accepted(data):
        assert plain(parse(data)) == json.loads(data)


@given(DOCUMENTS, st.data())
def test_mutated_documents_are_parsed_or_refused(document: bytes, data: st.DataObject) -> None:
    """Bytes inserted, replaced and removed at any place."""
    start = data.draw(st.integers(0, len(document)))
    end = data.draw(st.integers(start, min(len(document), start + 4)))
    mutated = document[:start] + data.draw(PIECES | st.binary(max_size=4)) + document[end:]
    if accepted(mutated):
        assert plain(parse(mutated)) == json.loads(mutated)


@given(st.binary(max_size=40))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    """Bytes that are mostly not UTF-8."""
    if accepted(data):
        assert plain(parse(data)) == json.loads(data)


@given(st.recursive(st.just("0"), lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")))
def test_cut_documents_are_refused(document: str) -> None:
    """No proper beginning of an array is a document, and neither is one with a tail."""
    if document == "0":
        return
    data = document.encode()
    assert accepted(data)
    assert not any(accepted(data[:end]) for end in range(len(data)))
    assert not accepted(data + b"]")
    assert not accepted(data + data)


@given(st.lists(TEXT, min_size=1, max_size=8), st.booleans(), st.booleans())
def test_equal_keys_are_refused_however_they_are_written(keys: list[str], escaped: bool, nested: bool) -> None:
    """An object is accepted exactly when its keys differ once their escapes are read."""
    members = [f"{json.dumps(key, ensure_ascii=escaped and n % 2 == 0)}:0" for n, key in enumerate(keys)]
    document = "{" + ",".join(members) + "}"
    assert accepted((f'[{{"x":{document}}}]' if nested else document).encode()) == (len(set(keys)) == len(keys))


@given(st.lists(st.sampled_from(["[", "]", '"', "\\", "{", "}", "a"]), max_size=40).map("".join), st.integers(0, 40))
def test_the_limit_of_depth_is_exact_whatever_strings_hold(text: str, levels: int) -> None:
    """Brackets, quotes and backslashes in strings neither add depth nor hide it."""
    string = json.dumps(text)
    document = f"[{string}," * levels + string + "]" * levels
    refusal = refusal_of(document.encode(), depth=20)
    assert (refusal is None) == (levels <= 20)
    if refusal is not None:
        assert refusal.detail == f"Arrays and objects nested too deeply, at byte {20 * len(f'[{string},')}."


@given(st.integers(-400, 400), st.integers(1, 10**17), st.booleans())
def test_a_number_is_never_infinite(exponent: int, digits: int, negative: bool) -> None:
    """Whatever is accepted is finite as a float, exact as a Decimal; whatever is refused is beyond a double."""
    text = f"{'-' if negative else ''}{digits}e{exponent}"
    value = Decimal(text)
    if accepted(text.encode()):
        assert parse(text.encode()) == value
        assert math.isfinite(float(value))
    else:
        assert math.isinf(float(value)) or abs(value) < Decimal("1e-324")
