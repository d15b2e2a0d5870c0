"""Names that clients build on: of schemas and of operations. They depend on the API alone, not on who reads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final, final

from vallum.declare.app import API
from vallum.declare.resource import Resource
from vallum.declare.route import Route, Verb

_WORD: Final = re.compile(r"[A-Za-z0-9]+")


@final
class Names:
    """The names of one API."""

    def __init__(self, api: API) -> None:
        common = Counter(resource.model.__name__ for resource in api.resources.values())
        self._schemas: Mapping[str, str] = {
            resource.name: resource.model.__name__ if common[resource.model.__name__] == 1 else _camel(resource.name)
            for resource in api.resources.values()
        }
        self._operations = _unique(
            {
                (route.path, method): _operation(route, method)
                for route in api.routes.values()
                for method in route.methods
            }
        )

    def schema(self, resource: Resource) -> str:
        """Of a row: the model's name, unless another model has it too."""
        return self._schemas[resource.name]

    @property
    def taken(self) -> frozenset[str]:
        """Names of schemas that no other schema may have."""
        return frozenset(
            name + suffix
            for name in self._schemas.values()
            for suffix in ("", "Create", "Change", "Page", "Included", "Rows", "ChangeRow")
        ) | {"Problem", "Fault", "Limits"}

    def operation(self, route: Route, method: str) -> str:
        """`list_students`, `change_students`, `students_enrol`, `post_reports`."""
        return self._operations.get((route.path, method)) or _operation(route, method)


def _operation(route: Route, method: str) -> str:
    verb = route.methods[method]
    if route.resource is None:
        return "_".join([method.lower(), *_WORD.findall(route.path)])
    resource = "_".join(_WORD.findall(route.resource.name))
    if verb is Verb.ACT:
        return "_".join([resource, *_WORD.findall(route.name)])
    return f"{'read' if verb is Verb.ITEM else verb.value}_{resource}"


def _unique(wanted: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Of equal names the later ones get a number: `/a-b` and `/a_b` are two paths."""
    seen: Counter[str] = Counter()
    found: dict[tuple[str, str], str] = {}
    for place, name in wanted.items():
        seen[name] += 1
        found[place] = name if seen[name] == 1 else f"{name}_{seen[name]}"
    return found


def _camel(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in _WORD.findall(name))
