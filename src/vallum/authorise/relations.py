"""`Model.relation.has(…)` as `column IN (SELECT …)` where SQLite runs that faster.

SQLite tests an EXISTS row by row along the primary key: 1,700 µs for a sparse rule over 100,000 rows, where
IN over an index takes 45. The two mean the same outside a NOT (a NULL makes NOT IN differ), so only conditions
joined by AND and OR from the top are rewritten, and only where an index serves both sides.

The planner takes the SELECT for twenty-five values, each as frequent as they all are on average, and of a table that is
not large would rather walk all rows along the key. `unlikely(…)` keeps it on the index, which finds a sparse caller's rows at
once, and for a page looks at the first few of each value: 1.1 ms for 2,500 values with 100,000 rows.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Integer, Table, and_, func, or_, select
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, BooleanClauseList, Grouping
from sqlalchemy.sql.selectable import Exists, ScalarSelect, Select

from vallum.declare.model import leads


def prefer_in(expression: Any, table: Table) -> ColumnElement[Any]:
    """The same condition on a row of a page, with each suitable EXISTS over `table` as an IN."""
    return _preferred(expression, table, hinted=True)


def _preferred(expression: Any, table: Table, *, hinted: bool) -> ColumnElement[Any]:
    if isinstance(expression, Grouping):
        return _preferred(expression.element, table, hinted=hinted)
    if isinstance(expression, BooleanClauseList) and expression.operator in (operators.and_, operators.or_):
        clauses = [_preferred(clause, table, hinted=hinted) for clause in expression.clauses]
        return and_(*clauses) if expression.operator is operators.and_ else or_(*clauses)
    if isinstance(expression, Exists):
        rewritten = _rewritten(expression, table)
        if rewritten is not None:
            # Of a Boolean, which SQLite has not, SQLAlchemy makes `unlikely(…) = 1`, and that is no hint any more.
            return func.unlikely(rewritten, type_=Integer()) if hinted else rewritten
    found: ColumnElement[Any] = expression
    return found


def _rewritten(exists: Exists, table: Table) -> ColumnElement[Any] | None:
    query = _select_of(exists)
    if query is None:
        return None
    # Standing alone, the query lists the outer table too: it correlates only once it is inside its SELECT.
    froms = [f for f in query.get_final_froms() if getattr(f, "name", None) != table.name]
    if len(froms) != 1 or not isinstance(froms[0], Table):
        return None
    inside = froms[0]
    joins, rest = [], []
    for clause in _conjuncts(query.whereclause):
        pair = _join_pair(clause, inside, table)
        if pair is not None:
            joins.append(pair)
        elif _mentions(clause, table):
            return None
        else:
            rest.append(_preferred(clause, inside, hinted=False))
    if len(joins) != 1 or not rest:
        return None
    inner, outer = joins[0]
    if not leads(outer) or not any(_looked_up(clause, inside) for clause in rest):
        return None
    return outer.in_(select(inner).where(*rest))


def _select_of(exists: Exists) -> Select[Any] | None:
    element: Any = exists.element
    while isinstance(element, (ScalarSelect, Grouping)):
        element = element.element
    return element if isinstance(element, Select) else None


def _conjuncts(clause: Any) -> list[ColumnElement[Any]]:
    if clause is None:
        return []
    if isinstance(clause, Grouping):
        return _conjuncts(clause.element)
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        return [c for part in clause.clauses for c in _conjuncts(part)]
    return [clause]


def _column(element: Any, table: Table) -> Column[Any] | None:
    # Through the table's own collection, because ORM expressions carry annotated copies.
    if getattr(element, "table", None) is None or getattr(element.table, "name", None) != table.name:
        return None
    found = table.c.get(element.key)
    return found if found is not None and getattr(element, "name", None) == found.name else None


def _join_pair(clause: Any, inside: Table, outside: Table) -> tuple[Column[Any], Column[Any]] | None:
    if not isinstance(clause, BinaryExpression) or clause.operator is not operators.eq:
        return None
    for one, other in ((clause.left, clause.right), (clause.right, clause.left)):
        inner, outer = _column(one, inside), _column(other, outside)
        if inner is not None and outer is not None:
            return inner, outer
    return None


def _mentions(clause: ColumnElement[Any], table: Table) -> bool:
    return any(getattr(getattr(e, "table", None), "name", None) == table.name for e in visitors.iterate(clause))


def _looked_up(clause: Any, inside: Table) -> bool:
    """Whether the clause is `indexed column = value`: then the inner query finds its few rows at once."""
    if isinstance(clause, BinaryExpression) and clause.operator is operators.in_op:
        column = _column(clause.left, inside)
        return column is not None and leads(column)
    if not isinstance(clause, BinaryExpression) or clause.operator is not operators.eq:
        return False
    for one, other in ((clause.left, clause.right), (clause.right, clause.left)):
        column = _column(one, inside)
        if column is not None and isinstance(other, BindParameter):
            return leads(column)
    return False
