"""A server certificate as an operator brings it: what it says, and whether key and chain belong to it (RFC 5280)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from vallum.crypto.errors import BadKey


@final
@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What is checked about a certificate that is to be served.

    Attributes:
        begins_at, ends_at: its validity, Unix seconds.
        names: DNS names and IP addresses that it stands for (RFC 9525 §2: of the subject alternative name only).
    """

    begins_at: float
    ends_at: float
    names: tuple[str, ...]


def read_certificate(certificate_pem: bytes, private_key_pem: bytes) -> CertificateFacts:
    """The first certificate of a file, which must be that of the key.

    Raises:
        BadKey: `certificate_malformed`, `certificate_key_encrypted`, `certificate_key_malformed`, `certificate_mismatch`.
    """
    certificate = _certificate(certificate_pem)
    try:
        key = load_pem_private_key(private_key_pem, None)
    except TypeError:
        raise BadKey("certificate_key_encrypted", "the key of the certificate must not be encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("certificate_key_malformed", "not a private key in PEM") from None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise BadKey("certificate_mismatch", "the key is not that of the first certificate in the file")
    return CertificateFacts(
        certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp(), _names(certificate)
    )


def check_issued_by(certificate_pem: bytes, authority_pem: bytes) -> None:
    """Whether the authority signed the certificate.

    Raises:
        BadKey: `certificate_malformed`, or `certificate_issuer`.
    """
    try:
        _certificate(certificate_pem).verify_directly_issued_by(_certificate(authority_pem))
    except (ValueError, TypeError, InvalidSignature):
        raise BadKey("certificate_issuer", "another authority signed this certificate") from None


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise BadKey("certificate_malformed", "not a certificate in PEM") from None


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)
