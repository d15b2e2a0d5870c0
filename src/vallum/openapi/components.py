"""What operations refer to by name, so that it is written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, final

Json: TypeAlias = dict[str, Any]
"""A JSON object of the document."""
Section = Literal["schemas", "responses", "parameters", "examples", "headers"]


@final
class Components:
    """The `components` of one document, as they are asked for."""

    __slots__ = ("_sections",)

    def __init__(self) -> None:
        self._sections: dict[Section, dict[str, Json]] = {}

    def ref(self, section: Section, name: str, make: Callable[[], Json]) -> Json:
        """A reference to the component; `make` is called when it is the first."""
        found = self._sections.setdefault(section, {})
        if name not in found:
            found[name] = {}  # a schema may refer to itself
            found[name] = make()
        return {"$ref": f"#/components/{section}/{name}"}

    def resolved(self, value: Json) -> Json:
        """What a schema stands for: itself, or the component that it refers to."""
        reference = value.get("$ref")
        if reference is None:
            return value
        _, _, section, name = reference.split("/")
        return self._sections[section][name]

    def sorted(self) -> dict[str, Json]:
        """All of them, by section and name."""
        return {section: dict(sorted(found.items())) for section, found in sorted(self._sections.items())}
