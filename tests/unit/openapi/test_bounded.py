"""Schemas of authors' own types: named, bounded, with plain nulls."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, PlainValidator, TypeAdapter
from tests.unit.openapi.documents import Reader

from vallum import defaults
from vallum.declare.route import body_adapter
from vallum.openapi.bounded import Definitions
from vallum.openapi.components import Components, Json
from vallum.openapi.examples import NoExampleError, example_of

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    """A leaf."""

    colour: Colour
    size: int = Field(ge=0, lt=100)


class Tree(BaseModel):
    """A tree with everything that a model has."""

    name: str = Field(min_length=2, max_length=5)
    latin: str | None = None
    count: int
    height: float = Field(gt=0.25, le=0.5)
    price: Decimal | None = None
    leaves: list[Leaf] = []
    parents: tuple[int, str] = (1, "a")
    tags: dict[str, int] = {}
    planted: date | None = None
    seen: datetime | None = None
    key: UUID | None = None
    kind: Literal["oak"] | None = None
    colour: Colour | None = None
    below: Tree | None = None
    other: int | Leaf | None = None
    anything: Any = None
    odd: Annotated[str, Field(pattern="^[xyz]{7}$")] = "xyzxyzx"
    said: str = Field(default="", examples=["said by the author"])


def written(type_: Any) -> tuple[Components, Json]:
    components = Components()
    return components, Definitions(components, frozenset({"Row"})).of(body_adapter(type_), "validation")


def test_a_model_is_a_component_with_its_parts() -> None:
    """Each is written once and refers to the others. The body itself takes no unknown member, the model inside does."""
    components, schema = written(Tree)
    assert schema == {"$ref": "#/components/schemas/Tree"}
    schemas = components.sorted()["schemas"]
    assert schemas.keys() == {"Colour", "Leaf", "Tree", "Tree2"}
    assert schemas["Tree"]["additionalProperties"] is False
    for name in ("Tree", "Tree2"):
        assert schemas[name]["properties"]["below"]["anyOf"][0] == {"$ref": "#/components/schemas/Tree2"}
    assert schemas["Tree"]["properties"]["leaves"]["items"] == {"$ref": "#/components/schemas/Leaf"}


def test_what_has_no_bound_has_the_one_of_a_json_document() -> None:
    """Strings, arrays, maps and whole numbers; a bound of the author stands."""
    properties = written(Tree)[0].sorted()["schemas"]["Tree"]["properties"]
    assert properties["name"]["maxLength"] == 5
    assert properties["latin"]["maxLength"] == defaults.MAX_JSON_STRING_CHARACTERS
    assert properties["leaves"]["maxItems"] == defaults.MAX_JSON_ITEMS
    assert properties["parents"]["maxItems"] == 2
    assert properties["tags"]["maxProperties"] == defaults.MAX_JSON_KEYS
    assert (properties["count"]["maximum"], properties["count"]["format"]) == (10**32 - 1, "integer")
    size = written(Leaf)[0].sorted()["schemas"]["Leaf"]["properties"]["size"]
    assert size == {"format": "int32", "type": "integer", "minimum": 0, "exclusiveMaximum": 100}


@pytest.mark.parametrize(
    ("name", "value"),
    [("latin", ["string", "null"]), ("planted", ["string", "null"]), ("count", "integer")],
)
def test_null_is_one_of_the_types(name: str, value: object) -> None:
    """Instead of an alternative of its own."""
    assert written(Tree)[0].sorted()["schemas"]["Tree"]["properties"][name]["type"] == value


class Box(BaseModel, Generic[T]):
    inside: T


def test_of_equal_names_for_different_types_the_later_one_gets_a_number() -> None:
    """And nobody takes the name of a resource's schema; the same type keeps its own."""
    components = Components()
    definitions = Definitions(components, frozenset({"Row"}))

    class Row(BaseModel):
        a: int

    first = Row

    class Row(BaseModel):  # type: ignore[no-redef]
        b: int

    names = [definitions.of(TypeAdapter(kind), "validation")["$ref"].rpartition("/")[2] for kind in (first, Row, first)]
    assert names == ["Row2", "Row3", "Row2"]
    boxed = definitions.of(TypeAdapter(Box[list[Row]]), "validation")
    inside = components.resolved(boxed)["properties"]["inside"]
    assert inside["items"] == {"$ref": "#/components/schemas/Row3"}


def test_what_has_no_schema_is_any_value() -> None:
    """A type that Pydantic reads by a function alone, one that it does not know, and none at all."""
    assert written(Annotated[object, PlainValidator(lambda value: value)])[1] == {}
    components = Components()
    assert Definitions(components, frozenset()).of(TypeAdapter(Callable[[], int]), "serialization") == {}
    assert Definitions(components, frozenset()).of(TypeAdapter(Any), "serialization") == {}


def test_what_is_read_goes_by_its_alias() -> None:
    """What is written goes by its name: as Pydantic does."""

    class Named(BaseModel):
        inner: int = Field(alias="outer")

    components = Components()
    definitions = Definitions(components, frozenset())
    read, shown = (definitions.of(TypeAdapter(Named), mode) for mode in ("validation", "serialization"))
    assert list(components.resolved(read)["properties"]) == ["outer"]
    assert list(components.resolved(shown)["properties"]) == ["inner"]


# Examples ---------------------------------------------------------------------------------


@dataclass
class Point:
    x: float
    y: Annotated[float, Field(ge=7)]


SOME = [
    Tree,
    Leaf,
    Point,
    Box[int],
    list[Leaf],
    dict[str, Leaf],
    int | str,
    Annotated[int, Field(gt=5, lt=7)],
    Annotated[int, Field(multiple_of=7, ge=7)],
    Annotated[str, Field(min_length=50)],
    Annotated[list[int], Field(min_length=3)],
    bool | None,
    Literal[3, 4],
    None,
]


@pytest.mark.parametrize("type_", SOME, ids=str)
def test_an_example_fits_and_is_taken(type_: Any) -> None:
    """By a validator that knows nothing of Vallum, and by Pydantic itself."""
    components, schema = written(type_)
    example = example_of(schema, components)
    assert Reader({"components": components.sorted()}).errors(schema, example) == []
    body_adapter(type_).validate_python(example)


def test_the_author_s_example_is_taken() -> None:
    """The first of those that a field has."""
    components, schema = written(Tree)
    assert example_of(schema, components)["said"] == "said by the author"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^[xyz]{7}$"},
        {"type": "string", "format": "unheard-of"},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "integer"}},
        {"type": "object", "required": ["a"], "properties": {}},
        {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "pattern": "^[xyz]{7}$"}}},
        {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[xyz]{7}$"}},
        {"anyOf": [{"type": "string", "pattern": "^[xyz]{7}$"}]},
    ],
    ids=str,
)
def test_there_is_no_example_rather_than_a_wrong_one(schema: Json) -> None:
    """Where no simple value fits."""
    with pytest.raises(NoExampleError):
        example_of(schema, Components())


def test_a_type_that_needs_itself_has_no_example() -> None:
    """There is no end to it."""
    components = Components()
    endless = components.ref(
        "schemas",
        "Endless",
        lambda: {
            "type": "object",
            "required": ["more"],
            "properties": {"more": {"$ref": "#/components/schemas/Endless"}},
        },
    )
    with pytest.raises(NoExampleError):
        example_of(endless, components)
