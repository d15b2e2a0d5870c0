"""Relations that begin elsewhere than at the row of the rule."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Table, exists, select
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship

from vallum.declare.errors import DeclarationError
from vallum.declare.policy import me
from vallum.store.sql import condition


class Base(DeclarativeBase):
    """The tables of a library."""


shelved = Table(
    "shelved",
    Base.metadata,
    Column("book_id", ForeignKey("books.id"), primary_key=True),
    Column("shelf_id", ForeignKey("shelves.id"), primary_key=True),
)


class Shelf(Base):
    """Where books stand."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    keeper: Mapped[str]


class Book(Base):
    """What is lent; a volume has a series of which it is a part."""

    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    series_id: Mapped[int | None] = mapped_column(ForeignKey("books.id"))
    series: Mapped[Book | None] = relationship(remote_side=[id])
    loans: Mapped[list[Loan]] = relationship()
    shelves: Mapped[list[Shelf]] = relationship(secondary=shelved)


class Loan(Base):
    """Who has a book."""

    __tablename__ = "loans"

    id: Mapped[int] = mapped_column(primary_key=True)
    reader: Mapped[str]
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"))


class Review(Base):
    """What somebody says of a book."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"))
    book: Mapped[Book] = relationship()


MINE = Loan.reader == me.id
OTHER = aliased(Book)


@pytest.mark.parametrize(
    "rule",
    [
        Book.loans.any(MINE),
        Review.book.has(Book.owner == me.id) & Book.loans.any(MINE),
        ~Book.loans.any(MINE),
        Book.shelves.any(Shelf.keeper == me.id),
        OTHER.loans.any(MINE),
        Review.book.has(OTHER.loans.any(MINE)),
        Review.book_id.in_(select(Loan.book_id).where(OTHER.loans.any(MINE))),
    ],
    ids=["alone", "beside", "denied", "many-to-many", "aliased", "nested", "inside-in"],
)
def test_a_relation_of_another_model_is_refused(rule: Any) -> None:
    """Nothing would tie it to the review: it held for all of them, or for none."""
    with pytest.raises(DeclarationError, match="rule-other-table"):
        condition(rule, Review.__table__, "sqlite")  # type: ignore[arg-type]  # a table, as of every model here


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (Book, Book.loans.any(MINE)),
        (Book, Book.shelves.any(Shelf.keeper == me.id)),
        (Book, Book.series.of_type(OTHER).has(OTHER.owner == me.id)),
        (Review, Review.book.has(Book.loans.any(MINE))),
        (Review, Review.book.has(Book.shelves.any(Shelf.keeper == me.id))),
        (Review, Review.book_id.in_(select(Book.id).where(Book.loans.any(MINE)))),
        (Review, exists().where(Shelf.keeper == me.id)),
        (Review, select(Book.id).where(Book.id == Review.book_id, Book.loans.any(MINE)).exists()),
    ],
    ids=["any", "many-to-many", "self", "nested", "nested-many-to-many", "inside-in", "about-the-caller", "by-hand"],
)
def test_one_that_begins_around_it_is_not(model: type[Base], rule: Any) -> None:
    """At the row itself, or at a table of a subquery that it stands in; what is about the caller alone is meant so."""
    assert condition(rule, model.__table__, "sqlite").parts  # type: ignore[arg-type]  # a table, as of every model here
