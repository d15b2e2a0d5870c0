"""Whoever is told to come again is told when."""

from __future__ import annotations

import ast

import pytest
from tests.unit.serve.served import ROOT

from vallum.refusals import REASONS, RETRY_SECONDS, Reason, Refusal

UNAVAILABLE = [reason for reason in REASONS.values() if reason.status == 503]
LIMITED = {code.upper() for code, reason in REASONS.items() if reason.status == 429}
SOURCE = ROOT / "src" / "vallum"


def refusals() -> list[tuple[str, ast.Call]]:
    """Every `Refusal(…)` of the source, with its file."""
    trees = [(str(path.relative_to(SOURCE)), ast.parse(path.read_text("utf-8"))) for path in SOURCE.rglob("*.py")]
    nodes = [(place, node) for place, tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(place, node) for place, node in nodes if isinstance(node.func, ast.Name) and node.func.id == "Refusal"]


@pytest.mark.parametrize("reason", UNAVAILABLE, ids=lambda reason: reason.code)
def test_every_503_says_when_to_come_again(reason: Reason) -> None:
    """In a second, unless whoever raises it knows better."""
    assert Refusal(reason).retry_after_seconds == RETRY_SECONDS
    assert Refusal(reason, retry_after_seconds=7).retry_after_seconds == 7


def test_every_429_says_when_to_come_again() -> None:
    """Wherever one is raised it is given the seconds: there is none that would be right by itself."""
    named = [(place, node.args[0].id, node) for place, node in refusals() if isinstance(node.args[0], ast.Name)]
    limited = [(place, name, {word.arg for word in node.keywords}) for place, name, node in named if name in LIMITED]
    assert {name for _, name, _ in limited} == LIMITED
    assert [(place, name) for place, name, given in limited if "retry_after_seconds" not in given] == []


def test_nothing_else_asks_to_come_again_by_itself() -> None:
    """Who repeats a 400 or a 500 gets the same."""
    others = [reason for reason in REASONS.values() if reason.status != 503]
    assert [reason.code for reason in others if Refusal(reason).retry_after_seconds is not None] == []
