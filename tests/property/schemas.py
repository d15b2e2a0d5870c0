"""Drawn models: tables with columns of all kinds, keys of all kinds, and relations among them, a number each."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    func,
    literal,
    select,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import column_property, registry, relationship

TENANT: Final = "organisation_id"
REMOVED: Final = "deleted_at"
KEYS: Final = ("whole", "uuid", "pair")


class Named(enum.Enum):
    """Stored by name, which is ordered otherwise than the values."""

    RED = "c"
    GREEN = "a"
    BLUE = "b"


class Valued(enum.Enum):
    """Stored by value."""

    DRAFT = "draft"
    OPEN = "open"


TYPES: Final[Sequence[Callable[[int], Any]]] = (
    lambda _: Integer(),
    lambda _: String(80),
    lambda _: Boolean(),
    lambda _: Numeric(12, 2),
    lambda _: Float(),
    lambda _: Date(),
    lambda _: DateTime(timezone=True),
    lambda _: DateTime(),
    lambda _: Uuid(),
    lambda number: Enum(Named, name=f"named_{number}"),
    lambda _: Enum(Valued, values_callable=lambda kind: [m.value for m in kind], native_enum=False, length=20),
    lambda _: JSON(none_as_null=True),
)


@dataclass(frozen=True, eq=False)
class Schema:
    """The models of one number."""

    number: int
    metadata: MetaData
    models: tuple[type[Any], ...]
    tenant: bool


@cache
def schema(number: int) -> Schema:
    """The same for the same number."""
    random = Random(number)
    tenant = random.random() < 0.4
    mapped = registry()
    base = mapped.generate_base()
    models: list[type[Any]] = []
    for index in range(random.randint(3, 4)):
        models.append(_model(random, base, f"s{number}_t{index}", number, models, tenant=tenant))
    _many_to_many(random, base, number, models)
    mapped.configure()
    return Schema(number, base.metadata, tuple(models), tenant)


def _model(
    random: Random, base: Any, name: str, number: int, earlier: Sequence[type[Any]], *, tenant: bool
) -> type[Any]:
    body: dict[str, Any] = {"__tablename__": name, "__table_args__": ()}
    key = random.choice(KEYS) if earlier else random.choice(KEYS[:2])
    kind = Uuid if key == "uuid" else Integer
    for column in ("first", "second") if key == "pair" else ("id",):
        body[column] = Column(kind(), primary_key=True, autoincrement=False)
    if tenant:
        body[TENANT] = Column(Integer(), nullable=False, index=True)
    for index, type_ in enumerate(random.sample(TYPES, random.randint(3, 5))):
        body[f"c{index}"] = Column(type_(number), nullable=random.random() < 0.7)
    if random.random() < 0.35:
        body[REMOVED] = Column(DateTime(timezone=True))
    _computed(random, body)
    parents = [p for p in earlier if random.random() < 0.6]
    # The same for all: where a row would go along and must not go at once, the stores see these in another order.
    acting = random.choice((None, None, "CASCADE", "SET NULL"))
    pointing = [_pointing(random, body, parent, acting) for parent in parents]
    own = key != "pair" and random.random() < 0.4
    if own:
        body["own_id"] = Column(ForeignKey(f"{name}.id"), index=random.random() < 0.5)
        body["own"] = relationship(
            name, remote_side=[body["id"]], foreign_keys=[body["own_id"]], back_populates="owned"
        )
        body["owned"] = relationship(name, foreign_keys=[body["own_id"]], back_populates="own")
    model: type[Any] = type(name, (base,), body)
    for parent, (attribute, columns) in zip(parents, pointing, strict=True):
        back = f"by_{name}"
        setattr(model, attribute, relationship(parent, foreign_keys=columns, back_populates=back))
        setattr(parent, back, relationship(model, foreign_keys=columns, back_populates=attribute))
        if len(columns) == 1 and random.random() < 0.3:
            count = select(func.count()).select_from(model).where(columns[0] == parent.id).correlate_except(model)
            setattr(parent, f"count_{name}", column_property(count.scalar_subquery()))
    return model


def _pointing(random: Random, body: dict[str, Any], parent: type[Any], acting: str | None) -> tuple[str, list[Any]]:
    """A foreign key to `parent`: the name of its relation, and its columns."""
    target = parent.__table__
    nullable = random.random() < 0.6
    acting = "CASCADE" if acting and not nullable else acting
    keys = list(target.primary_key.columns)
    columns = [Column(f"{target.name}_{key.name}", key.type, nullable=nullable) for key in keys]
    columns[0].index = random.random() < 0.6
    for column in columns:
        body[column.name] = column
    body["__table_args__"] += (ForeignKeyConstraint(columns, keys, ondelete=acting),)
    return f"to_{target.name}", columns


def _computed(random: Random, body: dict[str, Any]) -> None:
    """Fields that are expressions."""
    for name, column in list(body.items()):
        if isinstance(column, Column) and name.startswith("c") and random.random() < 0.5:
            if isinstance(column.type, Numeric) and not isinstance(column.type, Float):
                body["twice"] = column_property(column * literal(2))
            elif isinstance(column.type, Integer):
                body["large"] = _hybrid("large", name)


def _hybrid(name: str, column: str) -> Any:
    def larger(self: Any) -> Any:
        return getattr(self, column) > 1

    larger.__name__ = name
    return hybrid_property(larger)


def _many_to_many(random: Random, base: Any, number: int, models: Sequence[type[Any]]) -> None:
    single = [model for model in models if hasattr(model, "id")]
    if len(single) < 2 or random.random() < 0.4:
        return
    left, right = random.sample(single, 2)
    columns: list[Column[Any]] = [
        Column(side, ForeignKey(model.id), primary_key=True, index=random.random() < 0.5)
        for side, model in (("left_id", left), ("right_id", right))
    ]
    secondary = Table(f"s{number}_links", base.metadata, *columns)
    left.linked = relationship(right, secondary=secondary, back_populates="linking")
    right.linking = relationship(left, secondary=secondary, back_populates="linked")
