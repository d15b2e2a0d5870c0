"""What lies below a table and above it: partitions, and what one table INHERITS from another.

A statement is judged by the policies and rights of the table that it names. The rows of a partition are under those of the
table above only when they are asked for through it. So what lies below is closed to the role, under its own name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from vallum.row_security.words import quoted_text
from vallum.store.ports import Script, Statement
from vallum.store.sql import quoted

OWNERS_POLICY: Final = "vallum_owner"
FAMILY: Final = """
family (name, oid) AS (
  SELECT t, to_regclass(t)::oid FROM unnest($1::text[]) t
  UNION SELECT f.name, i.inhrelid FROM family f JOIN pg_inherits i ON i.inhparent = f.oid
)
"""
"""Each table of the first parameter, and all that lies below it, under the name of the table."""
_BELOW: Final = f"""
WITH RECURSIVE {FAMILY} SELECT DISTINCT f.oid::regclass::text FROM family f
WHERE f.oid NOT IN (SELECT g.oid FROM family g WHERE g.oid = to_regclass(g.name)) ORDER BY 1
"""
_ABOVE: Final = """
WITH RECURSIVE above (oid) AS (
  SELECT i.inhparent FROM unnest($1::text[]) t JOIN pg_inherits i ON i.inhrelid = to_regclass(t)
  UNION SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid
)
SELECT a.oid::regclass::text FROM above a
WHERE NOT EXISTS (SELECT 1 FROM unnest($1::text[]) t WHERE to_regclass(t) = a.oid) AND (
  has_table_privilege($2::text, a.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
  OR has_any_column_privilege($2::text, a.oid, 'SELECT, INSERT, UPDATE')) ORDER BY 1
"""


def with_partitions(tables: Collection[str]) -> Script[list[str]]:
    """The tables, and what lies below them."""
    return [*tables, *[name for (name,) in (yield Statement(_BELOW, [list(tables)]))]]


def open_above(tables: list[str], role: str) -> Script[list[str]]:
    """Tables above these, and not among them, to which the role has a right: through them it has the rows, too."""
    return [name for (name,) in (yield Statement(_ABOVE, [tables, role]))]


def closing(tables: Collection[str], role: str) -> str:
    """The statement that closes to the role what lies below the tables, whatever that is when it is carried out. Those of
    the tables themselves that lie below another one have policies of their own.
    """
    listed = ", ".join(map(quoted_text, tables))
    below = " ".join(_BELOW.split()).replace("$1", f"ARRAY[{listed}]")
    secured = "ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    policy = f"CREATE POLICY {OWNERS_POLICY} ON %s TO CURRENT_USER USING (TRUE) WITH CHECK (TRUE)"
    revoked = quoted_text(f" FROM {quoted(role, 'postgresql')}")
    # A foreign table has rights, and no policies.
    return (
        f"DO $vallum$ DECLARE it text; BEGIN FOR it IN {below} LOOP"
        " IF (SELECT relkind <> 'f' FROM pg_class WHERE oid = to_regclass(it)) THEN"
        f" EXECUTE format('ALTER TABLE %s {secured}', it); EXECUTE format('{policy}', it); END IF;"
        f" EXECUTE 'REVOKE ALL ON ' || it || {revoked}; END LOOP; END $vallum$"
    )
