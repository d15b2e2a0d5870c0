"""What the tests of the document share: the sample APIs with their role sets, and a validator of what stands in one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from tests.general.app import api as general
from tests.path.small import api as small
from tests.path.wide import api as wide
from tests.path.works import api as works

from school import api as school
from vallum.declare.app import API
from vallum.openapi.audience import Audience
from vallum.openapi.components import Json
from vallum.openapi.document import Site, described

SITE: Final = Site("https://api.example.org", dev=False, dialect="sqlite")
ANONYMOUS: Final = Audience((), frozenset(), identified=False)
SAMPLES: Final[dict[str, API]] = {"school": school, "general": general, "small": small, "wide": wide, "works": works}


def audience(api: API, *roles: str) -> Audience:
    """Callers with these roles and every attribute."""
    return Audience(tuple(sorted(roles)), frozenset(api.attributes), identified=True)


def of(api: API, *roles: str) -> Json:
    """The document of callers with these roles, as a client reads it."""
    found: Json = json.loads(json.dumps(described(api, audience(api, *roles) if roles else ANONYMOUS, SITE)))
    return found


class Reader:
    """One document, with its references."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._registry: Any = Registry().with_resource("urn:document", DRAFT202012.create_resource(document))

    def resolved(self, value: Json) -> Json:
        """What it refers to."""
        while "$ref" in value:
            _, _, section, name = value["$ref"].split("/")
            value = self.document["components"][section][name]
        return value

    def errors(self, schema: Json, value: Any) -> list[str]:
        """What is wrong with the value; nothing when it fits."""
        absolute = json.loads(json.dumps(schema).replace('"#/components', '"urn:document#/components'))
        validator = Draft202012Validator(absolute, registry=self._registry, format_checker=FormatChecker())
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def operations(self) -> Iterator[tuple[str, str, Json]]:
        """Path, method, operation."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield path, method.upper(), operation

    def answer(self, path: str, method: str, status: int) -> Json:
        """The schema of an answer's body."""
        response = self.resolved(self.document["paths"][path][method.lower()]["responses"][str(status)])
        (content,) = response["content"].values()
        schema: Json = content["schema"]
        return schema

    def request(self, path: str, method: str) -> Json:
        """The schema of a body."""
        (content,) = self.document["paths"][path][method.lower()]["requestBody"]["content"].values()
        return self.resolved(content["schema"])

    def parameters(self, path: str, method: str) -> dict[str, Json]:
        """By name."""
        found = map(self.resolved, self.document["paths"][path][method.lower()].get("parameters", []))
        return {parameter["name"]: parameter for parameter in found}

    def schema(self, name: str) -> Json:
        """A component."""
        found: Json = self.document["components"]["schemas"][name]
        return found


def examples(reader: Reader) -> Iterator[tuple[str, Json, Any]]:
    """Every example with its schema and its place."""
    yield from _examples(reader, reader.document["paths"], "paths")
    yield from _examples(reader, reader.document["components"], "components")


def _examples(reader: Reader, value: Any, place: str) -> Iterator[tuple[str, Json, Any]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _examples(reader, item, f"{place}/{index}")
    elif isinstance(value, dict):
        if "schema" in value and "example" in value:
            yield place, value["schema"], value["example"]
        if "schema" in value:
            for name, named in value.get("examples", {}).items():
                yield f"{place}/{name}", value["schema"], reader.resolved(named)["value"]
        for key, member in value.items():
            yield from _examples(reader, member, f"{place}/{key}")
