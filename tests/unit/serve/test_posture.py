"""The matrix of settings: what is refused, what is only told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vallum.crypto.certificates import development_authority, server_certificate
from vallum.crypto.keyfile import write_secret
from vallum.defaults import DAY_SECONDS
from vallum.serve.development import mark
from vallum.serve.errors import SettingsError
from vallum.serve.posture import findings, refuse_unsafe
from vallum.serve.settings import Settings, load

ROOT = Path(__file__).parents[3]
NOW = time.time()
URL = "https://localhost:8443"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a certificate, its key and a master key."""
    monkeypatch.chdir(tmp_path)
    authority = development_authority(NOW)
    made = server_certificate(authority.certificate_pem, authority.private_key_pem, NOW)
    write_secret(tmp_path / "certificate.pem", made.certificate_pem)
    write_secret(tmp_path / "key.pem", made.private_key_pem)
    write_secret(tmp_path / "master", b"nVtq4cdrZ6gy8bF2KpWmXhYs")
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path


def production(**others: object) -> Settings:
    given: dict[str, object] = {
        "public_url": URL,
        "tls_certificate": "certificate.pem",
        "tls_key": "key.pem",
        "master_key_file": "master",
        **others,
    }
    return load(given)


def found(settings: Settings, now: float = NOW) -> set[tuple[str, str]]:
    return {(finding.severity, finding.identifier) for finding in findings(settings, now)}


def test_a_whole_production_has_no_finding() -> None:
    """The control of all tests below: TLS files, a public URL and a master key."""
    assert found(production()) == set()
    assert found(production(host="0.0.0.0")) == set()  # noqa: S104  # production may
    refuse_unsafe(production(), NOW)


def test_development_needs_nothing() -> None:
    """Its certificate is made, and its keys may lie unencrypted."""
    assert found(load({"dev": True})) == set()


@pytest.mark.parametrize(
    ("others", "finding"),
    [
        ({"public_url": None}, ("error", "public-url-missing")),
        ({"tls_certificate": None, "tls_key": None}, ("error", "tls-missing")),
        ({"tls_key": None}, ("error", "tls-incomplete")),
        ({"tls_certificate": None}, ("error", "tls-incomplete")),
        ({"tls_certificate": "nowhere.pem"}, ("error", "certificate-file")),
        ({"tls_key": "nowhere.pem"}, ("error", "certificate-file")),
        ({"tls_certificate": "key.pem"}, ("error", "certificate-malformed")),
        ({"tls_key": "certificate.pem"}, ("error", "certificate-key-malformed")),
        ({"tls_minimum": "1.2"}, ("warning", "tls-old")),
        ({"workers": 2}, ("error", "workers-counters")),
        ({"ops_port": 8443}, ("error", "ops-port")),
        ({"allowed_hosts": "https://x"}, ("error", "host-form")),
        ({"trusted_proxies": "0.0.0.0/0"}, ("error", "proxy-network")),
        ({"public_url": "https://api.example.org"}, ("warning", "certificate-name")),
        ({"master_key_file": None}, ("warning", "master-key-missing")),
        ({"master_key_file": "nowhere"}, ("error", "master-key-file")),
        (
            {"tls_certificate": None, "tls_key": None, "trusted_proxies": "10.0.0.0/24", "host": "10.0.0.5"},
            ("warning", "proxy-plain"),
        ),
        ({"dev": True, "host": "192.0.2.1"}, ("error", "development-open")),
        ({"dev": True, "unix_socket": "socket"}, ("error", "development-proxy")),
        ({"dev": True, "trusted_proxies": "127.0.0.1/32"}, ("error", "development-proxy")),
    ],
)
def test_each_unsafe_setting_is_found(others: dict[str, object], finding: tuple[str, str]) -> None:
    """One change to a whole production gives exactly one finding."""
    assert found(production(**others)) == {finding}


@pytest.mark.parametrize("proxy", [{"unix_socket": "socket"}, {"trusted_proxies": "10.0.0.0/24"}])
def test_a_proxy_may_terminate_tls(proxy: dict[str, object]) -> None:
    """On a unix socket or from its networks, without a certificate here."""
    assert found(production(tls_certificate=None, tls_key=None, **proxy)) == set()


def test_a_certificate_has_its_time(place: Path) -> None:
    """Refused before and after, told of when it ends soon; the last second is inside."""
    end = NOW // 1 + 30 * DAY_SECONDS
    assert found(production(), end) == {("error", "certificate-expired")}
    assert found(production(), end - 1) == {("warning", "certificate-expiring")}
    assert found(production(), end - 14 * DAY_SECONDS) == set()
    assert found(production(), NOW - 2 * DAY_SECONDS) == {("error", "certificate-not-yet")}


def test_a_key_belongs_to_its_certificate_and_its_owner(place: Path) -> None:
    """Another key, and one that others may read, are refused."""
    other = development_authority(NOW)
    write_secret(place / "other.pem", other.private_key_pem)
    assert found(production(tls_key="other.pem")) == {("error", "certificate-mismatch")}
    (place / "key.pem").chmod(0o640)
    assert found(production()) == {("error", "secret-file-open")}


@pytest.mark.parametrize(
    ("secret", "identifier"),
    [
        (b"changeme", "master-key-sample"),
        (b"Change-Me_please_in_production", "master-key-sample"),
        (b"your-secret-key-goes-here", "master-key-sample"),
        (b"aaaaaaaaaaaaaaaaaaaaaaaa", "master-key-sample"),
        (b"kX9-short", "master-key-short"),
    ],
)
def test_a_sample_secret_is_refused(place: Path, secret: bytes, identifier: str) -> None:
    """What stands in documentation protects nothing, nor does what is soon guessed."""
    write_secret(place / "master", secret + b"\n", replace=True)
    assert found(production()) == {("error", identifier)}


def test_a_master_key_that_others_may_read_is_refused(place: Path) -> None:
    """Its mode says who has it already."""
    (place / "master").chmod(0o640)
    assert found(production()) == {("error", "master-key-open")}


@pytest.mark.parametrize(("mode", "production_", "development"), [(0o750, True, False), (0o770, True, True)])
def test_a_data_directory_belongs_to_one(place: Path, mode: int, production_: bool, development: bool) -> None:
    """In production nobody else enters it; in development nobody else writes in it."""
    (place / "data").chmod(mode)
    assert (("error", "data-open") in found(production())) is production_
    assert (("error", "data-open") in found(load({"dev": True}))) is development


def test_development_data_and_production_data_are_kept_apart(place: Path) -> None:
    """Tokens without a password are given out on the one and never on the other."""
    (place / "data" / "vallum.db").touch(mode=0o600)
    assert found(load({"dev": True})) == {("error", "production-data")}
    mark(place / "data", URL)
    assert found(load({"dev": True})) == set()
    assert found(production()) == {("error", "development-data")}


def test_a_file_that_anyone_may_write_is_refused(place: Path) -> None:
    """Whoever writes vallum.toml chooses the program that runs."""
    (place / "vallum.toml").touch()
    (place / "vallum.toml").chmod(0o646)
    assert found(production()) == {("error", "settings-file-open")}


def test_a_refusal_lists_every_error() -> None:
    """The first gives its name, the text has all of them."""
    with pytest.raises(SettingsError) as caught:
        refuse_unsafe(load({"workers": 4}), NOW)
    assert caught.value.identifier == "public-url-missing"
    assert "tls-missing" in caught.value.mend
    assert "workers-counters" in caught.value.mend
    assert "master-key-missing" not in caught.value.mend, "a warning stops nothing"
