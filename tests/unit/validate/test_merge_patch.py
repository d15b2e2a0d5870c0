"""JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.validate.merge_patch import merge, target_of
from vallum.validate.strict_json import Json

APPENDIX_A: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors/json_merge_patch.jsonl").read_text(encoding="utf-8").splitlines()
]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(0, 3) | st.text("xy", max_size=1),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", max_size=1), inner, max_size=3),
    max_leaves=12,
)


def test_the_appendix_is_whole() -> None:
    """RFC 7396, appendix A, has fifteen cases."""
    assert len(APPENDIX_A) == 15


@pytest.mark.parametrize("case", APPENDIX_A, ids=[f"{n}" for n in range(1, 16)])
def test_merge_does_what_the_appendix_shows(case: dict[str, Any]) -> None:
    """RFC 7396, appendix A; the original and the patch stay as they were."""
    before = copy.deepcopy(case)
    assert merge(case["original"], case["patch"]) == case["result"]
    assert case == before


def test_merge_goes_down_into_objects() -> None:
    """The example of RFC 7396 §3."""
    original: Json = {
        "title": "Goodbye!",
        "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["example", "sample"],
        "content": "This will be unchanged",
    }
    patch: Json = {
        "title": "Hello!",
        "phoneNumber": "+01-123-456-7890",
        "author": {"familyName": None},
        "tags": ["example"],
    }
    assert merge(original, patch) == {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["example"],
        "content": "This will be unchanged",
        "phoneNumber": "+01-123-456-7890",
    }


@given(VALUES, VALUES)
def test_merging_twice_changes_nothing_more(target: Json, patch: Json) -> None:
    """A patch is idempotent, and never alters what it is given."""
    before = copy.deepcopy((target, patch))
    once = merge(target, patch)
    assert merge(once, patch) == once
    assert (target, patch) == before


@pytest.mark.parametrize("text", [None, "", "null", "[1e999]", "no json", "{no json", '"{}"'])
def test_what_is_no_object_is_no_target(text: str | None) -> None:
    """RFC 7396 §2: it is replaced, whatever is in it."""
    assert target_of(text) is None


@pytest.mark.parametrize("number", ["1e309", "-1e309", "1e-400", "-0.5E-400", "9" * 5_000])
def test_a_number_that_would_be_lost_is_no_target(number: str) -> None:
    """Whatever Python makes of it, or does not."""
    with pytest.raises(ValueError, match=r"double|digits"):
        target_of(f'{{"n": {number}}}')


def test_numbers_and_depths_that_are_kept() -> None:
    """Each kind of zero, the ends of a double, whole numbers beyond it, NaN as it is shown; as deep as is allowed."""
    text = '\n{"n": [0e5, -0.0, 1e308, 5e-324, 1' + "0" * 400 + '], "x": NaN}'
    assert target_of(text) == {"n": [0.0, 0.0, 1e308, 5e-324, 10**400], "x": None}
    most = defaults.MAX_STORED_JSON_DEPTH - 1
    assert target_of(f'{{"a": {"[" * most}{"]" * most}}}') is not None
    with pytest.raises(ValueError, match="deep"):
        target_of(f'{{"a": {"[" * (most + 1)}{"]" * (most + 1)}}}')
