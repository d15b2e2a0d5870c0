"""From SQLAlchemy expressions to functions over rows: one method for each kind of node, all others refused.

Translation comes first and evaluation second, so that an unknown part is refused whatever the data.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce, singledispatchmethod
from typing import Any, final

from sqlalchemy import BindParameter, Table, types
from sqlalchemy.sql import elements, operators
from sqlalchemy.sql.functions import Function, FunctionAsBinary
from sqlalchemy.sql.selectable import Exists, ScalarSelect, SelectStatementGrouping

from vallum.authorise import evaluator_operators as meaning
from vallum.authorise.evaluator_select import AGGREGATES, Environment, Row, Scope, Term, translated
from vallum.authorise.evaluator_values import (
    UnsupportedExpression,
    Value,
    all_true,
    among,
    any_true,
    compared,
    distinct,
    negated,
    reader_of,
    truth_of,
)


@final
class Translator:
    """Translates the expressions of one evaluator.

    Args:
        bound: the value of a parameter.
        rows_of: all rows of a table.
    """

    def __init__(
        self, bound: Callable[[BindParameter[Any]], Any], rows_of: Callable[[Table], Sequence[Row]], first_slot: int
    ) -> None:
        self.rows_of = rows_of
        self._bound = bound
        self._last_slot = first_slot
        self._read: set[int] = set()

    def new_slot(self) -> int:
        """A slot that no other FROM has."""
        self._last_slot += 1
        return self._last_slot

    def reading(self, node: Any, scope: Scope) -> tuple[Term, frozenset[int]]:
        """A condition and the slots of the rows that it reads."""
        before, self._read = self._read, set()
        term = self.term(node, scope)
        slots = frozenset(self._read)
        self._read |= before
        return term, slots

    @singledispatchmethod
    def term(self, node: Any, _scope: Scope) -> Term:
        """What computes the expression.

        Raises:
            UnsupportedExpression: any kind of node without a method below.
        """
        raise UnsupportedExpression("element", f"{type(node).__name__}: {node}")

    @term.register(elements.Null)
    @term.register(elements.True_)
    @term.register(elements.False_)
    def _constant(self, node: Any, _scope: Scope) -> Term:
        value = None if isinstance(node, elements.Null) else isinstance(node, elements.True_)
        return lambda _: value

    @term.register(elements.Grouping)
    @term.register(elements.Label)
    def _wrapped(self, node: Any, scope: Scope) -> Term:
        return self.term(node.element, scope)

    @term.register(elements.ColumnClause)
    def _column(self, node: elements.ColumnClause[Any], scope: Scope) -> Term:
        if node.table is None or node.is_literal:
            raise UnsupportedExpression("element", f"the text {node.name!r} in place of a column")
        slot, read, key, name = scope.slot_of(node.table), reader_of(node.type), node.key, node.name
        self._read.add(slot)

        def column(environment: Environment) -> Value:
            row = environment[slot]
            if key not in row and name not in row:
                raise UnsupportedExpression("row-without-column", str(node))
            return read(row[key] if key in row else row[name])

        return column

    @term.register(BindParameter)
    def _parameter(self, node: BindParameter[Any], _scope: Scope) -> Term:
        if node.expanding:
            raise UnsupportedExpression("element", f"the list {node.key!r} outside IN")
        value = reader_of(node.type)(self._bound(node))
        return lambda _: value

    @term.register(elements.ExpressionClauseList)
    def _list(self, node: elements.ExpressionClauseList[Any], scope: Scope) -> Term:
        terms = [self.term(clause, scope) for clause in node.clauses]
        if node.operator in (operators.and_, operators.or_):
            join = all_true if node.operator is operators.and_ else any_true
            return lambda environment: join([truth_of(term(environment)) for term in terms])
        calculate = meaning.CALCULATIONS.get(node.operator)
        if calculate is None:
            raise UnsupportedExpression("operator", f"{_word(node.operator)}: {node}")
        return lambda environment: reduce(calculate, [term(environment) for term in terms])

    @term.register(elements.BinaryExpression)
    def _binary(self, node: elements.BinaryExpression[Any], scope: Scope) -> Term:
        positive = meaning.NEGATIONS.get(node.operator)
        if positive is None:
            return self._operation(node.operator, node, scope)
        term = self._operation(positive, node, scope)
        return lambda environment: negated(truth_of(term(environment)))

    # Its operator says how a function's arguments would be compared in a JOIN; it is the function all the same.
    @term.register(FunctionAsBinary)
    def _function_as_binary(self, node: FunctionAsBinary, _scope: Scope) -> Term:
        raise UnsupportedExpression("element", str(node))

    def _operation(self, word: Any, node: elements.BinaryExpression[Any], scope: Scope) -> Term:
        if word is operators.in_op:
            return self._in(node, scope)
        if word is operators.between_op:
            return self._between(node, scope)
        if word in meaning.PATTERNS:
            return self._pattern(word, node, scope)
        left, right = self.term(node.left, scope), self.term(node.right, scope)
        if word is operators.is_:
            return self._is(node.right, left)
        if word is operators.eq:
            return lambda e: compared(operator.eq, left(e), right(e))
        if word is operators.is_distinct_from:
            return lambda e: distinct(left(e), right(e))
        if word in meaning.ORDERINGS:
            compare = meaning.ORDERINGS[word]
            _refuse_enum_order(node.left, node.right)
            return lambda e: compared(compare, left(e), right(e))
        if word in meaning.CALCULATIONS:
            calculate = meaning.CALCULATIONS[word]
            return lambda e: calculate(left(e), right(e))
        raise UnsupportedExpression("operator", f"{_word(word)}: {node}")

    def _is(self, wanted: Any, left: Term) -> Term:
        if isinstance(wanted, elements.Null):
            return lambda e: left(e) is None
        if isinstance(wanted, (elements.True_, elements.False_)):
            value = isinstance(wanted, elements.True_)
            return lambda e: truth_of(left(e)) is value
        raise UnsupportedExpression("operator", f"IS {wanted}")

    def _between(self, node: elements.BinaryExpression[Any], scope: Scope) -> Term:
        bounds: Any = node.right
        if node.modifiers.get("symmetric") or not isinstance(bounds, elements.ExpressionClauseList):
            raise UnsupportedExpression("operator", str(node))
        _refuse_enum_order(node.left, *bounds.clauses)
        value, low, high = (self.term(part, scope) for part in (node.left, *bounds.clauses))
        return lambda e: all_true([compared(operator.ge, value(e), low(e)), compared(operator.le, value(e), high(e))])

    def _in(self, node: elements.BinaryExpression[Any], scope: Scope) -> Term:
        left, right = self.term(node.left, scope), node.right
        if isinstance(right, BindParameter) and right.expanding:
            listed, read = self._bound(right), reader_of(right.type)
            if listed is None:
                raise UnsupportedExpression("parameter-without-value", right.key)
            members = [read(member) for member in listed]
            return lambda e: among(left(e), members)
        if isinstance(right, elements.Grouping) and isinstance(right.element, elements.ClauseList):
            terms = [self.term(clause, scope) for clause in right.element.clauses]
            return lambda e: among(left(e), [term(e) for term in terms])
        rows = translated(_select_of(right), scope, self, for_value=True)
        return lambda e: among(left(e), rows.values(e))

    def _pattern(self, word: Any, node: elements.BinaryExpression[Any], scope: Scope) -> Term:
        test, text = meaning.PATTERNS[word], self.term(node.left, scope)
        escape = node.modifiers.get("escape")
        part: Any = node.right
        if isinstance(part, BindParameter) and isinstance(part.value, str):
            literal = meaning.literal_text(part.value, escape)
            return lambda e: meaning.matched(test, text(e), literal)
        if escape is not None:
            raise UnsupportedExpression("operator", f"ESCAPE beside something else than a constant: {node}")
        argument = self.term(part, scope)
        return lambda e: meaning.matched(test, text(e), argument(e))

    @term.register(elements.UnaryExpression)
    def _unary(self, node: elements.UnaryExpression[Any], scope: Scope) -> Term:
        inner = self.term(node.element, scope)
        if node.operator in (operators.inv, operators.is_false):
            return lambda e: negated(truth_of(inner(e)))
        if node.operator is operators.is_true:
            return lambda e: truth_of(inner(e))
        if node.operator is operators.neg:
            return lambda e: meaning.negative(inner(e))
        raise UnsupportedExpression("operator", f"{_word(node.operator or node.modifier)}: {node}")

    @term.register(Exists)
    def _exists(self, node: Exists, scope: Scope) -> Term:
        rows = translated(_select_of(node.element), scope, self, for_value=False)
        return lambda e: next(rows.matches(e), None) is not None

    @term.register(ScalarSelect)
    def _scalar(self, node: ScalarSelect[Any], scope: Scope) -> Term:
        rows = translated(_select_of(node), scope, self, for_value=True)

        def scalar(environment: Environment) -> Value:
            values = list(rows.values(environment))
            if len(values) > 1:
                raise UnsupportedExpression("subquery-rows", f"{len(values)} rows where one value belongs: {node}")
            return values[0] if values else None

        return scalar

    @term.register(elements.Case)
    def _case(self, node: elements.Case[Any], scope: Scope) -> Term:
        subject = None if node.value is None else self.term(node.value, scope)
        whens = [(self.term(test, scope), self.term(result, scope)) for test, result in node.whens]
        otherwise = self.term(elements.Null() if node.else_ is None else node.else_, scope)

        def case(environment: Environment) -> Value:
            for test, result in whens:
                found = test(environment)
                met = truth_of(found) if subject is None else compared(operator.eq, subject(environment), found)
                if met:
                    return result(environment)
            return otherwise(environment)

        return case

    @term.register(elements.Cast)
    def _cast(self, node: elements.Cast[Any], scope: Scope) -> Term:
        if isinstance(node, elements.TryCast):
            raise UnsupportedExpression("cast", str(node))
        inner, convert = self.term(node.clause, scope), meaning.caster(node.type)
        return lambda e: convert(inner(e))

    @term.register(Function)
    def _function(self, node: Function[Any], scope: Scope) -> Term:
        arguments: list[Any] = list(node.clauses)
        if node.name in AGGREGATES and not node.packagenames:
            return self._aggregate(node, arguments, scope)
        terms = [self.term(argument, scope) for argument in arguments]
        if node.name == "coalesce" and terms and not node.packagenames:
            return lambda e: meaning.coalesced([term(e) for term in terms])
        apply = meaning.FUNCTIONS.get(node.name)
        if apply is None or len(terms) != 1 or node.packagenames:
            raise UnsupportedExpression("function", str(node))
        only = terms[0]
        return lambda e: apply(only(e))

    def _aggregate(self, node: Function[Any], arguments: list[Any], scope: Scope) -> Term:
        group, rows = scope.group, scope.rows
        if group is None or rows is None or len(arguments) != 1:
            raise UnsupportedExpression("aggregate", f"{node} outside a subquery's column")
        argument = arguments[0]
        if node.name == "count" and isinstance(argument, elements.ColumnClause) and argument.is_literal:
            return lambda e: len(e[group])
        once = isinstance(argument, elements.UnaryExpression) and argument.operator is operators.distinct_op
        if node.name in ("min", "max"):
            _refuse_enum_order(argument)
        term = self.term(argument.element if once else argument, rows)
        return lambda e: meaning.aggregated(node.name, [term(row) for row in e[group]], once=once)


def _select_of(node: Any) -> Any:
    while isinstance(node, (ScalarSelect, SelectStatementGrouping, elements.Grouping)):
        node = node.element
    return node


def _refuse_enum_order(*nodes: Any) -> None:
    if any(isinstance(node.type, types.Enum) for node in nodes):
        raise UnsupportedExpression("enum-order", "SQLite orders an enum by its text, PostgreSQL by declaration")


def _word(symbol: Any) -> str:
    word: str = getattr(symbol, "__name__", str(symbol))
    return word
