"""The development authority's files, and what is read of an operator's."""

from __future__ import annotations

import ssl
import stat
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from vallum.crypto.certificate_file import check_issued_by, read_certificate
from vallum.crypto.certificates import development_authority, server_certificate
from vallum.crypto.errors import BadKey
from vallum.defaults import DAY_SECONDS
from vallum.serve.tls import TlsFiles, covers, development_files, read_files

NOW = time.time()


def test_it_makes_an_authority_and_a_certificate_under_it(tmp_path: Path) -> None:
    """Keys for the owner alone, the authority's certificate at the top of the data; OpenSSL takes both."""
    files = development_files(tmp_path / "data", NOW)
    authority = tmp_path / "data" / "dev-ca.pem"
    check_issued_by(files.certificate.read_bytes(), authority.read_bytes())
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    keys = sorted(path.name for path in (tmp_path / "data" / "keys").iterdir())
    assert keys == ["dev-ca.key", "dev-server.key", "dev-server.pem"]
    for path in (tmp_path / "data" / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_keeps_what_is_good(tmp_path: Path) -> None:
    """A second start changes nothing: the authority may be trusted somewhere."""
    development_files(tmp_path, NOW)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    development_files(tmp_path, NOW + 20 * DAY_SECONDS)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_it_renews_the_certificate_under_the_same_authority(tmp_path: Path) -> None:
    """In its last week; who trusts the authority notices nothing."""
    files = development_files(tmp_path, NOW)
    authority, certificate = (tmp_path / "dev-ca.pem").read_bytes(), files.certificate.read_bytes()
    development_files(tmp_path, NOW + 24 * DAY_SECONDS)
    assert (tmp_path / "dev-ca.pem").read_bytes() == authority
    assert files.certificate.read_bytes() != certificate
    check_issued_by(files.certificate.read_bytes(), authority)


def test_it_renews_the_authority_and_then_the_certificate(tmp_path: Path) -> None:
    """In the authority's last month, with a certificate of the new one."""
    files = development_files(tmp_path, NOW)
    authority = (tmp_path / "dev-ca.pem").read_bytes()
    development_files(tmp_path, NOW + 340 * DAY_SECONDS)
    assert (tmp_path / "dev-ca.pem").read_bytes() != authority
    check_issued_by(files.certificate.read_bytes(), (tmp_path / "dev-ca.pem").read_bytes())


@pytest.mark.parametrize("name", ["dev-ca.pem", "keys/dev-ca.key", "keys/dev-server.pem", "keys/dev-server.key"])
@pytest.mark.parametrize("content", [b"", b"not PEM", None], ids=["empty", "other", "gone"])
def test_it_mends_what_a_crash_left(tmp_path: Path, name: str, content: bytes | None) -> None:
    """A file that is missing or damaged is made anew, with what depends on it."""
    files = development_files(tmp_path, NOW)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    development_files(tmp_path, NOW)
    read_files(files)
    check_issued_by(files.certificate.read_bytes(), (tmp_path / "dev-ca.pem").read_bytes())


def test_a_key_that_others_may_read_is_not_replaced_in_silence(tmp_path: Path) -> None:
    """Somebody may have it, and the authority is trusted somewhere: the operator must know."""
    development_files(tmp_path, NOW)
    (tmp_path / "keys" / "dev-ca.key").chmod(0o644)
    with pytest.raises(BadKey) as caught:
        development_files(tmp_path, NOW)
    assert caught.value.reason == "secret_file_open"


def test_a_certificate_of_another_authority_is_told_apart() -> None:
    """By its signature, not by its name."""
    one, other = development_authority(NOW), development_authority(NOW)
    made = server_certificate(one.certificate_pem, one.private_key_pem, NOW)
    check_issued_by(made.certificate_pem, one.certificate_pem)
    with pytest.raises(BadKey) as caught:
        check_issued_by(made.certificate_pem, other.certificate_pem)
    assert caught.value.reason == "certificate_issuer"


def test_what_a_certificate_says(tmp_path: Path) -> None:
    """Its time and the names that clients compare; an authority has none."""
    authority = development_authority(NOW)
    made = server_certificate(authority.certificate_pem, authority.private_key_pem, NOW)
    facts = read_certificate(made.certificate_pem, made.private_key_pem)
    assert facts.names == ("localhost", "127.0.0.1", "::1")
    assert facts.begins_at < NOW < facts.ends_at == made.expires_at
    assert read_certificate(authority.certificate_pem, authority.private_key_pem).names == ()


def test_an_encrypted_key_is_refused(tmp_path: Path) -> None:
    """The server could not open it."""
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    with pytest.raises(BadKey) as caught:
        read_certificate(development_authority(NOW).certificate_pem, pem)
    assert caught.value.reason == "certificate_key_encrypted"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """So that the operator finds it."""
    with pytest.raises(BadKey, match=r"nowhere\.pem"):
        read_files(TlsFiles(tmp_path / "nowhere.pem", tmp_path / "key.pem"))


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (("api.example.org",), "api.example.org", True),
        (("API.example.org",), "api.example.org", True),
        (("*.example.org",), "api.example.org", True),
        (("*.example.org",), "example.org", False),
        (("*.example.org",), "a.b.example.org", False),
        (("example.org",), "api.example.org", False),
        (("192.0.2.1",), "192.0.2.1", True),
        (("2001:db8::1",), "2001:DB8:0::1", True),
        (("*.2.0.192",), "1.2.0.192", False),
        ((), "localhost", False),
    ],
)
def test_whom_a_certificate_stands_for(names: tuple[str, ...], host: str, covered: bool) -> None:
    """A wildcard is one whole first label of a name (RFC 9525 §6.3); addresses are compared as addresses."""
    assert covers(names, host) is covered
