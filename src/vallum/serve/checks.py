"""All that start-up finds in a declaration: by itself, and beside the database that it will be served from."""

from __future__ import annotations

from sqlalchemy import Table

from vallum.authorise.checks import check
from vallum.declare.app import API
from vallum.declare.checks_finding import Finding, rule_place, warning
from vallum.declare.dialect import DialectName
from vallum.serve.checks_indexes import index_findings, looked_into
from vallum.serve.checks_lists import list_findings
from vallum.serve.checks_tables import table_findings, taken_along
from vallum.store.catalog import Relation, relation
from vallum.store.ports import CommandDatabase, Script


def declared(api: API, dialect: DialectName) -> list[Finding]:
    """What the declaration shows by itself, where there is a database that knows its indexes better."""
    return [finding for finding in check(api, dialect=dialect) if finding.identifier != "rule-index"]


def unmet(api: API) -> list[Finding]:
    """Rules on the age of a login. In production no token says when its caller signed in: people cannot, yet."""
    resources = [(resource.path, resource.rules) for resource in api.resources.values()]
    handlers = [(f"{m} {r.path}", h.rules) for r in api.routes.values() for m, h in r.handlers.items()]
    rules = [
        (rule_place(place, n, rule), rule) for place, rules in resources + handlers for n, rule in enumerate(rules, 1)
    ]
    return [
        warning(
            "when-unmet",
            place,
            "No token in production says when its caller signed in: "
            + ("it lets nobody through." if rule.effect == "allow" else "it holds for everybody."),
            "Leave `login_within` out until people can sign in, or keep it for then.",
        )
        for place, rule in rules
        if rule.when is not None and rule.when.login_within is not None
    ]


def stored(api: API, database: CommandDatabase, *, lists: bool = False) -> list[Finding]:
    """What shows beside the database; only reads.

    Args:
        lists: the sorts and filters, too, which stop no start.
    """

    def script() -> Script[list[Finding]]:
        relations: dict[Table, Relation | None] = {}
        tables = {table for resource in api.resources.values() for table in (resource.table, *taken_along(resource))}
        for table in sorted(tables | looked_into(api), key=lambda table: table.key):
            relations[table] = yield from relation(table, database.dialect)
        findings = table_findings(api, relations, database.dialect)
        if any(finding.severity == "error" for finding in findings):
            return findings  # a statement on what is not there, or not to be read, has no plan
        findings += yield from index_findings(api, relations, database.dialect)
        return findings + (yield from list_findings(api, relations, database.dialect)) if lists else findings

    return database.look(script)
