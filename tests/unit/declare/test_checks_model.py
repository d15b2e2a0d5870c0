"""What start-up refuses in mapped classes: whatever SQLAlchemy would do in Python, and this API does not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    ForeignKey,
    String,
    event,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    backref,
    column_property,
    declared_attr,
    mapped_column,
    relationship,
    validates,
)
from tests.unit.declare.single import findings, findings_of, identifiers, with_column

from vallum.authorise.checks import check
from vallum.declare.app import API
from vallum.declare.policy import READ, UPDATE, allow

# Features of the ORM ---------------------------------------------------------------------


def test_inheritance_is_refused() -> None:
    """Single-table and joined, the parent and the child; a mixin and an abstract base are fine."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Animal(Base):
        __tablename__ = "animals"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(9))
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012  # as authors do

    class Cat(Animal):
        __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012

    class Person(Base):
        __tablename__ = "people"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Pupil(Person):
        __tablename__ = "pupils"
        id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)

    class Named:
        @declared_attr
        @classmethod
        def name(cls) -> Mapped[str]:
            return mapped_column(String(9))

    class Thing(Named, Base):
        __tablename__ = "things"
        id: Mapped[int] = mapped_column(primary_key=True)

    for model in (Animal, Cat, Person, Pupil):
        assert "model-inheritance" in [f.identifier for f in findings_of(model)]
    assert identifiers(Thing) == []


def test_a_version_counter_is_refused() -> None:
    """The ORM alone would count it; ETags do its work."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Thing(Base):
        __tablename__ = "things"
        id: Mapped[int] = mapped_column(primary_key=True)
        version: Mapped[int] = mapped_column()
        __mapper_args__ = {"version_id_col": version}  # noqa: RUF012

    assert identifiers(Thing) == ["model-version"]


def test_python_validators_are_refused() -> None:
    """`@validates` is told once, at its attribute, and not as an event too."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Thing(Base):
        __tablename__ = "things"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

        @validates("name")
        def check_name(self, _: str, value: str) -> str:
            return value

    assert [(f.identifier, f.place) for f in findings(Thing)] == [("model-validates", "Thing.name")]


@pytest.mark.parametrize("name", ["before_insert", "after_update", "before_delete", "load", "set"])
def test_events_are_refused(name: str) -> None:
    """On the mapper, on instances, on an attribute."""
    thing = with_column(mapped_column(String(5)))
    assert identifiers(thing) == []
    event.listen(getattr(thing, "x") if name == "set" else thing, name, lambda *_: None)  # noqa: B009
    [found] = findings(thing)
    assert found.identifier == "model-event"
    assert name in found.message


def test_listeners_of_sqlalchemy_itself_are_fine() -> None:
    """Relationships and mutable documents listen to their own attributes."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Thing(Base):
        __tablename__ = "things"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("things.id"))
        document: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON()))
        children: Mapped[list[Thing]] = relationship(backref=backref("parent", remote_side="Thing.id"))

    assert identifiers(Thing) == []


def test_cascades_of_the_orm_are_refused() -> None:
    """Where the ORM deletes children and the database does not; with ondelete="CASCADE" both do."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Parent(Base):
        __tablename__ = "parents"
        id: Mapped[int] = mapped_column(primary_key=True)
        ours: Mapped[list[Ours]] = relationship(cascade="all, delete-orphan")
        theirs: Mapped[list[Theirs]] = relationship(cascade="all, delete-orphan", passive_deletes=True)

    class Ours(Base):
        __tablename__ = "ours"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))

    class Theirs(Base):
        __tablename__ = "theirs"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id", ondelete="CASCADE"))
        parent: Mapped[Parent] = relationship(cascade="all", overlaps="theirs")

    class Link(Base):
        __tablename__ = "links"
        left: Mapped[int] = mapped_column(ForeignKey("parents.id", ondelete="CASCADE"), primary_key=True)
        right: Mapped[int] = mapped_column(ForeignKey("many.id", ondelete="CASCADE"), primary_key=True)

    class Many(Base):
        __tablename__ = "many"
        id: Mapped[int] = mapped_column(primary_key=True)
        parents: Mapped[list[Parent]] = relationship(secondary="links", cascade="all, delete")

    assert [(f.identifier, f.place) for f in findings(Parent)] == [("model-cascade", "Parent.ours")]
    assert "model-cascade" in identifiers(Many)
    assert "model-cascade" in identifiers(Theirs)
    assert "model-cascade" not in identifiers(Ours)


