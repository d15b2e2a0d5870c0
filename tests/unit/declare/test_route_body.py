"""The types that a body may be declared as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NotRequired

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from vallum.declare.route import body_adapter, handler_of


class Model(BaseModel):
    a: int
    b: float = 0.5


@dataclass
class Data:
    a: int
    b: float = 0.5


class Typed(TypedDict):
    a: int
    b: NotRequired[float]


KINDS = [Model, Data, Typed]


@pytest.mark.parametrize("kind", KINDS)
def test_a_type_with_members_takes_these_and_no_other(kind: type[Any]) -> None:
    """Models, dataclasses and typed dictionaries alike; and the author's own type stays as it was."""
    adapter = body_adapter(kind)
    found = adapter.validate_json('{"a": 1, "b": 2}', strict=True)
    assert TypeAdapter(kind).dump_python(found) == {"a": 1, "b": 2.0}
    assert isinstance(found, dict if kind is Typed else kind)
    for wrong in ('{"a": 1, "c": 2}', '{"b": 1}', '{"a": "1"}', '{"a": 1, "b": Infinity}', "[]"):
        with pytest.raises(ValidationError):
            adapter.validate_json(wrong, strict=True)
    TypeAdapter(kind).validate_python({"a": 1, "b": float("inf")})


def test_what_the_author_says_of_unknown_members_stands() -> None:
    """A type that takes them goes on taking them."""

    class Open(Model):
        model_config = ConfigDict(extra="allow")

    class OpenTyped(Typed):
        __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    for kind in (Open, OpenTyped):
        body_adapter(kind).validate_json('{"a": 1, "c": 2}', strict=True)


@pytest.mark.parametrize(
    ("kind", "text"),
    [(list[int], "[1]"), (RootModel[list[int]], "[1]"), (int | None, "null"), (float, "1.5"), (Any, "{}")],
)
def test_other_types_are_read_as_pydantic_reads_them(kind: Any, text: str) -> None:
    """But no infinity."""
    body_adapter(kind).validate_json(text, strict=True)
    with pytest.raises(ValidationError):
        body_adapter(list[float]).validate_json("[Infinity]", strict=True)
    with pytest.raises(ValidationError):
        body_adapter(RootModel[list[float]]).validate_json("[Infinity]", strict=True)


class WithDefaults(BaseModel):
    """Nothing of it must be sent."""

    count: int = 1
    tags: list[str] = Field(default_factory=list)


@dataclass
class Half:
    """One member must be."""

    a: int
    b: int = 1


@dataclass
class Preset:
    """None must be."""

    a: int = 1
    b: list[int] = field(default_factory=list)


class Loose(TypedDict, total=False):
    """None must be."""

    a: int


@pytest.mark.parametrize(
    ("body", "required"),
    [
        *((kind, False) for kind in (WithDefaults, Preset, Loose)),
        *((kind, True) for kind in (Half, RootModel[list[int]], list[int], dict[str, int], WithDefaults | None, int)),
    ],
)
def test_a_body_of_defaults_may_be_left_out(body: Any, required: bool) -> None:
    """Where `{}` lacks nothing; what is no object, or need not be one, is sent."""
    assert handler_of(lambda: None, body, ()).body_required is required
