"""Fragments of SQL: how they are joined, rendered and given values, and what of an expression becomes a parameter."""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    BindParameter,
    Column,
    Date,
    DateTime,
    Enum,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    bindparam,
    exists,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.types import NullType, TypeDecorator

from vallum.declare.errors import DeclarationError
from vallum.declare.policy import me, now, today
from vallum.store.sql import (
    DIALECTS,
    Param,
    Prepared,
    Sql,
    all_of,
    any_of,
    cast,
    column_sql,
    condition,
    converter,
    each_dialect,
    expression_sql,
    joined,
    param,
    quoted,
    render,
    sql,
    table_sql,
    value_sql,
)


class Size(enum.Enum):
    """Kept by name."""

    SMALL = "s"


META = MetaData()
ITEMS = Table(
    "items",
    META,
    Column("id", Integer, primary_key=True),
    Column("name", String(5)),
    Column("order", Integer),
    Column("made", DateTime(timezone=True)),
)
OTHERS = Table("others", META, Column("id", Integer, primary_key=True), Column("item", Integer), schema="far")
ANNA = Param("name")
ONE = Param(None, value=1)


def in_utc(hour: int) -> datetime:
    """An instant of two hours ahead."""
    return datetime(2026, 3, 1, hour, tzinfo=timezone(timedelta(hours=2)))


def test_fragments_are_joined_flat() -> None:
    """And know the request's values that they need."""
    found = sql("a = ", ANNA, sql(" AND b = ", ONE))
    assert found == Sql(("a = ", ANNA, " AND b = ", ONE))
    assert found.names == {"name"}
    assert joined(", ", ["a", sql("b"), ANNA]) == Sql(("a", ", ", "b", ", ", ANNA))
    assert joined(", ", []) == Sql(())


def test_conditions_are_joined_in_brackets() -> None:
    """All of nothing is true, one of nothing is false."""
    assert all_of(["a", sql("b")]) == Sql(("(", "a", ")", " AND ", "(", "b", ")"))
    assert any_of(["a", "b"]) == Sql(("(", "a", ")", " OR ", "(", "b", ")"))
    assert all_of([]) == Sql(("TRUE",))
    assert any_of([]) == Sql(("FALSE",))


def test_sqlite_counts_no_parameters() -> None:
    """Each stands where it is used."""
    found = render(sql("a = ", ANNA, " OR b = ", ANNA, " OR c = ", ONE), "sqlite")
    assert found == Prepared("a = ? OR b = ? OR c = ?", (ANNA, ANNA, ONE))


def test_postgresql_numbers_a_value_once() -> None:
    """Constants each, as they may be of several types."""
    day = Param("name", cast="::DATE")
    found = render(sql(ONE, ANNA, ONE, day, ANNA, day), "postgresql")
    assert found == Prepared("$1$2$3$4::DATE$2$4::DATE", (ONE, ANNA, ONE, day))


def test_a_constant_of_any_kind_has_a_number() -> None:
    """One that cannot be hashed, too."""
    found = render(sql(Param(None, value=["a"]), ANNA), "postgresql")
    assert found.text == "$1$2"


def test_one_statement_for_every_store() -> None:
    """Each with its own marks."""
    assert {name: one.text for name, one in each_dialect("a = ", ANNA).items()} == {
        "sqlite": "a = ?",
        "postgresql": "a = $1",
    }


def test_values_are_converted_where_they_are_any() -> None:
    """Constants are already."""
    prepared = Prepared("…", (Param("a", str), Param("a"), Param("none", str), Param(None, str, 7)))
    assert prepared.bind({"a": 5, "none": None}) == ("…", ["5", 5, None, 7])
    with pytest.raises(KeyError):
        prepared.bind({"none": None})


def test_a_condition_stands_as_behind_where() -> None:
    """Its constants are parameters; so are the caller's values, by name."""
    found = condition((ITEMS.c.name == me.id) & (ITEMS.c.order > 3), ITEMS, "sqlite")
    assert found == Sql(("items.name = ", Param("vallum_me_id"), ' AND items."order" > ', Param(None, value=3)))


