"""The matrix that was agreed to, `matrix.json`, is that of the rules."""

from __future__ import annotations

from pathlib import Path

import school
from vallum.authorise.matrix import matrix_of
from vallum.authorise.matrix_difference import compare, read_matrix, told

AGREED = Path(__file__).parents[1] / "matrix.json"


def test_the_rules_are_what_was_agreed_to() -> None:
    """A rule that gives more, less or other than the kept matrix is seen in a review before it is served."""
    difference = compare(read_matrix(AGREED.read_bytes()), matrix_of(school.api, "sqlite"))
    assert list(told(difference)) == [], "when it is meant: vallum matrix --json > matrix.json, and commit both"
