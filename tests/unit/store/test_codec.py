"""Column types and their JSON: what start-up lets through, a statement can render."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import types
from sqlalchemy.types import TypeEngine

from vallum.declare.checks_column import family_of, type_findings
from vallum.declare.dialect import DialectName
from vallum.store.codec import json_value
from vallum.store.sql import DIALECTS

GENERIC: list[type[TypeEngine[Any]]] = sorted(
    {
        kind
        for kind in vars(types).values()
        if isinstance(kind, type)
        and issubclass(kind, TypeEngine)
        and kind.__module__ == "sqlalchemy.sql.sqltypes"
        and not kind.__name__.startswith("_")
    }
    - {types.ARRAY, types.Enum},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", GENERIC, ids=lambda kind: kind.__name__)
def test_every_type_of_sqlalchemy_that_start_up_accepts_has_a_json_form(
    kind: type[TypeEngine[Any]], dialect: DialectName
) -> None:
    """A model that passes the checks never fails in a request for want of a JSON form; any other type raises."""
    type_ = kind()
    known = family_of(type_) is not None
    if known and not list(type_findings(type_, "Model.field", dialect)):
        assert json_value(type_, "x", dialect)
    elif not known:
        with pytest.raises(TypeError):
            json_value(type_, "x", dialect)


def test_the_types_above_are_those_that_models_use() -> None:
    """The list is drawn from SQLAlchemy, so it is shown not to be empty of what matters."""
    assert {types.Integer, types.Float, types.Double, types.Numeric, types.Uuid, types.DateTime} <= set(GENERIC)
