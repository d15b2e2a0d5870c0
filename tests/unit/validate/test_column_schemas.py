"""The JSON Schema of a column says what its validator says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from sqlalchemy import Enum
from tests.unit.validate.test_columns import ACCEPTED, BAD_TEXTS, REFUSED, TEXTS
from tests.unit.validate.things import things

from vallum.declare.route import Verb
from vallum.validate import column_schemas
from vallum.validate.columns import enum_values, operators_of, parse_text
from vallum.validate.models import Models
from vallum.validate.query import EQUAL, OPERATORS

SCHEMA = Models().model_for(things, Verb.CHANGE, frozenset(things.fields)).json_schema()

BEYOND = {
    ("grade", "1.0"),
    ("grade", "1e0"),
    ("instant", '"0001-01-01T00:00:00+01:00"'),
    ("share", "1" + "0" * 400),
    ("blob", '"AAECAwQ="'),
    ("span", '"P700001D"'),
    ("span", '"-P700000DT0.000001S"'),
    ("span", '"PT99999999999S"'),
}
"""What these schemas leave to the validator: how a whole number is written, an instant before the first year once it is
in UTC, a number beyond a double, five bytes in the characters of four to six, how long a span is in all. And the numbers inside a document."""


def fits(schema: dict[str, Any], value: Any) -> bool:
    """By a validator that knows nothing of Vallum."""
    valid: bool = Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(value)
    return valid


@pytest.mark.parametrize(("field", "text"), [(f, t) for f, t, _ in ACCEPTED], ids=[f"{f}={t}" for f, t, _ in ACCEPTED])
def test_a_value_that_is_taken_fits(field: str, text: str) -> None:
    """Whatever a body may hold is in its schema."""
    assert fits(SCHEMA, {field: json.loads(text)})


FAULTY = [(f, t) for f, t, _ in REFUSED if (f, t) not in BEYOND and f != "document"]


@pytest.mark.parametrize(("field", "text"), FAULTY, ids=[f"{f}={t[:40]}" for f, t in FAULTY])
def test_a_value_that_is_refused_does_not_fit(field: str, text: str) -> None:
    """A client that trusts the schema meets no fault of a value, but for the few that a schema cannot tell."""
    assert not fits(SCHEMA, {field: json.loads(text)})


def reads(field: str, text: str) -> bool:
    """Whether the text is in the schema of a filter, its numbers and booleans written as JSON does."""
    found = things.fields[field]
    choices = enum_values(found.type) if isinstance(found.type, Enum) else None
    schema = column_schemas.as_text(found, choices)
    if schema["type"] == "string":
        return fits(schema, text)
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return (
        fits(schema, value) and (isinstance(value, int) or schema["type"] == "number") and text.strip() == text != "-0"
    )


@pytest.mark.parametrize(("field", "text"), [(f, t) for f, t, _ in TEXTS], ids=[f"{f}={t}" for f, t, _ in TEXTS])
def test_a_text_that_is_read_fits(field: str, text: str) -> None:
    """Each form of a filter's value."""
    assert reads(field, text)


WRONG = [(f, t) for f, t in BAD_TEXTS if not (f == "ratio" and t in {"nan", "inf", "1e999", "9" * 500})]


@pytest.mark.parametrize(("field", "text"), WRONG, ids=[f"{f}={t[:20]!a}" for f, t in WRONG])
def test_a_text_that_is_refused_does_not_fit(field: str, text: str) -> None:
    """But for numbers beyond a double."""
    assert not reads(field, text)


@pytest.mark.parametrize("name", things.fields)
def test_the_operators_of_a_column_are_those_that_are_read(name: str) -> None:
    """A filter that the document names is never refused for its operator, and no other is taken."""
    field = things.fields[name]
    for operator in {EQUAL, *OPERATORS} - {"isnull"}:
        try:
            parse_text(field, "x", operator)
        except ValueError as error:
            refused = str(error) == f"{name} cannot be compared by {operator}."
        else:
            refused = False
        assert refused is (operator not in operators_of(field)), operator
