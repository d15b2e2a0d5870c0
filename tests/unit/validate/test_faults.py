"""Bodies of handlers, and how their faults are told."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from tests.unit.validate.things import Colour, faults

from vallum.refusals import Refusal
from vallum.validate.models import Models
from vallum.validate.strict_json import parse

models = Models()


class Line(BaseModel):
    """A part of an order."""

    model_config = ConfigDict(strict=True, extra="forbid")

    day: date
    amount: Decimal
    kind: Colour | int = 1


class Basket(BaseModel):
    """An order with parts, under names that need escaping."""

    lines: list[Line] = Field(max_length=2)
    prices: dict[str, float] = {}
    any: Any = None


def basket(body: Any) -> Any:
    return models.handler_body(TypeAdapter(Basket), body)


def test_a_handlers_body_becomes_its_type() -> None:
    """Strict models read dates from text as JSON has them, and decimals keep every digit of a JSON number."""
    found = basket(parse(b'{"lines": [{"day": "2026-01-31", "amount": 1234567890123456789.01}], "any": [1.5, 2]}'))
    assert found == Basket(lines=[Line(day=date(2026, 1, 31), amount=Decimal("1234567890123456789.01"))], any=[1.5, 2])
    assert type(found.any[0]) is float


def test_pointers_lead_to_the_fault() -> None:
    """RFC 6901, with ~ and / escaped; parts of unions and keys that Pydantic names are no steps in the body."""
    line = {"day": "2026-01-31", "amount": 1}
    body = {"lines": [line, {**line, "amount": "x", "kind": "green", "zz": 1}, line], "prices": {"a/b~": "dear"}}
    assert set(faults(lambda: basket(body))) == {("/lines", "length"), ("/prices/a~1b~0", "type")}
    body["lines"] = [line, {"amount": "x", "kind": "green", "zz": 1}]
    assert set(faults(lambda: basket(body))) == {
        ("/lines/1/day", "required"),
        ("/lines/1/amount", "format"),
        ("/lines/1/kind", "choice"),
        ("/lines/1/kind", "type"),
        ("/lines/1/zz", "unknown_field"),
        ("/prices/a~1b~0", "type"),
    }


WANTED: list[tuple[Any, str, Any]] = [
    (int, "A whole number is expected.", "x"),
    (int, "A whole number is expected.", 1.5),
    (float, "A number is expected.", "x"),
    (bool, "Either true or false is expected.", 1),
    (str, "Text is expected.", 5),
    (list[int], "An array is expected.", {}),
    (tuple[int, ...], "An array is expected.", 5),
    (Line, "An object is expected.", []),
    (dict[str, int], "An object is expected.", "x"),
    (Decimal, "A number, or a number as text, is expected.", True),
    (date, "A date like 2026-01-31 is expected.", True),
    (time, "A time like 08:30:00 is expected.", True),
    (datetime, "A date and time like 2026-01-31T08:30:00Z is expected.", True),
    (timedelta, "A span of time like P1DT2H is expected.", True),
    (UUID, "A UUID with hyphens is expected.", 5),
]


@pytest.mark.parametrize(("wanted", "detail", "sent"), WANTED, ids=[f"{w[0]}-{w[2]}" for w in WANTED])
def test_a_fault_of_type_names_the_type(wanted: Any, detail: str, sent: Any) -> None:
    """In JSON's words, whatever Python calls it; what was sent is not repeated."""
    with pytest.raises(Refusal) as caught:
        models.handler_body(TypeAdapter(wanted, config=None if wanted is Line else ConfigDict(strict=True)), sent)
    assert [(fault.code, fault.detail) for fault in caught.value.faults] == [("type", detail)]


def test_a_handlers_body_that_is_no_object_is_a_fault_of_the_whole() -> None:
    """The pointer of the whole document is the empty text (RFC 6901 §5)."""
    assert faults(lambda: basket([])) == [("", "type")]
    assert faults(lambda: basket(None)) == [("", "null")]
    assert models.handler_body(TypeAdapter(list[int]), [1, 2]) == [1, 2]
