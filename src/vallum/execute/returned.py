"""What a handler returned: a row, which is read again under the rules, or anything else as JSON in which there is no row.

A row inside of something else would be shown whole: Pydantic writes every column of a class that is mapped as a dataclass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, final

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import inspect

from vallum.declare.resource import Resource
from vallum.execute.frame import Frame
from vallum.execute.once import Result
from vallum.execute.rows import reread
from vallum.store.ports import Script

ANYTHING: Final[TypeAdapter[Any]] = TypeAdapter(Any)
PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, bytearray})
"""What holds nothing else."""
CONTAINERS: Final = frozenset({dict, list, tuple})
"""What most results are made of."""


@final
@dataclasses.dataclass(frozen=True, slots=True)
class RowKey:
    """A mapped instance that a handler returned, by its key."""

    resource: Resource
    key: tuple[Any, ...]


def settled(frame: Frame, result: Any) -> RowKey | str | None:
    """A mapped instance as its key, anything else as JSON text. Called while its Session is open.

    Raises:
        TypeError: it is a row without a key or without a resource, or holds a row.
    """
    if result is None:
        return None
    resource = frame.rights.api.resources.get(type(result))
    if resource is None:
        refuse_rows(result)
        return ANYTHING.dump_json(result).decode()
    identity = inspect(result).identity
    if identity is None:
        name = type(result).__name__
        raise TypeError(f"a handler returned a {name} that is not in the database: add it to call.db first")
    return RowKey(resource, tuple(identity))


def shown(frame: Frame, result: RowKey | str | None) -> Script[Result]:
    """As this caller may read it."""
    if not isinstance(result, RowKey):
        return Result(result)
    values = frame.key_values(result.resource, result.key)
    seen = yield from reread(frame, result.resource, None, values)
    return Result(None) if seen is None or seen.json is None else Result(seen.json, seen.tag)


def refuse_rows(result: Any) -> None:
    """Look for rows in all that Pydantic would write.

    Raises:
        TypeError: there is one, or something that cannot be looked at twice.
    """
    if type(result) not in CONTAINERS and inspect(type(result), raiseerr=False) is not None:
        raise TypeError(
            f"a handler returned a {type(result).__name__} inside of something else, or one without a resource: only "
            "a row by itself is read again under the rules; return what call.get or call.list give"
        )
    if isinstance(result, Iterator):
        raise TypeError(f"a handler returned a {type(result).__name__}: make a list of it")
    for part in _parts(result):
        if type(part) not in PLAIN:
            refuse_rows(part)


def _parts(result: Any) -> Iterable[Any]:
    """Members, entries, fields and computed fields."""
    if isinstance(result, Mapping):
        return chain(result.keys(), result.values())
    decorated = getattr(type(result), "__pydantic_decorators__", None)
    parts = [] if decorated is None else [getattr(result, name) for name in decorated.computed_fields]
    if isinstance(result, BaseModel):
        return [*parts, *vars(result).values(), *(result.model_extra or {}).values()]
    if dataclasses.is_dataclass(result):
        return [*parts, *(getattr(result, field.name, None) for field in dataclasses.fields(result))]
    return result if isinstance(result, Collection) and not isinstance(result, str) else ()
