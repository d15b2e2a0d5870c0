"""SQL as fragments: text and parameters that can be joined, and rendered for a driver at the end.

SQLAlchemy compiles each fragment once (a rule, a filter, a sort); building and compiling whole
statements would cost 1.3–4.4 ms a request. A fragment knows its parameters by name, so that
joining fragments never renumbers anything: :func:`render` does that last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from sqlalchemy import BindParameter, Column, ColumnElement, Select, Table, TextClause, literal_column, select
from sqlalchemy.engine import Dialect

from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.store.ports import Statement
from vallum.store.sql_dialects import DIALECTS, MARK, OWN_TABLE
from vallum.store.sql_parameters import NO_ATTRIBUTES, Attributes, Convert, Param, cast, converter, param
from vallum.store.sql_relations import astray

__all__ = [
    "DIALECTS",
    "Convert",
    "Param",
    "Part",
    "Prepared",
    "Sql",
    "all_of",
    "any_of",
    "cast",
    "column_sql",
    "condition",
    "converter",
    "each_dialect",
    "expression_sql",
    "joined",
    "param",
    "quoted",
    "render",
    "sql",
    "table_sql",
    "value_sql",
]

Part: TypeAlias = "str | Param | Sql"


@final
@dataclass(frozen=True, slots=True)
class Sql:
    """A fragment: texts and parameters in order."""

    parts: tuple[str | Param, ...]

    @property
    def names(self) -> frozenset[str]:
        """Names of the request's values in it."""
        return frozenset(p.name for p in self.parts if isinstance(p, Param) and p.name is not None)


def sql(*parts: Part) -> Sql:
    """Join texts, parameters and fragments."""
    flat: list[str | Param] = []
    for part in parts:
        if isinstance(part, Sql):
            flat.extend(part.parts)
        else:
            flat.append(part)
    return Sql(tuple(flat))


def joined(separator: str, fragments: Iterable[Part]) -> Sql:
    """`separator.join` for fragments."""
    parts: list[Part] = []
    for index, fragment in enumerate(fragments):
        if index:
            parts.append(separator)
        parts.append(fragment)
    return sql(*parts)


def all_of(conditions: Iterable[Part]) -> Sql:
    """Conditions joined by AND; true when there is none."""
    found = joined(" AND ", (sql("(", c, ")") for c in conditions))
    return found if found.parts else sql("TRUE")


def any_of(conditions: Iterable[Part]) -> Sql:
    """Conditions joined by OR; false when there is none."""
    found = joined(" OR ", (sql("(", c, ")") for c in conditions))
    return found if found.parts else sql("FALSE")


@final
@dataclass(frozen=True, slots=True)
class Prepared:
    """Rendered SQL: the driver's text and where its arguments come from."""

    text: str
    params: tuple[Param, ...]

    def bind(self, values: Mapping[str, Any]) -> Statement:
        """With the request's values.

        Raises:
            KeyError: a value is missing; that is an error of this program.
        """
        return Statement(
            self.text,
            [
                p.value
                if p.name is None
                else values[p.name]
                if p.convert is None or values[p.name] is None
                else p.convert(values[p.name])
                for p in self.params
            ],
        )


def render(fragment: Sql, dialect: DialectName) -> Prepared:
    """`?` for SQLite, `$n` for PostgreSQL (the same request value has one number there)."""
    texts: list[str] = []
    params: list[Param] = []
    numbers: dict[Param, int] = {}
    for part in fragment.parts:
        if isinstance(part, str):
            texts.append(part)
        elif dialect == "sqlite":
            texts.append("?")
            params.append(part)
        else:
            number = numbers.get(part) if part.name is not None else None
            if number is None:
                params.append(part)
                number = len(params)
                if part.name is not None:
                    numbers[part] = number
            texts.append(f"${number}{part.cast}")
    return Prepared("".join(texts), tuple(params))


def each_dialect(*parts: Part) -> Mapping[DialectName, Prepared]:
    """One statement for every store that has the same words for it."""
    return {dialect: render(sql(*parts), dialect) for dialect in DIALECTS}


