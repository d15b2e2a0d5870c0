"""Drawn policies over drawn models: rules of every kind for every operation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Integer, String, inspect
from sqlalchemy.types import JSON, Enum
from tests.property.conditions import condition
from tests.property.models import ROLES, Choices, pool
from tests.property.schemas import REMOVED, TENANT, Schema

from vallum import ANYONE, API, CREATE, DELETE, READ, Plan, Rule, allow, deny, me
from vallum.declare.model import acting_on
from vallum.declare.policy import Operation
from vallum.declare.when import When, when

ATTRIBUTES: Final = {"organisation": int, "region": str, "external": bool}
PLENTY: Final = {"default": Plan(burst="999999999/s"), "anonymous": Plan(burst="999999999/s")}

# The request is made at noon UTC, the edge of some of these.
_WHEN: Final[Sequence[When | None]] = (
    None,
    when(credential="token"),
    None,
    when(credential=("key",)),
    when(scope="read"),
    when(networks=["192.0.2.0/25", "2001:db8::/32"]),
    when(login_within=timedelta(hours=1)),
    when(between=("12:00", "13:00")),
    when(between=("08:00", "12:00")),
    when(between=("23:00", "13:00"), zone="Europe/Zurich"),
    when(between=("09:00", "09:00")),
    when(credential="token", scope="read", networks=["192.0.2.1/32"]),
)


def empty_api(tenant: bool) -> API:
    """Roles, attributes and plans, but no resource."""
    return API(
        "Drawn",
        roles=ROLES,
        attributes=ATTRIBUTES,
        plans=PLENTY,
        tenant=(TENANT, me.attr["organisation"]) if tenant else None,
        fresh="off",
    )


def policy(choose: Choices, schema: Schema, model: type[Any]) -> API:
    """Many rules on `model`, few on the others, which it refers to."""
    api = empty_api(schema.tenant)
    for served in schema.models:
        if served is not model and choose.up_to(3) == 0:
            continue  # not served at all
        operations, most = (Operation, 2) if served is model else ((READ, DELETE), 0)
        rules = [rule for operation in operations for rule in _rules(choose, served, operation, most)]
        names = attributes(served)
        listed = [name for name in names if not isinstance(getattr(served, name).type, JSON)]
        removed = getattr(served, REMOVED, None) if choose.up_to(2) else None
        api.resource(
            served, *rules, soft_delete=removed, filters=listed, sorts=listed, cascade=_cascade(choose, schema, served)
        )
    return api


def _cascade(choose: Choices, schema: Schema, model: type[Any]) -> list[type[Any]]:
    """Models whose rows may go along: all that are further away than a child, as start-up demands; some children."""
    reached, level = set(), [model.__table__]
    children = {c.table for c in acting_on(model.__table__)}
    while level:
        level = [c.table for table in level for c in acting_on(table) if c.table not in reached]
        reached |= set(level)
        level = [table for table in level if table is not model.__table__]
    further = {c.table for table in reached for c in acting_on(table)}
    unasked = further | (children if choose.up_to(3) == 0 else set())
    return [each for each in schema.models if each.__table__ in unasked]


def open_policy(schema: Schema) -> API:
    """Everything is shown to everybody."""
    api = empty_api(tenant=False)
    for model in schema.models:
        api.resource(model, allow(ANYONE, READ))
    return api


def attributes(model: type[Any]) -> list[str]:
    """Names of all fields."""
    mapper = inspect(model)
    hybrids = [name for name, found in mapper.all_orm_descriptors.items() if "hybrid" in type(found).__name__]
    return [*(attribute.key for attribute in mapper.column_attrs), *hybrids]


def _rules(choose: Choices, model: type[Any], operation: Operation, most: int) -> list[Rule]:
    rules = []
    for number in range(choose.up_to(most) + 1):
        # The first rule opens much, so that the others have something to take away or to mask.
        roles = choose.of((ANYONE, ROLES, ROLES, ROLES[:2]) if number == 0 else (ANYONE, ROLES[:2], *ROLES))
        free = choose.up_to(3) == 0 or (number == 0 and choose.up_to(2 if operation is READ else 1))
        where = None if free else condition(choose, model, model, choose.up_to(2))
        conditions = choose.of(_WHEN) if choose.up_to(2 if number else 7) == 0 else None
        effect = deny if number and choose.up_to(2) == 0 else allow
        fields = _fields(choose, model, operation, allowing=effect is allow)
        given = (
            {"set": _written(choose, model)} if operation is CREATE and effect is allow and not choose.up_to(2) else {}
        )
        rules.append(effect(roles, operation, where=where, fields=fields, when=conditions, **given))
    return rules


def _fields(choose: Choices, model: type[Any], operation: Operation, *, allowing: bool) -> list[str] | None:
    """Names for the rule; None for all, which a deny means as the whole row."""
    if operation is DELETE or choose.up_to(2) == 0:
        return None
    columns = model.__table__.columns
    if operation is READ:
        return [name for name in attributes(model) if choose.up_to(2)] or None
    free = [c.key for c in columns if not c.primary_key and c.key not in (TENANT, REMOVED)]
    named = [name for name in free if choose.up_to(2)]
    if operation is CREATE and allowing:
        named += [
            c.key for c in columns if c.key not in named and (c.primary_key or (c.key in free and not c.nullable))
        ]
    return named or None


def _written(choose: Choices, model: type[Any]) -> dict[Any, Any]:
    """What `set=` writes."""
    names = [
        c.key for c in model.__table__.columns if not (c.primary_key or c.foreign_keys or c.key in (TENANT, REMOVED))
    ]
    found: dict[Any, Any] = {}
    for name in names:
        attribute = getattr(model, name)
        if choose.up_to(3) == 0:
            values: list[Any] = [*pool(attribute.type)]
            if isinstance(attribute.type, String) and not isinstance(attribute.type, Enum):
                values = [me.id, *values, me.attr["region"]]
            elif isinstance(attribute.type, Integer):
                values = [me.attr["organisation"], *values]
            found[attribute] = choose.of(values)
    return found
