"""What a statement of `call.db` is made of: mapped classes that are resources, and nothing that no rule reaches.

The rules are put on mapped classes, wherever these stand in a statement. A bare table, a piece of text or a class
without a resource would pass them by, also deep inside a subquery.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import Column, Select, Table, TextClause
from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.selectable import Alias, TableClause
from sqlalchemy.sql.visitors import HasTraverseInternals

# What SQLAlchemy's ORM writes on columns of mapped classes, and on those of a relationship's own condition.
_MAPPED: Final = ("parententity", "parentmapper", "remote", "local", "foreign")
# Literal text of SQLAlchemy's own: `count(*)` and `EXISTS (SELECT 1 …)`.
_HARMLESS: Final = re.compile(r"\*|[0-9]+")
_MEND: Final = "use call.unrestricted(reason)"

Tables = Collection[Any]


def check_statement(statement: Any, served: Tables, linking: Tables = ()) -> None:
    """Refuse a statement that the rules do not reach as a whole.

    Args:
        served: the tables of the resources.
        linking: tables between two of them (`secondary=`): a relationship may go through one, nobody reads it.

    Raises:
        TypeError: it has text, a table or a class without a resource in it.
    """
    nothing: Tables = ()
    waiting = [(statement, nothing)]
    while waiting:
        element, ruled = waiting.pop()
        if isinstance(element, Select):
            ruled = _ruled(element, linking, ruled)
        if not _is_whole(element, served, ruled):
            waiting += [(child, ruled) for child in _children(element)]


def _ruled(statement: Select[Any], linking: Tables, outside: Tables) -> Tables:
    """The tables whose bare columns are harmless in this SELECT, because the table stands there as its mapped class.

    So it does when it stands in the SELECT around: a subquery with a FROM of its own is correlated to that.
    """
    if statement._prefixes or statement._suffixes or statement._statement_hints:  # noqa: SLF001
        raise TypeError(f"Text in a statement goes past the rules; {_MEND}")
    columns = statement._raw_columns  # noqa: SLF001  # SQLAlchemy has no public accessor for these
    if any(element in linking or getattr(element, "table", None) in linking for element in columns):
        raise TypeError(f"A table between two others goes past the rules; {_MEND}")
    sources = (*columns, *statement._from_obj, *(join[0] for join in statement._setup_joins))  # noqa: SLF001
    entities = [entity for entity in map(_entity, sources) if entity is not None]
    mapped = {entity.local_table for entity in entities if isinstance(entity, Mapper)}
    return {*linking, *mapped, *(outside if entities else ())}


def _entity(element: Any) -> Any:
    """The mapper, or the alias of one, that an element belongs to; None for what is not the ORM's."""
    relationship = getattr(element, "property", None)
    if isinstance(relationship, RelationshipProperty):
        return relationship.mapper
    return element._annotations.get("parententity")  # noqa: SLF001


def _is_whole(element: Any, served: Tables, ruled: Tables) -> bool:
    """Whether the element is judged as it stands, without a look inside."""
    mapper = getattr(_entity(element), "mapper", None)
    if mapper is not None and mapper.local_table not in served:
        raise TypeError(f"{mapper.local_table}: not a resource, so no rule opens it; {_MEND}")
    literal = isinstance(element, ColumnClause) and element.is_literal and not _HARMLESS.fullmatch(element.name)
    if isinstance(element, TextClause) or literal:
        raise TypeError(f"Text in a statement goes past the rules; {_MEND}")
    if isinstance(element, TableClause):
        if mapper is None and element not in ruled:
            raise TypeError(f"{element}: a table goes past the rules, name its mapped class; {_MEND}")
        return True
    if isinstance(element, Column):
        return any(word in element._annotations for word in _MAPPED)  # noqa: SLF001
    if not isinstance(element, Alias) or mapper is None or not isinstance(element.element, Table):
        return False
    if isinstance(_entity(element), Mapper):
        # SQLAlchemy's own alias, of a relationship to the same class; it puts the rules on the row outside instead.
        raise TypeError(f"A class inside itself: write Model.relation.of_type(aliased(Model)), or {_MEND}")
    return True


def _children(element: Any) -> Iterable[Any]:
    if isinstance(element, Select):
        # Not its own get_children: that adds the bare tables behind mapped columns.
        return HasTraverseInternals.get_children(element, omit_attrs=("_correlate", "_correlate_except"))
    if isinstance(element, Column):
        return () if element.table is None else (element.table,)
    found: Iterable[Any] = element.get_children()
    return found
