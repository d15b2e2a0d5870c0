"""Subqueries in memory: which FROMs a SELECT has of its own, which rows it yields, what it aggregates.

A SELECT inside a rule takes the tables around it from there (it correlates), by the same three ways as in
SQLAlchemy: `correlate(…)`, `correlate_except(…)` (what `has()` and `any()` use) or by itself, and then only with
the SELECT right around it. What is not correlated is a FROM of its own: all rows of that table.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, final

from sqlalchemy import Alias, FromClause, Join, Select, Table
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList, ColumnElement, Grouping
from sqlalchemy.sql.functions import Function

from vallum.authorise.evaluator_values import UnsupportedExpression, Value, truth_of

Row = Mapping[str, Any]
Environment = dict[int, Any]
"""Slot → the row that stands there now (for a group: the environments of its rows)."""
Term = Callable[[Environment], Value]

AGGREGATES: Final = frozenset({"count", "min", "max", "sum"})


@final
@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The FROMs that an expression sees, innermost first.

    Attributes:
        froms: of the SELECT right around the expression, with their slots.
        outer: the scope around that SELECT.
        group: slot of the rows to aggregate, when the expression stands for a whole group of rows.
        rows: the scope of the rows in the group: what an aggregate function's argument sees.
    """

    froms: tuple[tuple[FromClause, int], ...]
    outer: Scope | None = None
    group: int | None = None
    rows: Scope | None = None

    def slot_of(self, wanted: FromClause) -> int:
        """Where the row of a FROM stands.

        Raises:
            UnsupportedExpression: nowhere around the expression, or it is one row of many in a group.
        """
        for scope in self._outwards():
            for known, slot in scope.froms:
                if same(known, wanted):
                    if scope.group is not None:
                        raise UnsupportedExpression("column-beside-aggregate", f"{wanted.description}")
                    return slot
        raise UnsupportedExpression("other-table", f"{wanted.description} is not reached through a relationship")

    def enclosing(self) -> list[FromClause]:
        """All FROMs around."""
        return [known for scope in self._outwards() for known, _ in scope.froms]

    def _outwards(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer


class Terms(Protocol):
    """What a subquery needs of the translator that meets it."""

    def term(self, node: Any, scope: Scope) -> Term: ...
    def reading(self, node: Any, scope: Scope) -> tuple[Term, frozenset[int]]: ...
    def rows_of(self, table: Table) -> Sequence[Row]: ...
    def new_slot(self) -> int: ...


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A translated SELECT.

    Attributes:
        matches: from the environment around to one environment a row.
        value: the selected column's term; None when a row's existence is all that is asked.
        group: slot of the group when the SELECT aggregates; it yields exactly one row then.
    """

    matches: Callable[[Environment], Iterator[Environment]]
    value: Term | None
    group: int | None

    def values(self, environment: Environment) -> Iterator[Value]:
        """The selected column of each row."""
        if self.value is None:
            raise TypeError("this SELECT was translated for its existence only")
        if self.group is not None:
            yield self.value({**environment, self.group: list(self.matches(environment))})
            return
        for row in self.matches(environment):
            yield self.value(row)


@final
@dataclass(slots=True, eq=False)
class _Join:
    """One FROM of a SELECT: its rows, its slot, and the conditions that can be tested once it is bound."""

    slot: int
    rows: Sequence[Row]
    tests: list[Term] = field(default_factory=list)


def translated(select: Any, scope: Scope, terms: Terms, *, for_value: bool) -> Rows:
    """Translate a SELECT that stands inside an expression.

    Raises:
        UnsupportedExpression: any part of it that the evaluator does not know.
    """
    if not isinstance(select, Select):
        raise UnsupportedExpression("subquery", type(select).__name__)
    _refuse_extras(select)
    tables, conditions = _sources(_own_froms(select, scope))
    inner = Scope(tuple((table, terms.new_slot()) for table in tables), scope)
    joins = [_Join(slot, terms.rows_of(_table_of(table))) for table, slot in inner.froms]
    early: list[Term] = []
    for clause in [*conditions, *_conjuncts(select.whereclause)]:
        term, slots = terms.reading(clause, inner)
        last = max((index for index, join in enumerate(joins) if join.slot in slots), default=None)
        (early if last is None else joins[last].tests).append(term)
    columns = list(select.inner_columns)
    if not any(_aggregates(column) for column in columns):
        return Rows(_matching(joins, early), terms.term(_single(columns), inner) if for_value else None, None)
    if not for_value:
        raise UnsupportedExpression("exists-aggregate", "EXISTS over an aggregate is always true")
    group = terms.new_slot()
    whole = Scope(inner.froms, scope, group, inner)
    return Rows(_matching(joins, early), terms.term(_single(columns), whole), group)


def same(one: FromClause, other: FromClause) -> bool:
    """Whether two FROMs are one: annotated and cloned copies count as their original, two aliases never do."""
    return not one._cloned_set.isdisjoint(other._cloned_set)  # noqa: SLF001  # SQLAlchemy's own test; no public one


def _own_froms(select: Select[Any], scope: Scope) -> list[FromClause]:
    """The FROMs that are left after correlation, as SQLAlchemy's compiler decides it."""
    froms = _froms(select)
    around = scope.enclosing()
    named, spared = select._correlate, select._correlate_except  # noqa: SLF001  # no public accessor
    froms = [f for f in froms if not (_in(f, around) and _in(f, named))]
    if spared is not None:
        froms = [f for f in froms if not _in(f, around) or _in(f, spared)]
    if select._auto_correlate and len(froms) > 1:  # noqa: SLF001  # no public accessor
        nearest = [known for known, _ in scope.froms]
        froms = [f for f in froms if not _in(f, nearest)]
    return froms


def _froms(select: Select[Any]) -> list[FromClause]:
    """As if it stood alone; a SELECT within it may then be left without any."""
    try:
        return list(select.get_final_froms())
    except InvalidRequestError as error:
        raise UnsupportedExpression("subquery-without-from", str(error)) from error


def _in(wanted: FromClause, froms: Sequence[FromClause]) -> bool:
    return any(same(wanted, known) for known in froms)


def _refuse_extras(select: Select[Any]) -> None:
    """What would change the meaning and is not evaluated must not be ignored."""
    extras = {
        "GROUP BY": select._group_by_clauses,  # noqa: SLF001  # these parts have no public accessors
        "HAVING": select._having_criteria,  # noqa: SLF001
        "DISTINCT": select._distinct,  # noqa: SLF001
        "FOR UPDATE": select._for_update_arg is not None,  # noqa: SLF001
        "options": select._with_options,  # noqa: SLF001
        "prefixes": (*select._prefixes, *select._suffixes),  # noqa: SLF001
        "CTE": select._independent_ctes,  # noqa: SLF001
    }
    limits = (select._limit_clause, select._offset_clause, select._fetch_clause)  # noqa: SLF001
    found = [name for name, part in extras.items() if part] + ["LIMIT" for part in limits if part is not None]
    mappers = [e._annotations.get("parentmapper") for e in (*select._raw_columns, *_froms(select))]  # noqa: SLF001
    if any(mapper is not None and mapper.inherits is not None for mapper in mappers):
        found.append("a class that inherits its table")
    if found:
        raise UnsupportedExpression("subquery", f"{', '.join(found)} in a subquery")


def _sources(froms: Sequence[FromClause]) -> tuple[list[FromClause], list[ColumnElement[Any]]]:
    """Tables and aliases, with the ON conditions of inner joins."""
    tables: list[FromClause] = []
    conditions: list[ColumnElement[Any]] = []
    for source in froms:
        if isinstance(source, Join):
            if source.isouter or source.full or source.onclause is None:
                raise UnsupportedExpression("outer-join", str(source))
            below, on = _sources((source.left, source.right))
            tables += below
            conditions += [*on, source.onclause]
        else:
            tables.append(source)
    return tables, conditions


def _table_of(source: FromClause) -> Table:
    element: Any = source.element if isinstance(source, Alias) else source
    if not isinstance(element, Table):
        raise UnsupportedExpression("from", f"{type(source).__name__} in the FROM of a subquery")
    return element


def _conjuncts(clause: Any) -> list[ColumnElement[Any]]:
    if clause is None:
        return []
    if isinstance(clause, Grouping):
        return _conjuncts(clause.element)
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        return list(itertools.chain.from_iterable(_conjuncts(part) for part in clause.clauses))
    return [clause]


def _matching(joins: Sequence[_Join], early: Sequence[Term]) -> Callable[[Environment], Iterator[Environment]]:
    """Nested loops, each condition tested as soon as its rows are bound; only TRUE lets a row pass."""

    def bind(position: int, environment: Environment) -> Iterator[Environment]:
        if position == len(joins):
            yield environment
            return
        join = joins[position]
        for row in join.rows:
            bound = {**environment, join.slot: row}
            if all(truth_of(test(bound)) for test in join.tests):
                yield from bind(position + 1, bound)

    def matches(environment: Environment) -> Iterator[Environment]:
        if all(truth_of(test(environment)) for test in early):
            yield from bind(0, environment)

    return matches


def _single(columns: Sequence[Any]) -> Any:
    if len(columns) != 1:
        raise UnsupportedExpression("subquery", f"{len(columns)} columns where one is compared")
    return columns[0]


def _aggregates(column: Any) -> bool:
    """Whether an aggregate function stands in the column itself; one in a SELECT below belongs there."""
    waiting = [column]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function) and node.name in AGGREGATES:
            return True
        if not isinstance(node, Select):
            waiting += node.get_children()
    return False
