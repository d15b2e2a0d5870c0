"""Text in rules and orders is compared by code points on PostgreSQL, whatever the database's own collation is.

On a database whose collation is German the property in `tests/property/test_stores.py` is red without each of these;
the server of the tests has no such collation.
"""

from __future__ import annotations

import enum
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Enum, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from vallum import API, READ, allow
from vallum.execute.order import order_by, terms_of
from vallum.store.sql import Sql, condition


class Base(DeclarativeBase):
    """All tables."""


class Size(enum.Enum):
    """Kept as an enumeration of PostgreSQL, which orders by declaration."""

    LARGE = "l"
    SMALL = "s"


class Word(Base):
    """A table."""

    __tablename__ = "words"

    id: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    size: Mapped[Size] = mapped_column(Enum(Size))
    number: Mapped[int]


def text_of(fragment: Sql) -> str:
    """With `?` for parameters."""
    return "".join(part if isinstance(part, str) else f"?{part.cast}" for part in fragment.parts)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (Word.text < "a", '(words.text COLLATE "C") < (?::VARCHAR COLLATE "C")'),
        (Word.text >= Word.id, '(words.text COLLATE "C") >= (words.id COLLATE "C")'),
        (
            Word.text.between("a", "b"),
            '(words.text COLLATE "C") BETWEEN (?::VARCHAR COLLATE "C") AND (?::VARCHAR COLLATE "C")',
        ),
        (
            ~Word.text.between("a", "b"),
            '(words.text COLLATE "C") NOT BETWEEN (?::VARCHAR COLLATE "C") AND (?::VARCHAR COLLATE "C")',
        ),
        (Word.size > Size.LARGE, '(CAST(words.size AS TEXT) COLLATE "C") > (CAST(?::size AS TEXT) COLLATE "C")'),
        (func.lower(Word.text) == "a", 'lower((words.text COLLATE "C")) = ?::VARCHAR'),
        (func.upper(Word.text) == "A", 'upper((words.text COLLATE "C")) = ?::VARCHAR'),
        (Word.number < 3, "words.number < ?::INTEGER"),
        (Word.text == "a", "words.text = ?::VARCHAR"),
        # Of no type of its own it would be text, which is compared with text only.
        (Word.number.in_([]), "words.number IN (SELECT CAST(NULL AS INTEGER) WHERE 1 = 0)"),
    ],
)
def test_rules(expression: ColumnElement[Any], text: str) -> None:
    """Order, ranges and case; equality needs none, numbers neither. A set of nothing has the type of its column."""
    assert text_of(condition(expression, Word.__table__, "postgresql")) == text  # type: ignore[arg-type]


def test_the_greatest_text_of_a_subquery() -> None:
    """Of an aggregate, too."""
    other = select(func.max(Word.text)).select_from(Word.__table__.alias()).scalar_subquery()
    found = text_of(condition(Word.text == other, Word.__table__, "postgresql"))  # type: ignore[arg-type]
    assert 'max((words.text COLLATE "C"))' in found


def test_orders() -> None:
    """A sort and its tie-break; an enumeration by its word."""
    resource = API("Words", roles=["all"]).resource(Word, allow("all", READ))
    terms = terms_of(resource, [("text", False), ("size", True), ("number", False)], "postgresql")
    expected = 'words.text COLLATE "C", (words.size)::text COLLATE "C" DESC, words.number, words.id COLLATE "C"'
    assert text_of(order_by(terms)) == expected
