from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum.crypto import json_object

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values, max_size=5))
def test_round_trip(members: dict[str, object]) -> None:
    """Every JSON object comes back equal, from compact ASCII."""
    data = json_object.encode(members)
    assert data.isascii()
    assert json_object.decode(data) == members


@given(st.binary(max_size=40))
def test_arbitrary_bytes(data: bytes) -> None:
    """Any bytes are an object that the standard parser reads too, or a ValueError; nothing else escapes."""
    try:
        members = json_object.decode(data)
    except ValueError:
        return
    assert members == json.loads(data)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":2}',
        '{"b":{"a":1,"a":2}}',
        '[{"a":1}]',
        '"a"',
        "1",
        "null",
        "",
        "{}{}",
        "{} x",
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":-Infinity}',
        "{'a':1}",
        '{"a":1,}',
        '{"a":"\n"}',
        '\ufeff{"a":1}',
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":' + "9" * 5000 + "}",
    ],
    ids=lambda text: str(text)[:20],
)
def test_refused(text: str) -> None:
    """Repeated names at any depth and in any spelling, other values than an object, tails, constants, depth."""
    with pytest.raises(ValueError, match=r"."):
        json_object.decode(text.encode())


@pytest.mark.parametrize("data", [b"\xff{}", b'{"a":"\xed\xa0\x80"}', '{"a":1}'.encode("utf-16")])
def test_only_utf8(data: bytes) -> None:
    """Bytes that are not UTF-8 are refused, whatever Python's parser would guess."""
    with pytest.raises(ValueError, match=r"."):
        json_object.decode(data)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_no_constants_written(number: float) -> None:
    """What is not JSON is not written either."""
    with pytest.raises(ValueError, match=r"."):
        json_object.encode({"a": number})
