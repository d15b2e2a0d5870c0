"""Rules as rights: what of them does not depend on the store."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import bindparam, true
from tests.general.models import Project, Tag, Task

from vallum import API, READ, Rule, allow, me
from vallum.authorise.rights import Access, Rights
from vallum.declare.dialect import DialectName

STORES: tuple[DialectName, ...] = ("sqlite", "postgresql")


def reading(dialect: DialectName, *rules: Rule, model: type[Any] = Task) -> Access:
    """What these rules let the role `a` read."""
    api = API("Tasks", roles=["a"], attributes={"region": str})
    resource = api.resource(model, *rules)
    found = Rights(api, dialect, ("a",), frozenset({"region"}), True, {}).on(resource, READ)
    assert found is not None
    return found


@pytest.mark.parametrize("dialect", STORES)
def test_rules_with_the_same_condition_unite(dialect: DialectName) -> None:
    """Written twice it is one grant, and a row that shows one of its fields shows all."""
    rules = [allow("a", READ, where=Task.effort == 1, fields=[name]) for name in ("id", "title")]
    found = reading(dialect, *rules)
    assert found.plain
    assert found.certain == {"id", "title"}


@pytest.mark.parametrize("dialect", STORES)
def test_the_name_of_a_constant_makes_no_other_condition(dialect: DialectName) -> None:
    """What is compared is what it stands for."""
    rules = [allow("a", READ, where=Task.effort == bindparam(name, 1), fields=[name]) for name in ("id", "title")]
    assert reading(dialect, *rules).plain


@pytest.mark.parametrize("dialect", STORES)
def test_conditions_that_one_store_writes_alike_stay_two(dialect: DialectName) -> None:
    """SQLite has `hidden = 1` for both, PostgreSQL has two texts; what may be sorted by is the same on each."""
    rules = [allow("a", READ, where=Tag.hidden, fields=["id"]), allow("a", READ, where=Tag.hidden == true())]
    found = reading(dialect, *rules, model=Tag)
    assert found.certain == {"id"}
    assert len(found.grants) == 2


@pytest.mark.parametrize("dialect", STORES)
def test_a_caller_and_an_attribute_are_two_conditions(dialect: DialectName) -> None:
    """Both are parameters of the same type without a value."""
    rules = [allow("a", READ, where=Task.title == value) for value in (me.id, me.attr["region"])]
    found = reading(dialect, *rules)
    assert len(found.grants) == 2
    assert not found.plain


@pytest.mark.parametrize("dialect", STORES)
def test_a_rule_without_a_condition_makes_narrower_ones_superfluous(dialect: DialectName) -> None:
    """Unless they grant a field that it does not."""
    free = allow("a", READ, fields=["id", "title"])
    assert reading(dialect, free, allow("a", READ, where=Task.effort == 1, fields=["id"])).plain
    assert reading(dialect, free, allow("a", READ, where=Task.effort == 1, fields=["id", "title"])).plain
    assert len(reading(dialect, free, allow("a", READ, where=Task.effort == 1, fields=["due"])).grants) == 2


def test_sqlite_looks_a_relation_up_where_postgresql_need_not() -> None:
    """The same rule, written as each store runs it fast."""
    rule = allow("a", READ, where=Task.project.has(Project.organisation_id == 3))
    sqlite, postgresql = (str(reading(dialect, rule).grants[0].where.parts[1]) for dialect in STORES)
    assert sqlite.startswith("unlikely(tasks.project_id IN (SELECT")
    assert postgresql.startswith("EXISTS (SELECT")
