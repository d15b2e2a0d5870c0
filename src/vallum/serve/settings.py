"""Settings of a deployment: flags, then `VALLUM_…` variables, then `vallum.toml` in the current directory.

What is malformed is refused here. What is well formed and unsafe is refused by `posture`, before anything is served.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Final, Literal, final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from vallum import defaults
from vallum.serve.errors import SettingsError
from vallum.store.errors import StoreError
from vallum.store.postgres_address import Address, parse

FILE: Final = "vallum.toml"
PREFIX: Final = "VALLUM_"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


def _refused(identifier: str, mend: str) -> PydanticCustomError:
    # The identifier stands where Pydantic has the type of an error; `_named` reads it there.
    return PydanticCustomError(identifier, "{mend}", {"mend": mend})


def _split(value: Any) -> Any:
    """`a,b` of a variable or a flag; an array of vallum.toml is one already."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _origin(url: str) -> str:
    """`https://host[:port]`: issuer, audience and links are this, character by character. Empty: not given."""
    if not url:
        return url
    parts = urlsplit(url)
    if parts.scheme == "http":
        raise _refused("public-url-http", "Write https://…: an API that is reached over plain HTTP has no secrets.")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    bare = not (parts.query or parts.fragment or parts.username or parts.password or parts.path.strip("/"))
    if parts.scheme != "https" or not host or not bare or not url.isascii():
        raise _refused("public-url-form", "Write https://host or https://host:port, without a path.")
    name = f"[{host}]" if ":" in host else host
    return f"https://{name}" if port in {None, 443} else f"https://{name}:{port}"


