"""Parameters of SQL: which value of the request or constant they stand for, how a driver takes it, of which type it is."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, final

from sqlalchemy import BindParameter, types
from sqlalchemy.types import TypeEngine

from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.declare.policy import ME_ATTRIBUTE, ME_ID, NOW, TODAY, word_of
from vallum.store.ports import Value
from vallum.store.sql_dialects import DIALECTS

REQUEST_NAMES: Final = frozenset({ME_ID, NOW, TODAY})
Convert = Callable[[Any], Value]
Attributes = Mapping[str, type]
"""Of the API: name → `int`, `str` or `bool`."""
NO_ATTRIBUTES: Final[Attributes] = MappingProxyType({})
ATTRIBUTE_TYPES: Final[Mapping[type, TypeEngine[Any]]] = {
    int: types.BigInteger(),
    bool: types.Boolean(),
    str: types.String(),
}


@final
@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: of the request when it has a name, else a constant of the program.

    Attributes:
        name: where the request's value is found.
        convert: from the Python value to the driver's, or None when they are the same.
        value: of a constant, already converted.
        cast: what PostgreSQL needs behind the placeholder, e.g. `::DATE`.
    """

    name: str | None
    convert: Convert | None = None
    value: Value = None
    cast: str = ""


def param(bind: BindParameter[Any], dialect: DialectName, attributes: Attributes = NO_ATTRIBUTES) -> Param:
    """The parameter behind a bound value of SQLAlchemy.

    Raises:
        DeclarationError: `rule-parameter`, `rule-attribute`: a value that nobody gives.
    """
    if bind.key in REQUEST_NAMES or bind.key.startswith(ME_ATTRIBUTE):
        kind = _kind(bind, attributes)
        return Param(bind.key, converter(kind, dialect), None, cast(kind, dialect))
    if bind.value is None and bind.callable is None and bind.required:
        raise DeclarationError("rule-parameter", bind.key, "Only me, now and today are parameters of a rule.")
    convert = converter(bind.type, dialect)
    value = bind.effective_value
    return Param(None, None, value if convert is None or value is None else convert(value), cast(bind.type, dialect))


def _kind(bind: BindParameter[Any], attributes: Attributes) -> TypeEngine[Any]:
    """The type of a caller's value: never narrower than what is declared, or PostgreSQL takes that of what is beside it,
    where the value may not fit. SQLAlchemy gives a value the type of what stands before it, and none elsewhere.
    """
    if isinstance(bind.type, types.Integer):
        return ATTRIBUTE_TYPES[int]
    if not bind.type._isnull:  # noqa: SLF001  # NullType has no public test
        return bind.type
    name = bind.key.removeprefix(ME_ATTRIBUTE)
    if name not in attributes:
        raise DeclarationError("rule-attribute", str(word_of(bind.key)), "Declare it in API(attributes={…}).")
    return ATTRIBUTE_TYPES[attributes[name]]


def converter(type_: Any, dialect: DialectName) -> Convert | None:
    """From a Python value to what the driver takes for that column type; None when it is the value itself."""
    implementation = DIALECTS[dialect]
    found: Convert | None = type_.dialect_impl(implementation).bind_processor(implementation)
    if dialect == "sqlite" and isinstance(type_, types.DateTime):
        return partial(_utc_text, found)
    return found


def _utc_text(convert: Convert | None, value: Any) -> Value:
    """SQLite keeps an instant as text without a zone: it is UTC."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value if convert is None else convert(value)


def cast(type_: Any, dialect: DialectName) -> str:
    """What PostgreSQL needs behind a placeholder to know its type; SQLite needs nothing."""
    if dialect == "sqlite" or type_._isnull:  # noqa: SLF001  # NullType has no public test
        return ""
    # A cast to VARCHAR(n) or NUMERIC(p, s) would cut or round what is compared.
    if isinstance(type_, types.String) and not isinstance(type_, types.Enum):
        return "::VARCHAR"
    if isinstance(type_, types.Numeric):
        return "::NUMERIC"
    return f"::{type_.dialect_impl(DIALECTS['postgresql']).compile(dialect=DIALECTS['postgresql'])}"
