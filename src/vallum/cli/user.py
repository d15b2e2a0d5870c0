"""`vallum user`: accounts, their roles and attributes. A change counts from the next request on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final

import typer

from vallum import defaults
from vallum.audit.operator import Deed
from vallum.cli.given import App, AsJson, Data, database_of, done, settings_of
from vallum.cli.output import show, table
from vallum.crypto.password import hash_password
from vallum.declare.accounts import Account, AttributeValue, checked_account
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.serve.load import load_api
from vallum.serve.settings import Settings
from vallum.store import principals
from vallum.store.errors import StoreError
from vallum.store.ports import Row, Script
from vallum.store.principals import Change
from vallum.store.schema import principal

commands = typer.Typer(help="Accounts; a change counts from the next request on.", no_args_is_help=True)

COLUMNS: Final = ("name", "kind", "roles", "attributes", "plan", "disabled")
WORDS: Final[Mapping[str, bool]] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account: `sub` of its tokens.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="A role; may be repeated.", show_default=False)]
Attributes = Annotated[list[str] | None, typer.Option("--attr", help="key=value; may be repeated.", show_default=False)]
PlanName = Annotated[str | None, typer.Option("--plan", help="The quota plan.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="user")


@commands.command()
def add(
    name: Name,
    *,
    role: Roles = None,
    attr: Attributes = None,
    plan: PlanName = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from there.")] = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="It cannot sign in itself.")] = False,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Make an account. The password is read from the terminal, never from the arguments."""
    settings = settings_of(data=data, app=app)
    api = load_api(settings.app)
    account = checked_account(
        api, Account(name, frozenset(role or ()), attributes_of(api, attr or ()), plan or "default")
    )
    with database_of(settings) as database:
        if database.read(principals.one_account(name, database.dialect)):
            raise StoreError("account-exists", name, "Change it, or use another name.")
        hashed = None if no_password else _hashed(_password(from_stdin=password_stdin))
        deed = _deed("add", name, roles=sorted(account.roles), plan=account.plan, password=hashed is not None)
        done(database, lambda _: deed, principals.add(account, "user", time.time(), database.dialect, hashed))
    _told(settings, name, "is made", as_json=as_json)


@commands.command("list")
def list_(
    role: Annotated[str | None, typer.Option("--role", help="Only those that have it.")] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """All accounts."""
    settings = settings_of(data=data, app=app)
    with database_of(settings) as database:
        rows = [described(row) for row in database.read(principals.all_accounts(database.dialect))]
    table(COLUMNS, [row for row in rows if role is None or role in row["roles"]], as_json=as_json)


@commands.command()
def change(
    name: Name,
    *,
    role: Roles = None,
    attr: Attributes = None,
    remove_attr: Annotated[list[str] | None, typer.Option("--remove-attr", help="An attribute to take away.")] = None,
    plan: PlanName = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Give it these roles instead of its own, set or take away attributes, change its plan."""
    if not (role or attr or remove_attr or plan):
        raise typer.BadParameter("say what to change: --role, --attr, --remove-attr or --plan")
    settings = settings_of(data=data, app=app)
    api = load_api(settings.app)
    set_, removed = attributes_of(api, attr or ()), remove_attr or ()

    def script(dialect: DialectName) -> Script[int]:
        # Read and write in one transaction: two changes at once must not undo each other.
        rows = yield principals.one_account(name, dialect)
        if not rows:
            raise StoreError("account-unknown", name, "There is no account of this name.")
        present = described(rows[0])
        kept = {key: value for key, value in present["attributes"].items() if key not in removed}
        roles = frozenset(present["roles"] if role is None else role)
        account = checked_account(api, Account(name, roles, {**kept, **set_}, plan or present["plan"]))
        changing = principals.alter(
            name, dialect, roles=account.roles, attributes=account.attributes, plan=account.plan
        )
        return (yield from changing())

    given = {"roles": None if role is None else sorted(role), "plan": plan}
    attributes = sorted({*set_, *removed})
    with database_of(settings) as database:
        done(
            database,
            lambda _: _deed("change", name, **given, attributes=attributes or None),
            partial(script, database.dialect),
        )
    _told(settings, name, "is changed", as_json=as_json)


@commands.command()
def disable(name: Name, data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """It is unknown from the next request on."""
    settings = settings_of(data=data, app=app)
    _change("disable", partial(principals.disable, name), name, "is disabled", settings, as_json=as_json)


@commands.command()
def enable(name: Name, data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Undo `disable`."""
    settings = settings_of(data=data, app=app)
    _change("enable", partial(principals.enable, name), name, "is enabled", settings, as_json=as_json)


@commands.command("revoke-tokens")
def revoke_tokens(name: Name, data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Void every token that it was given until now."""
    revoking = partial(principals.revoke_tokens, name, time.time())
    settings = settings_of(data=data, app=app)
    _change("revoke-tokens", revoking, name, "has no valid token any more", settings, as_json=as_json)


def attributes_of(api: API, given: Sequence[str]) -> dict[str, AttributeValue]:
    """`key=value` by the types that the API declares.

    Raises:
        DeclarationError: `account-attribute`.
    """
    found: dict[str, AttributeValue] = {}
    for text in given:
        key, equals, value = text.partition("=")
        kind = api.attributes.get(key)
        if not equals or kind is None:
            mend = f"Write key=value with one of {', '.join(sorted(api.attributes)) or 'no attribute: the API declares none'}."
            raise DeclarationError("account-attribute", f"--attr {key}", mend)
        try:
            found[key] = WORDS[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError):
            raise DeclarationError("account-attribute", f"--attr {key}", f"It must be {kind.__name__}.") from None
    return found


def described(row: Row) -> dict[str, Any]:
    """An account as it is shown."""
    name, kind, roles, attributes, plan, disabled, created = row
    return {
        "name": name,
        "kind": kind,
        "roles": json.loads(roles),
        "attributes": json.loads(attributes),
        "plan": plan,
        "disabled": bool(disabled),
        "created": created,
    }


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal: use --password-stdin or --no-password")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _hashed(password: str) -> str:
    if len(password) < defaults.MIN_PASSWORD_CHARACTERS:
        raise typer.BadParameter(f"a password has at least {defaults.MIN_PASSWORD_CHARACTERS} characters")
    try:
        return hash_password(password)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _deed(word: str, name: str, **given: object) -> Deed:
    """For the audit: which account, and what it was given; of attributes the names."""
    note = {key: value for key, value in given.items() if value is not None}
    return Deed(f"user {word}", principal.name, {"id": name}, tuple(note), note or None)


def _change(
    word: str, changing: Callable[[DialectName], Change], name: str, told: str, settings: Settings, *, as_json: bool
) -> None:
    with database_of(settings) as database:
        done(database, lambda _: _deed(word, name), changing(database.dialect))
    _told(settings, name, told, as_json=as_json)


def _told(settings: Settings, name: str, told: str, *, as_json: bool) -> None:
    if not as_json:
        typer.echo(f"{name} {told}.")
        return
    with database_of(settings) as database:
        show(described(database.read(principals.one_account(name, database.dialect))[0]))
