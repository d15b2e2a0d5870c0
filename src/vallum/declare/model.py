"""Reads a mapped class: its fields, key, references and indexes. What cannot be honoured is `checks`' business."""

from __future__ import annotations

import json
import re
from keyword import iskeyword
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    inspect,
)
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapper

from vallum.declare.errors import DeclarationError
from vallum.declare.resource import Field, Reference

ACTING: Final = ("CASCADE", "SET NULL", "SET DEFAULT")
"""What ON DELETE may do to rows that refer to the one that goes."""


def mapper_of(model: type[Any]) -> Mapper[Any]:
    """The mapper of `model`.

    Raises:
        DeclarationError: not a mapped class, or not mapped to one table.
    """
    try:
        mapper = inspect(model)
    except NoInspectionAvailable as error:
        raise DeclarationError("not-a-model", repr(model), "Give a SQLAlchemy mapped class.") from error
    if not isinstance(mapper, Mapper):
        raise DeclarationError("not-a-model", repr(model), "Give a SQLAlchemy mapped class.")
    table_of(mapper)
    return mapper


def table_of(mapper: Mapper[Any]) -> Table:
    """The one table of a mapped class.

    Raises:
        DeclarationError: it is mapped to a join or a subquery.
    """
    if not isinstance(mapper.local_table, Table):
        raise DeclarationError("not-a-model", repr(mapper.class_), "Give a class that is mapped to one table.")
    return mapper.local_table


def fields_of(mapper: Mapper[Any]) -> dict[str, Field]:
    """Every column attribute, `column_property` and hybrid expression of the model, by name."""
    table = mapper.local_table
    fields: dict[str, Field] = {}
    for attribute in mapper.column_attrs:
        expression = attribute.columns[0]
        if isinstance(expression, Column) and expression.table is table:
            fields[attribute.key] = _column_field(attribute.key, expression, expression in mapper.primary_key)
        else:
            fields[attribute.key] = _expression_field(attribute.key, expression)
    for name, descriptor in mapper.all_orm_descriptors.items():
        # The helper of `@name.inplace.expression` is the same hybrid under a name of its own.
        if isinstance(descriptor, hybrid_property) and descriptor.__name__ == name:
            found = _class_side(mapper, name)
            if found is not None:
                fields[name] = _expression_field(name, found)
    place = {name: index for index, name in enumerate(_declared(mapper.class_))}
    return {name: fields[name] for name in sorted(fields, key=lambda name: place.get(name, len(place)))}


def renamed(field: Field) -> str:
    """The line of a class that gives a field a name which can be written: `unit_price: … = mapped_column("Unit Price")`."""
    column = field.expression if field.column is None else field.column
    return _mapped(column, field.name, key=field.key, nullable=field.nullable)


def referring(constraint: ForeignKeyConstraint) -> str:
    """What in a class makes this foreign key one that takes its rows along: the line of its column, if it has only one."""
    acts = 'ondelete="CASCADE"'
    targets = [f"{element.column.table.key}.{element.column.name}" for element in constraint.elements]
    if len(targets) == 1:
        (column,) = constraint.columns
        words = f"ForeignKey({_quoted(targets[0])}, {acts})"
        return _mapped(column, column.name, words, key=column.primary_key, nullable=bool(column.nullable))
    names = [column.name for column in constraint.columns]
    return f"__table_args__ = (ForeignKeyConstraint({json.dumps(names)}, {json.dumps(targets)}, {acts}),)"


def _mapped(column: ColumnElement[Any], known: str, *words: str, key: bool, nullable: bool) -> str:
    """`name: Mapped[int] = mapped_column(…)`; the column's name stands in it where it cannot be the attribute's."""
    name = re.sub(r"\W+", "_", known).strip("_").lower()
    name = name if name.isidentifier() and not iskeyword(name) else f"field_{name}"
    try:
        kind = column.type.python_type.__name__
    except NotImplementedError:
        kind = "…"
    written = str(getattr(column, "name", known))
    arguments = [*([_quoted(written)] if name != written else []), *words, *(["primary_key=True"] if key else [])]
    return f"{name}: Mapped[{kind}{' | None' * nullable}] = mapped_column({', '.join(arguments)})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _class_side(mapper: Mapper[Any], name: str) -> ColumnElement[Any] | None:
    """The SQL of a hybrid; one that works on instances only is no field."""
    try:
        value = getattr(mapper.class_, name)
    except Exception:  # noqa: BLE001  # it is the author's own code, asked for something that it may not know
        return None
    found = value.__clause_element__() if hasattr(value, "__clause_element__") else value
    return found if isinstance(found, ColumnElement) else None


def _declared(model: type[Any]) -> list[str]:
    """Names in the order in which the author wrote them, the base classes' first."""
    return [name for cls in reversed(model.__mro__) for name in vars(cls).get("__annotations__", {})]


def made_by_database(column: Column[Any]) -> bool:
    """Whether the database gives it a value when an INSERT leaves it out."""
    return (
        column.server_default is not None
        or column.computed is not None
        or column.identity is not None
        or column is column.table._autoincrement_column  # noqa: SLF001  # the public accessor is the same, renamed often
    )


def _column_field(name: str, column: Column[Any], key: bool) -> Field:
    generated = column.default is not None or made_by_database(column)
    # A view says of every column that it may be NULL; what the mapping calls the key is none.
    nullable = bool(column.nullable) and not key
    return Field(name, column, column, column.type, nullable, key, generated)


def _expression_field(name: str, expression: ColumnElement[Any]) -> Field:
    return Field(name, expression, None, expression.type, True, False, True)


def key_of(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Names of the primary key's fields, in the order of the key."""
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def references_of(mapper: Mapper[Any]) -> tuple[Reference, ...]:
    """The foreign keys of the model's table whose columns it maps."""
    table = table_of(mapper)
    mapped = {column for attribute in mapper.column_attrs for column in attribute.columns}
    found = []
    for constraint in sorted(table.foreign_key_constraints, key=lambda c: ",".join(c.column_keys)):
        if not all(column in mapped for column in constraint.columns):
            continue  # a column that the author left out is not written here
        fields = tuple(mapper.get_property_by_column(element.parent).key for element in constraint.elements)
        found.append(Reference(fields, constraint, constraint.referred_table))
    return tuple(found)


def acting_on(table: Table) -> list[ForeignKeyConstraint]:
    """Foreign keys that delete or change rows when a row of `table` goes."""
    found = [
        constraint
        for other in table.metadata.tables.values()
        for constraint in other.foreign_key_constraints
        if constraint.referred_table is table and (constraint.ondelete or "").upper() in ACTING
    ]
    return sorted(found, key=lambda constraint: (constraint.table.key, ",".join(constraint.column_keys)))


def leads(column: Column[Any]) -> bool:
    """Whether an index, unique constraint or primary key over all rows begins with the column."""
    table = column.table
    if not isinstance(table, Table):
        return True
    keys = [c for c in table.constraints if isinstance(c, (PrimaryKeyConstraint, UniqueConstraint))]
    firsts: list[Any] = [next(iter(key.columns), None) for key in keys]
    firsts += [next(iter(index.expressions), None) for index in table.indexes if not _partial(index)]
    # By name: expressions of the ORM carry annotated copies of a table and its columns.
    return any(isinstance(first, Column) and first.name == column.name for first in firsts)


def _partial(index: Index) -> bool:
    return any(index.dialect_options[name].get("where") is not None for name in ("sqlite", "postgresql"))
