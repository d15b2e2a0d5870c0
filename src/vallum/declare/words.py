"""A rule in words: its condition as SQL that a person reads, with `me.id` and constants in place of parameters.

For people and for comparison; nothing is ever run from it. The same expression has the same words each time.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Select, Table, literal_column, select
from sqlalchemy.engine.default import StrCompileDialect
from sqlalchemy.sql.compiler import StrSQLCompiler
from sqlalchemy.sql.elements import True_

from vallum.declare.policy import word_of
from vallum.declare.when import When

# A NUL cannot stand in SQL text, so it marks values in what the compiler writes.
MARK: Final = "\x00"
UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
"""Seconds of a span's unit, largest first."""


def condition_words(expression: ColumnElement[Any], table: Table) -> str:
    """The condition as it stands behind `SELECT … FROM table WHERE`; empty when every row meets it."""
    if isinstance(expression, True_):
        return ""
    # Inside that SELECT, because only there does a subquery know that `table` is outside.
    statement: Select[Any] = select(literal_column("1")).select_from(table).where(expression)
    return _compiled(statement).partition(" WHERE ")[2]


def value_words(expression: ColumnElement[Any]) -> str:
    """A value that stands on its own, such as one of `set=`."""
    return _compiled(expression)


def when_words(when: When | None) -> tuple[str, ...]:
    """Each condition on the request; all of them must hold."""
    return () if when is None else tuple(_when(when))


def constant_words(value: object) -> str:
    """A constant as SQL would have it. What is not printable is escaped, since it could show something else than it says.

    No two constants of a type have the same words.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case enum.Enum():
            return constant_words(value.value)
        case str():
            return f"'{''.join(map(_shown, value))}'"
        case date() | datetime() | time():
            return f"'{value.isoformat()}'"
        case timedelta():
            return f"'{span_words(value)}'"
        case UUID():
            return f"'{value}'"
        case bytes():
            return f"x'{value.hex()}'"
        case list() | tuple() | dict():
            return constant_words(json.dumps(value, ensure_ascii=False, default=str))
        case _:
            return str(value)


def _shown(character: str) -> str:
    if character in "'\\":
        return character * 2
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def span_words(span: timedelta) -> str:
    """`1 h 30 min`."""
    left, words = span.total_seconds(), []
    for seconds, unit in UNITS:
        count, left = divmod(left, seconds)
        if count:
            words.append(f"{count:g} {unit}")
    if left or not words:
        words.append(f"{left:g} s")
    return " ".join(words)


def unescaped(binary: Any) -> Any:
    """What `contains`, `startswith` and `endswith` look for; `autoescape=True` has put escapes into a constant."""
    part = binary.right
    escape = (binary.modifiers or {}).get("escape")
    if isinstance(part, BindParameter) and isinstance(part.value, str) and escape:
        return BindParameter(None, re.sub(re.escape(escape) + "(.)", r"\1", part.value), type_=part.type, unique=True)
    return part


def _when(when: When) -> Iterator[str]:
    if when.credential is not None:
        yield f"credential is {' or '.join(sorted(when.credential))}"
    if when.login_within is not None:
        yield f"login within {span_words(when.login_within)}"
    if when.scope is not None:
        yield f"scope {when.scope}"
    if when.networks is not None:
        yield f"from {', '.join(sorted(map(str, when.networks)))}"
    if when.between is not None:
        start, end = (moment.isoformat("auto").removesuffix(":00") for moment in when.between)
        yield f"from {start} to {end} {when.zone.key}"


class _Words(StrSQLCompiler):
    """A compiler whose values are marks, so that the spaces of its own text can be told from those of a constant."""

    vallum_values: list[str]

    def visit_bindparam(self, bindparam: BindParameter[Any], *_: Any, **__: Any) -> str:
        word = word_of(bindparam.key)
        if word is not None:
            return self._marked(word)
        if bindparam.expanding:
            members: Sequence[object] = list(bindparam.effective_value or ())
            return self._marked(f"({', '.join(constant_words(member) for member in members)})")
        return self._marked(constant_words(bindparam.effective_value))

    def _marked(self, text: str) -> str:
        self.vallum_values.append(text)
        return f"{MARK}{len(self.vallum_values) - 1}{MARK}"

    # Vallum means these literally and by case: LIKE, which the compiler would write, has wildcards.

    def visit_contains_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return self._text_search(binary, "CONTAINS")

    def visit_startswith_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return self._text_search(binary, "STARTS WITH")

    def visit_endswith_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return self._text_search(binary, "ENDS WITH")

    def visit_not_contains_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return f"NOT {self._text_search(binary, 'CONTAINS')}"

    def visit_not_startswith_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return f"NOT {self._text_search(binary, 'STARTS WITH')}"

    def visit_not_endswith_op_binary(self, binary: Any, *_: Any, **__: Any) -> str:
        return f"NOT {self._text_search(binary, 'ENDS WITH')}"

    def _text_search(self, binary: Any, words: str) -> str:
        return f"{self.process(binary.left)} {words} {self.process(unescaped(binary))}"


class _WordsDialect(StrCompileDialect):
    statement_compiler = _Words  # type: ignore[mutable-override]  # the base names its own compiler
    supports_statement_cache = True


_DIALECT: Final = _WordsDialect()


def _compiled(statement: Any) -> str:
    values: list[str] = []
    compiler = type("Words", (_Words,), {"vallum_values": values})
    text = " ".join(str(compiler(_DIALECT, statement)).split())
    pieces = text.split(MARK)
    return "".join(values[int(piece)] if index % 2 else piece for index, piece in enumerate(pieces))