def test_a_property_of_python_is_no_field() -> None:
    """A hybrid with an expression is a read-only field, a plain property none; neither is a finding."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Thing(Base):
        __tablename__ = "things"
        id: Mapped[int] = mapped_column(primary_key=True)
        first: Mapped[str]
        twice: Mapped[int] = column_property(id * 2)

        @hybrid_property
        def loud(self) -> str:
            return self.first + "!"

        @property
        def quiet(self) -> str:
            return self.first.lower()

    api = API("Test", roles=["a"])
    assert list(api.resource(Thing, allow("a", READ)).fields) == ["id", "first", "twice", "loud"]
    assert check(api, dialect="sqlite") == []


# Deletion --------------------------------------------------------------------------------


def family(child: str | None, grandchild: str | None) -> list[type[Any]]:
    """Three tables; how the database treats the second and the third when a row of the first goes."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Parent(Base):
        __tablename__ = "parents"
        id: Mapped[int] = mapped_column(primary_key=True)
        deleted_at: Mapped[datetime | None]

    class Child(Base):
        __tablename__ = "children"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("parents.id", ondelete=child))

    class Grandchild(Base):
        __tablename__ = "grandchildren"
        id: Mapped[int] = mapped_column(primary_key=True)
        child_id: Mapped[int | None] = mapped_column(ForeignKey("children.id", ondelete=grandchild))

    return [Parent, Child, Grandchild]


@pytest.mark.parametrize(
    ("child", "grandchild", "refused"),
    [
        ("CASCADE", "CASCADE", True),
        ("CASCADE", "SET NULL", True),
        ("cascade", "set default", True),
        ("CASCADE", "RESTRICT", False),
        ("CASCADE", None, False),
        ("SET NULL", "CASCADE", False),
        (None, "CASCADE", False),
    ],
)
def test_a_removal_takes_along_only_what_is_named(child: str, grandchild: str, *, refused: bool) -> None:
    """Children are looked at by each removal; what lies behind them has to be named in the declaration."""
    parent, _, third = family(child, grandchild)
    assert identifiers(parent) == (["cascade-depth"] if refused else [])
    assert identifiers(parent, cascade=[third]) == []


def tree(inside: str | None, beside: str | None) -> list[type[Any]]:
    """A table that refers to itself, and one that refers to it; how the database treats their rows."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    class Node(Base):
        __tablename__ = "nodes"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id", ondelete=inside))

    class Leaf(Base):
        __tablename__ = "leaves"
        id: Mapped[int] = mapped_column(primary_key=True)
        node_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id", ondelete=beside))

    return [Node, Leaf]


@pytest.mark.parametrize(
    ("inside", "beside", "named", "missing"),
    [
        ("CASCADE", None, [], ["nodes"]),
        ("CASCADE", None, [0], []),
        ("CASCADE", "CASCADE", [], ["leaves", "nodes"]),
        ("CASCADE", "SET NULL", [0], ["leaves"]),
        ("CASCADE", "CASCADE", [0, 1], []),
        ("SET NULL", "CASCADE", [], []),
        ("RESTRICT", "CASCADE", [], []),
    ],
)
def test_a_tree_takes_along_only_what_is_named(inside: str, beside: str, named: list[int], missing: list[str]) -> None:
    """A row's children take theirs along, and what refers to these: no removal looks that far, so all of it is named."""
    models = tree(inside, beside)
    found = findings(models[0], cascade=[models[index] for index in named])
    assert [f.identifier for f in found] == ["cascade-depth"] * len(missing)
    assert [f.message.split(" through ")[0] for f in found] == [f"It would change rows of {name}" for name in missing]


def test_a_resource_that_nobody_deletes_takes_nothing_along() -> None:
    """Nor does one whose rows are only marked."""
    parent, _, _ = family("CASCADE", "CASCADE")
    api = API("Test", roles=["a"])
    api.resource(parent, allow("a", READ | UPDATE))
    assert check(api, dialect="sqlite") == []
    assert identifiers(parent) == ["cascade-depth"]
    assert identifiers(parent, soft_delete=parent.deleted_at) == []
