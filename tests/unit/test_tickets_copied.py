"""A ticket is a named tuple, and a named tuple can be copied with other values: nobody does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "src" / "vallum"
COPIES: Final = frozenset({"_replace", "_make", "__replace__"})


def copies(tree: ast.Module) -> Iterator[int]:
    """Lines that copy a named tuple, or make one past its constructor."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in COPIES:
            yield node.lineno


def test_no_ticket_is_copied_with_other_values() -> None:
    """`ticket._replace(rights=…)` would be a ticket that no stage gave, so the library has no such call."""
    assert sorted(copies(ast.parse("def f(a): return a._replace(rights=1)\nmake = Authorised._make"))) == [1, 2]
    found = [
        f"{p.relative_to(PACKAGE)}:{n}" for p in sorted(PACKAGE.rglob("*.py")) for n in copies(ast.parse(p.read_text()))
    ]
    assert found == []