def condition(
    expression: ColumnElement[Any],
    table: Table,
    dialect: DialectName,
    roles: tuple[str, ...] = (),
    words: Dialect | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Sql:
    """Compile an expression over the columns of `table`, as it stands behind `SELECT … FROM table WHERE`, in `words` of
    the store or others. It is compiled inside that SELECT, because only there does a subquery know that `table` is outside.

    Args:
        attributes: of the API, whose types a caller's values have.

    Raises:
        DeclarationError: the expression brings another table in, or cannot be compiled for this store.
    """
    words = DIALECTS[dialect] if words is None else words
    base: Select[Any] = select(literal_column("1")).select_from(table)
    prefix = str(base.compile(dialect=words)) + " \nWHERE "
    text, binds = _compile(base.where(expression), words, roles, table)
    if any(bind is OWN_TABLE for bind in binds):
        raise DeclarationError(
            "rule-own-table",
            f"{table.name}: {expression}",
            "A subquery reads every row of this table: use aliased(Model) there, or this model's own .has(…) and .any(…).",
        )
    if not text.startswith(prefix) or astray(expression, table) is not None:
        raise DeclarationError(
            "rule-other-table",
            f"{table.name}: {expression}",
            "A condition on another table goes through a relationship of this model: Model.relation.has(…) or .any(…).",
        )
    return _fragment(text[len(prefix) :], binds, dialect, attributes)


def expression_sql(expression: ColumnElement[Any], table: Table, dialect: DialectName) -> Sql:
    """Compile a value (a column_property, a hybrid) over the columns of `table`."""
    wrapped = condition(expression.is_not(None), table, dialect)
    last = wrapped.parts[-1]
    if not isinstance(last, str) or not last.endswith(" IS NOT NULL"):
        raise DeclarationError("expression-form", str(expression), "This expression cannot be a field.")
    return sql(*wrapped.parts[:-1], last.removesuffix(" IS NOT NULL"))


def value_sql(
    expression: ColumnElement[Any] | TextClause, dialect: DialectName, attributes: Attributes = NO_ATTRIBUTES
) -> Sql:
    """Compile a value that stands on its own: a constant, a SQL function."""
    value = literal_column(expression.text) if isinstance(expression, TextClause) else expression
    text, binds = _compile(select(value.label("vallum_value")), DIALECTS[dialect], ())
    if not text.startswith("SELECT ") or not text.endswith(" AS vallum_value"):
        raise DeclarationError("value-form", str(expression), "Give a constant, a caller's value or a SQL function.")
    return _fragment(text.removeprefix("SELECT ").removesuffix(" AS vallum_value"), binds, dialect, attributes)


def _compile(
    statement: Any, words: Dialect, roles: tuple[str, ...], table: Table | None = None
) -> tuple[str, list[BindParameter[Any]]]:
    binds: list[BindParameter[Any]] = []
    compiler = type(
        "Marking",
        (words.statement_compiler,),
        {"vallum_binds": binds, "vallum_roles": roles, "vallum_table": table},
    )
    return str(compiler(words, statement)), binds


def _fragment(text: str, binds: list[BindParameter[Any]], dialect: DialectName, attributes: Attributes) -> Sql:
    parts: list[str | Param] = []
    for index, piece in enumerate(text.split(MARK)):
        if index % 2:
            parts.append(param(binds[int(piece)], dialect, attributes))
        elif piece:
            parts.append(piece)
    return Sql(tuple(parts))


def quoted(name: str, dialect: DialectName) -> str:
    """An identifier, quoted where the dialect needs it."""
    return DIALECTS[dialect].identifier_preparer.quote(name)


def table_sql(table: Table, dialect: DialectName) -> str:
    """The table's name with its schema."""
    return str(DIALECTS[dialect].identifier_preparer.format_table(table))


def column_sql(column: Column[Any], dialect: DialectName) -> str:
    """`table.column`."""
    return f"{table_sql(column.table, dialect)}.{quoted(column.name, dialect)}"
