"""What a database role must not be, if policies are to hold for it; and what is in a database already."""

from __future__ import annotations

import json
from typing import Final

from vallum.row_security.identity import SCHEMA
from vallum.row_security.partitions import OWNERS_POLICY, open_above
from vallum.store.errors import StoreError
from vallum.store.ports import Script, Statement

OUR_POLICIES: Final = (OWNERS_POLICY, "vallum_select", "vallum_insert", "vallum_update", "vallum_delete")
_POWERS: Final = {
    "rolsuper": "a superuser",
    "rolbypassrls": "BYPASSRLS",
    "rolreplication": "REPLICATION, which reads everything",
    "rolcreaterole": "CREATEROLE, which can make itself a member of the owner",
}
_KNOWN: Final = "SELECT 1 FROM pg_roles WHERE rolname = $1::text"
_HELD: Final = f"""
SELECT {", ".join(f"r.{power}" for power in _POWERS)}, CASE WHEN NOT r.rolsuper THEN ARRAY(
  SELECT o.rolname::text FROM pg_roles o WHERE o.oid <> r.oid AND pg_has_role(r.oid, o.oid, 'MEMBER') ORDER BY 1) END
FROM pg_roles r WHERE r.rolname = $1::text
"""
_OWNED: Final = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.oid = ANY (SELECT to_regclass(t) FROM unnest($2::text[]) t) AND pg_has_role($1::text, c.relowner, 'MEMBER')
"""
_TABLES: Final = """
SELECT t, c.oid IS NOT NULL, pg_has_role(c.relowner, 'USAGE'),
  EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname <> ALL ($2::text[])),
  c.relrowsecurity AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)
FROM unnest($1::text[]) t LEFT JOIN pg_class c ON c.oid = to_regclass(t)
"""
_BESIDE: Final = """
SELECT t FROM unnest($2::text[]) t JOIN pg_class c ON c.oid = to_regclass(t)
JOIN pg_roles r ON r.rolname = $1::text, LATERAL (
  SELECT g.* FROM aclexplode(c.relacl) g
  UNION ALL SELECT g.* FROM pg_attribute a, aclexplode(a.attacl) g WHERE a.attrelid = c.oid
) g
WHERE g.grantee = 0 OR (g.grantee = r.oid AND (g.grantor <> c.relowner OR c.relkind NOT IN ('r', 'p')))
GROUP BY t ORDER BY t
"""
"""Of PUBLIC and of others who may grant. What the owner itself grants to the role, it takes back before it grants ours."""
_VIEWS: Final = """
SELECT t FROM unnest($1::text[]) t JOIN pg_class c ON c.oid = to_regclass(t) WHERE c.relkind NOT IN ('r', 'p')
"""
_MEMBER: Final = """
SELECT 1 FROM pg_roles r WHERE r.rolname = current_user AND NOT r.rolsuper AND pg_has_role($1::text, 'USAGE')
"""
_ELSEWHERE: Final = f"""
SELECT DISTINCT p.polrelid::regclass::text FROM pg_policy p WHERE p.polname = ANY ($2::text[])
AND p.polrelid NOT IN (SELECT c.oid FROM unnest($1::text[]) t JOIN pg_class c ON c.oid = to_regclass(t))
AND (p.polname <> '{OWNERS_POLICY}' OR p.polrelid IN (SELECT to_regclass(t) FROM unnest($3::text[]) t)) ORDER BY 1
"""
"""The third parameter: tables that were served. What has the owner's policy alone, and was not, was a part of one."""
_INSTALLED: Final = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1::text"
_BY_HAND: Final = "SELECT 1 WHERE to_regclass($1::text) IS NULL"
_APPLIED: Final = f"SELECT name, statements, catalogue FROM {SCHEMA}.applied"


