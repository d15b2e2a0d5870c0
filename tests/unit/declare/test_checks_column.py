"""Column types, defaults and constraints that start-up refuses."""

from __future__ import annotations

import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    CHAR,
    JSON,
    REAL,
    BigInteger,
    CheckConstraint,
    Enum,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    Numeric,
    PickleType,
    Sequence,
    String,
    Text,
    Time,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    bindparam,
    cast,
    func,
)
from sqlalchemy.dialects.postgresql import CITEXT, INET, JSONB
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
)
from sqlalchemy.types import TypeEngine, UserDefinedType
from tests.unit.declare.single import findings, identifiers, with_column

from vallum.authorise.checks import check
from vallum.declare.app import API
from vallum.declare.checks import check_api
from vallum.declare.policy import READ, allow

# Columns ---------------------------------------------------------------------------------


class Upper(TypeDecorator[str]):
    """Text that Python changes on its way out."""

    impl: Any = String
    cache_ok: bool | None = True

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value.upper()


class Wrapped(String):
    """Text that SQL changes on its way in."""

    def bind_expression(self, bindvalue: Any) -> Any:
        return func.lower(bindvalue)


class Money(UserDefinedType[Decimal]):
    """A type that only the application knows."""

    cache_ok: bool | None = True

    def get_col_spec(self, **_: Any) -> str:
        return "MONEY"


class Part(enum.Enum):
    """Values that are no text."""

    OWNER = 1


class Word(enum.Enum):
    """Values that are."""

    OWNER = "owner"


COLUMNS: list[tuple[str, Callable[[], Any]]] = [
    ("column-decorator", lambda: Upper(5)),
    ("column-decorator", PickleType),
    ("column-type", lambda: Wrapped(5)),
    ("column-type", Money),
    ("column-type", INET),
    ("column-type", CITEXT),
    ("column-type", lambda: CHAR(2)),
    ("column-type", REAL),
    ("column-type", lambda: Float(24)),
    ("column-type", lambda: ARRAY(Integer)),
    ("column-type", lambda: Time(timezone=True)),
    ("column-type", lambda: Float(asdecimal=True)),
    ("column-type", lambda: Uuid().with_variant(String(36), "sqlite")),
    ("numeric-scale", Numeric),
    ("numeric-scale", lambda: Numeric(10)),
    ("numeric-precision", lambda: Numeric(16, 2)),
    ("enum-values", lambda: Enum(Part)),
]


@pytest.mark.parametrize(("identifier", "make"), COLUMNS, ids=[f"{i}-{n}" for n, (i, _) in enumerate(COLUMNS)])
def test_column_types_that_both_stores_cannot_keep(identifier: str, make: Callable[[], Any]) -> None:
    """Types that convert in Python, have no JSON form, or lose digits."""
    [found] = findings(with_column(mapped_column(make(), nullable=True)))
    assert (found.identifier, found.severity, found.place) == (identifier, "error", "Thing.x")


@pytest.mark.parametrize(
    "type_",
    [
        BigInteger().with_variant(Integer, "sqlite"),
        Enum(Word),
        Enum("a", "b"),
        JSON().with_variant(JSONB(), "postgresql"),
        LargeBinary(),
        Numeric(15, 2),
        Numeric(asdecimal=False),
        String().with_variant(Text(), "postgresql"),
        Time(),
        Uuid(),
        Uuid(as_uuid=False),
    ],
    ids=repr,
)
def test_column_types_that_both_stores_keep(type_: TypeEngine[Any]) -> None:
    """All that SQLAlchemy's own generic types can say, variants of the same family included."""
    model = with_column(mapped_column(type_, nullable=True))
    assert identifiers(model, "sqlite") == []
    assert identifiers(model, "postgresql") == []


def test_postgresql_keeps_more_digits() -> None:
    """Its NUMERIC is exact."""
    assert identifiers(with_column(mapped_column(Numeric(30, 10))), "postgresql") == []


@pytest.mark.parametrize("type_", [JSON(), LargeBinary(), Float()], ids=repr)
def test_keys_that_cannot_stand_in_a_path(type_: TypeEngine[Any]) -> None:
    """A path names a row by one exact text."""
    api = API("Test", roles=["a"])
    model = with_column(mapped_column(String(5)), key=mapped_column(type_, primary_key=True))
    api.resource(model, allow("a", READ))
    assert [f.identifier for f in check_api(api, dialect="sqlite")] == ["key-type"]


def of_context(context: Any) -> str:
    """A default that looks at the rest of the row."""
    return str(context)


def plain() -> str:
    """A default that looks at nothing."""
    return "x"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"default": of_context}, ["default-context"]),
        ({"onupdate": of_context}, ["default-context"]),
        ({"default": lambda context: "x"}, ["default-context"]),
        ({"default": Sequence("numbers")}, ["default-form"]),
        ({"default": plain, "onupdate": lambda: "y"}, []),
        ({"default": str}, []),
        ({"default": "x"}, []),
        ({"default": func.lower("X"), "server_default": "x"}, []),
    ],
    ids=["context", "onupdate", "lambda", "sequence", "plain", "class", "value", "sql"],
)
def test_defaults_need_no_orm(options: dict[str, Any], expected: list[str]) -> None:
    """Values, functions without arguments and SQL are honoured; a function of the statement's context is not."""
    assert identifiers(with_column(mapped_column(String(9), **options))) == expected


def test_deferred_constraints_are_refused_on_sqlite() -> None:
    """Several writes share a commit there, and one of them would break it for all."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Thing(Base):
        __tablename__ = "things"
        __table_args__ = (UniqueConstraint("name", name="names"), CheckConstraint("name <> ''"))
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("things.id", deferrable=True, initially="DEFERRED"))

    assert identifiers(Thing, "sqlite") == ["constraint-deferrable"]
    assert identifiers(Thing, "postgresql") == []


def test_what_only_the_compiler_knows() -> None:
    """An expression that one store has no SQL for is a finding there."""
    thing = with_column(mapped_column(String(20)))
    api = API("Test", roles=["a"])
    api.resource(thing, allow("a", READ, where=cast(thing.x, INET).is_not(None)))
    assert [f.identifier for f in check(api, dialect="sqlite")] == ["expression-compile"]
    assert check(api, dialect="postgresql") == []


@pytest.mark.parametrize("when", ["default", "onupdate"])
def test_a_default_that_has_no_sql(when: str) -> None:
    """What a column gives itself is compiled like what a rule gives it."""
    given: dict[str, Any] = {when: func.lower(bindparam("x"))}
    api = API("Test", roles=["a"])
    api.resource(with_column(mapped_column(String(20), **given)), allow("a", READ))
    assert [(f.identifier, f.place) for f in check(api, dialect="sqlite")] == [("rule-parameter", "Thing.x")]
