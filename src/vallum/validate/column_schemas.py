"""What a column looks like on the wire, as JSON Schema (2020-12): in a body, in an answer, as the text of a query or path.

Bodies take their schema from here together with the validator beside it (`columns.py`), so the document that a client
reads and the check that its request meets cannot differ in their bounds. Answers are what `store.codec` renders.

Each pattern is ECMA-262 and Python alike, and says what the reader in `values.py` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import types
from sqlalchemy.types import TypeEngine

from vallum import defaults
from vallum.declare.dialect import DURATION
from vallum.declare.resource import Field
from vallum.validate.ranges import NONE, Bounds
from vallum.validate.values import DECIMAL_CHARACTERS

Schema = dict[str, Any]

NUMERIC: Final = (types.Numeric, types.Float)
"""Siblings since SQLAlchemy 2.1."""
INT16: Final = (-(2**15), 2**15 - 1)
INT32: Final = (-(2**31), 2**31 - 1)
INT64: Final = (-(2**63), 2**63 - 1)

LONGEST_TEXT: Final = defaults.MAX_JSON_STRING_CHARACTERS
WITHOUT_NUL: Final = r"^[^\u0000]*$"
WITHOUT_CONTROLS: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""Of the text in a query (`form.py`)."""
LISTED: Final = r"^[^\u0000-\u001f\u007f-\u009f,\\]*$"
"""Of one value of `[in]`, as long as it need not be escaped."""
IN_PATH: Final = r"^[^\u0000-\u001f\u007f-\u009f/\\]+$"
"""Of a text key; `key_text` says the rest."""

_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
DECIMAL_PATTERN: Final = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
# RFC 4648 §4 with the bits behind the end at zero (§3.5).
BASE64_PATTERN: Final = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"

DATE: Final[Schema] = {"type": "string", "format": "date", "maxLength": 10}
TIME: Final[Schema] = {"type": "string", "pattern": f"^{_TIME}$", "maxLength": 15}
LOCAL: Final[Schema] = {"type": "string", "pattern": f"^{_DATE}T{_TIME}$", "maxLength": 26}
INSTANT: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "pattern": f"^{_DATE}[Tt]{_TIME}(?:[Zz]|[+-][0-9]{{2}}:[0-9]{{2}})$",
    "maxLength": 32,
}
INSTANT_SHOWN: Final[Schema] = {**INSTANT, "pattern": f"^{_DATE}T{_TIME}Z$", "maxLength": 27}
SPAN: Final[Schema] = {
    "type": "string",
    "pattern": r"^-?P(?=[0-9T])(?:[0-9]{1,6}D)?(?:T(?=[0-9])(?:[0-9]{1,8}H)?(?:[0-9]{1,10}M)?(?:[0-9]{1,11}(?:\.[0-9]{1,6})?S)?)?$",
    "maxLength": 50,
}
UUID: Final[Schema] = {"type": "string", "format": "uuid", "maxLength": 36}
BOOLEAN: Final[Schema] = {"type": "boolean"}


def text(longest: int | None, pattern: str = WITHOUT_NUL) -> Schema:
    """A string of at most so many characters; of as many as JSON may have here when that is not said."""
    return {"type": "string", "maxLength": longest or LONGEST_TEXT, "pattern": pattern}


def key_text(longest: int | None) -> Schema:
    """A text that a segment of a path can be (`edge.target.check_key`), as far as a pattern can say: printable too."""
    return {**text(longest, IN_PATH), "minLength": 1, "not": {"enum": [".", ".."]}}


def choice(members: Mapping[str, Any] | list[str]) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(members)}


def integer(low: int, high: int) -> Schema:
    """A whole number from `low` to `high`, both inclusive."""
    word = "int32" if low >= INT32[0] and high <= INT32[1] else "int64"
    return {"type": "integer", "format": word, "minimum": low, "maximum": high}


def integer_range(type_: types.Integer) -> tuple[int, int]:
    """The least and the greatest value, the same in every store: 16, 32 or 64 bits with a sign."""
    if isinstance(type_, types.BigInteger):
        return INT64
    return INT16 if isinstance(type_, types.SmallInteger) else INT32


# In a body ------------------------------------------------------------------------------


