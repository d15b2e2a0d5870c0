"""Attributes as names: `Student.name` and `"name"` mean the same on `Student`, and `Teacher.name` means nothing there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import InstrumentedAttribute, QueryableAttribute

from vallum.declare.errors import DeclarationError

Attribute = str | InstrumentedAttribute[Any]


def names_of(given: Iterable[Attribute], model: type[Any], place: str) -> tuple[str, ...]:
    """The names of a model's fields.

    Raises:
        DeclarationError: as of `check_attributes`, or a text in place of a list.
    """
    if isinstance(given, str):
        raise DeclarationError("fields-text", place, f'Give a list: ["{given}"].')
    attributes = tuple(given)
    check_attributes([attribute for attribute in attributes if not isinstance(attribute, str)], model, place)
    return tuple(attribute if isinstance(attribute, str) else attribute.key for attribute in attributes)


def check_attributes(attributes: Iterable[object], model: type[Any], place: str) -> None:
    """Nothing, where all are the model's own.

    Raises:
        DeclarationError: `attribute-form` (a column of a mixin or a table, a number), `attribute-model` (of another
            model or an alias).
    """
    for attribute in attributes:
        check_mapped(attribute, place)
        if attribute.class_ is not model:  # type: ignore[attr-defined]  # it is mapped, as was just asked
            raise DeclarationError("attribute-model", place, f"{attribute} is not of {model.__name__}; name its own.")


def check_mapped(attribute: object, place: str) -> None:
    """Nothing, where it is an attribute of a mapped class.

    Raises:
        DeclarationError: `attribute-form`.
    """
    if not isinstance(attribute, QueryableAttribute):
        raise DeclarationError(
            "attribute-form",
            f"{place}: {type(attribute).__name__}",
            "Name fields by text or by attributes of the mapped class, such as Model.column.",
        )
