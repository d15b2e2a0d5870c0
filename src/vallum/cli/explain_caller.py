"""Whose request `vallum explain` explains: the account, with what a request of it would show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from vallum.authenticate.addresses import within
from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues
from vallum.declare.accounts import of_declared_type
from vallum.store import api_keys, clients, principals
from vallum.store.errors import StoreError
from vallum.store.ports import CommandDatabase


def caller_of(
    database: CommandDatabase,
    declared: Mapping[str, type],
    name: str | None,
    address: str,
    now: float,
    *,
    development: bool,
) -> tuple[CallerValues, RequestFacts]:
    """The caller, and a request at this moment: of an account with API keys with the newest valid one, of an OAuth client
    with a token for all its scopes, of any other with one that `vallum token` makes, after a login just now.

    Args:
        declared: attributes of the API, name → type.
        development: there `vallum token` makes tokens; elsewhere such an account has no way in yet.

    Raises:
        StoreError: `account-unknown`, `api-key-unknown`, `api-key-address`, `client-unknown`.
    """
    if name is None:
        return CallerValues(None), RequestFacts(None, None, None, address, now)
    rows = database.read(principals.load(name, database.dialect))
    if not rows:
        raise StoreError("account-unknown", name, "There is no such account, or it is disabled: `vallum user list`.")
    found = principals.principal(rows[0])
    attributes = of_declared_type(found.attributes, declared)
    return CallerValues(found.id, found.roles, attributes), _facts(database, name, address, now, development)


def _facts(database: CommandDatabase, name: str, address: str, now: float, development: bool) -> RequestFacts:
    keys = [row for row in database.read(api_keys.all_keys(database.dialect)) if row[0] == name]
    if keys:
        return RequestFacts("key", None, _scopes_of_key(name, keys, address, now), address, now)
    credentials = database.read(clients.find(name, database.dialect))
    if credentials:
        # Nobody signs in for a client: its tokens have no `auth_time`.
        return RequestFacts("token", None, _scopes_of_client(name, credentials, now), address, now)
    if not development:
        mend = "It has no credential, and people cannot sign in yet (401): `vallum key add` gives it an API key."
        raise StoreError("api-key-unknown", name, mend)
    return RequestFacts("token", now, None, address, now)


def _scopes_of_key(name: str, keys: Sequence[Sequence[Any]], address: str, now: float) -> frozenset[str] | None:
    """What its key limits a request to; where no key would let one in, that is what is said."""
    valid = [key for key in (api_keys.described(row, now) for row in keys) if key["state"] == "valid"]
    if not valid:
        raise StoreError("api-key-unknown", name, "None of its keys is valid (401): `vallum key rotate` makes one.")
    scopes, networks = valid[-1]["scopes"], valid[-1]["addresses"]
    if networks is not None and not within(map(ip_network, networks), address):
        good = ", ".join(networks)
        raise StoreError(
            "api-key-address", name, f"Its key is good from {good} only (401): `--address` says from where."
        )
    return None if scopes is None else frozenset(scopes)


def _scopes_of_client(name: str, rows: Sequence[Sequence[Any]], now: float) -> frozenset[str] | None:
    """What its tokens carry when it asks for no fewer; where it would be given none, that is what is said."""
    client = clients.client(name, rows)
    if not any(credential.valid(now) for credential in client.credentials):
        mend = "None of its credentials is valid (401): `vallum client rotate` makes one."
        raise StoreError("client-unknown", name, mend)
    return client.scopes or None  # a token without a scope is not limited by scopes
