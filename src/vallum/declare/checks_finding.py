"""What start-up finds in a declaration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, final

from vallum.declare.policy import Rule
from vallum.errors import OperatorError

Severity = Literal["error", "warning"]


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that cannot be honoured (error), or that will surprise (warning).

    Attributes:
        identifier: a stable, documented word.
        place: where in the author's program.
        message: what is wrong there.
        mend: what to write instead.
    """

    identifier: str
    severity: Severity
    place: str
    message: str
    mend: str


def error(identifier: str, place: str, message: str, mend: str) -> Finding:
    """A finding that stops start-up."""
    return Finding(identifier, "error", place, message, mend)


def warning(identifier: str, place: str, message: str, mend: str) -> Finding:
    """A finding that start-up only tells."""
    return Finding(identifier, "warning", place, message, mend)


def refuse(findings: Iterable[Finding], kind: type[OperatorError]) -> None:
    """Stop when there is an error.

    Raises:
        OperatorError: of this kind, with the identifier and place of the first error; its text lists all of them.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    first, *others = errors
    text = [f"{first.message} {first.mend}", *(f"{f.identifier}: {f.place}: {f.message} {f.mend}" for f in others)]
    raise kind(first.identifier, first.place, "\n".join(text))


def rule_place(place: str, index: int, rule: Rule) -> str:
    """`/students, rule 3: allow(teacher, UPDATE)`; rules are counted from 1, as an author counts lines."""
    words = [", ".join(map(str, rule.roles))]
    if rule.operations is not None:
        words.append(rule.operations.name or "no operation")
    return f"{place}, rule {index}: {rule.effect}({', '.join(words)})"
