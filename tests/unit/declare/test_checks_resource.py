"""What start-up refuses in a resource as a whole."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, Field
from sqlalchemy import String
from sqlalchemy.orm import mapped_column
from tests.unit.declare.players import READ_ALL, Player, Team, declared, identifiers, the
from tests.unit.declare.single import identifiers as of_model
from tests.unit.declare.single import with_column

from vallum.authorise.checks import check
from vallum.declare.checks_finding import refuse
from vallum.declare.checks_resource import RESERVED
from vallum.declare.errors import DeclarationError
from vallum.declare.parameters import CREDENTIAL_PARAMETERS
from vallum.declare.policy import CREATE, READ, UPDATE, Rule, allow, me
from vallum.declare.when import when
from vallum.validate import query

RESOURCES: list[tuple[str, dict[str, Any]]] = [
    ("filter-field", {"filters": ["nmae"]}),
    ("sort-field", {"sorts": ["nmae"]}),
    ("filter-unreadable", {"filters": ["nick"]}),
    ("sort-unreadable", {"sorts": [Player.nick]}),
    ("filter-reserved", {"filters": ["limit"]}),
    ("sort-type", {"sorts": ["extra"]}),
    ("soft-delete-column", {"soft_delete": Player.limit}),
    ("soft-delete-column", {"soft_delete": Player.made}),
    ("cost-word", {"cost": {"lst": 2}}),
]


@pytest.mark.parametrize(("identifier", "options"), RESOURCES, ids=[f"{i}-{n}" for n, (i, _) in enumerate(RESOURCES)])
def test_a_resource_that_cannot_be_served(identifier: str, options: dict[str, Any]) -> None:
    """Filters, sorts, deletion and costs name what exists and what somebody may read."""
    readable = [name for name in declared(READ_ALL).resources[Player].fields if name != "nick"]
    api = declared(allow("a", READ, fields=readable), allow("b", UPDATE, fields=["nick"]), **options)
    assert identifiers(api) == [identifier]
    assert the(identifier, api).severity == "error"


def test_reserved_parameters_are_those_of_the_query() -> None:
    """The list here is the one that the query's grammar has."""
    assert query.RESERVED == RESERVED


@pytest.mark.parametrize("name", [*CREDENTIAL_PARAMETERS[:4], "Token"])
def test_what_looks_like_a_credential_is_no_filter(name: str) -> None:
    """The query would be refused before anybody reads it; as a field and a sort it is fine."""
    model = with_column(mapped_column(String(20)), name=name)
    assert of_model(model, filters=[name]) == ["filter-reserved"]
    assert of_model(model, sorts=[name]) == []
    assert of_model(model, filters=["id"]) == []


def test_a_tenant_is_on_every_model() -> None:
    """The column exists, the attribute is declared, both have one type."""
    assert identifiers(declared(READ_ALL, tenant=("limit", me.attr["age"]))) == ["rule-index"]
    assert the("tenant-column", declared(READ_ALL, tenant=("shop", me.attr["age"]))).mend
    assert "every tenant" in the("tenant-column", declared(READ_ALL, tenant=("shop", me.attr["age"]))).message
    assert identifiers(declared(READ_ALL, tenant=("name", me.attr["age"])), severity="error") == ["tenant-column"]
    assert "tenant-attribute" in identifiers(declared(READ_ALL, tenant=("limit", me.attr["agee"])))


def test_a_reference_that_nobody_can_write() -> None:
    """A written foreign key must point to a readable row, so somebody has to read the target; else it is a warning."""
    api = declared(READ_ALL, allow("a", UPDATE, fields=["team_id"]))
    assert the("reference-unreadable", api).severity == "warning"
    api.resource(Team, allow("a", UPDATE))
    assert "reference-unreadable" in identifiers(api)
    refuse(check(api, dialect="sqlite"), DeclarationError)
    assert identifiers(declared(READ_ALL, allow("a", UPDATE, fields=["name"]))) == []


def test_a_create_that_leaves_a_column_empty() -> None:
    """A role that may create but can give or be given no team only ever gets a refusal; that is a warning."""
    api = declared(READ_ALL, allow("a", CREATE, fields=["name"]), allow("b", CREATE, fields=["name", "team_id"]))
    writes = allow("b", CREATE, fields=["name"], set={Player.team_id: 1})
    assert "create-incomplete" not in identifiers(declared(READ_ALL, writes))
    api.resource(Team, READ_ALL)
    found = the("create-incomplete", api)
    assert (found.severity, found.place) == ("warning", "/players, role a")
    assert "team_id" in found.message


@pytest.mark.parametrize(
    "rule",
    [
        allow("b", CREATE, where=Player.account == me.id, fields=["name"]),
        allow("b", CREATE, where=Player.limit == me.attr["age"], fields=["name"]),
        allow("b", CREATE, fields=["name"], set={Player.account: me.id}),
        allow("b", CREATE, fields=["name"], when=when(scope="write")),
    ],
    ids=["me", "attribute", "set", "when"],
)
def test_a_create_is_judged_for_a_caller_that_has_all_it_asks_for(rule: Rule) -> None:
    """A name, attributes and met conditions; what stays empty for that one stays empty for everybody."""
    assert the("create-incomplete", declared(READ_ALL, rule)).place == "/players, role b"


def test_a_create_need_not_give_the_tenant() -> None:
    """The server writes it."""
    rules = READ_ALL, allow("b", CREATE, fields=["name"])
    assert "create-incomplete" in identifiers(declared(*rules))
    assert "create-incomplete" not in identifiers(declared(*rules, tenant=("team_id", me.attr["age"])))


class Body(BaseModel):
    """A body that does not fit the model."""

    name: str = Field(alias="Name")
    shout: str
    nmae: str


def test_an_authors_body_names_the_models_columns() -> None:
    """A field that no column has, an expression and an alias would never be written."""
    api = declared(READ_ALL, body=Body)
    assert identifiers(api) == ["body-field"] * 3


def test_a_body_of_the_models_own_names_is_fine() -> None:
    """Not every column needs to be in it."""

    class Fine(BaseModel):
        name: str
        born: date | None = None

    assert identifiers(declared(READ_ALL, body=Fine)) == []
