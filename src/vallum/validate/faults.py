"""Faults of a body: Pydantic's errors in our own few words.

The vocabulary is documented and stable; a program may match on it. Details are fixed sentences about what is
wanted: they never repeat what was sent.

    required         a field that must be given is not
    unknown_field    there is no such field for this caller
    null             the field cannot be null
    type             another JSON type is wanted: text where a number stands, a fraction where a whole number stands
    length           text, bytes or a list that is too long or too short
    range            a number, an instant or a count of digits beyond what the field takes
    choice           not one of the values of an enumeration
    format           text that does not have the form of a date, a decimal, a UUID, base64 …
    value            the application's own check does not accept it
    repeated         a bulk names the same row twice
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from vallum import defaults
from vallum.refusals import Fault

REQUIRED: Final = "required"
UNKNOWN_FIELD: Final = "unknown_field"
NULL: Final = "null"
TYPE: Final = "type"
LENGTH: Final = "length"
RANGE: Final = "range"
CHOICE: Final = "choice"
FORMAT: Final = "format"
VALUE: Final = "value"
REPEATED: Final = "repeated"

_OURS: Final = "vallum_"

_DETAILS: Final = {
    REQUIRED: "This field is required.",
    UNKNOWN_FIELD: "There is no such field.",
    NULL: "This field cannot be null.",
    TYPE: "Another type of value is expected.",
    LENGTH: "The length is not within what this field takes.",
    RANGE: "The value is out of range.",
    CHOICE: "This is not one of the possible values.",
    FORMAT: "The text does not have the expected form.",
    VALUE: "This value is not acceptable.",
    REPEATED: "This row is named more than once.",
}

# Pydantic's types of errors that say more than their ending does. Its list: pydantic_core.core_schema.ErrorType.
_CODES: Final = {
    "missing": REQUIRED,
    "extra_forbidden": UNKNOWN_FIELD,
    "invalid_key": UNKNOWN_FIELD,
    "literal_error": CHOICE,
    "enum": CHOICE,
    "greater_than": RANGE,
    "greater_than_equal": RANGE,
    "less_than": RANGE,
    "less_than_equal": RANGE,
    "multiple_of": RANGE,
    "finite_number": RANGE,
    "int_parsing_size": RANGE,
    "decimal_max_digits": RANGE,
    "decimal_max_places": RANGE,
    "decimal_whole_digits": RANGE,
    "date_past": RANGE,
    "date_future": RANGE,
    "datetime_past": RANGE,
    "datetime_future": RANGE,
    "too_short": LENGTH,
    "too_long": LENGTH,
    "string_too_short": LENGTH,
    "string_too_long": LENGTH,
    "bytes_too_short": LENGTH,
    "bytes_too_long": LENGTH,
    "url_too_long": LENGTH,
    "int_from_float": TYPE,
    "int_parsing": TYPE,
    "float_parsing": TYPE,
    "bool_parsing": TYPE,
    "decimal_parsing": FORMAT,
    "string_pattern_mismatch": FORMAT,
    "date_from_datetime_inexact": FORMAT,
    "timezone_naive": FORMAT,
    "timezone_aware": FORMAT,
    "timezone_offset": FORMAT,
}

_OBJECT: Final = "An object is expected."
_ARRAY: Final = "An array is expected."
_WHOLE: Final = "A whole number is expected."
_NUMBER: Final = "A number is expected."
_TRUTH: Final = "Either true or false is expected."

# Pydantic's types of errors whose code is TYPE → the type that JSON has for what is wanted.
_WANTED: Final = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    **dict.fromkeys(("string_type", "bytes_type", "url_type"), "Text is expected."),
    **dict.fromkeys(
        ("list_type", "tuple_type", "set_type", "frozen_set_type", "deque_type", "iterable_type", "named_tuple_type"),
        _ARRAY,
    ),
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dataclass_type", "dataclass_exact_type", "dict_type", "mapping_type"),
        _OBJECT,
    ),
    "decimal_type": "A number, or a number as text, is expected.",
    "date_type": "A date like 2026-01-31 is expected.",
    "time_type": "A time like 08:30:00 is expected.",
    "datetime_type": "A date and time like 2026-01-31T08:30:00Z is expected.",
    "time_delta_type": "A span of time like P1DT2H is expected.",
    "uuid_type": "A UUID with hyphens is expected.",
}

# A bound that Pydantic gives with its error → the sentence that names it. They come from the declaration.
_LIMITS: Final = {
    "ge": "At least {}.",
    "gt": "More than {}.",
    "le": "At most {}.",
    "lt": "Less than {}.",
    "max_length": "A length of at most {}.",
    "min_length": "A length of at least {}.",
}


def bad(code: str, detail: str) -> PydanticCustomError:
    """An error of ours for `raise`, inside Pydantic or outside of it (it is a ValueError with that text).

    Args:
        code: of the vocabulary above.
        detail: a sentence for the client, without braces and without anything that was sent.
    """
    return PydanticCustomError(_OURS + code, detail)


def fault(pointer: str, code: str) -> Fault:
    """A fault with the fixed detail of its code."""
    return Fault(pointer, code, _DETAILS[code])


def pointer_of(*tokens: str | int) -> str:
    """A JSON pointer (RFC 6901 §3): `~` is written `~0` and `/` is written `~1`."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def faults_of(error: ValidationError, body: Any, hidden: Container[str] = ()) -> tuple[Fault, ...]:
    """All faults of a body, the first `MAX_FAULTS` of them.

    Args:
        error: what Pydantic found.
        body: what it looked at; the pointers point into it.
        hidden: names at the top about which nothing is said.
    """
    found: dict[Fault, None] = {}
    for details in error.errors(include_url=False):
        location = details["loc"]
        if location and location[0] in hidden:
            continue
        found.setdefault(_fault(details, body))
        if len(found) == defaults.MAX_FAULTS:
            break
    return tuple(found)


def _fault(details: ErrorDetails, body: Any) -> Fault:
    kind = details["type"]
    pointer = pointer_of(*_path(details["loc"], body, missing=kind == "missing"))
    if kind.startswith(_OURS):
        return Fault(pointer, kind.removeprefix(_OURS), details["msg"])
    code, context = _code(kind, details["input"]), details.get("ctx", {})
    for bound, sentence in _LIMITS.items():
        if kind in _CODES and bound in context:
            return Fault(pointer, code, sentence.format(context[bound]))
    return Fault(pointer, code, _WANTED[kind]) if code is TYPE and kind in _WANTED else fault(pointer, code)


def _code(kind: str, given: Any) -> str:
    if kind in _CODES:
        return _CODES[kind]
    if given is None and kind.endswith("_type"):
        return NULL
    if kind.endswith("_type") or kind.startswith(("model_attributes", "dataclass_exact", "is_instance")):
        return TYPE
    if kind.endswith(("_parsing", "_syntax_violation", "_scheme", "_invalid")) or "_parsing" in kind:
        return FORMAT
    return VALUE


def _path(location: tuple[int | str, ...], body: Any, *, missing: bool) -> list[int | str]:
    """The part of Pydantic's location that lies in the body: it also names members of unions, keys and functions."""
    path: list[int | str] = []
    here: Any = body
    for token in location:
        if isinstance(here, list):
            if not isinstance(token, int) or not 0 <= token < len(here):
                continue
        elif not isinstance(here, Mapping) or token not in here:
            continue
        here = here[token]
        path.append(token)
    if missing and location:
        path.append(location[-1])
    return path
