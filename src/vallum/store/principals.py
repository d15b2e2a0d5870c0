"""Accounts in the store. Every change moves the epoch in the same statement, which voids every cached copy.

Rows are disabled, never deleted: a new row of the same name would begin at an epoch that a cache may still hold.
The statements are the same on both stores. A change is a script for `Database.write` or `SqliteFile.write`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Literal

from vallum.declare.accounts import Account, AttributeValue, held
from vallum.declare.dialect import DialectName
from vallum.store.errors import StoreError
from vallum.store.ports import Principal, Row, Script, Statement, Violation
from vallum.store.sql import Param, Part, Prepared, each_dialect, render, sql

Kind = Literal["user", "client", "key"]
WHOLE: Final = ("roles", "attributes", "plan")
"""What an account is, apart from its name."""
Change = Callable[[], Script[int]]
"""Makes a script that returns the new epoch.

Raises:
    StoreError: `account-unknown`.
"""


def _change(*assignments: Part) -> Mapping[DialectName, Prepared]:
    where = sql(", epoch = epoch + 1 WHERE id = ", Param("id"), " RETURNING epoch")
    return each_dialect("UPDATE vallum_principal SET ", *assignments, where)


_LOAD: Final = each_dialect(
    "SELECT id, roles, attributes, plan, epoch, tokens_from FROM vallum_principal WHERE disabled = 0 AND id = ",
    *(Param("id"), " AND NOT EXISTS (SELECT 1 FROM vallum_revoked_token WHERE jti = ", Param("jti"), ")"),
)
_EPOCH: Final = each_dialect("SELECT epoch FROM vallum_principal WHERE disabled = 0 AND id = ", Param("id"))
_COLUMNS: Final = ("id", "kind", "roles", "attributes", "plan", "password", "created")
_ADD: Final = each_dialect(
    f"INSERT INTO vallum_principal ({', '.join(_COLUMNS)}, epoch, tokens_from, disabled) VALUES (",
    *(part for column in _COLUMNS for part in (Param(column), ", ")),
    "1, 0, 0) RETURNING epoch",
)
_EQUIP: Final = each_dialect(
    *("UPDATE vallum_principal SET kind = ", Param("kind"), ", epoch = epoch + 1 WHERE id = ", Param("id")),
    " AND kind = 'user' AND password IS NULL AND disabled = 0 RETURNING roles, attributes, plan",
)
_ALTER: Final = _change(
    *("roles = COALESCE(", Param("roles"), ", roles), "),
    *("attributes = COALESCE(", Param("attributes"), ", attributes), "),
    *("plan = COALESCE(", Param("plan"), ", plan)"),
)
_DISABLED: Final = _change("disabled = ", Param("disabled"))
_BUMP: Final = each_dialect(
    "UPDATE vallum_principal SET epoch = epoch + 1 WHERE id = ", Param("id"), " RETURNING epoch"
)
_REVOKE: Final = _change(
    "tokens_from = CASE WHEN tokens_from > ", Param("from"), " THEN tokens_from ELSE ", Param("from"), " END"
)
_PLANS: Final = each_dialect(
    "SELECT plan, COUNT(*), MIN(id) FROM vallum_principal WHERE disabled = 0 GROUP BY plan ORDER BY plan"
)
_SHOWN: Final = "SELECT id, kind, roles, attributes, plan, disabled, created FROM vallum_principal"
_ALL: Final = each_dialect(_SHOWN, " ORDER BY id")
_ONE: Final[Mapping[DialectName, Prepared]] = {
    "sqlite": render(sql(_SHOWN, " WHERE id = ", Param("id")), "sqlite"),
    # SQLite's single writer is a lock already.
    "postgresql": render(sql(_SHOWN, " WHERE id = ", Param("id"), " FOR UPDATE"), "postgresql"),
}
_BUMP_ALL: Final = each_dialect("UPDATE vallum_principal SET epoch = epoch + 1 RETURNING 1")


def load(name: str, dialect: DialectName, token_id: str = "") -> Statement:
    """One row for :func:`principal`, or none when the account is unknown or disabled, or that token is revoked.

    One statement, so that a revocation is seen with the epoch that it moved.
    """
    return _LOAD[dialect].bind({"id": name, "jti": token_id})


def principal(row: Row) -> Principal:
    """From a row of :func:`load`; the credential is not known here."""
    name, roles, attributes, plan, epoch_, tokens_from = row
    return Principal(name, frozenset(json.loads(roles)), held(json.loads(attributes)), plan, epoch_, tokens_from)


def epoch(name: str, dialect: DialectName) -> Statement:
    """One row with the present epoch, or none when the account is unknown or disabled."""
    return _EPOCH[dialect].bind({"id": name})


def plans(dialect: DialectName) -> Statement:
    """The plans that accounts have, for :func:`check_plans`."""
    return _PLANS[dialect].bind({})


def check_plans(rows: Iterable[Row], known: Collection[str]) -> None:
    """Refuse to serve accounts whose plan does not exist: each of their requests would be refused.

    Args:
        rows: of :func:`plans`.
        known: names of the API's plans.

    Raises:
        StoreError: `account-plan`.
    """
    for plan, accounts, first in rows:
        if plan not in known:
            place = f"account {first!r}" + (f" and {accounts - 1} more" if accounts > 1 else "")
            mend = f"Unknown plan {plan!r}; known are {sorted(known)}. Declare it in API(plans={{…}}), or give another one."
            raise StoreError("account-plan", place, mend)


def all_accounts(dialect: DialectName) -> Statement:
    """Every account: id, kind, roles, attributes, plan, disabled, created."""
    return _ALL[dialect].bind({})


def one_account(name: str, dialect: DialectName) -> Statement:
    """The same of one account, disabled or not; locked until the end of the transaction."""
    return _ONE[dialect].bind({"id": name})


def add(
    account: Account, kind: Kind, created: float, dialect: DialectName, password: str | None = None
) -> Callable[[], Script[int]]:
    """A new account.

    Args:
        created: Unix seconds.
        password: its Argon2 hash.

    Raises:
        StoreError: `account-exists`, also when that one is disabled.
    """
    statement = _ADD[dialect].bind(
        {
            "id": account.name,
            "kind": kind,
            "roles": _roles_text(account.roles),
            "attributes": _attributes_text(account.attributes),
            "plan": account.plan,
            "password": password,
            "created": int(created),
        }
    )

    def script() -> Script[int]:
        try:
            rows = yield statement
        except Violation:
            raise StoreError("account-exists", account.name, "Change it, or use another name.") from None
        return int(rows[0][0])

    return script


def equip(
    account: Account, kind: Literal["client", "key"], now: float, dialect: DialectName, given: Iterable[str] = WHOLE
) -> Callable[[], Script[Account]]:
    """The account that a first credential is for: a new one, or the one of this name that has no way in yet, neither a
    password nor another credential, as the application declares them.

    Args:
        now: Unix seconds.
        given: of the account's fields, those that were asked for: one that is there must have them so.

    Raises:
        StoreError: `account-exists`: it has a way in, is disabled, or is not as asked for.
    """
    statement = _EQUIP[dialect].bind({"id": account.name, "kind": kind})

    def script() -> Script[Account]:
        rows = yield statement
        if not rows:
            try:
                yield from add(account, kind, now, dialect)()
            except StoreError:
                mend = (
                    "It has a way in already, or is disabled: `rotate` gives a further credential. Or use another name."
                )
                raise StoreError("account-exists", account.name, mend) from None
            return account
        roles, attributes, plan = rows[0]
        found = Account(account.name, frozenset(json.loads(roles)), json.loads(attributes), plan)
        others = [field for field in given if getattr(found, field) != getattr(account, field)]
        if others:
            mend = f"It is there, with other {' and '.join(others)}: leave them out, or `vallum user change` it before."
            raise StoreError("account-exists", account.name, mend)
        return found

    return script


def alter(
    name: str,
    dialect: DialectName,
    *,
    roles: Iterable[str] | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    plan: str | None = None,
) -> Change:
    """Replace what is given and leave the rest."""
    values = {
        "roles": None if roles is None else _roles_text(roles),
        "attributes": None if attributes is None else _attributes_text(attributes),
        "plan": plan,
    }
    return _changing(name, _ALTER[dialect].bind({"id": name, **values}))


def disable(name: str, dialect: DialectName) -> Change:
    """It is unknown from the next request on."""
    return _changing(name, _DISABLED[dialect].bind({"id": name, "disabled": 1}))


def enable(name: str, dialect: DialectName) -> Change:
    """Undo :func:`disable`. Tokens from before are valid again unless they were revoked or have expired."""
    return _changing(name, _DISABLED[dialect].bind({"id": name, "disabled": 0}))


def revoke_tokens(name: str, now: float, dialect: DialectName) -> Change:
    """Void every token issued until now, those of the running second included: `iat` has whole seconds."""
    return _changing(name, _REVOKE[dialect].bind({"id": name, "from": int(now) + 1}))


def bump(name: str, dialect: DialectName) -> Change:
    """Void every cached copy of it: one of its keys has changed."""
    return _changing(name, _BUMP[dialect].bind({"id": name}))


def bump_all(dialect: DialectName) -> Callable[[], Script[int]]:
    """Void every cached principal and token, as when a signing key is revoked; returns how many accounts there are."""
    statement = _BUMP_ALL[dialect].bind({})

    def script() -> Script[int]:
        rows = yield statement
        return len(rows)

    return script


def _changing(name: str, statement: Statement) -> Change:
    def script() -> Script[int]:
        rows = yield statement
        if not rows:
            raise StoreError("account-unknown", name, "There is no account of this name.")
        return int(rows[0][0])

    return script


def _roles_text(roles: Iterable[str]) -> str:
    return json.dumps(sorted(set(roles)))


def _attributes_text(attributes: Mapping[str, AttributeValue]) -> str:
    return json.dumps(dict(attributes), ensure_ascii=False, sort_keys=True)
