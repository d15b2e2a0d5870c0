"""What a column takes: as a type that Pydantic validates, and from the text of a filter or of a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from math import ceil, floor
from typing import Annotated, Any, Final

from pydantic import AfterValidator, PlainValidator, Strict, WithJsonSchema
from pydantic import Field as Constraint
from sqlalchemy import types
from sqlalchemy.types import TypeEngine

from vallum.declare.dialect import DURATION
from vallum.declare.errors import DeclarationError
from vallum.declare.resource import Field
from vallum.edge.target import check_key
from vallum.validate import column_schemas, values
from vallum.validate.column_schemas import NUMERIC, integer_range
from vallum.validate.faults import CHOICE, FORMAT, LENGTH, RANGE, TYPE, bad
from vallum.validate.ranges import NONE, Bounds, bounds_of

ORDERED: Final = frozenset({"lt", "lte", "gt", "gte"})
TEXTUAL: Final = frozenset({"contains", "startswith"})

Convert = Callable[[Any], Any]


def annotation_of(field: Field) -> Any:
    """The type of a field for Pydantic, with its JSON Schema.

    Raises:
        DeclarationError: a column type that has no JSON form.
    """
    bounds = NONE if field.column is None else bounds_of(field.column)
    annotation = _annotation(field, bounds)
    return annotation | None if field.nullable else annotation


def _annotation(field: Field, bounds: Bounds) -> Any:
    type_ = field.type
    if isinstance(type_, types.Integer):
        low, high = _integer_bounds(type_, bounds)
        schema = column_schemas.integer(low, high)
        if bounds.choices is None:
            return Annotated[int, Strict(), Constraint(ge=low, le=high), WithJsonSchema(schema)]
        listed = WithJsonSchema({**schema, "enum": sorted(int(value) for value in bounds.choices)})
        return Annotated[int, Strict(), Constraint(ge=low, le=high), AfterValidator(partial(_within, bounds)), listed]
    if isinstance(type_, types.Enum):
        return _choice(enum_values(type_))
    if isinstance(type_, types.String):
        if bounds.choices is not None:
            return _choice({str(value): value for value in sorted(map(str, bounds.choices))})
        return _text(type_, key=field.key)
    if isinstance(type_, types.Boolean):
        return Annotated[bool, Strict()]
    convert, form = PlainValidator(convert_of(type_)), WithJsonSchema(column_schemas.in_body(type_, bounds))
    if bounds is NONE:
        return Annotated[Any, convert, form]
    return Annotated[Any, convert, AfterValidator(partial(_within, bounds)), form]


def _text(type_: types.String, *, key: bool) -> Any:
    if key:
        schema = WithJsonSchema(column_schemas.key_text(type_.length))
        return Annotated[str, Strict(), Constraint(max_length=type_.length), AfterValidator(_addressable), schema]
    schema = WithJsonSchema(column_schemas.text(type_.length))
    return Annotated[str, Strict(), Constraint(max_length=type_.length), schema]


def _addressable(text: str) -> str:
    try:
        check_key(text)
    except ValueError:
        raise bad(FORMAT, "A key is part of a path: printable text without slashes, and neither . nor ..") from None
    return text


def _choice(members: Mapping[str, Any]) -> Any:
    return Annotated[Any, PlainValidator(partial(_chosen, members)), WithJsonSchema(column_schemas.choice(members))]


def _chosen(members: Mapping[str, Any], value: Any) -> Any:
    if isinstance(value, str) and value in members:
        return members[value]
    if not isinstance(value, (bool, int, Decimal, list, dict, type(None))) and value in members.values():
        return value  # a handler may give the member of the enumeration itself
    listed = ", ".join(members)
    detail = (
        f"One of: {listed}." if len(listed) <= 200 and not {"{", "}"} & set(listed) else "One of the listed values."
    )
    raise bad(CHOICE if isinstance(value, str) else TYPE, detail)


@lru_cache(maxsize=1_000)
def enum_values(type_: types.Enum) -> Mapping[str, Any]:
    """What stands on the wire → the Python value: the member of the enumeration, or the text itself."""
    if type_.enum_class is None:
        return {text: text for text in type_.enums}
    return {str(member.value): member for member in type_.enum_class}


def _integer_bounds(type_: types.Integer, bounds: Bounds) -> tuple[int, int]:
    low, high = integer_range(type_)
    lows = [
        low,
        *(ceil(b) for b in (bounds.ge,) if b is not None),
        *(floor(b) + 1 for b in (bounds.gt,) if b is not None),
    ]
    highs = [
        high,
        *(floor(b) for b in (bounds.le,) if b is not None),
        *(ceil(b) - 1 for b in (bounds.lt,) if b is not None),
    ]
    return max(lows), min(highs)


def _within(bounds: Bounds, value: Any) -> Any:
    inside = (
        (bounds.ge is None or value >= bounds.ge)
        and (bounds.gt is None or value > bounds.gt)
        and (bounds.le is None or value <= bounds.le)
        and (bounds.lt is None or value < bounds.lt)
    )
    if not inside:
        raise bad(RANGE, "The value is out of range.")
    if bounds.choices is not None and value not in bounds.choices:
        raise bad(CHOICE, "This is not one of the possible values.")
    return value


@lru_cache(maxsize=1_000)
def convert_of(type_: TypeEngine[Any]) -> Convert:
    """From the JSON value, or from its text, to the Python value, for types whose JSON is text or a fraction.

    Raises:
        DeclarationError: a column type that has no JSON form.
    """
    if isinstance(type_, NUMERIC):
        if not type_.asdecimal:
            return values.to_float
        return partial(values.to_decimal, precision=type_.precision, scale=type_.scale)
    if isinstance(type_, types.LargeBinary):
        return partial(values.to_bytes, length=type_.length)
    if isinstance(type_, types.DateTime):
        return values.to_instant if type_.timezone else values.to_local
    if isinstance(type_, types.Uuid):
        return values.to_uuid if type_.as_uuid else values.to_uuid_text
    if isinstance(type_, types.Date):
        return values.to_date
    if isinstance(type_, types.Time):
        return values.to_time
    if isinstance(type_, DURATION):
        return values.to_duration
    if isinstance(type_, types.JSON):
        return values.to_document
    raise DeclarationError("column-type", repr(type_), "This column type has no JSON form.")


# Text -----------------------------------------------------------------------------------


def parse_text(field: Field, text: str, operator: str) -> Any:
    """The value of a filter or of a key in the path; `operator` is `eq` or one of `query.OPERATORS` but `isnull`.

    Raises:
        ValueError: with a sentence for the client: text that no such column can hold, or an operator that the
            column does not have.
    """
    type_ = field.type
    if isinstance(type_, types.Integer):
        if operator in TEXTUAL:
            raise _no_operator(field, operator)
        value = values.integer_text(text)
        low, high = integer_range(type_)
        if not low <= value <= high:
            raise bad(RANGE, "The number is out of range.")
        return value
    if isinstance(type_, types.String) and not isinstance(type_, types.Enum):
        # PostgreSQL cuts what is cast to VARCHAR(n): a longer text would equal its own beginning.
        if type_.length is not None and len(text) > type_.length:
            raise bad(LENGTH, f"At most {type_.length} characters.")
        if "\x00" in text:
            raise bad(TYPE, "Text cannot hold the character NUL.")
        return text
    return _parse_other(field, text, operator)


def _parse_other(field: Field, text: str, operator: str) -> Any:
    type_ = field.type
    unordered = isinstance(type_, (types.Boolean, types.Enum, types.LargeBinary))
    if isinstance(type_, types.JSON) or operator in TEXTUAL or (unordered and operator in ORDERED):
        raise _no_operator(field, operator)
    if isinstance(type_, types.Boolean):
        if text not in {"true", "false"}:
            raise bad(TYPE, "Either true or false.")
        return text == "true"
    if isinstance(type_, types.Enum):
        return _chosen(enum_values(type_), text)
    if isinstance(type_, NUMERIC) and not type_.asdecimal:
        return values.float_text(text)
    return convert_of(type_)(text)


def operators_of(field: Field) -> tuple[str, ...]:
    """What a filter on the field may be compared by, `isnull` aside; `parse_text` refuses everything else."""
    type_ = field.type
    if isinstance(type_, types.JSON):
        return ()
    if isinstance(type_, types.String) and not isinstance(type_, types.Enum):
        return ("eq", "ne", "lt", "lte", "gt", "gte", "in", "contains", "startswith")
    if isinstance(type_, (types.Boolean, types.Enum, types.LargeBinary)):
        return ("eq", "ne", "in")
    return ("eq", "ne", "lt", "lte", "gt", "gte", "in")


def _no_operator(field: Field, operator: str) -> ValueError:
    return ValueError(f"{field.name} cannot be compared by {operator}.")
