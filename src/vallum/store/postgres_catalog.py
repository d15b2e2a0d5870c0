"""What the catalogue of a PostgreSQL database says about its objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from vallum.store.ports import Row, Statement

Read = Callable[[Statement], Awaitable[Sequence[Row]]]

# What row-level security brings along stands in no statement of ours.
_OURS: Final = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'vallum_rls')"
# A trigger or rule on a partition is one of its table; the triggers behind foreign keys are internal, and those that
# move rows of other tables count for the table that they begin at.
_OPAQUE: Final = Statement(
    f"""
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OURS} AND c.relkind NOT IN ('r', 'p', 'i', 'I', 'S', 't', 'c')
    UNION SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS}
    UNION SELECT c.relname FROM pg_trigger t JOIN pg_class c
      ON c.oid = COALESCE(pg_partition_root(t.tgrelid)::oid, t.tgrelid) WHERE NOT t.tgisinternal
    UNION SELECT c.relname FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n
      ON n.oid = c.relnamespace WHERE {_OURS}
    UNION SELECT c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid
      WHERE k.contype = 'f' AND k.confupdtype NOT IN ('a', 'r')
    UNION SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent WHERE c.relkind = 'r'
    """,
    (),
)
_DEFERRABLE: Final = Statement("SELECT EXISTS (SELECT FROM pg_constraint WHERE condeferrable)", ())
# Of several constraints of one name in one schema the statement means all.
DEFER: Final = """
    SELECT 'SET CONSTRAINTS ' || string_agg(format('%I.%I', schema, name), ', ') || ' DEFERRED' FROM (
      SELECT n.nspname AS schema, k.conname AS name FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
      WHERE has_schema_privilege(n.oid, 'USAGE')
      GROUP BY n.nspname, k.conname HAVING bool_or(k.condeferred) AND bool_and(k.condeferrable)
    ) AS deferred
    """
"""The statement that gives constraints back what they are declared to be (`INITIALLY DEFERRED`); NULL when there are none."""


async def has_deferrable(read: Read) -> bool:
    """Whether there are constraints that can wait for the commit. Asked at start, as the others."""
    found: bool = (await read(_DEFERRABLE))[0][0]
    return found


async def opaque_names(read: Read) -> frozenset[str]:
    """See `ports.Database.opaque`. Asked at start: what is made later counts from the next start on."""
    return frozenset([name for (name,) in await read(_OPAQUE)])
