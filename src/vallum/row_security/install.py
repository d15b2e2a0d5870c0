"""The statements that put the policies into a database, and take them out again.

Two roles have to do with it. The owner of the tables, as whom Vallum itself connects, sees and writes every row: its own
statements carry the rules already. The role that is named sees what the caller in its transaction's settings may see. For
every other role the tables are closed, the owner's other members among them (FORCE).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, final

from sqlalchemy import Table

from vallum.declare.app import API
from vallum.declare.errors import DeclarationError
from vallum.declare.resource import Resource
from vallum.row_security.identity import FUNCTIONS, SCHEMA
from vallum.row_security.partitions import OWNERS_POLICY, closing
from vallum.row_security.policies import NOTHING, Policies
from vallum.row_security.role import OUR_POLICIES
from vallum.row_security.words import quoted_text, view_of
from vallum.store.sql import quoted, table_sql


@final
class Installation(NamedTuple):
    """The statements, in order; for one transaction of the tables' owner.

    Attributes:
        common: what all tables need.
        tables: name → what that table needs.
    """

    common: list[str]
    tables: dict[str, list[str]]

    @property
    def statements(self) -> list[str]:
        """All of them."""
        return [*self.common, *(statement for each in self.tables.values() for statement in each)]


def tables_of(api: API) -> list[str]:
    """The tables of the resources, as SQL names them."""
    return [table_sql(resource.table, "postgresql") for resource in api.resources.values()]


def installation(api: API, role: str, views: Collection[str] = ()) -> Installation:
    """What puts the policies there.

    Args:
        role: of the database, the one that will be under the policies.
        views: those of `tables_of` that are none. A view has no policies, so the role gets no right to it.

    Raises:
        DeclarationError: a rule that cannot be written as a policy, two resources on one table.
    """
    policies = Policies(api)
    named = quoted(role, "postgresql")
    tables = {
        name: [*_opened(name), *_policies(policies, resource, name, named), *_granted(policies, resource, name, named)]
        for resource in policies.resources
        if (name := table_sql(_checked(policies.resources, resource), "postgresql")) not in views
    }
    return Installation([*_common(role), *_views(policies.resources, tables, named), closing(tables, role)], tables)


def _common(role: str) -> Iterator[str]:
    yield f"CREATE SCHEMA {SCHEMA}"
    yield f"COMMENT ON SCHEMA {SCHEMA} IS {quoted_text(json.dumps({'role': role}))}"
    yield from FUNCTIONS
    # Who may call a function by default depends on the database (ALTER DEFAULT PRIVILEGES).
    yield f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {SCHEMA} FROM PUBLIC"
    yield f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {SCHEMA} TO {quoted(role, 'postgresql')}"


def _views(resources: Iterable[Resource], tables: Mapping[str, list[str]], role: str) -> Iterator[str]:
    """A view of every table that a policy looks into."""
    text = "\n".join(statement for each in tables.values() for statement in each)
    metadatas = {id(resource.table.metadata): resource.table.metadata for resource in resources}
    for table in [table for metadata in metadatas.values() for table in metadata.sorted_tables]:
        if f"{view_of(table)} AS " in text:
            yield f"CREATE VIEW {view_of(table)} AS SELECT * FROM {table_sql(table, 'postgresql')}"
            yield f"GRANT SELECT ON {view_of(table)} TO {role}"


def removal(tables: Iterable[str], role: str | None) -> Iterator[str]:
    """What takes an installation away, whatever rules it was made from.

    Args:
        tables: names as SQL, of those that have policies.
        role: the one that was under the policies; None when it is gone.
    """
    for name in tables:
        for policy in OUR_POLICIES:
            yield f"DROP POLICY IF EXISTS {policy} ON {name}"
        yield f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY"
        yield f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"
        if role is not None:
            yield f"REVOKE ALL ON {name} FROM {quoted(role, 'postgresql')}"
            yield _sequences_closed(name, quoted(role, "postgresql"))
    yield f"DROP SCHEMA {SCHEMA} CASCADE"


def _checked(resources: Sequence[Resource], resource: Resource) -> Table:
    if any(other is not resource and other.table is resource.table for other in resources):
        raise DeclarationError("rls-table-twice", resource.table.key, "A table has the policies of one resource.")
    return resource.table


def _opened(name: str) -> Iterator[str]:
    """Row-level security is on, and the owner's own policy lets it see every row."""
    yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
    yield f"CREATE POLICY {OWNERS_POLICY} ON {name} TO CURRENT_USER USING (TRUE) WITH CHECK (TRUE)"


def _policies(policies: Policies, resource: Resource, name: str, role: str) -> Iterator[str]:
    bodies = {
        "SELECT": (policies.select(resource), None),
        "INSERT": (None, policies.insert(resource)),
        "UPDATE": (policies.update(resource), policies.updated(resource)),
        "DELETE": (policies.delete(resource), None),
    }
    for policy, (command, (using, check)) in zip(OUR_POLICIES[1:], bodies.items(), strict=True):
        if NOTHING not in (using, check):  # without a policy nothing is allowed
            clauses = [f" USING ({using})"] if using is not None else []
            clauses += [f" WITH CHECK ({check})"] if check is not None else []
            yield f"CREATE POLICY {policy} ON {name} FOR {command} TO {role}{''.join(clauses)}"


def _granted(policies: Policies, resource: Resource, name: str, role: str) -> Iterator[str]:
    """The commands and columns that some rule opens to somebody; what no rule names, no caller reads or writes."""
    yield f"REVOKE ALL ON {name} FROM {role}"
    yield _sequences_closed(name, role)
    columns = {
        "SELECT": policies.readable(resource),
        "INSERT": policies.creatable(resource),
        "UPDATE": policies.changeable(resource),
    }
    for command, listed in columns.items():
        if listed:
            yield f"GRANT {command} ({', '.join(listed)}) ON {name} TO {role}"
    if policies.delete(resource) != NOTHING:
        yield f"GRANT DELETE ON {name} TO {role}"
    if columns["INSERT"]:
        yield from _sequences(resource, role)


def _sequences_closed(name: str, role: str) -> str:
    owned = (
        "SELECT d.objid::regclass::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'"
        " WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
        f" AND d.refobjid = to_regclass({quoted_text(name)})"
    )
    revoke = f"EXECUTE 'REVOKE ALL ON SEQUENCE ' || it || {quoted_text(f' FROM {role}')}"
    return f"DO $vallum$ DECLARE it text; BEGIN FOR it IN {owned} LOOP {revoke}; END LOOP; END $vallum$"


def _sequences(resource: Resource, role: str) -> Iterator[str]:
    """A key that counts up by a sequence of its own (SERIAL) asks for the right to that; an identity column does not."""
    name = quoted_text(table_sql(resource.table, "postgresql"))
    for column in resource.table.primary_key:
        if column is resource.table.autoincrement_column and column.identity is None:
            found = f"pg_get_serial_sequence({name}, {quoted_text(column.name)})"
            grant = f"EXECUTE 'GRANT USAGE ON SEQUENCE ' || {found} || {quoted_text(f' TO {role}')}"
            yield f"DO $vallum$ BEGIN IF {found} IS NOT NULL THEN {grant}; END IF; END $vallum$"
