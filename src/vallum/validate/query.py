r"""The query of a list, an item, or a route that takes none: grammar only, no columns.

    query      = [ parameter *( "&" parameter ) ]
    parameter  = name [ "[" operator "]" ] "=" value
    operator   = "ne" / "lt" / "lte" / "gt" / "gte" / "in" / "contains" / "startswith" / "isnull"

Names and values are form-encoded UTF-8, as clients send them: `+` is a space, `%XX` a
byte. Refused: an escape that is not one, bytes that are not UTF-8, control characters,
a parameter without `=`, without a name, or that comes twice.

- `limit`, `after`, `sort`, `fields`, `count`, `include` are reserved, with an operator too:
  a column of that name can be read, but not filtered on.
- Every other parameter is a filter; without an operator it means "equal".
- `[in]` takes values separated by commas. A comma inside a value is written `\,` and a
  backslash `\\`; a backslash before anything else is refused. No other value is unescaped.
- `[isnull]` takes `true` or `false`, and nothing else.
- `include` takes names of relations separated by commas, `grades.course` for one behind another.
- `sort` and `fields` take names separated by commas; `-` in front of a name sorts descending.

All faults are found at once. What a value means for its column is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from vallum import defaults
from vallum.refusals import QUERY_INVALID, Fault, Refusal
from vallum.validate.form import decode
from vallum.validate.paths import ItemQuery, Path, read_paths

EQUAL: Final = "eq"
"""The operator of a parameter without brackets."""
OPERATORS: Final = frozenset({"ne", "lt", "lte", "gt", "gte", "in", "contains", "startswith", "isnull"})
COUNTS: Final = ("exact", "estimated")
RESERVED: Final = frozenset({"limit", "after", "sort", "fields", "count", "include"})

_OPERATORS_LISTED: Final = ", ".join(sorted(OPERATORS))
_PATTERNS: Final = frozenset({"contains", "startswith"})
# A table: no sign, no space, no leading zero, no other script's digits, and nothing above the maximum.
_LIMITS: Final = {str(number): number for number in range(1, defaults.PAGE_MAX + 1)}
# Stand for an escaped backslash and an escaped comma while [in] is split; no decoded value holds them.
_BACKSLASH, _COMMA = "\x00", "\x01"

Sort: TypeAlias = tuple[str, bool]
"""The name of a field, and whether it goes down."""


@final
@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: `name` of a field, `operator` (`eq` or one of `OPERATORS`), the decoded text.

    `values` has one element, for `in` one or more; for `isnull` it is `true` or `false`.
    """

    name: str
    operator: str
    values: tuple[str, ...]

    @property
    def pointer(self) -> str:
        """Where a fault of this filter is reported."""
        return _pointer(self.name if self.operator == EQUAL else f"{self.name}[{self.operator}]")


@final
@dataclass(frozen=True, slots=True)
class Query:
    """What a list is asked for.

    Attributes:
        limit: rows a page, 1 to `PAGE_MAX`.
        after: the cursor as sent, or None for the first page.
        sort: in order of weight; empty for the resource's own order.
        fields: the names to return; None for all that the caller may read.
        count: one of `COUNTS`, or None for no count.
        filters: all must hold; in the order sent.
        include: relations to follow, each as its names from row to row.
    """

    limit: int = defaults.PAGE_DEFAULT
    after: str | None = None
    sort: tuple[Sort, ...] = ()
    fields: tuple[str, ...] | None = None
    count: str | None = None
    filters: tuple[Filter, ...] = ()
    include: tuple[Path, ...] = ()


_PLAIN: Final = Query()


