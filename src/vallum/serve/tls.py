"""The certificate that is served: an operator's, or one of a development authority of its own."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from vallum import defaults
from vallum.crypto.certificate_file import CertificateFacts, check_issued_by, read_certificate
from vallum.crypto.certificates import development_authority, server_certificate
from vallum.crypto.errors import BadKey
from vallum.crypto.keyfile import read_secret, write_secret
from vallum.serve.files import KEYS_FOLDER

AUTHORITY_FILE: Final = "dev-ca.pem"
MAX_CERTIFICATE_BYTES: Final = defaults.MAX_SECRET_FILE_BYTES


@final
@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What the server reads."""

    certificate: Path
    key: Path


def development_files(data: Path, now: float) -> TlsFiles:
    """The development authority and its certificate under `data`, made where they are missing or about to expire.

    `<data>/dev-ca.pem` is what clients are told to trust; it lasts a year and is replaced in its last month.

    Args:
        now: Unix seconds.

    Raises:
        BadKey: others may write in one of the directories, or read a key.
    """
    keys = data / KEYS_FOLDER
    authority, authority_key = data / AUTHORITY_FILE, keys / "dev-ca.key"
    made = TlsFiles(keys / "dev-server.pem", keys / "dev-server.key")
    if not _good(authority, authority_key, now + defaults.DEVELOPMENT_AUTHORITY_RENEW_DAYS * defaults.DAY_SECONDS):
        fresh = development_authority(now)
        write_secret(authority_key, fresh.private_key_pem, replace=True)
        write_secret(authority, fresh.certificate_pem, replace=True)
    until = now + defaults.DEVELOPMENT_RENEW_DAYS * defaults.DAY_SECONDS
    if not _good(made.certificate, made.key, until) or not _issued(made.certificate, authority):
        server = server_certificate(read_secret(authority), read_secret(authority_key), now)
        write_secret(made.key, server.private_key_pem, replace=True)
        write_secret(made.certificate, server.certificate_pem, replace=True)
    return made


def read_files(files: TlsFiles) -> CertificateFacts:
    """What an operator's certificate says.

    Raises:
        BadKey: a file that is missing or no PEM, a key that is open to others or belongs to another certificate.
    """
    try:
        with files.certificate.open("rb") as file:
            certificate = file.read(MAX_CERTIFICATE_BYTES)
        key = read_secret(files.key)
    except OSError as error:
        raise BadKey("certificate_file", f"{error.filename} cannot be read: {error.strerror}") from None
    return read_certificate(certificate, key)


def covers(names: tuple[str, ...], host: str) -> bool:
    """Whether a certificate with these names stands for the host (RFC 9525 §6.3: a wildcard is one whole first label)."""
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        parent = "*." + host.partition(".")[2]
        return any(name.lower() in {host, parent} for name in names)
    return address in names


def _good(certificate: Path, key: Path, until: float) -> bool:
    """Whether both are there, belong together and last."""
    if not certificate.exists() or not key.exists():
        return False
    try:
        return read_certificate(read_secret(certificate), read_secret(key)).ends_at > until
    except BadKey as error:
        if error.reason == "secret_file_open":  # somebody else may have the key: the operator must know
            raise
        return False


def _issued(certificate: Path, authority: Path) -> bool:
    try:
        check_issued_by(read_secret(certificate), read_secret(authority))
    except BadKey:
        return False
    return True
