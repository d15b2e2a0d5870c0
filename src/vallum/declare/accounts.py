"""Accounts that the application itself declares: demonstration data, tests, a first administrator."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from vallum.declare.errors import DeclarationError

if TYPE_CHECKING:
    from vallum.declare.app import API

AttributeValue = int | str | bool
INT64: Final = 2**63
"""Below it in size, a whole number can be compared with a column (PostgreSQL's bigint, SQLite's INTEGER)."""
UNSTORED: Final = re.compile("[\0\ud800-\udfff]")
"""Characters that PostgreSQL's text does not have."""
RESERVED: Final = "vallum:"
"""How no account's name begins: the audit names by it what no account did."""


@final
@dataclass(frozen=True, slots=True)
class Account:
    """One account to be: no password, no key; credentials are given by the operator's commands."""

    name: str
    roles: frozenset[str]
    attributes: Mapping[str, AttributeValue]
    plan: str


@final
class Accounts:
    """`api.accounts`: what is added here is written when a database is created or seeded."""

    def __init__(self, api: API) -> None:
        self._api = api
        self.declared: dict[str, Account] = {}

    def add(
        self,
        name: str,
        *,
        roles: Iterable[str] = (),
        attributes: Mapping[str, AttributeValue] | None = None,
        plan: str = "default",
    ) -> Account:
        """Declare an account; the same name again replaces it.

        Raises:
            DeclarationError: an unknown role, attribute or plan, or a value of another type.
        """
        account = checked_account(self._api, Account(name, frozenset(roles), dict(attributes or {}), plan))
        self.declared[name] = account
        return account


def held(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Those that a store can compare with a column. The others, stored by whatever means, count as not given."""
    return {
        name: value
        for name, value in attributes.items()
        # Not by a range: what is no whole number it would compare with each of its own.
        if (
            not UNSTORED.search(value) if isinstance(value, str) else isinstance(value, int) and -INT64 <= value < INT64
        )
    }


def of_declared_type(
    attributes: Mapping[str, AttributeValue], declared: Mapping[str, type]
) -> dict[str, AttributeValue]:
    """Those of the type that the API declares. The others, stored before it was another, count as not given: compared with
    a column, SQLite would take `"1"` for 1, and PostgreSQL refuse the statement.
    """
    return {name: value for name, value in attributes.items() if type(value) is declared.get(name)}


def checked_account(api: API, account: Account) -> Account:
    """The account, if every word of it is declared on the API.

    Raises:
        DeclarationError: an unknown role, attribute or plan, a value of another type, a name that cannot be one.
    """
    place = f"account {account.name!r}"
    if not 1 <= len(account.name) <= 200 or not account.name.isascii() or not account.name.isprintable():
        raise DeclarationError("account-name", place, "Use 1 to 200 printable ASCII characters.")
    if account.name.startswith(RESERVED):
        raise DeclarationError("account-name", place, f"Names that begin with {RESERVED} are not for accounts.")
    unknown = account.roles - set(api.roles)
    if unknown:
        raise DeclarationError(
            "account-role", place, f"Unknown roles {', '.join(sorted(unknown))}; known are {', '.join(api.roles)}."
        )
    if account.plan not in api.plans:
        raise DeclarationError("account-plan", place, f"Unknown plan {account.plan!r}; known are {sorted(api.plans)}.")
    for key, value in account.attributes.items():
        if key not in api.attributes:
            raise DeclarationError(
                "account-attribute", place, f"Unknown attribute {key!r}; known: {sorted(api.attributes)}."
            )
        if type(value) is not api.attributes[key]:
            raise DeclarationError("account-attribute", place, f"{key!r} must be {api.attributes[key].__name__}.")
    if held(account.attributes) != account.attributes:
        mend = "A number has at most 64 bits, a text neither NUL nor lone surrogates."
        raise DeclarationError("account-attribute", place, mend)
    return account
