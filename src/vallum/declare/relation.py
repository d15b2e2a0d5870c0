"""Relations of a mapped class that a read can follow: those that are nothing but equal columns.

A relation with a condition, a target of its own making or a column that is no field is left out: a query cannot name it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from sqlalchemy import Column, ColumnElement, Table
from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, Grouping

Pair = tuple[str, str]
"""Two fields whose values are equal where rows are related."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """The table between two that are related many to many.

    Attributes:
        near: (field of the one side, key of the table's column).
        far: (field of the target, key of the table's column).
    """

    table: Table
    near: tuple[Pair, ...]
    far: tuple[Pair, ...]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """A relation of a resource's model.

    Attributes:
        name: of the mapped attribute.
        target: the mapped class on the other side.
        many: a list of rows, or at most one.
        pairs: (own field, the target's field); empty where there is a link.
        link: the table between.
    """

    name: str
    target: type[Any]
    many: bool
    pairs: tuple[Pair, ...]
    link: Link | None

    @property
    def near(self) -> tuple[str, ...]:
        """Own fields that tell what is related."""
        return tuple(own for own, _ in (self.pairs if self.link is None else self.link.near))

    @property
    def far(self) -> tuple[str, ...]:
        """The target's fields that tell what is related."""
        return tuple(theirs for _, theirs in self.pairs) if self.link is None else tuple(f for f, _ in self.link.far)


def relations_of(mapper: Mapper[Any]) -> Mapping[str, Relation]:
    """By name, in mapper order."""
    found = (_relation(mapper, each) for each in mapper.relationships)
    return {relation.name: relation for relation in found if relation is not None}


def _relation(mapper: Mapper[Any], given: RelationshipProperty[Any]) -> Relation | None:
    target = given.mapper
    if given.entity.is_aliased_class or not _is_equality(given.primaryjoin):
        return None
    many = bool(given.uselist)
    if given.secondary is None:
        pairs = [(_field(mapper, own), _field(target, theirs)) for own, theirs in given.local_remote_pairs or ()]
        named = _whole(pairs, given.primaryjoin)
        return None if named is None else Relation(given.key, target.class_, many, named, None)
    if not isinstance(given.secondary, Table) or not _is_equality(given.secondaryjoin):
        return None
    # Either list has the column of the table between on the right.
    between = given.synchronize_pairs, given.secondary_synchronize_pairs or ()
    near = _whole([(_field(mapper, own), column.key) for own, column in between[0]], given.primaryjoin)
    far = _whole([(_field(target, theirs), column.key) for theirs, column in between[1]], given.secondaryjoin)
    if near is None or far is None:
        return None
    return Relation(given.key, target.class_, many, (), Link(given.secondary, near, far))


def _whole(pairs: Sequence[tuple[str | None, str | None]], join: ColumnElement[Any] | None) -> tuple[Pair, ...] | None:
    """The pairs, if they are all that the join asks for and each is of two fields."""
    found = tuple((one, other) for one, other in pairs if one is not None and other is not None)
    return found if len(found) == len(pairs) == len(list(_conjuncts(join))) else None


def _field(mapper: Mapper[Any], column: Any) -> str | None:
    """The field of a column of the class's own table."""
    table = mapper.local_table
    own = table.c.get(column.key) if isinstance(table, Table) and column.table.key == table.key else None
    return mapper.get_property_by_column(own).key if own is not None and own in mapper.columns.values() else None


def _is_equality(join: ColumnElement[Any] | None) -> bool:
    """Whether a join is equal columns, and nothing else."""
    clauses = list(_conjuncts(join))
    return bool(clauses) and all(_equals(clause) for clause in clauses)


def _conjuncts(clause: Any) -> Iterator[Any]:
    if isinstance(clause, Grouping):
        yield from _conjuncts(clause.element)
    elif isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        for part in clause.clauses:
            yield from _conjuncts(part)
    elif clause is not None:
        yield clause


def _equals(clause: Any) -> bool:
    if not isinstance(clause, BinaryExpression) or clause.operator is not operators.eq:
        return False
    return isinstance(clause.left, Column) and isinstance(clause.right, Column)
