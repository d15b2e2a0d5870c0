"""A resource: a mapped class, its fields as the API shows them, and its rules."""

from __future__ import annotations

import builtins
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from pydantic import BaseModel
from sqlalchemy import Column, ColumnElement, ForeignKeyConstraint, Table
from sqlalchemy.types import TypeEngine

from vallum.declare.freshness import Freshness
from vallum.declare.policy import Operation, Rule
from vallum.declare.relation import Relation


@final
@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field of a resource.

    Attributes:
        name: the mapped attribute's key; the name on the wire.
        expression: the column, or the SQL expression of a read-only field.
        column: the table column when the field is one; None for an expression (read-only).
        type: its SQLAlchemy type.
        nullable: whether null is a value.
        key: whether it is part of the primary key.
        generated: the database or a default gives its value when a create leaves it out.
    """

    name: str
    expression: ColumnElement[Any]
    column: Column[Any] | None
    type: TypeEngine[Any]
    nullable: bool
    key: bool
    generated: bool

    @property
    def writable(self) -> bool:
        """Whether a statement may give it a value: a column that the database does not always make by itself."""
        column = self.column
        return (
            column is not None
            and column.computed is None
            and not (column.identity is not None and column.identity.always)
        )

    @property
    def enum_class(self) -> builtins.type[enum.Enum] | None:
        """The Python enum behind an Enum column, or None."""
        found = getattr(self.type, "enum_class", None)
        return found if isinstance(found, type) and issubclass(found, enum.Enum) else None


@final
@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A foreign key of the resource: local field names in the order of the constraint's elements, and the target table."""

    fields: tuple[str, ...]
    constraint: ForeignKeyConstraint
    target: Table


@final
@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A mapped class under rules, as `api.resource` declared it.

    Attributes:
        name: the word used by commands, logs and audit; the path without its first slash.
        path: of the collection, e.g. `/students`.
        fields: by name, in mapper order.
        key: names of the primary key's fields, in order.
        rules: in the author's order, as written; what holds for every rule (tenant, soft delete) is joined to them later.
        filters, sorts: names of the fields that a list may be filtered and sorted by.
        relations: by name, those that a read may follow.
        soft_delete: the column set on DELETE; rows where it is not NULL do not exist.
        tenant: (column name, attribute name) or None.
        cascade: tables whose rows the author lets die with a row of this resource.
        body: a Pydantic model in place of the derived one, for CREATE and UPDATE.
        cost: units of the caller's budget by operation word (`list`, `item`, `create`, `change`, `remove`), and by
            `count` what `count=exact` adds to a list, by `include` what each included relation adds to a list or item.
        max_body_bytes: of one request.
        bulk: rows that one request may create, change or remove; 0 where each takes a request of its own.
        fresh: which of its requests must be fresh.
    """

    model: type[Any]
    table: Table
    name: str
    path: str
    fields: Mapping[str, Field]
    key: tuple[str, ...]
    rules: tuple[Rule, ...]
    filters: tuple[str, ...]
    sorts: tuple[str, ...]
    references: tuple[Reference, ...]
    relations: Mapping[str, Relation]
    soft_delete: str | None
    tenant: tuple[str, str] | None
    cascade: frozenset[str]
    body: type[BaseModel] | None
    cost: Mapping[str, int]
    max_body_bytes: int
    bulk: int
    fresh: Freshness

    def rules_on(self, operation: Operation) -> tuple[Rule, ...]:
        """The rules that name the operation."""
        return tuple([rule for rule in self.rules if rule.operations is not None and operation & rule.operations])
