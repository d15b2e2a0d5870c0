"""A drawn case under row-level security alone: what the database by itself shows and lets be written."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

from tests.native import Native, key_of, native
from tests.property.asked import Case
from tests.property.meaning import Meaning, Row
from tests.property.models import NOW, row_of

from vallum.authorise.evaluator_decide import decide
from vallum.declare.app import API
from vallum.declare.policy import Operation
from vallum.declare.resource import Resource


async def judged(connection: object, case: Case) -> None:
    """Every table's rows as the caller sees them; changes and removals of those of the one with many rules."""
    meaning = Meaning(_without_requests(case.api), case.rows, case.visitor.caller, case.visitor.facts, NOW)
    async with native(connection, case.api, NOW) as asked:
        await asked.become(case.visitor.caller)
        for resource in meaning.api.resources.values():
            seen = {key_of(resource, row) for row, _ in meaning.visible(resource)}
            assert await asked.seen(resource) == seen, resource.path
        resource = meaning.api.resources[case.model]
        for row in meaning.rows[resource.table]:
            drawn = row_of(case.choose, resource.table, meaning.rows, 0)
            names = [name for name in drawn if name not in resource.key and case.choose.up_to(2) == 0]
            await _written(asked, meaning, resource, row, {name: drawn[name] for name in names})


async def _written(asked: Native, meaning: Meaning, resource: Resource, row: Row, values: Row) -> None:
    if values:
        expected = _changeable(meaning, resource, row, {**row, **values})
        assert await asked.changes(resource, row, values) in (expected, None), (row, values)
    assert await asked.removes(resource, row) in (_removable(meaning, resource, row), None), row


def _changeable(meaning: Meaning, resource: Resource, row: Row, after: Row) -> bool:
    """As the rules say it; and PostgreSQL itself asks that what is left can be seen."""
    then = meaning.question(resource, meaning.changed(resource, after, row))
    both = decide(resource.rules, Operation.UPDATE, meaning.question(resource), row, after=after, then=then)
    touched = {name: value for name, value in after.items() if row[name] != value}
    return (
        both.allowed
        and set(touched) <= both.fields
        and decide(resource.rules, Operation.READ, then, after).visible
        and not meaning.dangling(resource, touched, after)
    )


def _removable(meaning: Meaning, resource: Resource, row: Row) -> bool:
    """A mark is no removal; what goes along is named by a cascade, or is the caller's to remove."""
    found = decide(resource.rules, Operation.DELETE, meaning.question(resource), row)
    return resource.soft_delete is None and found.allowed and meaning.left_without(resource, row) is not None


def _without_requests(api: API) -> API:
    """The database does not know the request: conditions on it count against the caller."""
    found = copy(api)
    found.resources = {
        model: replace(
            resource,
            rules=tuple(replace(r, when=None) for r in resource.rules if r.when is None or r.effect == "deny"),
        )
        for model, resource in api.resources.items()
    }
    return found
