"""SQLAlchemy's compilers, made to hand out the parameters themselves and to be strict about a rule's own table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from sqlalchemy import BindParameter, Enum, Function, Integer, String, Table, cast
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TupleType

from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.declare.policy import ME_ATTRIBUTE, ME_ROLES
from vallum.declare.words import unescaped

# A NUL cannot stand in SQL text, so it marks parameters in what the compilers write.
MARK: Final = "\x00"

OWN_TABLE: Final[BindParameter[Any]] = BindParameter("vallum_own_table", None)
"""Stands among the parameters where a subquery of the rule reads the rule's own table."""
SUBQUERY: Final = 2
"""SELECTs around a FROM directly inside a rule; the first is the one that :func:`vallum.store.sql.condition` wraps it in.
Further in, a relation that leads back to the table reads it rightly.
"""


COUNTING: Final = frozenset({"left", "repeat", "right", "round", "substr", "substring"})
"""Functions of PostgreSQL that count, behind their first argument, in 32 bits only; a caller's number has 64."""


class _Marking:
    """A compiler that writes a mark for each parameter and keeps the parameter itself."""

    vallum_binds: list[BindParameter[Any]]
    vallum_roles: tuple[str, ...]
    vallum_table: Table | None = None
    vallum_position: str

    def visit_table(self, table: Any, **options: Any) -> str:
        inside = len(self.stack) == SUBQUERY  # type: ignore[attr-defined]  # a mixin of compilers
        # By ==, not `is`: a relation of another model that leads here brings an annotated copy of the table.
        own = self.vallum_table is not None and table == self.vallum_table
        if inside and options.get("asfrom") and own and options.get("enclosing_alias") is None:
            self.vallum_binds.append(OWN_TABLE)
        return str(super().visit_table(table, **options))  # type: ignore[misc]  # a mixin of compilers

    def visit_bindparam(self, bindparam: BindParameter[Any], *_: Any, **__: Any) -> str:
        if bindparam.key == ME_ROLES:
            return self._set_of(self.vallum_roles, bindparam.type)
        if isinstance(bindparam.type, TupleType):
            raise DeclarationError(
                "rule-parameter",
                "a list for several columns at once",
                "Write or_(and_(…), …) instead of tuple_(…).in_(…).",
            )
        if bindparam.expanding:
            return self._set_of(_members(bindparam), bindparam.type)
        if bindparam.type._has_bind_expression:  # noqa: SLF001  # SQLAlchemy's own compilers ask the same
            raise DeclarationError(
                "type-expression", repr(bindparam.type), "Types with SQL bind expressions are not supported."
            )
        self.vallum_binds.append(bindparam)
        return f"{MARK}{len(self.vallum_binds) - 1}{MARK}"

    # What a text contains is meant literally and by case; LIKE has wildcards, and on SQLite it ignores case.

    def visit_contains_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        text, part = self._text_and_part(binary)
        return f"({self.vallum_position}({text}, {part()}) > 0)"

    def visit_startswith_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        text, part = self._text_and_part(binary)
        return f"(substr({text}, 1, length({part()})) = {part()})"

    def visit_endswith_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        text, part = self._text_and_part(binary)
        return (
            f"(substr({text}, length({text}) - length({part()}) + 1) = {part()} AND length({part()}) <= length({text}))"
        )

    def visit_not_contains_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return f"(NOT {self.visit_contains_op_binary(binary)})"

    def visit_not_startswith_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return f"(NOT {self.visit_startswith_op_binary(binary)})"

    def visit_not_endswith_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return f"(NOT {self.visit_endswith_op_binary(binary)})"

    def _text_and_part(self, binary: Any) -> tuple[str, Callable[[], str]]:
        part = unescaped(binary)
        text = str(self.process(binary.left))  # type: ignore[attr-defined]  # a mixin of compilers
        return text, lambda: str(self.process(part))  # type: ignore[attr-defined]

    def _set_of(self, values: Iterable[Any], kind: Any) -> str:
        members = [BindParameter(None, value, type_=kind, unique=True) for value in values]
        if not members:
            return f"(SELECT {self._null(kind)} WHERE 1 = 0)"
        return f"({', '.join(self.visit_bindparam(member) for member in members)})"

    def _null(self, _: Any) -> str:
        return "NULL"


def _members(bindparam: BindParameter[Any]) -> Iterable[Any]:
    members: Iterable[Any] | None = bindparam.effective_value
    if members is None:  # of no members, a deny would deny nothing
        raise DeclarationError("rule-parameter", bindparam.key, "A set in a rule is a list of constants, or me.roles.")
    return members


class _SQLiteMarking(_Marking, SQLiteCompiler):  # type: ignore[misc]  # visit_table takes what it is given
    vallum_position = "instr"


