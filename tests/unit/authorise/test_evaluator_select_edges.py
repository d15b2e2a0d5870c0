"""Parts of a SELECT that would change its meaning, FROMs that are no tables, and when a condition is tested."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Alias, Column, Integer, MetaData, Table, and_, exists, func, null, select, true
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, lazyload, mapped_column, relationship
from sqlalchemy.sql.elements import Grouping

from vallum.authorise.evaluator import CallerValues, Evaluator, UnsupportedExpression
from vallum.authorise.evaluator_select import Rows, Scope, same


class Base(DeclarativeBase):
    """The tables of these tests."""


class Tree(Base):
    """What rules are about."""

    __tablename__ = "trees"

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int | None]
    kind: Mapped[str]
    birds: Mapped[list[Bird]] = relationship(primaryjoin="foreign(Bird.tree_id) == Tree.id", viewonly=True)

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "tree"}  # noqa: RUF012  # SQLAlchemy's own way


class Oak(Tree):
    """In the table of trees, among others."""

    __mapper_args__ = {"polymorphic_identity": "oak"}  # noqa: RUF012  # SQLAlchemy's own way


class Bird(Base):
    """What lives there."""

    __tablename__ = "birds"

    id: Mapped[int] = mapped_column(primary_key=True)
    tree_id: Mapped[int]
    weight: Mapped[int | None]


TREES: list[dict[str, Any]] = [{"id": n, "size": size, "kind": "tree"} for n, size in ((1, 10), (2, None), (3, 30))]
BIRDS: list[dict[str, Any]] = [
    {"id": n, "tree_id": tree, "weight": weight} for n, tree, weight in ((1, 1, 5), (2, 1, None), (3, 3, 7), (4, 9, 1))
]
trees, birds = Tree.__table__, Bird.__table__
other, nest = aliased(Tree), aliased(Bird)
lives = Bird.tree_id == Tree.id


def found(condition: Any) -> set[int]:
    """The trees for which the evaluator says true."""
    evaluator = Evaluator({trees: TREES, birds: BIRDS}, CallerValues(None), datetime(2026, 3, 1, tzinfo=UTC))
    return {row["id"] for row in TREES if evaluator.holds(condition, trees, row) is True}


def refused(identifier: str, condition: Any) -> str:
    """By that word; what is said beside it."""
    with pytest.raises(UnsupportedExpression) as caught:
        found(condition)
    assert caught.value.identifier == identifier
    return caught.value.what


PLAIN = select(Bird.id).where(lives)


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        (PLAIN.group_by(Bird.id), "GROUP BY"),
        (PLAIN.having(Bird.id > 1), "HAVING"),
        (PLAIN.distinct(), "DISTINCT"),
        (PLAIN.with_for_update(), "FOR UPDATE"),
        (PLAIN.options(lazyload("*")), "options"),
        (PLAIN.prefix_with("ALL"), "prefixes"),
        (PLAIN.suffix_with("ALL"), "prefixes"),
        (PLAIN.add_cte(select(Bird.id).cte()), "CTE"),
        (PLAIN.limit(1), "LIMIT"),
        (PLAIN.offset(0), "LIMIT"),
        (PLAIN.fetch(1), "LIMIT"),
        (select(Oak.id).where(Oak.size == Tree.id), "a class that inherits its table"),
        (select(Bird.id).select_from(Oak).where(lives), "a class that inherits its table"),
    ],
    ids=str,
)
def test_what_would_change_the_meaning_is_named(statement: Any, word: str) -> None:
    """One word for each, and nothing else is said."""
    assert found(exists(PLAIN)) == {1, 3}
    assert refused("subquery", exists(statement)) == f"{word} in a subquery"


def test_joins_are_inner_ones_with_a_condition() -> None:
    """Of two and three tables; an outer or a full one makes rows that no table has."""
    pair = select(nest.id).join(other, other.id == nest.tree_id).where(other.id == Tree.id)
    assert found(exists(pair)) == {1, 3}
    third = aliased(Bird)
    triple = pair.join(third, third.id == nest.id).where(third.weight > 5)
    assert found(exists(triple)) == {3}
    refused("outer-join", exists(select(nest.id).outerjoin(other, other.id == nest.tree_id)))
    refused("outer-join", exists(select(nest.id).join(other, other.id == nest.tree_id, full=True)))
    cross = birds.alias().join(trees.alias(), true())
    assert found(exists(select(cross.left.c.id).select_from(cross))) == {1, 2, 3}


def test_a_from_is_a_table_or_an_alias_of_one() -> None:
    """Not another SELECT, with or without a name."""
    refused("from", exists(select(select(Bird.id).subquery().c.id)))
    refused("from", exists(select(select(Bird.id).cte().c.id)))
    refused("from", exists(select(birds.tablesample(50).c.id)))
    assert found(exists(select(birds.alias("b").c.id).where(Tree.id > 1))) == {2, 3}
    assert isinstance(birds.alias("b"), Alias)


def test_two_copies_of_a_from_are_one_and_two_aliases_are_two() -> None:
    """An annotated copy stands for its original."""
    assert same(trees, trees._annotate({"x": 1}))
    assert not same(trees, birds)
    assert not same(trees.alias(), trees.alias())
    assert not same(trees, Table("trees", MetaData(), Column("id", Integer)))


def test_a_row_counts_only_where_the_condition_is_true() -> None:
    """NULL lets none pass, of the outer row or of the inner one; all conditions must hold, wherever they stand."""
    assert found(exists(PLAIN.where(Bird.weight > 0))) == {1, 3}
    assert found(exists(PLAIN.where(Bird.weight > 5))) == {3}
    assert found(exists(select(Bird.id).where(Tree.size > 5))) == {1, 3}
    assert found(exists(select(Bird.id).where(Tree.size > 5, Tree.size > 15))) == {3}
    assert found(exists(select(Bird.id).where(Bird.weight > 5, Bird.id == 1))) == set()
    assert found(exists(select(Bird.id).where((Bird.weight > 5) & (Bird.id == 3)))) == {1, 2, 3}
    assert found(exists(select(Bird.id).where((Bird.weight > 5) | (Bird.id == 1)))) == {1, 2, 3}
    assert found(exists(select(Bird.id).where((Bird.weight > 9) | lives))) == {1, 3}
    assert found(exists(select(Bird.id).where(true()))) == {1, 2, 3}
    assert found(exists(select(Bird.id).where(null()))) == set()


def test_a_condition_is_tested_as_soon_as_its_last_row_is_there() -> None:
    """One that decides early keeps later ones from values on which they would fail."""
    broken = select(nest.id).where(nest.tree_id == Tree.id, nest.weight + (2**63 - 6) > 0)
    with pytest.raises(UnsupportedExpression, match="integer-overflow"):
        found(exists(broken))
    assert found(exists(broken.where(Tree.id < 3))) == {1}
    both: Any = Grouping(and_(Tree.id < 3, nest.weight + (2**63 - 6) > 0))
    assert found(exists(select(nest.id).where(nest.tree_id == Tree.id, both))) == {1}
    joined = select(Bird.id).where(Bird.id == nest.id, nest.tree_id == other.id, other.id == Tree.id, Bird.weight == 7)
    assert found(exists(joined)) == {3}


def test_correlation_by_itself_leaves_one_from() -> None:
    """A SELECT of a single FROM keeps it; one of more gives up those right around it, and may not give up all."""
    assert found(exists(select(Tree.id).where(Tree.size == 30))) == {1, 2, 3}
    assert found(exists(select(Tree.id).where(Tree.size == 30).correlate(Tree))) == {3}
    within = exists(select(other.id, nest.id).where(other.id == nest.tree_id, other.id == Tree.id))
    assert found(within) == {1, 3}
    none_left = exists(select(other.id, nest.id).where(other.id == nest.tree_id))
    refused("subquery-without-from", exists(select(other.id, nest.id).where(none_left)))
    # Where the SELECT around it stands in the rule, it has one left; SQLAlchemy only tells what it has alone.
    beside = exists(select(Tree.id, other.id).where(Tree.id == 1))
    refused("subquery-without-from", exists(select(other.id).where(other.id == Tree.id, beside)))


def test_correlation_that_is_named() -> None:
    """To what is around alone: what is named and not around stays a FROM; what is spared stays one even when it is around."""
    assert found(PLAIN.correlate(Tree).exists()) == {1, 3}
    assert found(PLAIN.correlate(Bird).exists()) == {1, 2, 3}
    assert found(PLAIN.correlate(Tree, Bird).exists()) == {1, 3}
    assert found(PLAIN.correlate_except(Bird).exists()) == {1, 3}
    assert found(PLAIN.correlate_except(Tree).exists()) == {1, 2, 3}
    assert found(PLAIN.correlate_except(Bird, Tree).exists()) == {1, 2, 3}


def test_an_aggregate_is_one_row_for_the_whole_group() -> None:
    """Wherever in the column it stands; one in a SELECT within it belongs to that one."""
    heaviest = select(func.max(Bird.weight)).where(lives)
    assert found(heaviest.scalar_subquery() == 5) == {1}
    assert found((select(1 + func.coalesce(func.sum(Bird.weight), 0)).where(lives).scalar_subquery()) == 1) == {2}
    count = select(func.count(nest.id)).where(nest.tree_id == Bird.tree_id).correlate(Bird).scalar_subquery()
    assert found(select(count).where(lives, Bird.weight == 5).scalar_subquery() == 2) == {1}


def test_existence_of_an_aggregate_is_refused() -> None:
    """There is always one row, whatever stands beside it."""
    refused("exists-aggregate", exists(select(func.count(Bird.id)).where(lives)))
    refused("exists-aggregate", exists(select(func.count(Bird.id), Tree.id).where(lives).correlate(Tree)))


def test_one_column_is_compared() -> None:
    """Neither two nor a whole row; where existence is asked, there may be many."""
    assert refused("subquery", select(Bird.id, Bird.weight).where(lives).scalar_subquery() == 1).startswith("2 columns")
    assert found(exists(select(Bird.id, Bird.weight).where(lives))) == {1, 3}


def test_one_row_is_a_value() -> None:
    """Of one row it is the row's, of none NULL; two rows have no value."""
    assert found(select(Bird.weight).where(lives, Bird.id == 3).scalar_subquery() == 7) == {3}
    assert found(select(Bird.weight).where(lives, Bird.id == 3).scalar_subquery().is_(None)) == {1, 2}
    assert found(select(func.abs(Bird.weight)).where(lives, Bird.id == 3).scalar_subquery() == 7) == {3}
    several = select(Bird.weight).where(lives).scalar_subquery() == 5
    assert refused("subquery-rows", several).startswith("2 rows")


def test_a_column_of_no_from_around_is_refused() -> None:
    """And one beside an aggregate, of the rows in the group; one of the row around is a value."""
    refused("other-table", Bird.weight > 1)
    refused("column-beside-aggregate", select(func.count() + Bird.weight).where(lives).scalar_subquery() == 1)
    assert found(select(func.count(Bird.id) + Tree.id).where(lives).scalar_subquery() == 3) == {1}


def test_rows_translated_for_existence_have_no_value() -> None:
    """Whoever asks for one has made a mistake."""
    rows = Rows(lambda environment: iter([environment]), None, None)
    with pytest.raises(TypeError, match="existence"):
        next(rows.values({}))
    assert Scope(((trees, 0),), Scope(((birds, 1),))).slot_of(birds) == 1
