"""Who asks, for a program that asks the database itself: settings of its transaction, and the functions that read them.

A transaction without an identity sees nothing and writes nothing. One of a caller without credential says so: no name,
no roles. The settings end with the transaction; what a later one reads then is the empty text, which is no identity.

What conditions make of an instant depends on the session's time zone. So an identity counts in UTC alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from vallum.store.ports import Statement

SCHEMA: Final = "vallum_rls"
"""Nobody but its owner may name what is in it; the policies may use it."""
ME_ID_SETTING: Final = "vallum.me_id"
ME_ROLES_SETTING: Final = "vallum.me_roles"
ME_ATTRIBUTES_SETTING: Final = "vallum.me_attributes"

# In brackets with SELECT, so that PostgreSQL asks once a statement and not once a row.
ID: Final = f"(SELECT {SCHEMA}.me_id())"
ROLES: Final = f"(SELECT unnest({SCHEMA}.me_roles()))"
IDENTIFIED: Final = f"(SELECT {SCHEMA}.me_roles()) IS NOT NULL"
NOW: Final = "(SELECT now())"
TODAY: Final = "(SELECT (now() AT TIME ZONE 'UTC')::date)"

_FUNCTION: Final = "LANGUAGE sql STABLE PARALLEL SAFE RETURN"
_ROLES: Final = f"current_setting('{ME_ROLES_SETTING}', true)"
_UTC: Final = "current_setting('TimeZone') IN ('UTC', 'Etc/UTC')"
_LISTED: Final = f"ARRAY(SELECT jsonb_array_elements_text({_ROLES}::jsonb))"
_ATTRIBUTES: Final = f"NULLIF(current_setting('{ME_ATTRIBUTES_SETTING}', true), '')"
FUNCTIONS: Final = (
    f"CREATE FUNCTION {SCHEMA}.me_id() RETURNS text {_FUNCTION} NULLIF(current_setting('{ME_ID_SETTING}', true), '')",
    f"CREATE FUNCTION {SCHEMA}.me_roles() RETURNS text[] {_FUNCTION} CASE WHEN {_ROLES} <> '' AND {_UTC} THEN {_LISTED} END",
    f"CREATE FUNCTION {SCHEMA}.me_attribute(name text) RETURNS text {_FUNCTION} {_ATTRIBUTES}::jsonb ->> name",
)
"""Written in the form that PostgreSQL parses when it is made: no search_path changes what they call."""


def attribute(name: str) -> str:
    """SQL of `me.attr[name]` as text; names are identifiers."""
    return f"(SELECT {SCHEMA}.me_attribute('{name}'))"


def identity(
    name: str | None, roles: Iterable[str] = (), attributes: Mapping[str, int | str | bool] | None = None
) -> Statement:
    """The statement by which a transaction says for whom it asks. It counts until the transaction ends.

    Args:
        name: of the account; None for a caller without credential.
        roles, attributes: as `vallum user show` gives them; the database does not look them up.
    """
    arguments = (name or "", json.dumps(sorted(roles)), json.dumps(dict(attributes or {})))
    settings = (ME_ID_SETTING, ME_ROLES_SETTING, ME_ATTRIBUTES_SETTING)
    calls = [f"set_config('{setting}', ${number}::text, true)" for number, setting in enumerate(settings, 1)]
    return Statement(f"SELECT {', '.join(calls)}, set_config('TimeZone', 'UTC', true)", arguments)