def read_query(raw: str) -> tuple[Query, list[Fault]]:
    """The query of a list, and its faults; a parameter with a fault is left out.

    Args:
        raw: what stands behind `?`, undecoded.
    """
    if not raw:
        return _PLAIN, []
    reader = _Reader()
    parameters = reader.split(raw)
    take = parameters.pop
    query = Query(
        reader.limit(take("limit")) if "limit" in parameters else defaults.PAGE_DEFAULT,
        reader.after(take("after")) if "after" in parameters else None,
        reader.sort(take("sort")) if "sort" in parameters else (),
        reader.fields(take("fields")) if "fields" in parameters else None,
        reader.count(take("count")) if "count" in parameters else None,
        include=reader.include(take("include")) if "include" in parameters else (),
        filters=reader.filters(parameters) if parameters else (),
    )
    return query, reader.faults


def read_item_query(raw: str) -> tuple[ItemQuery, list[Fault]]:
    """The query of an item, and its faults; `after` is there for an included page only."""
    if not raw:
        return ItemQuery(), []
    reader = _Reader()
    parameters = reader.split(raw)
    take = parameters.pop
    fields = reader.fields(take("fields")) if "fields" in parameters else None
    include = reader.include(take("include")) if "include" in parameters else ()
    after = reader.after(take("after")) if include and "after" in parameters else None
    reader.unknown(parameters)
    return ItemQuery(fields, include, after), reader.faults


def read_filters(raw: str) -> tuple[tuple[Filter, ...], list[Fault]]:
    """A query that takes filters and nothing else, and its faults."""
    if not raw:
        return (), []
    reader = _Reader()
    return reader.filters(reader.split(raw)), reader.faults


def reject_query(raw: str) -> None:
    """For routes that take no query.

    Raises:
        Refusal: QUERY_INVALID naming every parameter.
    """
    if not raw:
        return
    reader = _Reader()
    reader.unknown(reader.split(raw))
    refuse(reader.faults)


def refuse(faults: Sequence[Fault]) -> None:
    """Refuse a query that has faults.

    Raises:
        Refusal: QUERY_INVALID.
    """
    if faults:
        raise Refusal(QUERY_INVALID, faults=tuple(faults[: defaults.MAX_FAULTS]))


