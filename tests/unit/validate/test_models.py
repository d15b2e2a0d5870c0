"""Bodies by models that are derived from columns, or given by the author."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator
from sqlalchemy import PickleType
from sqlalchemy.orm import Mapped, mapped_column
from tests.unit.validate.things import Base, Colour, Thing, access, faults, full, orders, tenants, things

from vallum import defaults
from vallum.declare.app import API
from vallum.declare.errors import DeclarationError
from vallum.declare.policy import CREATE, UPDATE, allow
from vallum.declare.route import Verb
from vallum.refusals import Fault
from vallum.validate.models import Models
from vallum.validate.strict_json import parse

NO_FIELD = "There is no such field."

models = Models()


def test_all_faults_come_at_once_and_echo_nothing() -> None:
    """A body with several faults is told all of them, and no detail repeats what was sent."""
    body = {"name": "secret-text", "grade": 424242, "colour": "secret-enum", "nope": "secret-field", "day": "secret"}
    found = full(lambda: models.create(things, access(things, CREATE), body))
    assert {(f.pointer, f.code) for f in found} == {
        ("/name", "length"),
        ("/grade", "range"),
        ("/colour", "choice"),
        ("/nope", "unknown_field"),
        ("/day", "format"),
    }
    assert not any("secret" in f.detail or "424242" in f.detail for f in found)


def test_the_faults_of_one_answer_are_bounded() -> None:
    """A body of a thousand unknown names is answered with the first hundred."""
    body = {f"x{n}": 1 for n in range(1_000)}
    assert len(full(lambda: models.create(things, access(things, CREATE), body))) == defaults.MAX_FAULTS


@pytest.mark.parametrize("text", ["[]", "1", '"name"', "null", "true"])
def test_a_body_is_an_object(text: str) -> None:
    """Any other JSON value is one fault about the whole."""
    for call in (models.create, models.change):
        assert faults(lambda c=call: c(things, access(things, UPDATE), parse(text.encode()))) == [("", "object")]  # type: ignore[misc]


def test_a_field_that_is_not_granted_does_not_exist() -> None:
    """A column of others, a read-only expression and an invented name get faults that differ in their pointer only."""
    body = {"name": "n", "grade": 1, "twice": 2, "id": 1, "a/b~c": 0}
    found = full(lambda: models.create(things, access(things, CREATE, "some"), body))
    assert [f.pointer for f in found] == ["/grade", "/twice", "/id", "/a~1b~0c"]
    assert {(f.code, f.detail) for f in found} == {("unknown_field", NO_FIELD)}


def test_only_a_column_that_nothing_else_fills_is_required() -> None:
    """Not the nullable, the defaulted, the generated, nor what the caller may not write."""
    assert faults(lambda: models.create(things, access(things, CREATE), {})) == [("/name", "required")]
    assert models.create(things, access(things, CREATE), {"name": "n"}) == {"name": "n"}


def test_what_the_server_writes_is_not_required() -> None:
    """`set=` and the tenant fill their columns; a caller whose rules do not write the author has to give it."""
    assert models.create(orders, access(orders, CREATE, "writer", on=tenants), {"number": 1}) == {"number": 1}
    boss = access(orders, CREATE, "boss", on=tenants)
    assert faults(lambda: models.create(orders, boss, {"number": 1})) == [("/author", "required")]
    both = access(orders, CREATE, "boss", "writer", on=tenants)
    assert models.create(orders, both, {"number": 1, "author": "x"}) == {"number": 1, "author": "x"}
    assert models.create(orders, both, {"number": 1}) == {"number": 1}
    assert faults(lambda: models.create(orders, both, {"number": 1, "shop": 1})) == [("/shop", "unknown_field")]


def test_a_change_requires_nothing_and_never_takes_the_key() -> None:
    """RFC 7396: what is absent stays as it is; null is for nullable columns."""
    granted = access(things, UPDATE)
    assert models.change(things, granted, {}) == {}
    assert models.change(things, granted, {"grade": None, "made": 3}) == {"grade": None, "made": 3}
    assert faults(lambda: models.change(things, granted, {"id": 2})) == [("/id", "unknown_field")]
    assert faults(lambda: models.change(things, granted, {"name": None})) == [("/name", "null")]


def test_a_patch_of_a_document_keeps_its_nulls() -> None:
    """They say what to remove; merging is done where the present document is known."""
    patch = {"document": {"a": None, "b": {"c": Decimal("1.5")}}}
    assert models.change(things, access(things, UPDATE), patch) == {"document": {"a": None, "b": {"c": 1.5}}}


def test_handlers_may_give_python_values() -> None:
    """`call.create(Thing, {...})` comes with dates, members of enumerations and floats, under the same limits."""
    given = {
        "name": "n",
        "day": date(2026, 1, 1),
        "hour": time(8),
        "span": timedelta(hours=1),
        "instant": datetime(2026, 1, 1, tzinfo=UTC),
        "colour": Colour.RED,
        "ratio": 0.25,
        "token": uuid.UUID(int=1),
        "blob": b"\x01",
        "price": Decimal("1.25"),
    }
    assert models.create(things, access(things, CREATE), given) == given
    bad = {"name": "n", "ratio": float("inf"), "price": Decimal("NaN"), "blob": b"12345", "day": datetime.now(UTC)}
    assert faults(lambda: models.create(things, access(things, CREATE), bad)) == [
        ("/ratio", "range"),
        ("/price", "range"),
        ("/day", "type"),
        ("/blob", "length"),
    ]


def test_models_are_made_once_for_each_set_of_rights() -> None:
    """The same granted fields share a model; its JSON Schema tells what it takes."""
    first = models.model_for(things, Verb.CREATE, frozenset({"name", "grade", "colour", "instant"}))
    assert first is models.model_for(things, Verb.CREATE, frozenset({"instant", "colour", "grade", "name"}))
    assert first is not models.model_for(things, Verb.CHANGE, frozenset({"name", "grade", "colour", "instant"}))
    schema = first.json_schema()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name"]
    assert schema["properties"]["name"]["maxLength"] == 5
    grade, colour, instant = (schema["properties"][name]["anyOf"][0] for name in ("grade", "colour", "instant"))
    assert grade == {"type": "integer", "format": "int32", "minimum": 1, "maximum": 6}
    assert colour == {"type": "string", "enum": ["red", "blue"]}
    assert (instant["type"], instant["format"]) == ("string", "date-time")


def test_the_kept_models_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More sets of rights than the limit never keep more models than the limit."""
    monkeypatch.setattr(defaults, "RIGHTS_CACHED", 3)
    few = Models()
    for name in ("name", "note", "grade", "tiny", "big"):
        few.model_for(things, Verb.CHANGE, frozenset({name}))
        assert len(few._adapters) <= 3


