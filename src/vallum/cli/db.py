"""`vallum db`: the database of a data directory, or of a server."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from vallum.audit.operator import Deed
from vallum.cli.given import App, AsJson, Data, database_of, done, settings_of
from vallum.cli.output import show
from vallum.serve.create import create_database
from vallum.serve.database import address_of
from vallum.serve.development import mark
from vallum.serve.files import DATABASE_FILE
from vallum.serve.load import load_api
from vallum.serve.master_key import read_master_key
from vallum.serve.tls import development_files
from vallum.store import migrations
from vallum.store.schema import meta

commands = typer.Typer(help="The database of a data directory, or of a server.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="db")


@commands.command()
def create(
    seed: Annotated[
        bool, typer.Option("--seed", help="Fill it with what the application declares (`on_seed`).")
    ] = False,
    dev: Annotated[bool | None, typer.Option("--dev", help="For development: `vallum token` works on it.")] = None,
    port: Annotated[int | None, typer.Option(help="With --dev: where it will be served.")] = None,
    data: Data = None,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Make the tables, the declared accounts, the signing key and the secret of the cursors."""
    settings = settings_of(data=data, app=app, dev=dev, port=port)
    passphrase = read_master_key(settings.master_key_file)
    api = load_api(settings.app)
    seeders = api.seeders if seed else ()
    address = address_of(settings)
    accounts = create_database(
        api, settings.data, now=time.time(), seeders=seeders, passphrase=passphrase, address=address
    )
    if settings.dev:
        mark(settings.data, settings.public_url, address and str(address))
        development_files(settings.data, time.time())
    if as_json:
        made = {"data": str(settings.data), "accounts": accounts, "seeded": seed, "development": settings.dev}
        show(made if address is None else {**made, "database": str(address)})
    else:
        typer.echo(f"Made {address or settings.data / DATABASE_FILE}; accounts: {accounts}.")


def _migrated(versions: tuple[int, int]) -> Deed | None:
    if versions[0] == versions[1]:
        return None
    return Deed("db migrate", meta.name, note=dict(zip(("before", "after"), versions, strict=True)))


@commands.command()
def migrate(data: Data = None, app: App = None, as_json: AsJson = False) -> None:
    """Bring Vallum's own tables to this version; the application's are its own affair."""
    settings = settings_of(data=data, app=app)
    with database_of(settings) as database:
        before, after = done(database, _migrated, migrations.migrate(database.dialect))
    if as_json:
        show({"before": before, "after": after})
    else:
        typer.echo(f"Schema {after}, as it was." if before == after else f"Schema {before} is now {after}.")
