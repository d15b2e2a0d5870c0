"""Bodies and answers of actions and endpoints, from what their functions declare."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, NamedTuple, Union, final, get_args, get_origin, get_type_hints

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

from vallum.authorise.rights import Rights
from vallum.declare.resource import Resource
from vallum.openapi.bounded import Definitions
from vallum.openapi.components import Components, Json
from vallum.openapi.names import Names
from vallum.openapi.rows import readable, row

NOTHING = type(None)


@final
class Answered(NamedTuple):
    """What a function may answer with.

    Attributes:
        schema: of the body; None when there never is one.
        empty: whether there may be none.
        resource: whose row it is, when it is one.
    """

    schema: Json | None
    empty: bool
    resource: Resource | None = None


def answered(
    function: Callable[..., Any], rights: Rights, components: Components, names: Names, definitions: Definitions
) -> Answered:
    """Read the return annotation: a row is shown by the rules of its resource, anything else as Pydantic writes it."""
    declared = _returned(function)
    if declared is inspect.Signature.empty or declared is Any:
        return Answered({}, empty=True)
    members = get_args(declared) if get_origin(declared) in (Union, types.UnionType) else (declared,)
    kept = [member for member in members if member is not NOTHING]
    if not kept:
        return Answered(None, empty=True)
    empty = len(kept) < len(members)
    resource = rights.api.resources.get(kept[0]) if len(kept) == 1 else None
    if resource is not None:
        access = readable(rights, resource)
        if access is None:
            return Answered(None, empty=True)
        always = any(grant.always for grant in access.grants)
        return Answered(row(resource, access, rights, components, names), empty or not always, resource)
    return Answered(_schema(declared if not empty else Union[tuple(kept)], definitions), empty)  # noqa: UP007


def _returned(function: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(function).get("return", inspect.Signature.empty)
    except (NameError, TypeError):  # an annotation that only a type checker can read
        return inspect.Signature.empty


def _schema(declared: Any, definitions: Definitions) -> Json:
    try:
        adapter = TypeAdapter(declared)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return {}
    return definitions.of(adapter, "serialization")


def words_of(function: Callable[..., Any], name: str) -> tuple[str, str]:
    """The first line of the docstring and all of it; without one, the name."""
    told = inspect.getdoc(function) or name
    return told.splitlines()[0], told
