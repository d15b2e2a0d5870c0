"""What start-up looks for in a declaration, before anything is served: closed, complete, and honoured as it stands.

`check_api` needs no database and no compiler. What needs the compiler is in `authorise.checks`, whose `check`
runs both. Each finding has a stable identifier; docs list them.
"""

from __future__ import annotations

from vallum.declare.app import API
from vallum.declare.checks_column import column_findings
from vallum.declare.checks_finding import Finding
from vallum.declare.checks_index import index_findings
from vallum.declare.checks_model import model_findings
from vallum.declare.checks_resource import resource_findings
from vallum.declare.checks_route import handler_findings
from vallum.declare.checks_rule import rule_findings
from vallum.declare.dialect import DialectName


def check_api(api: API, *, dialect: DialectName) -> list[Finding]:
    """Everything that the declaration alone shows, in the order of the author's program."""
    findings: list[Finding] = []
    for resource in api.resources.values():
        findings += model_findings(resource)
        findings += column_findings(resource, dialect)
        findings += resource_findings(api, resource)
        findings += rule_findings(api, resource)
        findings += index_findings(resource, resource.rules, resource.path, dialect)
    return findings + handler_findings(api, dialect)
