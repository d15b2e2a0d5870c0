"""Values of columns: from JSON, and from the text of a filter or a path."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.unit.validate.things import Colour, access, faults, things

from vallum.declare.policy import CREATE
from vallum.validate.columns import parse_text
from vallum.validate.models import Models

models = Models()


def create(text: str) -> dict[str, Any]:
    """A new thing by somebody who may write everything, with a name."""
    body = {"name": "n", **json.loads(text, parse_float=Decimal)}
    found = models.create(things, access(things, CREATE), body)
    return {name: value for name, value in found.items() if name in json.loads(text)}


def code_of(field: str, text: str) -> str:
    """The only fault of this value, which must be about this field."""
    [(pointer, code)] = faults(lambda: create(f'{{"{field}": {text}}}'))
    assert pointer == f"/{field}"
    return code


# What a body may say ---------------------------------------------------------------------

ACCEPTED: list[tuple[str, str, object]] = [
    ("name", '"五文字だよ"', "五文字だよ"),
    ("note", "null", None),
    ("grade", "1", 1),
    ("grade", "6", 6),
    ("tiny", "32767", 32767),
    ("big", str(2**63 - 1), 2**63 - 1),
    ("big", str(-(2**63)), -(2**63)),
    ("level", "4", 4),
    ("odd", "5", 5),
    ("size", '"it\'s"', "it's"),
    ("low", "-2147483648", -(2**31)),
    ("done", "false", False),
    ("ratio", "0.5", 0.5),
    ("ratio", "5e-1", 0.5),
    ("share", "3", 3.0),
    ("price", "9999.99", Decimal("9999.99")),
    ("price", '"9999.99"', Decimal("9999.99")),
    ("price", "1e2", Decimal(100)),
    ("price", "1.500", Decimal("1.5")),
    ("price", "7", Decimal(7)),
    ("day", '"2024-02-29"', date(2024, 2, 29)),
    ("hour", '"23:59:59.000001"', time(23, 59, 59, 1)),
    ("span", '"PT0S"', timedelta(0)),
    ("span", '"-P1DT2H3M4.5S"', -timedelta(days=1, hours=2, minutes=3, seconds=4, microseconds=500_000)),
    ("span", '"PT86400S"', timedelta(days=1)),
    ("span", '"P700000D"', timedelta(days=700_000)),
    ("instant", '"2026-01-31T08:30:00+02:30"', datetime(2026, 1, 31, 6, 0, tzinfo=UTC)),
    ("instant", '"2026-01-31t08:30:00.5z"', datetime(2026, 1, 31, 8, 30, 0, 500_000, tzinfo=UTC)),
    ("local", '"2026-01-31T08:30:00"', datetime(2026, 1, 31, 8, 30)),  # noqa: DTZ001  # the column is naive
    ("token", '"0123ABCD-0000-4000-8000-000000000001"', uuid.UUID("0123abcd-0000-4000-8000-000000000001")),
    ("token_text", '"0123ABCD-0000-4000-8000-000000000001"', "0123abcd-0000-4000-8000-000000000001"),
    ("colour", '"blue"', Colour.BLUE),
    ("word", '"two"', "two"),
    ("document", '{"a": [1, 1.5, 1e2, null, true, "x"]}', {"a": [1, 1.5, 100.0, None, True, "x"]}),
    ("document", str(2**63 - 1), 2**63 - 1),
    ("blob", '"AAEC/w=="', b"\x00\x01\x02\xff"),
    ("blob", '""', b""),
]


@pytest.mark.parametrize(("field", "text", "value"), ACCEPTED, ids=[f"{f}={t}" for f, t, _ in ACCEPTED])
def test_a_value_of_the_column_is_taken_exactly(field: str, text: str, value: object) -> None:
    """Each type in its JSON form, at the edge of its range, becomes the Python value that the column takes."""
    found = create(f'{{"{field}": {text}}}')[field]
    assert found == value
    assert type(found) is type(value)


REFUSED: list[tuple[str, str, str]] = [
    ("name", "null", "null"),
    ("name", '"sixsix"', "length"),
    ("name", "5", "type"),
    ("name", "true", "type"),
    ("name", "[]", "type"),
    ("grade", "0", "range"),
    ("grade", "7", "range"),
    ("grade", "true", "type"),
    ("grade", "1.0", "type"),
    ("grade", '"1"', "type"),
    ("grade", "1e0", "type"),
    ("tiny", "32768", "range"),
    ("tiny", "9", "range"),
    ("big", str(2**63), "range"),
    ("low", "2147483648", "range"),
    ("level", "1", "range"),
    ("level", "5", "range"),
    ("odd", "2", "choice"),
    ("size", '"L"', "choice"),
    ("size", "1", "type"),
    ("done", "1", "type"),
    ("done", '"true"', "type"),
    ("ratio", "0", "range"),
    ("ratio", "1.0", "range"),
    ("ratio", "true", "type"),
    ("ratio", '"0.5"', "type"),
    ("share", "1" + "0" * 400, "range"),
    ("price", "0", "range"),
    ("price", "1.005", "range"),
    ("price", "10000", "range"),
    ("price", "1e300", "range"),
    ("price", "false", "type"),
    ("price", '"1e2"', "format"),
    ("price", '" 1"', "format"),
    ("price", '"01"', "format"),
    ("price", '"+1"', "format"),
    ("price", '"NaN"', "format"),
    ("price", '"١"', "format"),
    ("day", "20240229", "type"),
    ("day", "1.5", "type"),
    ("day", '"2023-02-29"', "format"),
    ("day", '"20240229"', "format"),
    ("day", '"2024-02-29T00:00:00"', "format"),
    ("day", '"2024-W09-4"', "format"),
    ("hour", '"24:00:00"', "format"),
    ("hour", '"08:30"', "format"),
    ("hour", '"08:30:00Z"', "format"),
    ("hour", "30600", "type"),
    ("span", '"P"', "format"),
    ("span", '"PT"', "format"),
    ("span", '"P1DT"', "format"),
    ("span", '"P1Y"', "format"),
    ("span", '"P1M"', "format"),
    ("span", '"P1W"', "format"),
    ("span", '"P1.5D"', "format"),
    ("span", '"PT1.5H"', "format"),
    ("span", '"PT.5S"', "format"),
    ("span", '"PT0.1234567S"', "format"),
    ("span", '"PT-1S"', "format"),
    ("span", '"+P1D"', "format"),
    ("span", '"p1d"', "format"),
    ("span", '"1 day"', "format"),
    ("span", "3600", "type"),
    ("span", '"P700001D"', "range"),
    ("span", '"-P700000DT0.000001S"', "range"),
    ("span", '"PT99999999999S"', "range"),
    ("instant", '"2026-01-31T08:30:00"', "format"),
    ("instant", '"2026-01-31 08:30:00Z"', "format"),
    ("instant", '"2026-01-31T08:30:00.1234567Z"', "format"),
    ("instant", '"2026-01-31T08:30:60Z"', "format"),
    ("instant", '"2026-01-31T08:30Z"', "format"),
    ("instant", '"0001-01-01T00:00:00+01:00"', "range"),
    ("instant", "1769848200", "type"),
    ("local", '"2026-01-31T08:30:00Z"', "format"),
    ("token", '"0123abcd000040008000000000000001"', "format"),
    ("token", '"{0123abcd-0000-4000-8000-000000000001}"', "format"),
    ("token", "1", "type"),
    ("colour", '"RED"', "choice"),
    ("colour", '"green"', "choice"),
    ("colour", "1", "type"),
    ("colour", "[]", "type"),
    ("word", '"three"', "choice"),
    ("document", str(2**63), "range"),
    ("document", f'{{"a": [{{"b": {-(2**63) - 1}}}]}}', "range"),
    ("blob", '"AAEC/w"', "format"),
    ("blob", '"AAEC_w=="', "format"),
    ("blob", '"AAEC/x=="', "format"),
    ("blob", '"AA EC/w=="', "format"),
    ("blob", '"AAECAwQ="', "length"),
    ("blob", "0", "type"),
    ("made", "null", "null"),
]


@pytest.mark.parametrize(("field", "text", "code"), REFUSED, ids=[f"{f}={t[:40]}" for f, t, _ in REFUSED])
def test_anything_else_is_a_fault_with_its_word(field: str, text: str, code: str) -> None:
    """Nothing is rounded, cut, converted or guessed; the word says what kind of fault it is."""
    assert code_of(field, text) == code


# Text ------------------------------------------------------------------------------------

TEXTS: list[tuple[str, str, object]] = [
    ("grade", "0", 0),
    ("grade", "-12", -12),
    ("name", "a b", "a b"),
    ("name", "", ""),
    ("done", "true", True),
    ("ratio", "-1.5e-3", -0.0015),
    ("price", "12.30", Decimal("12.30")),
    ("day", "2026-01-31", date(2026, 1, 31)),
    ("instant", "2026-01-31T08:30:00Z", datetime(2026, 1, 31, 8, 30, tzinfo=UTC)),
    ("token", "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
    ("colour", "red", Colour.RED),
    ("word", "one", "one"),
    ("blob", "AQ==", b"\x01"),
]


@pytest.mark.parametrize(("field", "text", "value"), TEXTS, ids=[f"{f}={t}" for f, t, _ in TEXTS])
def test_text_of_a_filter_is_read_by_its_column(field: str, text: str, value: object) -> None:
    """The same types and forms as in a body."""
    for operator in ("eq", "ne", "in"):
        found = parse_text(things.fields[field], text, operator)
        assert found == value
        assert type(found) is type(value)


BAD_TEXTS = [
    *[("grade", text) for text in ("", "+1", " 1", "1 ", "01", "-0", "1_0", "1.0", "1e1", "١", "0x1", "2147483648")],
    *[("tiny", text) for text in ("32768", "-32769")],
    *[("done", text) for text in ("True", "1", "", "yes")],
    *[("ratio", text) for text in ("nan", "inf", "1e999", "", ".5", "1.", "0x1p3", "1_0", "9" * 500)],
    *[("price", text) for text in ("1.005", "100000", "NaN", "1e2", "")],
    *[("day", text) for text in ("2026-02-30", "2026-1-1", "today")],
    ("local", "2026-01-31T08:30:00Z"),
    ("instant", "2026-01-31T08:30:00"),
    ("token", "00000000000000000000000000000001"),
    ("colour", "RED"),
    ("word", "three"),
    ("blob", "AQ"),
    ("name", "sixsix"),
    ("name", "a\x00b"),
]


@pytest.mark.parametrize(("field", "text"), BAD_TEXTS, ids=[f"{f}={t[:20]!a}" for f, t in BAD_TEXTS])
def test_text_that_no_such_column_holds_is_refused(field: str, text: str) -> None:
    """One value has one text in a path; a refusal is a sentence for the client that does not repeat the text."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        parse_text(things.fields[field], text, "eq")
    assert len(text) < 3 or text not in str(caught.value).replace("2026-01-31T08:30:00Z", "")


@pytest.mark.parametrize(
    ("field", "operators"),
    [
        ("done", ("lt", "lte", "gt", "gte", "contains", "startswith")),
        ("colour", ("lt", "contains")),
        ("blob", ("gt", "startswith")),
        ("document", ("eq", "ne", "in", "lt", "contains")),
        ("grade", ("contains", "startswith")),
        ("price", ("contains",)),
        ("day", ("startswith",)),
        ("token", ("contains",)),
    ],
)
def test_operators_that_a_column_does_not_have(field: str, operators: tuple[str, ...]) -> None:
    """Patterns are for text, an order is for what has the same order in every store."""
    texts = {"done": "true", "colour": "red", "blob": "AQ==", "day": "2026-01-31", "token": str(uuid.UUID(int=1))}
    for operator in operators:
        with pytest.raises(ValueError, match=f"{field} cannot be compared by {operator}\\."):
            parse_text(things.fields[field], texts.get(field, "1"), operator)


def test_patterns_are_for_text() -> None:
    """`contains` and `startswith` take the text as it is."""
    assert parse_text(things.fields["note"], "%_", "contains") == "%_"
    assert parse_text(things.fields["grade"], "5", "gte") == 5
