"""Values of columns from JSON or text, where Pydantic's own reading is too liberal.

Each function takes what a JSON document holds, or the Python value itself (which a handler may give), and raises
`bad(…)`: a ValueError with a sentence for the client. Nothing is rounded, cut or guessed: what the column cannot
keep exactly is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final
from uuid import UUID

from vallum import defaults
from vallum.validate.faults import FORMAT, LENGTH, RANGE, TYPE, bad

INT64: Final = 2**63
DECIMAL_CHARACTERS: Final = 1_100
"""Of a decimal as text: the longest that a column may need (PostgreSQL's NUMERIC has up to 1,000 digits), and a few."""

# RFC 3339 §5.6, without the leap second (no store has one) and with the six digits that stores keep.
_DATE: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
_IS_DATE: Final = re.compile(_DATE)
_IS_TIME: Final = re.compile(_TIME)
_IS_DATETIME: Final = re.compile(rf"{_DATE}[Tt]{_TIME}([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})?")
_IS_DURATION: Final = re.compile(
    r"(?P<sign>-?)P(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,8})H)?(?:(?P<minutes>[0-9]{1,10})M)?"
    r"(?:(?P<seconds>[0-9]{1,11})(?:\.(?P<fraction>[0-9]{1,6}))?S)?)?"
)
_PARTS: Final = ("days", "hours", "minutes", "seconds")
_LONGEST: Final = timedelta(days=defaults.MAX_DURATION_DAYS)
# RFC 9562 §4: either case on input.
_IS_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# RFC 8259 §6, without an exponent.
_IS_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_IS_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_IS_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


def integer_text(text: str) -> int:
    """A whole number in its only form: no sign `+`, no space, no leading zero, no `-0`, digits of ASCII."""
    if _IS_INTEGER.fullmatch(text) is None:
        raise bad(FORMAT, "A whole number is expected.")
    return int(text)


def float_text(text: str) -> float:
    """A number as JSON writes it."""
    if len(text) > 400 or _IS_NUMBER.fullmatch(text) is None:
        raise bad(FORMAT, "A number is expected.")
    return to_float(float(text))


def to_float(value: Any) -> float:
    """A finite double from any JSON number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise bad(TYPE, "A number is expected.")
    try:
        found = float(value)
    except OverflowError:
        raise bad(RANGE, "The number is out of range.") from None
    if not isfinite(found):
        raise bad(RANGE, "The number is out of range.")
    return found or 0.0  # no -0: SQLite keeps none


def to_decimal(value: Any, precision: int | None, scale: int | None) -> Decimal:
    """An exact decimal, from a JSON number or from text, of at most `precision` digits, `scale` of them a fraction."""
    if isinstance(value, str):
        if len(value) > DECIMAL_CHARACTERS or _IS_DECIMAL.fullmatch(value) is None:
            raise bad(FORMAT, "A decimal number without an exponent is expected.")
        value = Decimal(value)
    elif isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise bad(TYPE, "A number, or a number as text, is expected.")
    found = value if isinstance(value, Decimal) else Decimal(value)
    if not found.is_finite():
        raise bad(RANGE, "The number is out of range.")
    _check_digits(found, precision, scale)
    return found or abs(found)  # no -0


def _check_digits(value: Decimal, precision: int | None, scale: int | None) -> None:
    # Digits and exponent say it all; a number like 1E+300 is never written out.
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not any(digits):
        return
    significant = len(digits)
    while significant and digits[significant - 1] == 0:
        significant -= 1
        exponent += 1
    whole = max(value.adjusted() + 1, 0)
    fraction = max(-exponent, 0)
    if scale is not None and fraction > scale:
        raise bad(RANGE, f"At most {scale} digits behind the point.")
    if precision is not None and whole > precision - (scale or 0):
        raise bad(RANGE, f"At most {precision - (scale or 0)} digits before the point.")


def to_date(value: Any) -> date:
    """RFC 3339 full-date."""
    if isinstance(value, str) and _IS_DATE.fullmatch(value) is not None:
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise bad(FORMAT, "There is no such day.") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise bad(FORMAT if isinstance(value, str) else TYPE, "A date like 2026-01-31 is expected.")


def to_time(value: Any) -> time:
    """RFC 3339 partial-time: a time of day without an offset."""
    if isinstance(value, str) and _IS_TIME.fullmatch(value) is not None:
        try:
            return time.fromisoformat(value)
        except ValueError:
            raise bad(FORMAT, "There is no such time of day.") from None
    if isinstance(value, time) and value.tzinfo is None:
        return value
    raise bad(FORMAT if isinstance(value, str) else TYPE, "A time like 08:30:00 is expected.")


def to_instant(value: Any) -> datetime:
    """RFC 3339 date-time, in UTC."""
    wanted = "An instant with an offset, like 2026-01-31T08:30:00Z, is expected."
    found = _datetime(value, wanted)
    if found.tzinfo is None:
        raise bad(FORMAT, wanted)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise bad(RANGE, "The instant is out of range.") from None


def to_local(value: Any) -> datetime:
    """A date and a time of day without an offset."""
    wanted = "A date and time without an offset, like 2026-01-31T08:30:00, is expected."
    found = _datetime(value, wanted)
    if found.tzinfo is not None:
        raise bad(FORMAT, wanted)
    return found


def _datetime(value: Any, wanted: str) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise bad(TYPE, wanted)
    if _IS_DATETIME.fullmatch(value) is None:
        raise bad(FORMAT, wanted)
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        raise bad(FORMAT, "There is no such date and time.") from None


def to_uuid(value: Any) -> UUID:
    """A UUID with its hyphens."""
    if isinstance(value, str) and _IS_UUID.fullmatch(value) is not None:
        return UUID(value)
    if isinstance(value, UUID):
        return value
    raise bad(FORMAT if isinstance(value, str) else TYPE, "A UUID with hyphens is expected.")


def to_uuid_text(value: Any) -> str:
    """The canonical text of a UUID (RFC 9562 §4), for columns that hold UUIDs as `str`."""
    return str(to_uuid(value))


def to_bytes(value: Any, length: int | None) -> bytes:
    """Base64 with its padding and nothing between (RFC 4648 §4, §3.3, §3.5)."""
    if isinstance(value, bytes):
        found = value
    elif isinstance(value, str):
        try:
            found = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise bad(FORMAT, "Base64 is expected.") from None
        if base64.b64encode(found).decode() != value:  # bits behind the end that no encoder writes
            raise bad(FORMAT, "Base64 is expected.")
    else:
        raise bad(TYPE, "Base64 text is expected.")
    if length is not None and len(found) > length:
        raise bad(LENGTH, f"At most {length} bytes.")
    return found


def to_duration(value: Any) -> timedelta:
    """ISO 8601 §5.5.2.2 of days, hours, minutes and seconds, with a sign: months and years have no length."""
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, str) and (match := _IS_DURATION.fullmatch(value)) and any(match.group(*_PARTS)):
        days, hours, minutes, whole = (int(part or 0) for part in match.group(*_PARTS))
        seconds = timedelta(seconds=whole, microseconds=int((match["fraction"] or "0").ljust(6, "0")))
        found = timedelta(days=days, hours=hours, minutes=minutes) + seconds
        found = -found if match["sign"] else found
    else:
        raise bad(FORMAT if isinstance(value, str) else TYPE, "A duration like P1DT2H30M is expected.")
    if abs(found) > _LONGEST:
        raise bad(RANGE, f"At most {defaults.MAX_DURATION_DAYS} days.")
    return found


def to_document(value: Any) -> Any:
    """A JSON document as a column keeps it: whole numbers exactly, within 64 bits; all others as doubles.

    Both stores and most readers know no other numbers than these (RFC 8259 §6). A whole number written with a
    fraction or an exponent (1.0, 1e2) is a double, unless it is the whole document: SQLite's JSON column, whose affinity
    is NUMERIC, keeps no double that has the value of a 64-bit number.
    """
    found = _document(value)
    return int(found) if isinstance(found, float) and found.is_integer() and -INT64 <= found < INT64 else found


def _document(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _document(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_document(item) for item in value]
    if isinstance(value, Decimal):
        return to_float(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -INT64 <= value < INT64:
        raise bad(RANGE, "A whole number in the document is beyond 64 bits.")
    return value