class PostgresMarking(_Marking, PGCompiler_asyncpg):  # type: ignore[misc]  # the same
    """Text is compared by code points whatever the database's collation is, and has the case of ASCII, as on SQLite."""

    vallum_position = "strpos"

    def visit_lt_binary(self, binary: Any, *_: Any, **options: Any) -> str:
        return self._ordered(binary, "<", options)

    def visit_le_binary(self, binary: Any, *_: Any, **options: Any) -> str:
        return self._ordered(binary, "<=", options)

    def visit_gt_binary(self, binary: Any, *_: Any, **options: Any) -> str:
        return self._ordered(binary, ">", options)

    def visit_ge_binary(self, binary: Any, *_: Any, **options: Any) -> str:
        return self._ordered(binary, ">=", options)

    def visit_between_op_binary(self, binary: Any, *_: Any, **options: Any) -> str:
        return self._between(binary, "BETWEEN", options)

    def visit_not_between_op_binary(self, binary: Any, *_: Any, **options: Any) -> str:
        return self._between(binary, "NOT BETWEEN", options)

    def visit_lower_func(self, function: Any, **options: Any) -> str:
        return self._of_one(function, options)

    def visit_upper_func(self, function: Any, **options: Any) -> str:
        return self._of_one(function, options)

    def visit_max_func(self, function: Any, **options: Any) -> str:
        return self._of_one(function, options)

    def visit_min_func(self, function: Any, **options: Any) -> str:
        return self._of_one(function, options)

    def visit_function(self, func: Any, *_: Any, **options: Any) -> str:
        if func.name.lower() in COUNTING:
            first, *counts = func.clauses
            func = Function(func.name, first, *map(_count, counts), type_=func.type)
        return str(super().visit_function(func, **options))

    def _null(self, kind: Any) -> str:
        # Without a type it is a text, and no number is compared with one.
        return "NULL" if kind._isnull else f"CAST(NULL AS {self.dialect.type_compiler_instance.process(kind)})"  # noqa: SLF001

    def _of_one(self, function: Any, options: Any) -> str:
        (argument,) = function.clauses
        return f"{function.name}({self._plain(argument, options)})"

    def _ordered(self, binary: Any, sign: str, options: Any) -> str:
        return f"{self._plain(binary.left, options)} {sign} {self._plain(binary.right, options)}"

    def _between(self, binary: Any, words: str, options: Any) -> str:
        low, high = (self._plain(bound, options) for bound in binary.right.clauses)
        return f"{self._plain(binary.left, options)} {words} {low} AND {high}"

    def _plain(self, element: Any, options: Any) -> str:
        text = str(self.process(element, **options))
        if isinstance(element.type, Enum):
            return f'(CAST({text} AS TEXT) COLLATE "C")'
        return f'({text} COLLATE "C")' if isinstance(element.type, String) else text


def _count(element: Any) -> Any:
    callers = isinstance(element, BindParameter) and element.key.startswith(ME_ATTRIBUTE)
    return cast(element, Integer) if callers else element


class _PostgresApart(PostgresMarking):
    """Tables of one name in several schemas are kept apart inside a rule.

    For PostgreSQL `items` is the next table of that name around it, whatever its schema. SQLAlchemy gives it another name
    there, but not in the statement around the subquery, which is not its own.
    """

    def visit_table(self, table: Any, **options: Any) -> str:  # type: ignore[override]  # it takes what it is given
        written = super().visit_table(table, **{**options, "ambiguous_table_name_map": None})
        named = options.get("asfrom") and options.get("enclosing_alias") is None
        alias = self._alias(table) if named else None
        return written if alias is None else f"{written} AS {alias}"

    def visit_column(self, column: Any, *_: Any, **options: Any) -> str:
        written = str(super().visit_column(column, **{**options, "ambiguous_table_name_map": None}))
        alias = self._alias(column.table) if options.get("include_table", True) else None
        return written if alias is None else f"{alias}.{self.preparer.quote(column.name)}"

    def _alias(self, table: Any) -> str | None:
        mine = self.vallum_table
        if mine is None or not isinstance(table, Table) or table == mine:
            return None
        if table.schema is None and table.name != mine.name:
            return None
        return str(self.preparer.quote(f"{table.schema or ''}.{table.name}"))


class _SQLiteDialect(SQLiteDialect_pysqlite):
    statement_compiler = _SQLiteMarking  # type: ignore[mutable-override]  # the base names its own compiler
    supports_statement_cache = True


class _PostgresDialect(PGDialect_asyncpg):
    statement_compiler = _PostgresApart  # type: ignore[mutable-override]  # the base names its own compiler
    supports_statement_cache = True


DIALECTS: dict[DialectName, Dialect] = {
    "sqlite": _SQLiteDialect(paramstyle="named"),
    "postgresql": _PostgresDialect(paramstyle="named"),  # type: ignore[no-untyped-call]  # SQLAlchemy's own constructor
}
