"""What the document says of functions and of an author's own body, by their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field
from sqlalchemy import Interval
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.unit.openapi.documents import Reader, examples, of

from vallum import API, CREATE, READ, UPDATE, Call, allow, me

if TYPE_CHECKING:
    from decimal import Decimal as Unseen


class Base(DeclarativeBase):
    pass


class Stamp(Base):
    __tablename__ = "stamps"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    country: Mapped[str]
    year: Mapped[int | None]


class StampBody(BaseModel):
    """What an author asks beyond the columns."""

    country: str = Field(min_length=2, max_length=2, examples=["CH"])
    year: int | None = Field(default=None, ge=1840)
    owner: str = "nobody"
    remark: str = ""


class Sheet(BaseModel):
    """More than one."""

    stamps: list[int]


api = API("Stamps", roles=["all", "few", "blind"])
api.resource(
    Stamp,
    allow("all", CREATE | READ | UPDATE),
    allow("few", CREATE, fields=["country"], set={Stamp.owner: me.id}),
    allow("few", READ, where=Stamp.owner == me.id),
    allow("blind", CREATE),
    body=StampBody,
)


@api.action(Stamp, "show", allow(["all", "few"]))
def show(call: Call, stamp: Stamp) -> Stamp:
    """Look at it.

    Closely.
    """
    return stamp


@api.action(Stamp, "lend", allow("all"))
def lend(call: Call, stamp: Stamp) -> Stamp | None:
    return stamp


@api.post("/nothing", allow(["all", "blind"]))
def nothing(call: Call) -> None:
    """Nothing comes back."""


@api.get("/anything", allow("all"))
def anything(call: Call):  # type: ignore[no-untyped-def]  # an author may say nothing
    """Something."""


@api.get("/any", allow("all"))
def any_(call: Call) -> Any:
    """Something."""


@api.get("/unseen", allow("all"))
def unseen(call: Call) -> Unseen:
    """Only a type checker knows this type."""
    raise NotImplementedError


@api.get("/odd", allow("all"))
def odd(call: Call) -> Interval:
    """Pydantic does not know this type."""
    raise NotImplementedError


@api.put("/sheet", allow("all"), body=Sheet | None)
def sheet(call: Call, body: Sheet | None) -> Sheet | int | None:
    """Several."""
    return body


@api.get("/blind", allow("blind"))
def blind(call: Call) -> Stamp:
    """A row that this caller never sees."""
    raise NotImplementedError


def answers(reader: Reader, path: str, method: str) -> dict[str, Any]:
    """Status of each success → schema of its body, or None."""
    responses = reader.document["paths"][path][method.lower()]["responses"]
    return {
        status: response["content"]["application/json"]["schema"] if "content" in response else None
        for status, response in responses.items()
        if status < "400"
    }


STAMP = {"$ref": "#/components/schemas/Stamp"}


@pytest.mark.parametrize(
    ("path", "method", "wanted"),
    [
        ("/stamps/{id}/show", "POST", {"200": STAMP}),
        ("/stamps/{id}/lend", "POST", {"200": STAMP, "204": None}),
        ("/nothing", "POST", {"204": None}),
        ("/anything", "GET", {"200": {}, "204": None}),
        ("/any", "GET", {"200": {}, "204": None}),
        ("/unseen", "GET", {"200": {}, "204": None}),
        ("/odd", "GET", {"200": {}}),
    ],
)
def test_the_answer_of_a_function_is_that_of_its_annotation(path: str, method: str, wanted: dict[str, Any]) -> None:
    """A row by the rules of its resource, nothing, either of both, or any value where the type says nothing."""
    assert answers(Reader(of(api, "all")), path, method) == wanted


def test_an_answer_may_be_one_of_several() -> None:
    """Null is an answer without a body, and the rest are alternatives."""
    found = answers(Reader(of(api, "all")), "/sheet", "PUT")
    assert found.keys() == {"200", "204"}
    assert found["200"]["anyOf"][0] == {"$ref": "#/components/schemas/Sheet"}


def test_a_row_that_may_be_out_of_sight_may_come_without_a_body() -> None:
    """Of who sees some rows; who sees none gets none."""
    assert answers(Reader(of(api, "few")), "/stamps/{id}/show", "POST") == {"200": STAMP, "204": None}
    reader = Reader(of(api, "blind"))
    assert answers(reader, "/blind", "GET") == {"204": None}
    assert answers(reader, "/stamps", "POST") == {"201": None}
    assert "links" not in reader.document["paths"]["/stamps"]["post"]["responses"]["201"]


def test_the_docstring_is_the_description() -> None:
    """Its first line the summary; without one, the name."""
    paths = of(api, "all")["paths"]
    assert paths["/stamps/{id}/show"]["post"]["summary"] == "Look at it."
    assert paths["/stamps/{id}/show"]["post"]["description"] == "Look at it.\n\nClosely."
    assert paths["/stamps/{id}/lend"]["post"]["summary"] == "lend"


def test_an_author_s_own_body_is_shown_as_far_as_it_is_granted() -> None:
    """Its constraints and examples; what the server writes is not asked for, what no column takes is not there."""
    reader = Reader(of(api, "all"))
    made, changed = reader.request("/stamps", "POST"), reader.request("/stamps/{id}", "PATCH")
    assert list(made["properties"]) == list(changed["properties"]) == ["owner", "country", "year"]
    assert (made["required"], changed.get("required", [])) == (["country"], [])
    assert made["properties"]["country"]["minLength"] == 2
    assert made["additionalProperties"] is changed["additionalProperties"] is False
    assert list(Reader(of(api, "few")).request("/stamps", "POST")["properties"]) == ["country"]
    shown = [example for place, _, example in examples(reader) if place.startswith("paths//stamps/post/requestBody")]
    assert [example["country"] for example in shown] == ["CH"]
