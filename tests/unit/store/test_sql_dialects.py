"""What the stores' compilers write for texts, sets and tables of one name, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, bindparam, exists, func, literal, select
from sqlalchemy.types import TypeDecorator

from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.declare.policy import me
from vallum.store.sql import condition, render

META = MetaData()
ITEMS = Table(
    "items",
    META,
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("parent", ForeignKey("items.id")),
)
OLD = Table("items", META, Column("id", Integer, primary_key=True), Column("name", String), schema="past")
PARTS = Table("parts", META, Column("id", Integer, primary_key=True), Column("item", ForeignKey("items.id")))
OLD_PARTS = Table("parts", META, Column("id", Integer, primary_key=True), Column("item", Integer), schema="past")
name: Any = ITEMS.c.name


def written(rule: Any, dialect: DialectName = "sqlite", table: Table = ITEMS) -> str:
    """On one line, with `?` and a constant for each parameter."""
    parts = condition(rule, table, dialect).parts
    text = "".join(part if isinstance(part, str) else f"?{part.value}" for part in parts)
    return " ".join(text.split()).replace("( ", "(")


ENDS = "substr(items.name, length(items.name) - length(?a) + 1) = ?a AND length(?a) <= length(items.name)"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (name.contains("a"), "((instr(items.name, ?a) > 0))"),
        (~name.contains("a"), "((NOT (instr(items.name, ?a) > 0)))"),
        (name.startswith("a"), "((substr(items.name, 1, length(?a)) = ?a))"),
        (~name.startswith("a"), "((NOT (substr(items.name, 1, length(?a)) = ?a)))"),
        (name.endswith("a"), f"(({ENDS}))"),
        (~name.endswith("a"), f"((NOT ({ENDS})))"),
        (name.contains("50%", autoescape=True), "((instr(items.name, ?50%) > 0))"),
        (name.in_(["a", "b"]), "items.name IN (?a, ?b)"),
    ],
)
def test_texts_and_sets(rule: Any, text: str) -> None:
    """Literally and by case, without LIKE; PostgreSQL has another word for the place of a text in another."""
    assert written(rule) == text
    assert written(rule, "postgresql") == text.replace("instr", "strpos")


def test_a_set_of_nothing() -> None:
    """It has its column's type on PostgreSQL, where there is one."""
    assert written(name.in_([])) == "items.name IN (SELECT NULL WHERE 1 = 0)"
    assert written(func.anything().in_([]), "postgresql") == "anything() IN (SELECT NULL WHERE 1 = 0)"
    assert written(ITEMS.c.id.in_([]), "postgresql") == "items.id IN (SELECT CAST(NULL AS INTEGER) WHERE 1 = 0)"


@pytest.mark.parametrize("members", [bindparam("x", expanding=True), bindparam("x"), me.id, me.attr["region"]])
def test_a_set_that_nobody_gives_is_refused(members: Any) -> None:
    """Of no members it would be, and a deny on it would never apply."""
    with pytest.raises(DeclarationError, match="rule-parameter"):
        written(name.in_(members))
    given: Any = bindparam("x", callable_=lambda: ["a", "b"], expanding=True)
    assert written(name.in_(given)) == "items.name IN (?a, ?b)"


def test_functions_that_count_take_a_callers_number_in_their_own_width() -> None:
    """Of 64 bits PostgreSQL has none of them; what the first argument is, and what is no caller's, stays."""
    attributes = {"n": int, "text": str}
    for rule, text in (
        (func.substr(name, 1, me.attr["n"]), "substr(items.name, $1::INTEGER, CAST($2::BIGINT AS INTEGER))"),
        (func.left(me.attr["text"], me.attr["n"]), "left($1::VARCHAR, CAST($2::BIGINT AS INTEGER))"),
        (func.coalesce(ITEMS.c.id, me.attr["n"]), "coalesce(items.id, $1::BIGINT)"),
    ):
        rendered = render(condition(rule, ITEMS, "postgresql", attributes=attributes), "postgresql").text
        assert rendered == text
    assert written(func.substr(name, 1, 2)) == "substr(items.name, ?1, ?2)"


def test_a_type_that_wraps_its_values_in_sql_is_refused() -> None:
    """The mark of a parameter would lose what is around it."""

    class Folded(TypeDecorator[str]):
        impl = String  # type: ignore[mutable-override]  # SQLAlchemy's own way to say it
        cache_ok = True  # type: ignore[mutable-override]  # the same

        def bind_expression(self, bindvalue: Any) -> Any:
            return func.lower(bindvalue)

    with pytest.raises(DeclarationError, match="type-expression"):
        written(name == literal("A", Folded()))


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_rules_own_table_is_read_under_another_name_only(dialect: DialectName) -> None:
    """Right inside the rule; further in, a relation that leads back reads it as it should."""
    with pytest.raises(DeclarationError, match="rule-own-table"):
        written(ITEMS.c.id.in_(select(ITEMS.c.parent).correlate(None)), dialect)
    other = ITEMS.alias("other")
    assert "FROM items AS other" in written(exists().where(other.c.parent == ITEMS.c.id), dialect)
    assert "EXISTS" in written(exists().where(PARTS.c.item == ITEMS.c.id), dialect)
    back = select(ITEMS.c.id).where(ITEMS.c.id == PARTS.c.item).correlate(PARTS).exists()
    assert "EXISTS" in written(exists().where(PARTS.c.item == ITEMS.c.id, back), dialect)


def test_tables_of_one_name_are_kept_apart_on_postgresql() -> None:
    """By an alias for those in a schema, and for those named like the rule's own; the own table has none."""
    assert written(exists().where(OLD.c.id == ITEMS.c.id), "postgresql") == (
        'EXISTS (SELECT * FROM past.items AS "past.items" WHERE "past.items".id = items.id)'
    )
    assert written(exists().where(OLD_PARTS.c.item == ITEMS.c.id), "postgresql") == (
        'EXISTS (SELECT * FROM past.parts AS "past.parts" WHERE "past.parts".item = items.id)'
    )
    assert written(exists().where(PARTS.c.item == ITEMS.c.id), "postgresql") == (
        "EXISTS (SELECT * FROM parts WHERE parts.item = items.id)"
    )
    assert written(exists().where(OLD.c.id == ITEMS.c.id), "postgresql", OLD) == (
        'EXISTS (SELECT * FROM items AS ".items" WHERE past.items.id = ".items".id)'
    )
    again = OLD.alias("again")
    assert written(exists().where(again.c.id == ITEMS.c.id), "postgresql") == (
        "EXISTS (SELECT * FROM past.items AS again WHERE again.id = items.id)"
    )
