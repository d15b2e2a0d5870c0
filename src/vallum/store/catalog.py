"""What a database says about the tables of a declaration: asked by commands and at start, never by a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, final

from sqlalchemy import Table

from vallum.declare.dialect import DialectName
from vallum.store.ports import Script, Statement

Kind = Literal["table", "view"]
Verb = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]
VERBS: Final[tuple[Verb, ...]] = ("SELECT", "INSERT", "UPDATE", "DELETE")


@final
@dataclass(frozen=True, slots=True)
class Relation:
    """One table or view, as it is.

    Attributes:
        kind: `view` for materialised ones too.
        columns: their names; those that the model has, as it spells them, where the database reads both as one.
        allowed: privilege → the columns on which this user has it; DELETE, which has no columns, names all or none.
        led: columns with which an index over all rows begins that finds equal values.
        unique: sets of columns whose values no two rows share.
        followers: tables (schema, name) whose rows go or change when a row of this one goes; named as the models name them,
            or without a schema where the database finds them so.
        locked_sequences: sequences behind its columns' defaults of which this user may take no number.
        user: who asks.
    """

    kind: Kind
    columns: frozenset[str]
    allowed: Mapping[Verb, frozenset[str]]
    led: frozenset[str]
    unique: frozenset[frozenset[str]]
    followers: frozenset[tuple[str | None, str]]
    locked_sequences: tuple[str, ...] = ()
    user: str = ""


def relation(table: Table, dialect: DialectName) -> Script[Relation | None]:
    """The table as the database has it; None when there is none of that name."""
    return (yield from (_sqlite(table) if dialect == "sqlite" else _postgresql(table)))


# PostgreSQL ------------------------------------------------------------------------------------

# A name without a schema means what the search path finds first, as in every statement of ours.
_RELATION: Final = """
    SELECT c.oid, c.relkind::text, current_user::text,
      ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
      has_table_privilege(c.oid, 'DELETE'), has_schema_privilege(n.oid, 'USAGE')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND (n.nspname = $2 OR $2::text IS NULL AND pg_table_is_visible(c.oid))
"""
_ALLOWED: Final = """
    SELECT v, a.attname::text FROM pg_attribute a, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) v
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(a.attrelid, a.attnum, v)
"""
_INDEXES: Final = """
    SELECT i.indisunique AND i.indimmediate, m.amname IN ('btree', 'hash'),
      ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE k.place <= i.indnkeyatts ORDER BY k.place)
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL
"""
_FOLLOWERS: Final = """
    SELECT n.nspname::text, c.relname::text, pg_table_is_visible(c.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype = 'f' AND k.confrelid = $1 AND k.conparentid = 0 AND k.confdeltype IN ('c', 'n', 'd')
"""
_SEQUENCES: Final = """
    SELECT DISTINCT format('%I.%I', n.nspname, s.relname) FROM pg_attrdef a
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class s ON s.oid = d.refobjid JOIN pg_namespace n ON n.oid = s.relnamespace
    WHERE a.adrelid = $1 AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END ORDER BY 1
"""


def _postgresql(table: Table) -> Script[Relation | None]:
    rows = yield Statement(_RELATION, (table.name, table.schema))
    if not rows:
        return None
    oid, kind, user, columns, deletes, enters = rows[0]
    everything = frozenset(columns)
    allowed: dict[Verb, frozenset[str]] = dict.fromkeys(VERBS, frozenset())
    if enters:
        pairs = yield Statement(_ALLOWED, (oid,))
        allowed = {verb: frozenset(name for v, name in pairs if v == verb) for verb in VERBS}
        allowed["DELETE"] = everything if deletes else frozenset()
    indexes = yield Statement(_INDEXES, (oid,))
    followers = yield Statement(_FOLLOWERS, (oid,))
    sequences = yield Statement(_SEQUENCES, (oid,))
    return Relation(
        kind="view" if kind in {"v", "m"} else "table",
        columns=everything,
        allowed=allowed,
        led=frozenset(names[0] for _, finds, names in indexes if finds and names[0] is not None),
        unique=frozenset(frozenset(names) for unique, _, names in indexes if unique and None not in names),
        followers=frozenset(_named(table, *follower) for follower in followers),
        locked_sequences=tuple(name for (name,) in sequences),
        user=user,
    )


def _named(table: Table, schema: str, name: str, visible: bool) -> tuple[str | None, str]:
    tables = table.metadata.tables
    named = schema if f"{schema}.{name}" in tables or not visible else None
    return named, name


# SQLite ----------------------------------------------------------------------------------------

_MASTER: Final = "SELECT name, type FROM sqlite_master WHERE lower(name) = lower(?) AND type IN ('table', 'view')"
_COLUMNS: Final = "SELECT name, pk FROM pragma_table_xinfo(?) ORDER BY pk"
_LISTED: Final = """
    SELECT l.name, l."unique", i.name FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) i
    WHERE l.partial = 0 ORDER BY l.name, i.seqno
"""
_POINTING: Final = """
    SELECT DISTINCT m.name FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
    WHERE m.type = 'table' AND lower(f."table") = lower(?) AND f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
"""


def _sqlite(table: Table) -> Script[Relation | None]:
    rows = yield Statement(_MASTER, (table.name,))
    if not rows or table.schema is not None:
        return None
    name, kind = rows[0]
    as_modelled = _spelled(column.name for column in table.columns)
    described = [(as_modelled(column), place) for column, place in (yield Statement(_COLUMNS, (name,)))]
    columns = frozenset(column for column, _ in described)
    keys: dict[str, list[str | None]] = {"": [column for column, place in described if place]}
    unique = {""}
    for index, is_unique, column in (yield Statement(_LISTED, (name,))):
        keys.setdefault(index, []).append(None if column is None else as_modelled(column))
        if is_unique:
            unique.add(index)
    followers = yield Statement(_POINTING, (name,))
    table_as_modelled = _spelled(other.name for other in table.metadata.tables.values())
    return Relation(
        kind="view" if kind == "view" else "table",
        columns=columns,
        allowed=dict.fromkeys(VERBS, columns),
        led=frozenset(names[0] for names in keys.values() if names and names[0] is not None),
        unique=frozenset(frozenset(n for n in keys[i] if n) for i in unique if keys[i] and None not in keys[i]),
        followers=frozenset((None, table_as_modelled(follower)) for (follower,) in followers),
    )


def _spelled(known: Iterable[str]) -> Callable[[str], str]:
    """From a name of the database to that of a model; SQLite tells ASCII letters apart by no case."""
    names = {_folded(name): name for name in known}
    return lambda name: names.get(_folded(name), name)


def _folded(name: str) -> str:
    return name.encode().lower().decode()