def _address(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise _refused("host-form", "Write the IP address to listen on, such as 127.0.0.1 or 0.0.0.0.") from None


def _networks(networks: Sequence[str]) -> Sequence[str]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise _refused("proxy-network", "Write each network as 10.0.0.0/24.") from None
    return networks


def _target(target: str) -> str:
    module, colon, attribute = target.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")]):
        raise _refused("app-form", "Write module:attribute, such as school:api.")
    return target


def _database(url: Any) -> Any:
    if not isinstance(url, str):
        return url
    try:
        return parse(url)
    except StoreError as error:
        raise _refused(error.identifier, error.mend) from None


def _development_url(data: Mapping[str, Any]) -> str:
    return _origin(f"https://localhost:{data['port']}") if data["dev"] else ""


def _hosts(data: Mapping[str, Any]) -> tuple[str, ...]:
    hosts = [urlsplit(data["public_url"]).netloc] if data["public_url"] else []
    if data["dev"]:
        hosts += [f"{name}:{data['port']}" for name in ("localhost", "127.0.0.1", "[::1]")]
    return tuple(dict.fromkeys(hosts))


Texts = Annotated[Sequence[str], NoDecode, BeforeValidator(_split), AfterValidator(tuple)]
Networks = Annotated[Sequence[str], NoDecode, BeforeValidator(_split), AfterValidator(_networks), AfterValidator(tuple)]


@final
class Settings(BaseSettings):
    """One deployment. `load` reads it; the attributes are described in docs/settings.md, from here."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, toml_file=FILE, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    app: Annotated[str, AfterValidator(_target)] | None = Field(
        default=None, description="The API, as `module:attribute`; the current directory is searched first."
    )
    data: Path = Field(
        default=Path("data"), description="Directory of the keys, and of the database when `database` names no server."
    )
    database: Annotated[Address | None, NoDecode, BeforeValidator(_database)] = Field(
        default=None,
        description="`postgresql://user@host/database` instead of SQLite: TLS to the server is verified (authorities: "
        "`?sslrootcert=FILE`). `?host=DIRECTORY` names a unix socket; `?sslmode=disable` does without TLS, on the "
        "loopback with `dev` only.",
    )
    database_password_file: Path | None = Field(
        default=None,
        description="File, mode 0600, with the password for it. Otherwise PGPASSWORD, PGPASSFILE and ~/.pgpass count.",
    )
    dev: bool = Field(
        default=False, description="Development: a certificate authority of its own, `vallum token`, loopback only."
    )
    host: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1", description="IP address to listen on; only loopback with `dev`."
    )
    port: int = Field(default=defaults.PORT, ge=1, le=65535, description="TCP port to listen on.")
    public_url: Annotated[str, AfterValidator(_origin)] = Field(
        default_factory=_development_url,
        description="`https://host[:port]` as clients write it: issuer and audience of tokens, and the start of every "
        "link. Required, except with `dev`, where it is `https://localhost:PORT`.",
    )
    allowed_hosts: Texts = Field(
        default_factory=_hosts,
        description="What may stand in `Host`. By default the host of `public_url`; with `dev` also `localhost`, "
        "`127.0.0.1` and `[::1]` at the port.",
    )
    workers: int = Field(
        default=1, ge=1, le=256, description="Processes. More than one is refused while counters are in the process."
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file: the certificate, then the intermediate ones. `dev` makes its own."
    )
    tls_key: Path | None = Field(default=None, description="PEM file of its private key, mode 0600.")
    tls_minimum: Literal["1.3", "1.2"] = Field(default="1.3", description="The oldest TLS version that is spoken.")
    unix_socket: Path | None = Field(
        default=None, description="Listen on this socket instead of a port, for a proxy that terminates TLS."
    )
    trusted_proxies: Networks = Field(
        default=(), description="Networks (CIDR) of proxies that terminate TLS; nobody else may come without TLS."
    )
    master_key_file: Path | None = Field(
        default=None, description="File, mode 0600, whose content encrypts the keys in `data/keys` at rest."
    )
    audit_retention_days: int | None = Field(
        default=None, ge=1, description="Entries of the audit that were sealed longer ago are removed. By default none."
    )
    ops_port: int = Field(
        default_factory=lambda data: data["port"] + 1 if data["port"] < 65535 else data["port"] - 1,
        ge=0,
        le=65535,
        description="Loopback port of `/health/live`, `/health/ready` and `/metrics`; 0 switches it off. "
        "By default the port after `port`.",
    )
    address_per_second: float = Field(
        default=defaults.ADDRESS_PER_SECOND,
        gt=0,
        le=1_000_000,
        description="Requests a second and network address, at the edge.",
    )
    address_burst: int = Field(
        default=defaults.ADDRESS_BURST, ge=1, description="Requests of one network address at once, at the edge."
    )
    log_format: Literal["json", "pretty"] = Field(
        default_factory=lambda data: "pretty" if data["dev"] else "json",
        description="`json`: one object a line; `pretty`: for people, the default with `dev`.",
    )
    stop_seconds: int = Field(
        default=defaults.STOP_SECONDS, ge=1, le=3600, description="How long a stop waits for running requests, seconds."
    )
    header_seconds: float = Field(
        default=defaults.HEADER_SECONDS,
        gt=0,
        le=60,
        description="How long a connection may take to send a request's headers, or stay idle, seconds.",
    )
    connections: int = Field(
        default=defaults.CONNECTIONS,
        ge=16,
        le=65536,
        description="Connections served at once; more wait in the backlog.",
    )
    backlog: int = Field(
        default=defaults.BACKLOG, ge=128, le=65535, description="Connections that wait in the kernel to be served."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is Pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of precedence; no .env file, no secrets directory."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def behind_proxy(self) -> bool:
        """Whether somebody in front may terminate TLS."""
        return self.unix_socket is not None or bool(self.trusted_proxies)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return self.host in LOOPBACK


_COMMAND: Final[ContextVar[Settings | None]] = ContextVar("settings of the command", default=None)


def of_command() -> Settings:
    """Those of the command that this process carries out; without one, as `load` finds them.

    Raises:
        SettingsError: of the first malformed one.
    """
    return _COMMAND.get() or load()


def use(settings: Settings) -> Settings:
    """A command is carried out under these: an application that it imports may ask for them."""
    _COMMAND.set(settings)
    return settings


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings.

    Args:
        flags: given on the command line; None means not given.

    Raises:
        SettingsError: of the first malformed one.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    _refuse_unknown_variables()
    try:
        return Settings(**given)
    except ValidationError as error:
        raise _named(error, given) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("settings-file", FILE, f"Not TOML: {error}.") from None


def _refuse_unknown_variables() -> None:
    """A misspelt variable would leave its setting at the default, silently."""
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable.removeprefix(PREFIX).lower() not in Settings.model_fields:
            raise SettingsError("setting-unknown", variable, "There is no such setting; docs/settings.md lists them.")


def _named(error: ValidationError, flags: Mapping[str, Any]) -> SettingsError:
    """The first fault that is not the consequence of another, in our words."""
    faults = [fault for fault in error.errors(include_url=False) if fault["type"] != "default_factory_not_called"]
    fault = faults[0]
    name = str(fault["loc"][0])
    place = f"--{name.replace('_', '-')}" if name in flags else f"{FILE}: {name}"
    if name not in flags and PREFIX + name.upper() in os.environ:
        place = PREFIX + name.upper()
    if fault["type"] == "extra_forbidden":
        return SettingsError("setting-unknown", place, "There is no such setting; docs/settings.md lists them.")
    if "mend" in fault.get("ctx", {}):
        return SettingsError(fault["type"], place, fault["msg"])
    return SettingsError("setting-invalid", place, f"{fault['msg']}.")
