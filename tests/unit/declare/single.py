"""One model at a time: what start-up finds in it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Integer,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    mapped_column,
)

from vallum.authorise.checks import check
from vallum.declare.app import API
from vallum.declare.checks import check_api
from vallum.declare.checks_finding import Finding
from vallum.declare.dialect import DialectName
from vallum.declare.policy import CREATE, DELETE, READ, UPDATE, allow

EVERYTHING = CREATE | READ | UPDATE | DELETE


def findings(model: type[Any], dialect: DialectName = "sqlite", **options: Any) -> list[Finding]:
    api = API("Test", roles=["a"])
    api.resource(model, allow("a", EVERYTHING), **options)
    return check(api, dialect=dialect)


def identifiers(model: type[Any], dialect: DialectName = "sqlite", **options: Any) -> list[str]:
    return [finding.identifier for finding in findings(model, dialect, **options)]


def with_column(column: Any, *, key: Any = None, name: str = "x") -> type[Any]:
    """A model with a key and this column, on a registry of its own: what one test listens to, no other hears."""

    class Base(DeclarativeBase):
        """The tables of one test."""

    members = {"id": mapped_column(Integer, primary_key=True) if key is None else key, name: column}
    return type("Thing", (Base,), {"__tablename__": "things", **members})


def findings_of(model: type[Any]) -> list[Finding]:
    """Of the declaration alone."""
    api = API("Test", roles=["a"])
    api.resource(model, allow("a", EVERYTHING))
    return check_api(api, dialect="sqlite")
