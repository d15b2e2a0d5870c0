"""What values mean in memory: SQL's three-valued logic, comparison and arithmetic on Python values.

Where the stores would differ (text order of native enums, case beyond ASCII, numbers as text) there is either
one stated meaning or an :class:`UnsupportedExpression`; there is no guess.
"""

from __future__ import annotations

import math
import operator
import string
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Any, Final, final

from sqlalchemy import types
from sqlalchemy.types import TypeEngine

from vallum.declare.dialect import DURATION

Value = None | bool | int | float | Decimal | str | bytes | uuid.UUID | datetime | date | time | timedelta
Truth = bool | None
Read = Callable[[Any], Value]

INT64: Final = 2**63
"""Whole numbers of both stores are smaller; beyond it SQLite turns to floats and PostgreSQL raises."""
EXACT: Final = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow])
LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
UPPER: Final = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


@final
class UnsupportedExpression(Exception):
    """The evaluator has no certain meaning for a part of a rule: the answer "I do not know".

    Attributes:
        identifier: a stable word, e.g. `operator` or `column-type`.
        what: the part, for a person.
    """

    def __init__(self, identifier: str, what: str) -> None:
        super().__init__(f"{identifier}: {what}")
        self.identifier = identifier
        self.what = what


def all_true(truths: Iterable[Truth]) -> Truth:
    """AND: false wins, then NULL."""
    listed = list(truths)
    return False if False in listed else None if None in listed else True


def any_true(truths: Iterable[Truth]) -> Truth:
    """OR: true wins, then NULL."""
    listed = list(truths)
    return True if True in listed else None if None in listed else False


def negated(truth: Truth) -> Truth:
    """NOT: NULL stays NULL."""
    return None if truth is None else not truth


def truth_of(value: Value) -> Truth:
    """The value where SQL wants a condition.

    Raises:
        UnsupportedExpression: it is no boolean.
    """
    if value is None or isinstance(value, bool):
        return value
    raise UnsupportedExpression("not-a-condition", f"{value!r} stands where a condition belongs")


def compared(compare: Callable[[Any, Any], bool], left: Value, right: Value) -> Truth:
    """`left <compare> right`; NULL when either is NULL."""
    if left is None or right is None:
        return None
    return compare(*_alike(left, right))


def distinct(left: Value, right: Value) -> bool:
    """IS DISTINCT FROM: NULL equals NULL and nothing else."""
    if left is None or right is None:
        return left is not right
    return bool(compared(operator.ne, left, right))


def among(left: Value, members: Iterable[Value]) -> Truth:
    """IN: false for no members at all, even when `left` is NULL."""
    return any_true(compared(operator.eq, left, member) for member in members)


