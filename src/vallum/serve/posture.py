"""What is unsafe in well-formed settings and in the files that they name. `serve` refuses errors, `check` lists all."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from vallum import defaults
from vallum.crypto.errors import BadKey
from vallum.declare.checks_finding import Finding, error, refuse, warning
from vallum.declare.errors import DeclarationError
from vallum.edge.host import allowed_hosts
from vallum.edge.proxy import Proxy
from vallum.own_files import OTHERS, OTHERS_WRITE
from vallum.serve.database import address_of
from vallum.serve.development import MARKER, is_marked
from vallum.serve.errors import SettingsError
from vallum.serve.files import DATABASE_FILE, KEYS_FOLDER
from vallum.serve.master_key import read_master_key
from vallum.serve.settings import FILE, Settings
from vallum.serve.tls import TlsFiles, covers, read_files


def findings(settings: Settings, now: float) -> list[Finding]:
    """Everything that is found, errors and warnings.

    Args:
        now: Unix seconds.
    """
    checks: tuple[Iterator[Finding], ...] = (
        _address(settings),
        _names(settings),
        _transport(settings, now),
        _processes(settings),
        _server(settings),
        _files(settings),
        _secrets(settings),
    )
    return [finding for check in checks for finding in check]


def refuse_unsafe(settings: Settings, now: float) -> None:
    """Stop when there is an error.

    Raises:
        SettingsError: with the identifier and place of the first error; its text lists all of them.
    """
    refuse(findings(settings, now), SettingsError)


def _address(settings: Settings) -> Iterator[Finding]:
    if settings.dev and not settings.loopback and settings.unix_socket is None:
        yield error(
            "development-open",
            "host",
            f"Development listens on {settings.host}, and anyone with access to the machine can make tokens.",
            "Leave `host` out, or serve without `--dev`.",
        )
    if settings.dev and settings.behind_proxy:
        yield error(
            "development-proxy",
            "unix_socket, trusted_proxies",
            "Development is for this machine alone, and a proxy lets others in.",
            "Leave them out, or serve without `--dev`.",
        )
    if not settings.public_url:
        yield error(
            "public-url-missing",
            "public_url",
            "Issuer, audience and links need the address that clients use.",
            "Set it: https://api.example.org.",
        )
    if settings.ops_port == settings.port:
        yield error("ops-port", "ops_port", "It is the port of the API itself.", "Choose another, or 0 for none.")


def _names(settings: Settings) -> Iterator[Finding]:
    """What the edge will be built from; it says itself what it cannot use."""
    if settings.public_url:
        yield from _declared(lambda: allowed_hosts(settings.allowed_hosts), "allowed_hosts")
    if settings.behind_proxy:
        networks, local = settings.trusted_proxies, settings.unix_socket is not None
        yield from _declared(lambda: Proxy.of(networks, unix_socket=local), "trusted_proxies")


def _declared(build: Callable[[], object], place: str) -> Iterator[Finding]:
    try:
        build()
    except DeclarationError as fault:
        yield error(fault.identifier, place, f"{fault.place}.", fault.mend)


def _transport(settings: Settings, now: float) -> Iterator[Finding]:
    certificate, key = settings.tls_certificate, settings.tls_key
    if settings.tls_minimum == "1.2":
        yield warning("tls-old", "tls_minimum", "TLS 1.2 is spoken.", "Leave it out when all clients speak 1.3.")
    if (certificate is None) != (key is None):
        yield error("tls-incomplete", "tls_certificate, tls_key", "One of the two is given.", "Give both, or neither.")
    elif certificate is not None and key is not None:
        yield from _certificate(TlsFiles(certificate, key), settings, now)
    elif not settings.dev and not settings.behind_proxy:
        yield error(
            "tls-missing",
            "tls_certificate, tls_key",
            "Without them everything would travel in the clear.",
            "Give both; or, behind a proxy that terminates TLS, `unix_socket` or `trusted_proxies`.",
        )
    elif not settings.dev and settings.unix_socket is None and not settings.loopback:
        yield warning(
            "proxy-plain",
            "trusted_proxies",
            "What the proxy sends travels over the network in the clear.",
            "Use a unix socket, or give this server a certificate too.",
        )


def _certificate(files: TlsFiles, settings: Settings, now: float) -> Iterator[Finding]:
    place = f"tls_certificate: {files.certificate}"
    try:
        facts = read_files(files)
    except BadKey as fault:
        yield error(fault.identifier, f"{place}, tls_key: {files.key}", f"{fault.detail}.", "Mend it.")
        return
    if now >= facts.ends_at:
        yield error("certificate-expired", place, "It has expired.", "Renew it.")
    elif now < facts.begins_at:
        yield error("certificate-not-yet", place, "It is not valid yet.", "Look at the clock of this machine.")
    elif facts.ends_at - now < defaults.EXPIRY_WARNING_DAYS * defaults.DAY_SECONDS:
        yield warning(
            "certificate-expiring",
            place,
            f"It ends in {(facts.ends_at - now) / defaults.DAY_SECONDS:.0f} days.",
            "Renew it.",
        )
    host = urlsplit(settings.public_url).hostname
    if host and not covers(facts.names, host):
        yield warning(
            "certificate-name", place, f"It does not stand for {host}.", "Clients refuse it unless a proxy is between."
        )


def _processes(settings: Settings) -> Iterator[Finding]:
    if settings.workers > 1:
        yield error(
            "workers-counters",
            "workers",
            f"Counters are in the process: {settings.workers} processes would give every caller as many quotas.",
            "Use one.",
        )


def _server(settings: Settings) -> Iterator[Finding]:
    """The way to the database."""
    if settings.database is None:
        return
    try:
        address_of(settings)
    except SettingsError as fault:
        yield error(fault.identifier, fault.place, "The database's server cannot be asked like this.", fault.mend)


def _files(settings: Settings) -> Iterator[Finding]:
    data = settings.data
    if data.exists():
        mode = data.stat().st_mode
        if mode & (OTHERS_WRITE if settings.dev else OTHERS):
            yield error(
                "data-open", f"data: {data}", "Others may enter the directory of keys and data.", f"`chmod 700 {data}`."
            )
    if is_marked(data) and not settings.dev:
        yield error(
            "development-data",
            f"data: {data}",
            f"It was made with --dev ({MARKER}): anyone who reads it makes tokens without a password.",
            "Make a database of its own: `vallum db create --data …`.",
        )
    elif settings.dev and not is_marked(data) and any((data / name).exists() for name in (DATABASE_FILE, KEYS_FOLDER)):
        yield error(
            "production-data",
            f"data: {data}",
            "It was not made with --dev, and --dev gives out tokens without a password.",
            "Make a database of its own: `vallum db create --dev --data …`.",
        )
    if Path(FILE).exists() and Path(FILE).stat().st_mode & stat.S_IWOTH:
        yield error("settings-file-open", FILE, "Anyone may write in it.", f"`chmod 644 {FILE}`.")


def _secrets(settings: Settings) -> Iterator[Finding]:
    try:
        key = read_master_key(settings.master_key_file)
    except SettingsError as fault:
        yield error(fault.identifier, fault.place, "The master key cannot be used.", fault.mend)
        return
    if key is None and not settings.dev:
        yield warning(
            "master-key-missing",
            "master_key_file",
            "The keys in `data/keys` lie on disk unencrypted, as files for their owner only.",
            "Give one from a secret store, so that a copy of the disk is not enough.",
        )
