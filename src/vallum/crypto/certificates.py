"""A certificate authority for development, and server certificates under it (RFC 5280).

Whoever trusts this authority on a machine must not thereby trust it for the internet:
a critical name constraint limits it to localhost, 127.0.0.1 and ::1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Final, final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vallum.crypto import random
from vallum.crypto.errors import BadKey
from vallum.defaults import DEVELOPMENT_AUTHORITY_DAYS, DEVELOPMENT_CERTIFICATE_DAYS

_DAY: Final = timedelta(days=1)
_CURVE: Final = SECP256R1()


@final
@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, both as PEM.

    Attributes:
        certificate_pem: to be published.
        private_key_pem: PKCS #8, not encrypted; for `keyfile.write_secret`.
        expires_at: Unix time in seconds.
    """

    certificate_pem: bytes
    private_key_pem: bytes = field(repr=False)
    expires_at: float


def development_authority(now: float) -> Certificate:
    """A new authority, valid for a year from `now` (Unix time in seconds).

    Its name carries a random part: two authorities of one name in a trust store would be
    taken for each other.
    """
    key = generate_private_key(_CURVE)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Vallum development CA {random.token_bytes(4).hex()}")])
    start = _moment(now)
    permitted: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ip_network("127.0.0.1/32")),
        x509.IPAddress(ip_network("::1/128")),
    ]
    builder = (
        _builder(name, name, key, start, start + timedelta(days=DEVELOPMENT_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
    )
    return _finish(builder, key, key)


def server_certificate(authority_pem: bytes, authority_key_pem: bytes, now: float) -> Certificate:
    """A new server certificate for localhost, 127.0.0.1 and ::1, valid for 30 days from `now`, or as long
    as its authority.

    Raises:
        BadKey: `authority_expired`, or `authority_malformed` (not an authority of ours, or not its key).
    """
    authority, authority_key = _read_authority(authority_pem, authority_key_pem)
    start = _moment(now)
    if start >= authority.not_valid_after_utc:
        raise BadKey("authority_expired", "make a new development authority, and trust that one")
    end = min(start + timedelta(days=DEVELOPMENT_CERTIFICATE_DAYS), authority.not_valid_after_utc)
    key = generate_private_key(_CURVE)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1"))]
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(name, authority.subject, key, start, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return _finish(builder, key, authority_key)


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(int(now), UTC)  # certificates count whole seconds


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    """What both kinds share; valid since a day ago, for clients whose clock is behind."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _DAY)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """RFC 5280 §4.2.1.3: an authority signs certificates, a server signs handshakes."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _finish(
    builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey, signer: EllipticCurvePrivateKey
) -> Certificate:
    certificate = builder.sign(signer, SHA256())
    return Certificate(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate.not_valid_after_utc.timestamp(),
    )


def _read_authority(certificate_pem: bytes, key_pem: bytes) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = load_pem_private_key(key_pem, None)
        certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except (ValueError, TypeError, x509.ExtensionNotFound):
        raise BadKey("authority_malformed", "not a development authority: make a new one") from None
    if not isinstance(key, EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        raise BadKey("authority_malformed", "certificate and key of the authority differ: make a new one")
    return certificate, key