def test_a_condition_begins_and_ends_as_it_likes() -> None:
    """With a parameter, too."""
    three = literal(3)
    assert condition(three < ITEMS.c.id, ITEMS, "sqlite") == Sql((Param(None, value=3), " < items.id"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_other_table_comes_in(dialect: Any) -> None:
    """Nor its own one once more, where it would be read as a whole."""
    with pytest.raises(DeclarationError, match="rule-other-table"):
        condition(OTHERS.c.id == 1, ITEMS, dialect)
    with pytest.raises(DeclarationError, match="rule-own-table"):
        condition(ITEMS.c.id.in_(select(ITEMS.c.id).correlate(None)), ITEMS, dialect)
    tied = exists().where(OTHERS.c.item == ITEMS.c.id)
    assert condition(tied, ITEMS, dialect).parts


def test_another_dialect_may_give_the_words() -> None:
    """The parameters stay the store's."""
    contains = ITEMS.c.name.contains("a")
    found = condition(contains, ITEMS, "sqlite", words=DIALECTS["postgresql"])
    assert found.parts == ("((strpos(items.name, ", Param(None, value="a"), ") > 0))")
    assert condition(contains, ITEMS, "sqlite").parts[0] == "((instr(items.name, "


def test_the_callers_roles_are_constants() -> None:
    """They are known when rules are compiled; of none, the set is empty."""
    named = condition(ITEMS.c.name.in_(me.roles), ITEMS, "sqlite", ("a", "b"))
    assert named.parts == ("items.name IN (", Param(None, value="a"), ", ", Param(None, value="b"), ")")
    assert condition(ITEMS.c.name.in_(me.roles), ITEMS, "sqlite").parts == ("items.name IN (SELECT NULL WHERE 1 = 0)",)


def test_an_expression_is_a_value_of_the_row() -> None:
    """With its parameters."""
    found = expression_sql(ITEMS.c.order + 1, ITEMS, "sqlite")
    assert found == Sql(('items."order" + ', Param(None, value=1), ""))
    assert expression_sql(func.lower(ITEMS.c.name), ITEMS, "sqlite") == Sql(("lower(items.name)",))


def test_a_value_stands_alone() -> None:
    """A constant, text of the author's, a function; never a column."""
    assert value_sql(literal(5), "sqlite") == Sql((Param(None, value=5),))
    assert value_sql(text("CURRENT_DATE"), "sqlite") == Sql(("CURRENT_DATE",))
    assert value_sql(func.random(), "postgresql") == Sql(("random()",))
    with pytest.raises(DeclarationError, match="value-form"):
        value_sql(ITEMS.c.id, "sqlite")
    with pytest.raises(DeclarationError, match="value-form"):
        value_sql(select(select(literal(1).label("x")).cte().c.x).scalar_subquery(), "sqlite")


def test_the_requests_values_are_named_and_all_others_given() -> None:
    """Those of the request are converted when they come, a constant at once."""
    for own, name in ((me.id, "vallum_me_id"), (me.attr["x"], "vallum_me_attr_x"), (now, "vallum_now")):
        found = param(own, "sqlite", {"x": int})
        assert (found.name, found.value) == (name, None)
    assert param(today, "postgresql").cast == "::DATE"
    instant = param(literal(in_utc(14), DateTime(timezone=True)), "sqlite")
    assert instant == Param(None, None, "2026-03-01 12:00:00.000000")
    assert param(BindParameter("a", None, type_=Date()), "sqlite") == Param(None)
    assert param(bindparam("a", 5, required=True), "sqlite").value == 5
    assert param(bindparam("a", callable_=lambda: 6, required=True), "sqlite").value == 6
    with pytest.raises(DeclarationError, match="rule-parameter"):
        param(bindparam("a"), "sqlite")


def test_a_callers_value_has_the_type_that_is_declared() -> None:
    """Where nothing says another; a whole number is one of 64 bits even beside a column of 32."""
    for kind, found in ((int, "::BIGINT"), (bool, "::BOOLEAN"), (str, "::VARCHAR")):
        assert param(me.attr["x"], "postgresql", {"x": kind}).cast == found
    beside: Any = ITEMS.c.order == me.attr["x"]
    assert param(beside.right, "postgresql").cast == "::BIGINT"
    beside = Column("score", Numeric(5, 2)) == me.attr["x"]
    assert param(beside.right, "postgresql", {"x": int}).cast == "::NUMERIC"
    with pytest.raises(DeclarationError, match=r'rule-attribute: me.attr\["x"\]'):
        param(me.attr["x"], "postgresql", {"y": int})


@pytest.mark.usefixtures("far_east")
def test_sqlite_keeps_instants_as_utc() -> None:
    """Those without a zone are, wherever the machine stands; PostgreSQL takes them as they are."""
    convert = converter(DateTime(timezone=True), "sqlite")
    assert convert is not None
    assert convert(in_utc(14)) == "2026-03-01 12:00:00.000000"
    assert convert(in_utc(14).replace(tzinfo=None)) == "2026-03-01 14:00:00.000000"
    assert convert(datetime(2026, 3, 1, tzinfo=UTC)) == "2026-03-01 00:00:00.000000"
    assert convert(None) is None
    days = converter(Date(), "sqlite")
    assert days is not None
    assert days(date(2026, 3, 1)) == "2026-03-01"
    assert converter(DateTime(timezone=True), "postgresql") is None
    assert converter(Integer(), "sqlite") is None


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        (String(5), "::VARCHAR"),
        (Numeric(5, 2), "::NUMERIC"),
        (Integer(), "::INTEGER"),
        (Date(), "::DATE"),
        (Uuid(), "::UUID"),
        (Enum(Size, name="sizes"), "::sizes"),
        (NullType(), ""),
    ],
)
def test_postgresql_is_told_types_that_cut_nothing(type_: Any, found: str) -> None:
    """A text of five letters would be cut, a number rounded. SQLite is told none."""
    assert cast(type_, "postgresql") == found
    assert cast(type_, "sqlite") == ""


def test_names_are_quoted_where_they_must_be() -> None:
    """And a schema is a part of them."""
    assert (quoted("order", "sqlite"), quoted("name", "postgresql")) == ('"order"', "name")
    assert table_sql(OTHERS, "postgresql") == "far.others"
    assert column_sql(ITEMS.c.order, "sqlite") == 'items."order"'
    assert column_sql(OTHERS.c.id, "postgresql") == "far.others.id"


def test_constants_are_the_drivers() -> None:
    """Of types that a store does not have."""
    found = condition(
        Column("key", Uuid()) == uuid.UUID(int=1), Table("t", MetaData(), Column("key", Uuid())), "sqlite"
    )
    assert isinstance(found.parts[-1], Param)
    assert found.parts[-1].value == uuid.UUID(int=1).hex
    assert param(literal(Decimal("1.50"), Numeric(5, 2)), "postgresql").value == Decimal("1.50")


def test_null_is_null_in_every_type() -> None:
    """An author's own type is not asked."""

    class Lower(TypeDecorator[str]):
        impl = String  # type: ignore[mutable-override]  # SQLAlchemy's own way to say it
        cache_ok = True  # type: ignore[mutable-override]  # the same

        def process_bind_param(self, value: Any, _: Any) -> str:
            return str(value.lower())

    assert param(literal("A", Lower()), "sqlite").value == "a"
    assert param(literal(None, Lower()), "sqlite").value is None
