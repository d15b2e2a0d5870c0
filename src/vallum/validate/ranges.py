"""Check constraints on one column as bounds of its field, where they have a simple form.

    constraint = term *( "AND" term )
    term       = column op number / number op column / column "BETWEEN" number "AND" number
               / column "IN" "(" literal *( "," literal ) ")"
    op         = ">=" / ">" / "<=" / "<"

Any other constraint is left to the database, whose violation becomes a fault after the attempt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, final

from sqlalchemy import CheckConstraint, Column, Table, types
from sqlalchemy.exc import CompileError

_NUMBER: Final = r"[+-]?[0-9]+(?:\.[0-9]+)?"
_LITERAL: Final = rf"(?:{_NUMBER}|'(?:[^']|'')*')"
_COLUMN: Final = r'(?:(?:"[^"]+"|\w+)\.)?(?:"(?P<quoted{0}>[^"]+)"|(?P<plain{0}>[A-Za-z_]\w*))'
_TERM: Final = re.compile(
    rf"""\s*(?:
      {_COLUMN.format(1)}\s*(?P<op>>=|<=|>|<)\s*(?P<right>{_NUMBER})
    | (?P<left>{_NUMBER})\s*(?P<turned>>=|<=|>|<)\s*{_COLUMN.format(2)}
    | {_COLUMN.format(3)}\s+BETWEEN\s+(?P<low>{_NUMBER})\s+AND\s+(?P<high>{_NUMBER})
    | {_COLUMN.format(4)}\s+IN\s*\(\s*(?P<list>{_LITERAL}(?:\s*,\s*{_LITERAL})*)\s*\)
    )\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_AND: Final = re.compile(r"AND\b", re.IGNORECASE)
_EACH_LITERAL: Final = re.compile(_LITERAL)
NUMBERS: Final = (types.Integer, types.Numeric, types.Float)
_TURNED: Final = {">=": "<=", "<=": ">=", ">": "<", "<": ">"}
_EMBRACED: Final = re.compile(r"\s*\(([^()]*)\)\s*")


@final
@dataclass(frozen=True, slots=True)
class Bounds:
    """What a column's checks say; None where they say nothing.

    Attributes:
        ge, gt, le, lt: bounds of a number.
        choices: the possible values: all text or all numbers.
    """

    ge: Decimal | None = None
    gt: Decimal | None = None
    le: Decimal | None = None
    lt: Decimal | None = None
    choices: frozenset[str] | frozenset[Decimal] | None = None


NONE: Final = Bounds()


def bounds_of(column: Column[object]) -> Bounds:
    """The bounds that all readable checks of the column's table set together."""
    bounds = NONE
    if not isinstance(column.table, Table):
        return bounds
    # A check that is written inside a column stays with the column.
    inside = [constraint for other in column.table.columns for constraint in other.constraints]
    for constraint in (*column.table.constraints, *inside):
        # The check that belongs to an Enum or Boolean type says what the type says.
        if isinstance(constraint, CheckConstraint) and not constraint._type_bound:  # noqa: SLF001  # no public accessor
            bounds = _narrowed(bounds, _text(constraint), column)
    return bounds


def _text(constraint: CheckConstraint) -> str:
    try:
        return str(constraint.sqltext.compile(compile_kwargs={"literal_binds": True}))
    except (CompileError, NotImplementedError):  # a literal that has no text
        return ""


def _narrowed(bounds: Bounds, text: str, column: Column[object]) -> Bounds:
    while (inner := _EMBRACED.fullmatch(text)) is not None and " in " not in text.lower():
        text = inner[1]
    position, found = 0, bounds
    while True:
        term = _TERM.match(text, position)
        if term is None or _name(term) != column.name:
            return bounds
        narrowed = _with(found, term, column)
        if narrowed is None:
            return bounds
        found = narrowed
        if term.end() == len(text):
            return found
        conjunction = _AND.match(text, term.end())
        if conjunction is None:
            return bounds
        position = conjunction.end()


def _name(term: re.Match[str]) -> str | None:
    return next((v for k, v in term.groupdict().items() if v is not None and k.startswith(("quoted", "plain"))), None)


def _with(bounds: Bounds, term: re.Match[str], column: Column[object]) -> Bounds | None:
    if term["list"] is not None:
        return _with_choices(bounds, _EACH_LITERAL.findall(term["list"]), column)
    if not isinstance(column.type, NUMBERS):
        return None
    if term["low"] is not None:
        return _with_bound(_with_bound(bounds, ">=", Decimal(term["low"])), "<=", Decimal(term["high"]))
    if term["op"] is not None:
        return _with_bound(bounds, term["op"], Decimal(term["right"]))
    return _with_bound(bounds, _TURNED[term["turned"]], Decimal(term["left"]))


def _with_bound(bounds: Bounds, operator: str, value: Decimal) -> Bounds:
    if operator == ">=":
        return replace(bounds, ge=value if bounds.ge is None else max(bounds.ge, value))
    if operator == ">":
        return replace(bounds, gt=value if bounds.gt is None else max(bounds.gt, value))
    if operator == "<=":
        return replace(bounds, le=value if bounds.le is None else min(bounds.le, value))
    return replace(bounds, lt=value if bounds.lt is None else min(bounds.lt, value))


def _with_choices(bounds: Bounds, literals: list[str], column: Column[object]) -> Bounds | None:
    texts = [literal[1:-1].replace("''", "'") for literal in literals if literal.startswith("'")]
    if bounds.choices is not None:
        return None
    if len(texts) == len(literals) and isinstance(column.type, types.String):
        return replace(bounds, choices=frozenset(texts))
    if not texts and isinstance(column.type, NUMBERS):
        return replace(bounds, choices=frozenset(map(Decimal, literals)))
    return None
