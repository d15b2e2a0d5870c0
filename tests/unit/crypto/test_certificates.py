from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from vallum.crypto import BadKey, certificates
from vallum.crypto.certificates import Certificate

NOW = datetime.now(UTC).timestamp()  # OpenSSL compares with the real clock
DAY = 86_400
AUTHORITY = certificates.development_authority(NOW)
SERVER = certificates.server_certificate(AUTHORITY.certificate_pem, AUTHORITY.private_key_pem, NOW)


def parsed(certificate: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.certificate_pem)


def handshake(server: Certificate, authority: Certificate, host: str, folder: Path) -> None:
    """A whole TLS 1.3 handshake by OpenSSL in memory, with strict checks of RFC 5280."""
    (folder / "server.pem").write_bytes(server.certificate_pem + server.private_key_pem)
    offering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    offering.load_cert_chain(folder / "server.pem")
    asking = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=host)
    answer = offering.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, answer):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() == "TLSv1.3"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_handshake(tmp_path: Path, host: str) -> None:
    """OpenSSL accepts the server by each of its three names."""
    handshake(SERVER, AUTHORITY, host, tmp_path)


@pytest.mark.parametrize("host", ["example.com", "a.localhost", "127.0.0.2"])
def test_handshake_by_other_names(tmp_path: Path, host: str) -> None:
    """By any other name it does not."""
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(SERVER, AUTHORITY, host, tmp_path)


def test_handshake_under_another_authority(tmp_path: Path) -> None:
    """A second authority, although made the same way, does not vouch for the first one's servers."""
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(SERVER, certificates.development_authority(NOW), "localhost", tmp_path)


def forged(name: x509.GeneralName) -> Certificate:
    """A server certificate for another name under our authority, by somebody who has its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = parsed(AUTHORITY)
    signer = load_pem_private_key(AUTHORITY.private_key_pem, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    moment = datetime.fromtimestamp(NOW, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Evil")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return certificates._finish(builder, key, signer)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (x509.DNSName("example.com"), "example.com"),
        (x509.IPAddress(ip_address("192.0.2.1")), "192.0.2.1"),
        (x509.IPAddress(ip_address("127.0.0.2")), "127.0.0.2"),
        (x509.IPAddress(ip_address("2001:db8::1")), "2001:db8::1"),
    ],
    ids=str,
)
def test_stolen_authority_is_worth_nothing_elsewhere(tmp_path: Path, name: x509.GeneralName, host: str) -> None:
    """A certificate for another site under our authority is refused by OpenSSL for its name constraint."""
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(forged(name), AUTHORITY, host, tmp_path)


def test_forger_reaches_localhost(tmp_path: Path) -> None:
    """The control for the test above: the same forgery for localhost is accepted, so the name made the difference."""
    handshake(forged(x509.DNSName("localhost")), AUTHORITY, "localhost", tmp_path)


def test_second_implementation() -> None:
    """The path validation of the cryptography package (webpki profile) accepts localhost and refuses others."""
    policy = PolicyBuilder().store(Store([parsed(AUTHORITY)])).time(datetime.fromtimestamp(NOW, UTC))
    for name in (x509.DNSName("localhost"), x509.IPAddress(ip_address("::1"))):
        chain = policy.build_server_verifier(name).verify(parsed(SERVER), [])
        assert chain[0] == parsed(SERVER)
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("example.com")).verify(
            parsed(forged(x509.DNSName("example.com"))), []
        )


def test_authority_extensions() -> None:
    """An authority that signs certificates for servers only one step below it, and for localhost only."""
    extensions = parsed(AUTHORITY).extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    constraints = extensions.get_extension_for_class(x509.NameConstraints)
    assert basic.critical
    assert usage.critical
    assert constraints.critical
    assert (basic.value.ca, basic.value.path_length) == (True, 0)
    assert (usage.value.key_cert_sign, usage.value.digital_signature) == (True, False)
    assert constraints.value.excluded_subtrees is None
    assert constraints.value.permitted_subtrees == [
        x509.DNSName("localhost"),
        x509.IPAddress(ip_network("127.0.0.1/32")),
        x509.IPAddress(ip_network("::1/128")),
    ]


def test_server_extensions() -> None:
    """A server certificate: no authority, three names, only for servers, linked to the key that signed it."""
    extensions = parsed(SERVER).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    above = parsed(AUTHORITY).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    link = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert link.key_identifier == above.digest


def test_keys_and_signatures() -> None:
    """Both keys are P-256 and belong to their certificates; both are signed with SHA-256."""
    for certificate in (AUTHORITY, SERVER):
        key = load_pem_private_key(certificate.private_key_pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == parsed(certificate).public_key()
        assert isinstance(parsed(certificate).signature_hash_algorithm, SHA256)
    assert AUTHORITY.private_key_pem != SERVER.private_key_pem


@pytest.mark.parametrize(("certificate", "days"), [(AUTHORITY, 365), (SERVER, 30)], ids=["authority", "server"])
def test_validity(certificate: Certificate, days: int) -> None:
    """From a day ago, for clocks that are behind, to 365 or 30 days from now, to the second."""
    assert parsed(certificate).not_valid_before_utc.timestamp() == int(NOW) - DAY
    assert parsed(certificate).not_valid_after_utc.timestamp() == int(NOW) + days * DAY
    assert certificate.expires_at == int(NOW) + days * DAY


def test_server_ends_with_its_authority() -> None:
    """In the last days of an authority its servers end with it; at its end, and later, it makes none."""
    pems = AUTHORITY.certificate_pem, AUTHORITY.private_key_pem
    late = certificates.server_certificate(*pems, AUTHORITY.expires_at - 10 * DAY)
    assert late.expires_at == AUTHORITY.expires_at
    assert certificates.server_certificate(*pems, AUTHORITY.expires_at - 1).expires_at == AUTHORITY.expires_at
    for now in (AUTHORITY.expires_at, AUTHORITY.expires_at + DAY):
        with pytest.raises(BadKey, match="authority_expired"):
            certificates.server_certificate(*pems, now)


def test_authorities_differ() -> None:
    """Two authorities have two names, keys and serial numbers, so that a trust store can tell them apart."""
    other = parsed(certificates.development_authority(NOW))
    assert other.subject != parsed(AUTHORITY).subject
    assert other.serial_number != parsed(AUTHORITY).serial_number
    assert other.public_key() != parsed(AUTHORITY).public_key()


def test_not_an_authority_of_ours() -> None:
    """Nonsense, a server certificate, and a key of another authority sign nothing."""
    other = certificates.development_authority(NOW)
    for certificate_pem, key_pem in (
        (b"", b""),
        (AUTHORITY.certificate_pem, b"nonsense"),
        (AUTHORITY.certificate_pem, other.private_key_pem),
        (SERVER.certificate_pem, SERVER.private_key_pem),
    ):
        with pytest.raises(BadKey, match="authority_malformed"):
            certificates.server_certificate(certificate_pem, key_pem, NOW)


def test_key_does_not_show() -> None:
    """The representation contains no private key."""
    assert "PRIVATE" not in repr(AUTHORITY)