def calculated(calculate: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    """`left <calculate> right` on numbers; NULL when either is NULL.

    Raises:
        UnsupportedExpression: no numbers, or a result that the stores would round or refuse.
    """
    if left is None or right is None:
        return None
    if _family(left) != "number" or _family(right) != "number":
        raise UnsupportedExpression("arithmetic", f"{left!r} with {right!r}")
    one, other = _alike(left, right)
    if isinstance(one, Decimal):
        name = {operator.add: "add", operator.sub: "subtract", operator.mul: "multiply"}[calculate]
        try:
            return checked_number(getattr(EXACT, name)(one, other))
        except DecimalException as error:
            raise UnsupportedExpression("arithmetic", f"{one} with {other} needs more digits than are kept") from error
    return checked_number(calculate(one, other))


def checked_number(value: Any) -> Value:
    """A number that both stores hold as it is.

    Raises:
        UnsupportedExpression: any other value.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise UnsupportedExpression("value-type", f"{value!r} is no number")
    if isinstance(value, int) and not -INT64 <= value < INT64:
        raise UnsupportedExpression("integer-overflow", f"{value} has more than 64 bits")
    if not isinstance(value, int) and not math.isfinite(value):
        raise UnsupportedExpression("value-type", f"{value} is not finite")
    return value


def text_of(value: Value) -> str:
    """The value where SQL wants text.

    Raises:
        UnsupportedExpression: it is no text, or holds a NUL, at which SQLite stops to count and compare.
    """
    if not isinstance(value, str):
        raise UnsupportedExpression("value-type", f"{value!r} is no text")
    if "\x00" in value:
        raise UnsupportedExpression("text-nul", "text with a NUL character")
    return value


def reader_of(type_: TypeEngine[Any]) -> Read:
    """From a Python value of a column or parameter of that type to the value that is compared.

    Enums become their stored text. Datetimes become naive UTC; a naive one is taken to be UTC already.

    Raises:
        UnsupportedExpression: a type whose comparison the stores do not share; later, a value of another type.
    """
    if isinstance(type_, types.TypeDecorator) and not isinstance(type_, DURATION):
        raise UnsupportedExpression("column-type", f"{type_!r} decides by its own code what is stored")
    if isinstance(type_, types.Enum):
        return _enum_reader(type_)
    if isinstance(type_, types.CHAR) or getattr(type_, "collation", None) is not None:
        raise UnsupportedExpression("column-type", f"{type_!r} compares by padding or collation")
    if isinstance(type_, DURATION):
        return lambda value: None if value is None else _instance(timedelta)(value)
    for kind, read in _READERS:
        if isinstance(type_, kind):
            return lambda value: None if value is None else read(value)
    raise UnsupportedExpression("column-type", f"{type_!r}")


def _enum_reader(type_: types.Enum) -> Read:
    words: dict[Any, str] = {}
    if type_.enum_class is not None:
        members = list(type_.enum_class)
        if len(members) != len(type_.enums):
            raise UnsupportedExpression("column-type", f"{type_!r} stores aliases or not every member")
        words.update(zip(members, type_.enums, strict=True))
    words.update({word: word for word in type_.enums})

    def read(value: Any) -> Value:
        if value is None:
            return None
        if value not in words:
            raise UnsupportedExpression("value-type", f"{value!r} is not in {type_!r}")
        return words[value]

    return read


def _instance(*kinds: type) -> Read:
    def read(value: Any) -> Value:
        if type(value) not in kinds:
            raise UnsupportedExpression("value-type", f"{value!r} is not {kinds[0].__name__}")
        found: Value = value
        return found

    return read


def _boolean(value: Any) -> Value:
    # A store without booleans gives 0 and 1; their type says what they are.
    if value not in (0, 1):
        raise UnsupportedExpression("value-type", f"{value!r} is not bool")
    return bool(value)


def _datetime(value: Any) -> Value:
    if not isinstance(value, datetime):
        raise UnsupportedExpression("value-type", f"{value!r} is not datetime")
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _time(value: Any) -> Value:
    if not isinstance(value, time) or value.tzinfo is not None:
        raise UnsupportedExpression("value-type", f"{value!r} is not a time without zone")
    return value


def _uuid(value: Any) -> Value:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(text_of(value))
    except ValueError as error:
        raise UnsupportedExpression("value-type", f"{value!r} is not UUID") from error


def _untyped(value: Any) -> Value:
    """A literal whose column type nobody stated: its Python type says it."""
    for kinds, read in (
        ((bool,), _boolean),
        ((int, float, Decimal), checked_number),
        ((datetime,), _datetime),
        ((time,), _time),
    ):
        if type(value) in kinds:
            return read(value)
    return text_of(value) if type(value) is str else _instance(bytes, date, uuid.UUID)(value)


_READERS: Final[tuple[tuple[type[TypeEngine[Any]], Read], ...]] = (
    (types.Boolean, _boolean),
    (types.Integer, checked_number),
    (types.Numeric, checked_number),
    (types.Float, checked_number),
    (types.String, text_of),
    (types.DateTime, _datetime),
    (types.Date, _instance(date)),
    (types.Time, _time),
    (types.Uuid, _uuid),
    (types.LargeBinary, _instance(bytes)),
    (types.NullType, _untyped),
)


def _family(value: Any) -> str:
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Both values in one type, as the stores compare and calculate.

    Raises:
        UnsupportedExpression: SQLite would compare by storage class and PostgreSQL would refuse.
    """
    if _family(left) != _family(right):
        raise UnsupportedExpression("mixed-types", f"{left!r} with {right!r}")
    if isinstance(left, float) or isinstance(right, float):
        return _float(left), _float(right)
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return Decimal(left), Decimal(right)
    return left, right


def _float(value: float | Decimal) -> float:
    # PostgreSQL rounds an integer to compare it with a float; SQLite compares it as it is.
    if isinstance(value, int) and int(float(value)) != value:
        raise UnsupportedExpression("mixed-types", f"{value} has more digits than a float")
    return float(value)
