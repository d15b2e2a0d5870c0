"""Where settings come from, and how malformed ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from vallum.serve import settings_doc
from vallum.serve.errors import SettingsError
from vallum.serve.settings import Settings, load

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No vallum.toml but a test's own."""
    monkeypatch.chdir(tmp_path)


def refused(**flags: object) -> tuple[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(flags)
    return caught.value.identifier, caught.value.place


def test_a_flag_wins_over_a_variable_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of precedence; a flag that was not given counts for nothing."""
    Path("vallum.toml").write_text('port = 1001\nhost = "127.0.0.2"\nworkers = 1\n')
    monkeypatch.setenv("VALLUM_PORT", "1002")
    monkeypatch.setenv("VALLUM_HOST", "127.0.0.3")
    found = load({"port": 1003, "host": None})
    assert (found.port, found.host, found.workers) == (1003, "127.0.0.3", 1)
    monkeypatch.setenv("VALLUM_HOST", "")
    assert load().host == "127.0.0.2"


def test_production_is_the_default() -> None:
    """Nothing given: no development, loopback, TLS 1.3, no public URL, JSON logs."""
    found = load()
    assert (found.dev, found.host, found.tls_minimum, found.public_url, found.log_format) == (
        False,
        "127.0.0.1",
        "1.3",
        "",
        "json",
    )
    assert found.allowed_hosts == ()
    assert not found.behind_proxy


def test_development_answers_to_localhost() -> None:
    """The public URL is localhost at the port, and the three names of this machine are allowed hosts."""
    found = load({"dev": True, "port": 9443})
    assert found.public_url == "https://localhost:9443"
    assert found.allowed_hosts == ("localhost:9443", "127.0.0.1:9443", "[::1]:9443")
    assert (found.ops_port, found.log_format) == (9444, "pretty")


def test_the_public_url_gives_the_allowed_host() -> None:
    """Its host is the one that may be asked for, unless hosts are named."""
    assert load({"public_url": "https://api.example.org"}).allowed_hosts == ("api.example.org",)
    named = load({"public_url": "https://api.example.org", "allowed_hosts": "a.example, b.example"})
    assert named.allowed_hosts == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://API.Example.org", "https://api.example.org"),
        ("https://api.example.org/", "https://api.example.org"),
        ("https://api.example.org:443", "https://api.example.org"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_the_public_url_has_one_form(url: str, origin: str) -> None:
    """Issuer and audience are compared character by character, so spellings of one origin become one."""
    assert load({"public_url": url}).public_url == origin


def test_lists_are_arrays_in_the_file_and_commas_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both give the same networks."""
    Path("vallum.toml").write_text('trusted_proxies = ["10.0.0.0/24", "192.0.2.1/32"]\n')
    from_file = load().trusted_proxies
    monkeypatch.setenv("VALLUM_TRUSTED_PROXIES", "10.0.0.0/24, 192.0.2.1/32")
    assert load().trusted_proxies == from_file == ("10.0.0.0/24", "192.0.2.1/32")
    assert load().behind_proxy


@pytest.mark.parametrize(
    ("name", "value", "identifier"),
    [
        ("public_url", "http://api.example.org", "public-url-http"),
        ("public_url", "https://api.example.org/v1", "public-url-form"),
        ("public_url", "https://user:word@api.example.org", "public-url-form"),
        ("public_url", "https://api.example.org:99999", "public-url-form"),
        ("public_url", "https://", "public-url-form"),
        ("public_url", "api.example.org", "public-url-form"),
        ("public_url", "https://é.example", "public-url-form"),
        ("host", "example.org", "host-form"),
        ("port", "many", "setting-invalid"),
        ("port", 0, "setting-invalid"),
        ("port", 65536, "setting-invalid"),
        ("workers", 0, "setting-invalid"),
        ("tls_minimum", "1.1", "setting-invalid"),
        ("trusted_proxies", "10.0.0.1/8", "proxy-network"),
        ("trusted_proxies", "everyone", "proxy-network"),
        ("app", "school", "app-form"),
        ("app", "school:", "app-form"),
        ("app", "../school:api", "app-form"),
        ("address_per_second", 0, "setting-invalid"),
        ("log_format", "xml", "setting-invalid"),
        ("nonsense", 1, "setting-unknown"),
    ],
)
def test_a_malformed_value_is_refused_by_name(name: str, value: object, identifier: str) -> None:
    """Each has an identifier, and the place is where the operator wrote it."""
    assert refused(**{name: value}) == (identifier, f"--{name.replace('_', '-')}")


def test_the_place_is_the_variable_or_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the operator finds it."""
    Path("vallum.toml").write_text('host = "nowhere"\n')
    assert refused() == ("host-form", "vallum.toml: host")
    monkeypatch.setenv("VALLUM_HOST", "nowhere")
    assert refused() == ("host-form", "VALLUM_HOST")


def test_a_misspelt_name_is_not_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file and in the environment: the setting that was meant would stay at its default."""
    Path("vallum.toml").write_text('tls_minimun = "1.3"\n')
    assert refused() == ("setting-unknown", "vallum.toml: tls_minimun")
    Path("vallum.toml").unlink()
    monkeypatch.setenv("VALLUM_TLS_MINIMUN", "1.3")
    assert refused() == ("setting-unknown", "VALLUM_TLS_MINIMUN")


def test_a_file_that_is_no_toml_is_refused() -> None:
    """With the line, and by name."""
    Path("vallum.toml").write_text("port: 8443\n")
    assert refused() == ("settings-file", "vallum.toml")


def test_a_refusal_does_not_repeat_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a secret in the wrong place."""
    for name in ("PORT", "PUBLIC_URL", "HOST", "TRUSTED_PROXIES", "APP", "DEV", "TLS_MINIMUM"):
        monkeypatch.setenv(f"VALLUM_{name}", "hunter2/5e7d")
        with pytest.raises(SettingsError) as caught:
            load()
        assert "hunter2" not in str(caught.value)
        monkeypatch.delenv(f"VALLUM_{name}")


def test_settings_do_not_change() -> None:
    """What was checked is what is used."""
    with pytest.raises(ValidationError):
        load().port = 1


def test_every_setting_is_documented() -> None:
    """docs/settings.md has the table of this version: `python -m vallum.serve.settings_doc docs/settings.md`."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert all(field.description for field in Settings.model_fields.values())
    assert settings_doc.rewritten(page) == page
    with pytest.raises(ValueError, match="begin"):
        settings_doc.rewritten("no marks")
