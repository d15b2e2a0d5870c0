"""What of the settings leads to a PostgreSQL server: refused when others could read along, completed by its password."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from vallum.crypto.errors import BadKey
from vallum.crypto.keyfile import read_secret
from vallum.serve.errors import SettingsError
from vallum.store.postgres_address import Address

PLAIN: Final = "Leave `sslmode=disable` out: then the connection is encrypted and the server's certificate verified."


def is_plain(address: Address, *, dev: bool) -> bool:
    """Whether somebody else could read along: without TLS a unix socket is safe, in development the loopback too."""
    return not (address.tls or address.is_socket or (dev and address.is_loopback))


def complete(address: Address, password_file: Path | None, *, dev: bool) -> Address:
    """The address with its password.

    Raises:
        SettingsError: `database-plain`, `database-password-file`.
    """
    if is_plain(address, dev=dev):
        raise SettingsError("database-plain", f"database: {address}", PLAIN)
    if password_file is None:
        return address
    place = f"database_password_file: {password_file}"
    try:
        return replace(address, password=read_secret(password_file).decode().rstrip("\r\n"))
    except OSError as error:
        raise SettingsError("database-password-file", place, f"It cannot be read: {error.strerror}.") from None
    except BadKey as error:
        raise SettingsError("database-password-file", place, f"Make it a file of your own: {error.detail}.") from None
    except UnicodeDecodeError:
        raise SettingsError("database-password-file", place, "It is no text in UTF-8.") from None
