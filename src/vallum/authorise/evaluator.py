"""The meaning of a rule, a second time: in memory, on Python values, without SQL.

`vallum explain` shows with it why a row is seen or not, and tests hold the compiled SQL against it. So it shares
nothing with the compiler; it reads the same SQLAlchemy expressions and says by itself what they mean. What it
does not know for certain it refuses (:class:`UnsupportedExpression`), and never guesses.

Stated meanings, where the stores differ by default: text compares by code points; `contains`, `startswith` and
`endswith` take their argument as it is written and mind case; `lower` and `upper` change ASCII letters only;
decimals are exact; a datetime without a zone is UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, final

from sqlalchemy import BindParameter, ClauseElement, FromClause, Table

from vallum.authorise.evaluator_select import Row, Scope, Term
from vallum.authorise.evaluator_terms import Translator
from vallum.authorise.evaluator_values import Truth, Value, truth_of
from vallum.authorise.evaluator_values import UnsupportedExpression as UnsupportedExpression
from vallum.declare.policy import ME_ATTRIBUTE, ME_ID, ME_ROLES, NOW, TODAY

ROW: Final = 0
"""The slot of the row that the rule is about."""


@final
@dataclass(frozen=True, slots=True)
class CallerValues:
    """What `me` stands for.

    Attributes:
        id: the caller's name; None for the anonymous caller.
        roles: of the caller.
        attributes: those that the caller has.
    """

    id: str | None
    roles: frozenset[str] = frozenset()
    attributes: Mapping[str, int | str | bool] = field(default_factory=dict)


def expression_of(condition: Any) -> ClauseElement:
    """The expression behind what an author may write as a condition: a mapped attribute, a hybrid, or itself."""
    found: ClauseElement = condition if isinstance(condition, ClauseElement) else condition.__clause_element__()
    return found


@final
class Evaluator:
    """Evaluates expressions over rows in memory, for one caller at one instant.

    Args:
        tables: all rows of every table that rules look at, by column key (or name), with the ORM's Python values.
        caller: what `me` stands for.
        now: the instant of the request; a naive one is UTC.
    """

    def __init__(self, tables: Mapping[Any, Sequence[Row]], caller: CallerValues, now: datetime) -> None:
        self.caller = caller
        self._tables: dict[FromClause, Sequence[Row]] = dict(tables)
        self._now = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
        self._translator = Translator(self._bound, self._rows_of, first_slot=ROW)
        self._terms: dict[tuple[int, int], tuple[Any, FromClause, Term]] = {}

    def holds(self, expression: Any, table: FromClause, row: Row) -> Truth:
        """Whether the condition is true, false or NULL (None) for `row` of `table`.

        Raises:
            UnsupportedExpression: a part that the evaluator does not know, or values on which the stores disagree.
        """
        return truth_of(self.value(expression, table, row))

    def value(self, expression: Any, table: FromClause, row: Row) -> Value:
        """The value of an expression for `row` of `table`; enums as their stored text, datetimes as naive UTC.

        Raises:
            UnsupportedExpression: as `holds`.
        """
        key = (id(expression), id(table))
        if key not in self._terms:
            # The expression is kept beside its term, so that its id cannot pass to another object.
            term = self._translator.term(expression_of(expression), Scope(((table, ROW),)))
            self._terms[key] = (expression, table, term)
        return self._terms[key][2]({ROW: row})

    def _rows_of(self, table: Table) -> Sequence[Row]:
        if table not in self._tables:
            raise UnsupportedExpression("table-without-rows", table.name)
        return self._tables[table]

    def _bound(self, parameter: BindParameter[Any]) -> Any:
        if parameter.key == NOW:
            return self._now
        if parameter.key == TODAY:
            return self._now.date()
        if parameter.key == ME_ROLES:
            return sorted(self.caller.roles)
        if parameter.key == ME_ID or parameter.key.startswith(ME_ATTRIBUTE):
            return self._of_caller(parameter.key)
        if parameter.required and parameter.value is None and parameter.callable is None:
            raise UnsupportedExpression("parameter-without-value", parameter.key)
        return parameter.effective_value

    def _of_caller(self, key: str) -> Any:
        name = "me.id" if key == ME_ID else key.removeprefix(ME_ATTRIBUTE)
        held = self.caller.id if key == ME_ID else self.caller.attributes.get(name)
        if held is None:
            # Whether a lacking value allows or denies is the rule's business, so it never gets here.
            raise UnsupportedExpression("caller-lacks", name)
        return held