def in_body(type_: TypeEngine[Any], bounds: Bounds) -> Schema:
    """Of a column type whose check in `columns.py` is a function of our own."""
    if isinstance(type_, NUMERIC):
        return _number(type_, bounds)
    if isinstance(type_, types.LargeBinary):
        return _base64(type_)
    if isinstance(type_, types.DateTime):
        return INSTANT if type_.timezone else LOCAL
    for family, schema in ((types.Uuid, UUID), (types.Date, DATE), (types.Time, TIME), (DURATION, SPAN)):
        if isinstance(type_, family):
            return schema
    return {}  # a JSON document


def _number(type_: types.Numeric[Any] | types.Float[Any], bounds: Bounds) -> Schema:
    words = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    limits = {word: float(b) for name, word in words.items() if (b := getattr(bounds, name)) is not None}
    number: Schema = {"type": "number", **limits}
    if bounds.choices is not None:
        number["enum"] = sorted(map(float, bounds.choices))
    if not type_.asdecimal:
        return number
    # As many digits as the column keeps; zeros behind them are no digits.
    precision, scale = type_.precision, type_.scale
    if precision is None or scale is None:
        return {"anyOf": [{"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": DECIMAL_CHARACTERS}, number]}
    whole = precision - scale
    beyond = 10**whole
    number = {"exclusiveMinimum": -beyond, "exclusiveMaximum": beyond, **number, "multipleOf": float(f"1e-{scale}")}
    written: Schema = {"type": "string", "pattern": _digits(whole, scale), "maxLength": DECIMAL_CHARACTERS}
    return {"anyOf": [written, number]}


def _digits(whole: int, scale: int) -> str:
    before = f"(?:0|[1-9][0-9]{{0,{whole - 1}}})" if whole else "0"
    behind = f"(?:\\.[0-9]{{1,{scale}}}0*)?" if scale else r"(?:\.0+)?"
    return f"^-?{before}{behind}$"


def _base64(type_: types.LargeBinary) -> Schema:
    longest = LONGEST_TEXT if type_.length is None else (type_.length + 2) // 3 * 4
    return {"type": "string", "contentEncoding": "base64", "pattern": BASE64_PATTERN, "maxLength": longest}


# In an answer ---------------------------------------------------------------------------


def in_answer(field: Field, choices: Mapping[str, Any] | None) -> Schema:
    """Of the value that the database renders, null aside.

    Args:
        choices: of an enumeration, by what stands on the wire.
    """
    type_ = field.type
    if choices is not None:
        return choice(choices)
    if isinstance(type_, types.Integer):
        # A count or a sum is not bounded by the type of what it is made from.
        return integer(*(INT64 if field.column is None else integer_range(type_)))
    if isinstance(type_, types.String):
        return text(type_.length)
    if isinstance(type_, types.Boolean):
        return BOOLEAN
    if isinstance(type_, NUMERIC):
        return _shown_number(field, type_)
    if isinstance(type_, types.DateTime) and type_.timezone:
        return INSTANT_SHOWN
    return in_body(type_, NONE)


def _shown_number(field: Field, type_: types.Numeric[Any] | types.Float[Any]) -> Schema:
    if not type_.asdecimal:
        return {"type": "number"}
    if field.column is None or type_.precision is None or not type_.scale:
        return {"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": DECIMAL_CHARACTERS}
    pattern = rf"^-?(?:0|[1-9][0-9]*)\.[0-9]{{{type_.scale}}}$"
    return {"type": "string", "pattern": pattern, "maxLength": type_.precision + 3}


# As text --------------------------------------------------------------------------------


def as_text(field: Field, choices: Mapping[str, Any] | None, pattern: str = WITHOUT_CONTROLS) -> Schema:
    """Of a filter's value or of a key in the path, which `columns.parse_text` reads.

    Args:
        choices: of an enumeration, by what stands on the wire.
        pattern: of a text column.
    """
    type_ = field.type
    if choices is not None:
        return choice(choices)
    if isinstance(type_, types.Integer):
        return integer(*integer_range(type_))
    if isinstance(type_, types.String):
        return text(type_.length, pattern)
    if isinstance(type_, types.Boolean):
        return BOOLEAN
    if isinstance(type_, NUMERIC):
        return _text_number(type_)
    return in_body(type_, NONE)


def _text_number(type_: types.Numeric[Any] | types.Float[Any]) -> Schema:
    found = _number(type_, NONE)
    return found["anyOf"][0] if "anyOf" in found else found
