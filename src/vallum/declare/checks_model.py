"""Features of a mapped class that live in Python only: the API writes rows without them, so they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any, Final

from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty

from vallum.declare.checks_finding import Finding, error
from vallum.declare.model import mapper_of
from vallum.declare.resource import Resource

MAPPER_EVENTS: Final = (
    "before_insert",
    "after_insert",
    "before_update",
    "after_update",
    "before_delete",
    "after_delete",
)
INSTANCE_EVENTS: Final = ("load", "refresh")
ATTRIBUTE_EVENTS: Final = ("set", "modified")


def model_findings(resource: Resource) -> list[Finding]:
    """What of the mapped class would be ignored."""
    mapper = mapper_of(resource.model)
    return [*_inheritance(mapper), *_version(mapper), *_validators(mapper), *_events(mapper), *_cascades(mapper)]


def _inheritance(mapper: Mapper[Any]) -> Iterator[Finding]:
    related = mapper.inherits is not None or len(list(mapper.self_and_descendants)) > 1
    if related or mapper.polymorphic_on is not None:
        yield error(
            "model-inheritance",
            _place(mapper),
            "Mapped inheritance is not supported: one row would be two resources.",
            "Map one class to one table; share columns by a mixin or an abstract base.",
        )


def _version(mapper: Mapper[Any]) -> Iterator[Finding]:
    if mapper.version_id_col is not None:
        yield error(
            "model-version",
            _place(mapper),
            "version_id_col is counted by the ORM only.",
            "Remove it: If-Match and ETag guard every change of this API.",
        )


def _validators(mapper: Mapper[Any]) -> Iterator[Finding]:
    for name in mapper.validators:
        yield error(
            "model-validates",
            f"{_place(mapper)}.{name}",
            "@validates runs in the ORM only.",
            "Write a CheckConstraint, or give the resource a Pydantic model: body=….",
        )


def _events(mapper: Mapper[Any]) -> Iterator[Finding]:
    listened = [(_place(mapper), name) for name in MAPPER_EVENTS if _any_authors(mapper.dispatch, name)]
    listened += [
        (_place(mapper), name) for name in INSTANCE_EVENTS if _any_authors(mapper.class_manager.dispatch, name)
    ]
    for attribute in mapper.column_attrs:
        if attribute.key not in mapper.validators:  # they are listeners too
            dispatch = getattr(mapper.class_, attribute.key).dispatch
            place = f"{_place(mapper)}.{attribute.key}"
            listened += [(place, name) for name in ATTRIBUTE_EVENTS if _any_authors(dispatch, name)]
    for place, name in listened:
        yield error(
            "model-event",
            place,
            f"The ORM event {name!r} would not be called.",
            "Use a default, a constraint, a trigger of the database, or an action.",
        )


def _any_authors(dispatch: Any, name: str) -> bool:
    return any(_is_authors(listener) for listener in getattr(dispatch, name))


def _is_authors(listener: Any) -> bool:
    """Whether the application's own code is behind a listener; SQLAlchemy has listeners itself and wraps others'."""
    if isinstance(listener, MethodType):
        listener = listener.__func__
    if not isinstance(listener, FunctionType):
        return not type(listener).__module__.startswith("sqlalchemy.")
    if not listener.__module__.startswith("sqlalchemy."):
        return True
    inside = [cell.cell_contents for cell in listener.__closure__ or ()]
    return any(_is_authors(value) for value in inside if isinstance(value, (FunctionType, MethodType)))


def _cascades(mapper: Mapper[Any]) -> Iterator[Finding]:
    for relationship in mapper.relationships:
        if relationship.cascade.delete and not relationship.viewonly and not _database_deletes(relationship):
            yield error(
                "model-cascade",
                f"{_place(mapper)}.{relationship.key}",
                "This cascade deletes rows in the ORM only.",
                'Give the foreign key ondelete="CASCADE" and the relationship passive_deletes=True, or drop the cascade.',
            )


def _database_deletes(relationship: RelationshipProperty[Any]) -> bool:
    if relationship.direction is not RelationshipDirection.ONETOMANY:
        return False
    keys = [key for column in relationship.remote_side for key in getattr(column, "foreign_keys", ())]
    return bool(keys) and all((key.constraint.ondelete or "").upper() == "CASCADE" for key in keys if key.constraint)


def _place(mapper: Mapper[Any]) -> str:
    return str(mapper.class_.__name__)
