"""Violated constraints: which refusal they are, and what it may name."""

from __future__ import annotations

from typing import Literal

import pytest
from tests.path.works import Desk, Room, api

from vallum.execute.violations import refusal_in_handler, refusal_of
from vallum.refusals import ACTION_CONFLICT, BODY_INVALID, CONFLICT, IN_USE, Reason
from vallum.store.ports import Violation

Kind = Literal["unique", "foreign", "check", "not_null"]
DESKS = api.resources[Desk]
EVERYTHING = frozenset(DESKS.fields)


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [("unique", CONFLICT, "taken"), ("not_null", BODY_INVALID, "required"), ("check", BODY_INVALID, "check")],
)
def test_known_fields_are_named(kind: Kind, reason: Reason, code: str) -> None:
    """A constraint of columns that the caller knows is reported on each of them."""
    refusal = refusal_of(Violation(kind, "desks", ("room_id", "number")), DESKS, EVERYTHING)
    assert refusal.reason is reason
    assert [(fault.pointer, fault.code) for fault in refusal.faults] == [("/room_id", code), ("/number", code)]


@pytest.mark.parametrize("kind", ["unique", "not_null", "check", "foreign"])
@pytest.mark.parametrize(
    "violation",
    [("desks", ("name", "region")), ("rooms", ("name",)), ("desks", ("nowhere",)), ("desks", ()), (None, ())],
)
def test_nothing_else_is_named(kind: Kind, violation: tuple[str | None, tuple[str, ...]]) -> None:
    """One hidden column hides all; another table's columns, unknown ones and none name nothing."""
    refusal = refusal_of(Violation(kind, *violation), DESKS, EVERYTHING - {"region"})
    assert [fault.pointer for fault in refusal.faults] == ([""] if kind == "check" else [])
    assert "region" not in refusal.detail


def test_a_foreign_key() -> None:
    """Of a change or removal that the statements before it did not foresee: still in use."""
    assert refusal_of(Violation("foreign"), DESKS, EVERYTHING).reason is IN_USE


def test_a_constraint_by_its_name() -> None:
    """PostgreSQL names the constraint; its columns come from the table."""
    refusal = refusal_of(Violation("unique", "desks", (), "pair"), DESKS, EVERYTHING)
    assert refusal.faults == ()
    constraint = next(c for c in Room.metadata.tables["desks"].constraints if getattr(c, "sqltext", None) is not None)
    assert refusal_of(Violation("check", "desks", (), str(constraint.name)), DESKS, EVERYTHING).reason is BODY_INVALID


@pytest.mark.parametrize("kind", ["check", "foreign", "unique"])
def test_in_a_handler(kind: Kind) -> None:
    """The author's own statements: a conflict, without a word on the model."""
    refusal = refusal_in_handler(Violation(kind, "desks", ("name",)))
    assert refusal.reason is (CONFLICT if kind == "unique" else ACTION_CONFLICT)
    assert refusal.faults == ()
