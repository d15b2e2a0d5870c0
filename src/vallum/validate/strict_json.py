"""JSON as RFC 8259 says, in UTF-8, and nothing beside it.

Refused although many parsers take it: a byte order mark (§8.1), two equal keys in
one object (§4), NaN and Infinity (§6), a surrogate without its other half (§8.2),
the character NUL in a string, and whatever is deeper, longer or wider than
`defaults` allows. Numbers stay exact: an integer is an `int`, any other number a
`Decimal`. None is beyond the range of a double, so a float field that converts it
never becomes infinity and an integer field never computes 10**1000000000.

Why the standard library's parser: it alone gives each object and each number to a hook while it parses,
so that equal keys and long numbers are seen where they are and never built. Measured on CPython 3.11, in µs,
for a record of 344 bytes and for 101 KiB of records:

    this module                            6    1,900
    json.loads alone                       4      720   the last of equal keys wins; NaN; floats
    orjson                                 0.9    350   the last wins; integers over 64 bits become floats
    pydantic_core.from_json                1.3    510   the last wins; floats
    jiter, decimals, duplicates refused    2    1,000   no limit but a depth of 200; one more dependency

The faster ones would need a second walk over the text or the values for what they do not tell.

The depth is known before the parser runs, so it never recurses further than allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from math import isfinite
from typing import Final, NoReturn, TypeAlias, final

from vallum import defaults
from vallum.refusals import BODY_INVALID, BODY_MALFORMED, Refusal

Json: TypeAlias = "bool | int | Decimal | str | list[Json] | dict[str, Json] | None"
"""What `parse` returns: never a float."""

TOO_DEEP: Final = "Arrays and objects nested too deeply"
NUL: Final = "The character NUL in a string"
DUPLICATE_KEY: Final = "A key that occurs twice in one object"
TOO_MANY_KEYS: Final = "An object with too many keys"
KEY_TOO_LONG: Final = "A key that is too long"
TOO_MANY_ITEMS: Final = "An array with too many items"
STRING_TOO_LONG: Final = "A string that is too long"
NUMBER_TOO_LONG: Final = "A number with too many digits"
NUMBER_OUT_OF_RANGE: Final = "A number beyond the range of a double"
NOT_A_NUMBER: Final = "NaN or Infinity"

_BOM: Final = b"\xef\xbb\xbf"

# Here, because a global is quicker than an attribute for each key and number.
_KEYS: Final = defaults.MAX_JSON_KEYS
_KEY_CHARACTERS: Final = defaults.MAX_JSON_KEY_CHARACTERS
_DIGITS: Final = defaults.MAX_JSON_DIGITS
_WIDEST_NUMBER: Final = _DIGITS - defaults.MIN_JSON_EXPONENT + len("-.e-0324")
"""Sign, digits, point, the zeros after the point of the smallest number, and an exponent."""

# What the standard library calls a fault, by the beginning of its message → what we call it.
_SYNTAX: Final = {
    "Unterminated string": "A string without its end",
    "Invalid control character": "A control character in a string",
    "Invalid \\": "An invalid escape in a string",
    "Extra data": "Something after the end of the document",
}

# Every escape that is right; where the match stops, one is wrong. Only asked about text that has been
# parsed, so a stop is NUL or a surrogate: high ones count only together with a low one (RFC 8259 §7).
_RIGHT_ESCAPES: Final = re.compile(
    r"""(?: [^\\]++
          | \\[^u]
          | \\u [dD][89abAB][0-9a-fA-F]{2} \\u [dD][c-fC-F][0-9a-fA-F]{2}
          | \\u (?!0000|[dD][89a-fA-F]) [0-9a-fA-F]{4}
        )*+""",
    re.VERBOSE,
)

# Strings, marks, and anything else up to the next mark; a lone quote begins a string that was cut off.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},:]|[^\s"\[\]{},:]++', re.DOTALL)

_MARKS: Final = b'[]{}"'
_NOT_MARKS: Final = bytes(set(range(256)) - set(_MARKS))
_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
"""+1 and, as a signed byte, -1."""


@final
class _Fault(Exception):
    """A rule of ours is broken: its text says which; leaves the parser through its hooks."""


def parse(data: bytes, *, depth: int = defaults.MAX_JSON_DEPTH) -> Json:
    """The value of the JSON document `data`; any value may stand at the top.

    Args:
        data: the whole document.
        depth: arrays and objects inside one another; `[]` has one.

    Raises:
        Refusal: BODY_MALFORMED, or BODY_INVALID for a repeated key and for NUL. The detail names the fault and the offset of its byte, and nothing
            of the content. A broken limit is searched for in the first `JSON_LOCATE_BYTES` only;
            further in the detail says "after byte …".
    """
    try:
        return _parse(data, depth)
    except _Fault as fault:
        what, offset = str(fault), _locate(data, str(fault), depth)
    except json.JSONDecodeError as error:
        what, offset = _syntax_fault(error), len(error.doc[: error.pos].encode())
    except UnicodeDecodeError as error:
        what, offset = "Bytes that are not UTF-8", error.start
    # Raised out here, so that the refusal carries no exception with the document in it.
    if offset is None and len(data) <= defaults.JSON_LOCATE_BYTES:
        raise Refusal(BODY_MALFORMED, f"{what}.")  # brackets without end, in what is no JSON before them
    raise _refusal(what, offset)


def _parse(data: bytes, depth: int) -> Json:
    # 1. UTF-8 without a mark in front (RFC 8259 §8.1).
    if data.startswith(_BOM):
        raise _refusal("A byte order mark", 0)
    text = data.decode()
    # 2. The depth, before anything recurses. So few brackets cannot be too deep: the ordinary write.
    if data.count(b"[") + data.count(b"{") > depth and depth_of(data) > depth:
        raise _Fault(TOO_DEEP)
    # 3. The grammar, keys and numbers.
    value: Json = _DECODER.decode(text)
    # 4. Escapes that spell what no string may hold; the decoder has let them through.
    if "\\u" in text and ("\\u0000" in text or "\\ud" in text or "\\uD" in text):
        _check_escapes(text)
    # 5. Long arrays and strings, where there is room for one.
    if len(text) > defaults.MAX_JSON_STRING_CHARACTERS or text.count(",") >= defaults.MAX_JSON_ITEMS:
        _check_sizes(value)
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Fault(DUPLICATE_KEY)
    if len(members) > _KEYS:
        raise _Fault(TOO_MANY_KEYS)
    # All keys together are rarely longer than one may be, and joining is cheaper than asking each.
    if len("".join(members)) > _KEY_CHARACTERS and max(map(len, members)) > _KEY_CHARACTERS:
        raise _Fault(KEY_TOO_LONG)
    return members


def _integer(text: str) -> int:
    if len(text) > _DIGITS and len(text.removeprefix("-")) > _DIGITS:
        raise _Fault(NUMBER_TOO_LONG)
    return int(text)


def _fraction(text: str) -> Decimal:
    if len(text) <= _DIGITS and "e" not in text and "E" not in text:
        return Decimal(text)
    if len(text) > _WIDEST_NUMBER:
        raise _Fault(NUMBER_TOO_LONG)
    try:
        value = Decimal(text)
    except InvalidOperation:  # an exponent that even Decimal cannot hold
        raise _Fault(NUMBER_OUT_OF_RANGE) from None
    # Decimal keeps the exponent as a number, so a huge one costs nothing up to here.
    exponent = value.adjusted()
    if not defaults.MIN_JSON_EXPONENT <= exponent <= defaults.MAX_JSON_EXPONENT or not isfinite(float(value)):
        raise _Fault(NUMBER_OUT_OF_RANGE)
    if len(value.as_tuple().digits) > _DIGITS:
        raise _Fault(NUMBER_TOO_LONG)
    return value


def _constant(_text: str) -> NoReturn:
    raise _Fault(NOT_A_NUMBER)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def depth_of(data: bytes) -> int:
    """The greatest depth in `data` up to its first error of grammar; without recursion, at C speed.

    Once escaped quotes are gone and only brackets and quotes are left, a string without brackets is
    two quotes side by side. If removing these leaves a quote, some string holds brackets (its opening
    quote ends a run of odd length); then what stands between every second pair of quotes is taken.
    """
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = data.translate(_STEPS, _NOT_MARKS)
    outside = marks.replace(b'""', b"")
    if b'"' in outside:
        outside = b"".join(marks.split(b'"')[::2])
    return max(accumulate(memoryview(outside).cast("b")), default=0)


def _check_escapes(text: str) -> None:
    match = _RIGHT_ESCAPES.match(text)
    right = "" if match is None else match[0]
    if len(right) < len(text):
        what = NUL if text.startswith("\\u0000", len(right)) else "A surrogate without its other half in a string"
        raise _refusal(what, len(right.encode()))


def _check_sizes(value: Json) -> None:
    """Looks at every array and string, level by level."""
    level = [value]
    while level:
        if any(isinstance(part, str) and len(part) > defaults.MAX_JSON_STRING_CHARACTERS for part in level):
            raise _Fault(STRING_TOO_LONG)
        containers = [part for part in level if isinstance(part, list | dict)]
        if any(isinstance(part, list) and len(part) > defaults.MAX_JSON_ITEMS for part in containers):
            raise _Fault(TOO_MANY_ITEMS)
        level = [part for inside in containers for part in (inside.values() if isinstance(inside, dict) else inside)]


def _syntax_fault(error: json.JSONDecodeError) -> str:
    if error.pos >= len(error.doc):
        return "An unexpected end"
    return next((what for message, what in _SYNTAX.items() if error.msg.startswith(message)), "An unexpected character")


def _refusal(what: str, offset: int | None) -> Refusal:
    place = f"after byte {defaults.JSON_LOCATE_BYTES}" if offset is None else f"at byte {offset}"
    # Grammatical JSON that is refused all the same is 422, what is no JSON 400 (RFC 9110 §15.5.21).
    reason = BODY_INVALID if what in (DUPLICATE_KEY, NUL) else BODY_MALFORMED
    return Refusal(reason, f"{what}, {place}.")


# The place of a fault: only a refused document comes here ---------------------------------


@final
@dataclass(slots=True)
class _Frame:
    """One open array or object."""

    is_object: bool
    at_key: bool
    keys: set[str] = field(default_factory=set)


def _locate(data: bytes, what: str, depth: int) -> int | None:
    """The offset of the first fault of the kind `what`, or None when it lies too far in."""
    faults = _faults(data[: defaults.JSON_LOCATE_BYTES], depth)
    return next((offset for offset, kind in faults if kind == what), None)


def _faults(data: bytes, depth: int) -> Iterator[tuple[int, str]]:
    """Offset and kind of each fault in `data`, which may be anything but right JSON from some point on."""
    frames = [_Frame(is_object=False, at_key=False)]
    for match in _TOKEN.finditer(data):
        token, offset, frame = match[0], match.start(), frames[-1]
        if token in b"[{":
            frames.append(_Frame(is_object=token == b"{", at_key=token == b"{"))
            if len(frames) - 1 > depth:
                yield offset, TOO_DEEP
        elif token in b"]}" and len(frames) > 1:
            frames.pop()
        elif token in b",:":
            frame.at_key = frame.is_object and token == b","
        elif token in b'"]}':
            return  # cut off, or not JSON any more
        elif (kind := _scalar_fault(token, frame)) is not None:
            yield offset, kind


def _scalar_fault(token: bytes, frame: _Frame) -> str | None:
    try:
        scalar: Json = _DECODER.raw_decode(token.decode())[0]
    except _Fault as fault:
        return str(fault)
    except ValueError:  # not JSON
        return None
    if not frame.at_key or not isinstance(scalar, str):
        return None
    if scalar in frame.keys:
        return DUPLICATE_KEY
    frame.keys.add(scalar)
    if len(scalar) > _KEY_CHARACTERS:
        return KEY_TOO_LONG
    return TOO_MANY_KEYS if len(frame.keys) > _KEYS else None
