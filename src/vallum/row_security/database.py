"""Row-level security in a database: put there, compared with the rules, and taken away. Scripts for the tables' owner.

What was put there is written down, by table: the statements' digest, and what the catalogue then said. So two kinds of drift
can be told: rules that have changed since, and policies that somebody has changed by hand. The schema of what the policies
use is written down beside the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, final

from vallum.crypto.digest import hex256
from vallum.declare.app import API
from vallum.row_security.identity import SCHEMA
from vallum.row_security.install import Installation, installation, removal, tables_of
from vallum.row_security.partitions import FAMILY, with_partitions
from vallum.row_security.role import (
    OUR_POLICIES,
    applied,
    installed_for,
    known,
    refuse_installed,
    refuse_reader,
    refuse_role,
    refuse_tables,
    views_among,
)
from vallum.store.errors import StoreError
from vallum.store.ports import Script, Statement

_TABLE: Final = f"""
CREATE TABLE {SCHEMA}.applied (name text PRIMARY KEY, statements text NOT NULL, catalogue text NOT NULL)
"""
_PATIENCE: Final = "SET LOCAL lock_timeout = '10s'"
"""Every table is locked for a moment; requests that wait behind us must not wait for a long one before us."""
_UNDER: Final = "SELECT DISTINCT polrelid::regclass::text FROM pg_policy WHERE polname = ANY ($1::text[])"
_CATALOGUE: Final = f"""
WITH RECURSIVE {FAMILY}
SELECT f.name, md5(string_agg(concat_ws(',', c.relrowsecurity, c.relforcerowsecurity, c.relacl, (
  SELECT string_agg(concat_ws(',', p.polname, p.polcmd, p.polpermissive, p.polroles,
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)), ';' ORDER BY p.polname)
  FROM pg_policy p WHERE p.polrelid = c.oid), (
  SELECT string_agg(concat_ws(',', a.attname, a.attacl), ';' ORDER BY a.attnum)
  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)), '|' ORDER BY c.oid::regclass::text))
FROM family f LEFT JOIN pg_class c ON c.oid = f.oid GROUP BY f.name
"""
_USED: Final = """
SELECT md5(concat_ws(',', n.nspowner, n.nspacl,
  (SELECT string_agg(p::text, ';' ORDER BY p.oid) FROM pg_proc p WHERE p.pronamespace = n.oid),
  (SELECT string_agg(concat_ws(',', c.relname, c.relowner, c.relacl, c.reloptions, pg_get_viewdef(c.oid)), ';'
    ORDER BY c.relname) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'v')))
FROM pg_namespace n WHERE n.nspname = $1::text
"""
_KEEP: Final = f"INSERT INTO {SCHEMA}.applied (name, statements, catalogue) VALUES ($1::text, $2::text, $3::text)"


@final
class Drift(NamedTuple):
    """A table whose policies are not those of the rules, or what they use, or the role."""

    table: str
    drift: str


def apply(api: API, role: str) -> Callable[[], Script[int]]:
    """Put the policies there, in place of earlier ones; the number of tables.

    Raises:
        StoreError: a role that no policy holds.
        DeclarationError: a rule that cannot be a policy.
    """
    names = tables_of(api)

    def script() -> Script[int]:
        yield Statement(_PATIENCE, ())
        whole = yield from with_partitions(names)
        yield from refuse_role(role, whole)
        yield from refuse_tables(whole)
        yield from refuse_installed(role, whole)
        yield from remove()
        wanted = installation(api, role, (yield from views_among(names)))
        digests = _digests(wanted)
        for statement in [*wanted.statements, _TABLE]:
            yield Statement(statement, ())
        yield from refuse_reader(role, whole)
        for name, catalogue in (yield from _catalogue(digests)).items():
            yield Statement(_KEEP, [name, digests[name], catalogue])
        return len(wanted.tables)

    return script


def remove() -> Script[str | None]:
    """Take them away; the role that they were for, None when there were none."""
    role = yield from installed_for()
    if role is None:
        return None
    tables = [name for (name,) in (yield Statement(_UNDER, [OUR_POLICIES]))]
    for statement in removal(tables, role if (yield from known(role)) else None):
        yield Statement(statement, ())
    return role


def drifted(api: API) -> Callable[[], Script[list[Drift] | None]]:
    """The tables whose policies are others than the rules say, in the order of the resources; None where there are no
    policies at all.
    """

    def script() -> Script[list[Drift] | None]:
        role = yield from installed_for()
        if role is None:
            return None
        names = tables_of(api)
        kept = yield from applied()
        if kept is None:
            by_hand = "they were made by a script, so that there is nothing to compare them with"
            return [Drift("(all)", by_hand), *(yield from _beside(role, names))]
        wanted = _digests(installation(api, role, (yield from views_among(names))))
        present = yield from _catalogue([*wanted, *(name for name in kept if name not in wanted)])
        drifts = [Drift(name, why) for name in present if (why := _why(name, wanted, kept, present[name]))]
        return [*drifts, *(yield from _beside(role, names))]

    return script


def _why(name: str, wanted: Mapping[str, str], kept: Mapping[str, tuple[str, str]], present: str) -> str | None:
    """What is wrong with a table, or with the schema of what the policies use."""
    statements, catalogue = kept.get(name, ("", ""))
    if name not in kept:
        return "it has no policies yet"
    if name not in wanted:
        return "no resource serves it any more; `vallum rls remove` comes before `vallum rls apply`"
    if statements != wanted[name]:
        return "the rules have changed since `vallum rls apply`"
    return None if catalogue == present else "somebody else has changed its policies, grants or partitions"


def _beside(role: str, names: list[str]) -> Script[list[Drift]]:
    """What the role may do today beside the policies."""
    whole = yield from with_partitions(names)
    try:
        yield from refuse_role(role, whole)
        yield from refuse_reader(role, whole)
    except StoreError as error:
        return [Drift("(all)", f"`vallum rls apply` would refuse the role {role}: {error.mend.removesuffix('.')}")]
    return []


def _digests(wanted: Installation) -> dict[str, str]:
    parts = {**wanted.tables, SCHEMA: wanted.common}
    return {name: hex256("\n".join(statements).encode()) for name, statements in parts.items()}


def _catalogue(names: Iterable[str]) -> Script[dict[str, str]]:
    found: dict[str, str] = dict((yield Statement(_CATALOGUE, [[name for name in names if name != SCHEMA]])))
    ((used,),) = yield Statement(_USED, [SCHEMA])
    return {**found, SCHEMA: used}
