"""What `vallum key` and `vallum client` have in common: the account behind a credential, spans of time, scopes, the list."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import typer

from vallum.cli.output import table, time_text
from vallum.cli.user import attributes_of
from vallum.crypto.access_token import checked_scopes
from vallum.declare.accounts import Account, checked_account
from vallum.declare.app import API
from vallum.store.principals import WHOLE

TIMES: Final = ("created", "expires", "revoked", "last_used")
UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}
SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")


def account_of(
    api: API, name: str, roles: Sequence[str] | None, attributes: Sequence[str] | None, plan: str | None
) -> tuple[Account, list[str]]:
    """The account that a command describes, and which of its fields it names.

    Raises:
        DeclarationError: an unknown role, attribute or plan, or a value of another type.
        typer.BadParameter: an attribute that is not `NAME=VALUE`.
    """
    given = attributes_of(api, attributes or ())
    account = checked_account(api, Account(name, frozenset(roles or ()), given, plan or "default"))
    return account, [field for field, said in zip(WHOLE, (roles, attributes, plan), strict=True) if said]


def standing(account: Account) -> dict[str, object]:
    """What a reviewer needs to know of the account that got a credential."""
    return {"roles": sorted(account.roles), "plan": account.plan}


def span(text: str, option: str) -> int:
    """Seconds of `90m`, `12h` or `90d`.

    Raises:
        typer.BadParameter: another form.
    """
    match = SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter("write 90m, 12h or 90d", param_hint=option)
    return int(match[1]) * UNITS[match[2]]


def overlap_seconds(text: str) -> int:
    """Seconds of `--overlap`: a span, or 0.

    Raises:
        typer.BadParameter: another form.
    """
    return 0 if text == "0" else span(text, "--overlap")


def scopes_of(given: Sequence[str]) -> frozenset[str] | None:
    """The scopes; None when none is given: the credential is not limited by them.

    Raises:
        typer.BadParameter: they are not of the grammar.
    """
    try:
        return checked_scopes(given) or None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scope") from None


def listed(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Credentials as they are shown, with their times in RFC 3339."""
    dated = [{**row, **{name: time_text(row[name]) for name in TIMES if name in row}} for row in rows]
    table(columns, dated, as_json=as_json)


def hand_over(secret: str, told: str) -> None:
    """The secret alone on standard output, so that it can go straight into a file."""
    typer.echo(secret)
    sys.stderr.write(f"{told}\n")
