"""Where a PostgreSQL server is: `postgresql://user@host/database`, read strictly before anything connects.

TLS to the server is verified (the `verify-full` of libpq) unless the URL says `sslmode=disable` or names a unix
socket; who may say so is decided by who reads the settings.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from vallum.store.errors import StoreError

PORT: Final = 5432
FORM: Final = "Write postgresql://user@host/database, or postgresql://user@/database?host=/run/postgresql for a socket."
PARAMETERS: Final = frozenset({"host", "sslmode", "sslrootcert"})


@final
@dataclass(frozen=True, slots=True)
class Address:
    """A database of a server.

    Attributes:
        host: a name, an IP address, or the directory of a unix socket.
        user: None for the account of the operating system (or PGUSER).
        tls: whether the connection is encrypted and the server's name and certificate are verified.
        root_certificate: PEM file of the authorities to trust; None for those of the machine.
        password: never part of the URL; None for PGPASSWORD or a password file (PGPASSFILE, ~/.pgpass).
    """

    host: str
    port: int
    database: str
    user: str | None = None
    tls: bool = True
    root_certificate: Path | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def is_socket(self) -> bool:
        """Whether it is a unix socket of this machine."""
        return self.host.startswith("/")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can be meant."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        """The URL, which holds no secret."""
        user = "" if self.user is None else f"{quote(self.user, safe='')}@"
        host = "" if self.is_socket else f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORT else f":{self.port}"
        parameters = {
            "host": self.host if self.is_socket else None,
            "sslmode": None if self.tls or self.is_socket else "disable",
            "sslrootcert": self.root_certificate and str(self.root_certificate),
        }
        query = urlencode({name: value for name, value in parameters.items() if value}, safe="/")
        return f"postgresql://{user}{host}{port}/{quote(self.database, safe='')}{query and '?'}{query}"


def parse(url: str) -> Address:
    """Read the URL.

    Raises:
        StoreError: `database-form`, `database-password`; the message holds nothing of the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError:
        raise _malformed(FORM) from None
    if parts.scheme != "postgresql" or parts.fragment:
        raise _malformed(FORM)
    if parts.password:
        raise StoreError(
            "database-password",
            "database",
            "A URL is seen by others (arguments, logs): give the password by `database_password_file`, PGPASSWORD or "
            "PGPASSFILE. One that was written there is to be replaced.",
        )
    parameters = _parameters(parts)
    host = _host(parts, parameters)
    database = unquote(parts.path.removeprefix("/"))
    if not host or not database or "/" in database or "\x00" in host + database:
        raise _malformed(FORM)
    mode = parameters.get("sslmode", "verify-full")
    if mode not in {"verify-full", "disable"}:
        raise _malformed("sslmode is verify-full (as without it), or disable on the loopback of a development machine.")
    root = parameters.get("sslrootcert")
    return Address(
        host=host,
        port=port,
        database=database,
        user=unquote(parts.username) if parts.username else None,
        tls=mode == "verify-full" and not host.startswith("/"),
        root_certificate=Path(root) if root else None,
    )


def _parameters(parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    found = dict(pairs)
    if len(found) != len(pairs) or not found.keys() <= PARAMETERS:
        raise _malformed(f"Of parameters there are {', '.join(sorted(PARAMETERS))}, each once.")
    return found


def _host(parts: SplitResult, parameters: dict[str, str]) -> str:
    """A name or address, or a socket's directory: `?host=/run/postgresql`, or `%2Frun%2Fpostgresql` as the host."""
    host = unquote(parts.hostname or "")
    directory = parameters.get("host")
    if directory is None:
        return host
    if host or not directory.startswith("/"):
        raise _malformed(FORM)
    return directory


def _malformed(mend: str) -> StoreError:
    return StoreError("database-form", "database", mend)