@final
class _Reader:
    """Reads the parameters of one query and keeps the faults."""

    __slots__ = ("faults",)

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def _fault(self, pointer: str, code: str, detail: str) -> None:
        self.faults.append(Fault(pointer, code, detail))

    def split(self, raw: str) -> dict[str, str]:
        """Decoded name → decoded value, in the order sent."""
        parameters: dict[str, str] = {}
        if raw.count("&") >= defaults.MAX_QUERY_PARAMETERS:
            self._fault("#query", "too_many", f"At most {defaults.MAX_QUERY_PARAMETERS} parameters.")
            return parameters
        if not raw.isascii() or not raw.isprintable() or " " in raw:  # RFC 3986 §3.4
            self._fault("#query", "encoding", "A query is percent-encoded ASCII.")
            return parameters
        plain = "%" not in raw and "+" not in raw
        for part in raw.split("&"):
            name, equals, value = part.partition("=")
            if not plain:
                try:
                    name = decode(name)
                    value = decode(value)
                except ValueError:
                    detail = "This is not percent-encoded UTF-8 without control characters."
                    self._fault(_pointer(name), "encoding", detail)
                    continue
            if not equals:
                self._fault(_pointer(name), "malformed", "A parameter has the form name=value.")
            elif name in parameters:
                self._fault(_pointer(name), "repeated", "This parameter is given more than once.")
            else:
                parameters[name] = value
        return parameters

    def unknown(self, names: Iterable[str]) -> None:
        for name in names:
            self._fault(_pointer(name), "unknown_parameter", "This parameter is not known here.")

    def limit(self, text: str) -> int:
        number = _LIMITS.get(text)
        if number is None:
            self._fault("#query/limit", "range", f"A whole number from 1 to {defaults.PAGE_MAX}.")
            return defaults.PAGE_DEFAULT
        return number

    def after(self, text: str) -> str:
        if not 0 < len(text) <= defaults.MAX_CURSOR_BYTES:
            self._fault("#query/after", "length", "The cursor of a page is sent back as it came.")
        return text

    def count(self, text: str) -> str:
        if text not in COUNTS:
            self._fault("#query/count", "choice", "Either “exact” or “estimated”.")
        return text

    def sort(self, text: str) -> tuple[Sort, ...]:
        pairs = tuple([(name[1:], True) if name[:1] == "-" else (name, False) for name in text.split(",")])
        if len(pairs) > defaults.MAX_SORTS:
            self._fault("#query/sort", "too_many", f"At most {defaults.MAX_SORTS} fields.")
        return pairs if self._are_names([name for name, _ in pairs], "#query/sort") else ()

    def fields(self, text: str) -> tuple[str, ...] | None:
        names = tuple(text.split(","))
        return names if self._are_names(names, "#query/fields") else None

    def include(self, text: str) -> tuple[Path, ...]:
        paths, faults = read_paths(text)
        self.faults += faults
        return paths

    def _are_names(self, names: Sequence[str], pointer: str) -> bool:
        before = len(self.faults)
        if not all(map(str.isidentifier, names)):
            self._fault(pointer, "name", "Names of fields, separated by commas.")
        if len(names) > 1 and len(set(names)) != len(names):
            self._fault(pointer, "repeated", "A field is named more than once.")
        return len(self.faults) == before

    def filters(self, parameters: Mapping[str, str]) -> tuple[Filter, ...]:
        if len(parameters) > defaults.MAX_FILTERS:
            self._fault("#query", "too_many", f"At most {defaults.MAX_FILTERS} filters.")
        found = [self._filter(name, text) for name, text in parameters.items()]
        return tuple([condition for condition in found if condition is not None])

    def _filter(self, parameter: str, text: str) -> Filter | None:
        before = len(self.faults)
        name, bracket, operator = parameter.partition("[")
        if not bracket:
            operator = EQUAL
        elif operator[-1:] == "]" and operator[:-1] in OPERATORS:
            operator = operator[:-1]
        else:
            self._fault(_pointer(name), "unknown_operator", f"The operators are {_OPERATORS_LISTED}.")
        if name in RESERVED:
            self._fault(_pointer(parameter), "reserved", "This name is reserved: nothing can be filtered on it.")
        elif not name.isidentifier():
            self._fault(_pointer(name), "name", "A parameter is the name of a field, or name[operator].")
        values = self._values(operator, text, parameter)
        return Filter(name, operator, values) if len(self.faults) == before else None

    def _values(self, operator: str, text: str, parameter: str) -> tuple[str, ...]:
        if operator == "in":
            return self._listed(text, parameter)
        if operator == "isnull" and text not in {"true", "false"}:
            self._fault(_pointer(parameter), "choice", "Either “true” or “false”.")
        elif operator in _PATTERNS and not 0 < len(text) <= defaults.MAX_PATTERN_CHARACTERS:
            self._fault(_pointer(parameter), "length", f"1 to {defaults.MAX_PATTERN_CHARACTERS} characters.")
        return (text,)

    def _listed(self, text: str, parameter: str) -> tuple[str, ...]:
        if "\\" in text:
            text = text.replace("\\\\", _BACKSLASH).replace("\\,", _COMMA)
            if "\\" in text:
                self._fault(_pointer(parameter), "escape", "A backslash stands only before a comma or a backslash.")
        values = text.split(",")
        if len(values) > defaults.MAX_IN_VALUES:
            self._fault(_pointer(parameter), "too_many", f"At most {defaults.MAX_IN_VALUES} values.")
        return tuple([value.replace(_BACKSLASH, "\\").replace(_COMMA, ",") for value in values])


def _pointer(parameter: str) -> str:
    """The place of a parameter. What cannot be the name of one is not echoed: the place is the whole query."""
    name, bracket, operator = parameter.partition("[")
    if not name.isidentifier():
        return "#query"
    known = not bracket or (operator[-1:] == "]" and operator[:-1] in OPERATORS)
    return f"#query/{parameter if known else name}"
