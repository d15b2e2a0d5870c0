"""What start-up looks for in a declaration, before anything is served: closed, complete, and honoured as it stands.

`check_api` needs no database and no compiler. What needs the compiler is in `authorise.checks`, whose `check`
runs both. Each finding has a stable identifier; docs list them.
"""

from __future__ import annotations

from collections.abc import Iterable

from vallum.declare.app import API
from vallum.declare.checks_column import column_findings
from vallum.declare.checks_finding import Dialect, Finding
from vallum.declare.checks_index import index_findings
from vallum.declare.checks_model import model_findings
from vallum.declare.checks_resource import resource_findings
from vallum.declare.checks_route import handler_findings
from vallum.declare.checks_rule import rule_findings
from vallum.declare.errors import DeclarationError

__all__ = ["Dialect", "Finding", "check_api", "refuse"]


def check_api(api: API, *, dialect: Dialect) -> list[Finding]:
    """Everything that the declaration alone shows, in the order of the author's program."""
    findings: list[Finding] = []
    for resource in api.resources.values():
        findings += model_findings(resource)
        findings += column_findings(resource, dialect)
        findings += resource_findings(api, resource)
        findings += rule_findings(api, resource)
        findings += index_findings(resource, resource.rules, resource.path, dialect)
    return findings + handler_findings(api, dialect)


def refuse(findings: Iterable[Finding]) -> None:
    """Stop when there is an error.

    Raises:
        DeclarationError: with the identifier and place of the first error; its text lists all of them.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    first, *others = errors
    text = [f"{first.message} {first.mend}", *(f"{f.identifier}: {f.place}: {f.message} {f.mend}" for f in others)]
    raise DeclarationError(first.identifier, first.place, "\n".join(text))