def test_a_column_type_without_a_json_form_is_an_error_of_the_declaration() -> None:
    """Start-up refuses it; a model that is asked for anyway does not guess."""

    class Odd(Base):
        __tablename__ = "odd"
        id: Mapped[int] = mapped_column(primary_key=True)
        span: Mapped[Any] = mapped_column(PickleType)

    odd = API("Odd", roles=["all"]).resource(Odd, allow("all", CREATE))
    with pytest.raises(DeclarationError, match="column-type"):
        models.model_for(odd, Verb.CREATE, frozenset({"span"}))


# The author's own model ------------------------------------------------------------------


class ThingBody(BaseModel):
    """What an author asks beyond the columns."""

    name: str = Field(min_length=2)
    grade: int | None = None
    note: str = "none"
    day: date | None = None
    document: dict[str, int] | None = None

    @field_validator("name")
    @classmethod
    def not_root(cls, value: str) -> str:
        """One name is taken."""
        if value == "root":
            raise ValueError(f"{value} is taken")
        return value.strip()


authored = API("Authored", roles=["all", "some"]).resource(
    Thing, allow("all", CREATE | UPDATE), allow("some", CREATE | UPDATE, fields=["note"]), body=ThingBody
)


def test_the_authors_model_validates() -> None:
    """Its validators run and may change values, its defaults count on a create, and the columns have the last word."""
    granted = access(authored, CREATE)
    body = {"name": "ab ", "day": "2026-01-31", "document": {"a": 1}}
    assert models.create(authored, granted, body) == {
        "name": "ab",
        "day": date(2026, 1, 31),
        "note": "none",
        "document": {"a": 1},
    }
    assert faults(lambda: models.create(authored, granted, {"name": "a"})) == [("/name", "length")]
    assert full(lambda: models.create(authored, granted, {"name": "root"})) == (
        Fault("/name", "value", "This value is not acceptable."),
    )
    assert faults(lambda: models.create(authored, granted, {"name": "sixsix"})) == [("/name", "length")]
    assert faults(lambda: models.create(authored, granted, {"name": "ab", "grade": 9})) == [("/grade", "range")]
    assert faults(lambda: models.create(authored, granted, {})) == [("/name", "required")]


def test_the_authors_model_opens_no_field() -> None:
    """A field that is not granted, or not in the author's model, does not exist; and is not required either."""
    some = access(authored, CREATE, "some")
    assert models.create(authored, some, {"note": "x"}) == {"note": "x"}
    found = full(lambda: models.create(authored, some, {"name": "ab", "tiny": 10, "nope": 1}))
    assert found == tuple(Fault(f"/{name}", "unknown_field", NO_FIELD) for name in ("name", "tiny", "nope"))


def test_the_authors_model_is_optional_throughout_a_change() -> None:
    """Only what is given is validated and written; the author's defaults stay out of it."""
    granted = access(authored, UPDATE)
    assert models.change(authored, granted, {}) == {}
    assert models.change(authored, granted, {"grade": 2}) == {"grade": 2}
    assert models.change(authored, granted, {"grade": None}) == {"grade": None}
    assert faults(lambda: models.change(authored, granted, {"name": None})) == [("/name", "null")]
    assert faults(lambda: models.change(authored, granted, {"name": "root"})) == [("/name", "value")]