def refuse_role(role: str, tables: list[str]) -> Script[None]:
    """Refuse a role that could see past the policies, or switch them off.

    Raises:
        StoreError: `rls-role-unknown`, `rls-role`, `rls-member`.
    """
    if not (yield from known(role)):
        mend = f"There is no such role: `CREATE ROLE {role} LOGIN` makes it."
        raise StoreError("rls-role-unknown", role, mend)
    ((*powers, roles),) = yield Statement(_HELD, [role])
    reasons = [f"it is {word}" for word, held in zip(_POWERS.values(), powers, strict=True) if held]
    reasons += [f"it is a member of {name}, whose rights no rule gives" for name in roles or ()]
    reasons += [f"it owns {name}" for (name,) in (yield Statement(_OWNED, [role, tables]))]
    if reasons:
        raise StoreError("rls-role", role, f"Policies would not hold for it: {'; '.join(reasons)}. Use a role without.")
    if (yield Statement(_MEMBER, [role])):
        mend = f"The owner is a member of it and would be under its policies: `REVOKE {role} FROM CURRENT_USER`."
        raise StoreError("rls-member", role, mend)


def refuse_tables(tables: list[str]) -> Script[None]:
    """Refuse tables that are not there, not ours, or under policies of somebody else's, which would add to what is seen.

    Raises:
        StoreError: `rls-table`, `rls-owner`, `rls-policies`.
    """
    for table, exists, mine, others, closed in (yield Statement(_TABLES, [tables, OUR_POLICIES])):
        if not exists:
            raise StoreError("rls-table", table, "The database has no such table.")
        if not mine:
            raise StoreError("rls-owner", table, "Only its owner can do that: connect as the owner.")
        if others or closed:
            raise StoreError("rls-policies", table, "It has row-level security of its own; take that away before.")


def refuse_installed(role: str, tables: list[str]) -> Script[None]:
    """Refuse to replace what is there for somebody else. A database has one installation, and whoever makes another one takes
    the earlier away: that of another API, by mistake.

    Raises:
        StoreError: `rls-installed`.
    """
    earlier = yield from installed_for()
    if earlier is not None and earlier != role:
        mend = f"The policies in this database are for the role {earlier}: `vallum rls remove` takes them away."
        raise StoreError("rls-installed", role, mend)
    served = list((yield from applied()) or ())
    elsewhere = [name for (name,) in (yield Statement(_ELSEWHERE, [tables, OUR_POLICIES, served]))]
    if elsewhere:
        mend = (
            f"Policies stand on {', '.join(elsewhere)}, which this API does not serve: another one does, or an earlier version."
            " A database has those of one API. `vallum rls remove` takes them away."
        )
        raise StoreError("rls-installed", role, mend)


def views_among(tables: list[str]) -> Script[frozenset[str]]:
    """Those that are no tables."""
    return frozenset([name for (name,) in (yield Statement(_VIEWS, [tables]))])


def refuse_reader(role: str, tables: list[str]) -> Script[None]:
    """Refuse a role that may name what the policies alone may use, or has more of a table than the owner gave it: other
    columns, or a TRUNCATE, which no policy is asked for; or may ask for its rows through a table above it.

    Raises:
        StoreError: `rls-role`.
    """
    ((may,),) = yield Statement("SELECT has_schema_privilege($1::text, $2::text, 'USAGE, CREATE')", [role, SCHEMA])
    if may:
        raise StoreError("rls-role", role, f"It may use the schema {SCHEMA}, whose views show every row.")
    beside = [table for (table,) in (yield Statement(_BESIDE, [role, tables]))]
    if beside:
        mend = (
            f"By PUBLIC or somebody else's GRANT, it has rights beside the rules to {', '.join(beside)}: `REVOKE` them."
        )
        raise StoreError("rls-role", role, mend)
    above = yield from open_above(tables, role)
    if above:
        mend = f"It has rights to {', '.join(above)}, which show the rows of tables below that are under the rules: `REVOKE` them."
        raise StoreError("rls-role", role, mend)


def known(role: str) -> Script[bool]:
    """Whether there is such a role."""
    return bool((yield Statement(_KNOWN, [role])))


def installed_for() -> Script[str | None]:
    """The role that an installation in this database is for; None when there is none."""
    found = yield Statement(_INSTALLED, [SCHEMA])
    if not found:
        return None
    role: str = json.loads(found[0][0] or "{}").get("role", "")
    return role


def applied() -> Script[dict[str, tuple[str, str]] | None]:
    """What was written down of an installation, by table; None where nothing was, as when a script made it."""
    if (yield Statement(_BY_HAND, [f"{SCHEMA}.applied"])):
        return None
    return {name: (statements, catalogue) for name, statements, catalogue in (yield Statement(_APPLIED, ()))}
