"""Which hosts this service answers for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum.declare.errors import DeclarationError
from vallum.edge.host import allowed_hosts, check_host
from vallum.refusals import HOST_UNKNOWN, REQUEST_MALFORMED, Refusal

HOSTS = allowed_hosts(["api.example.org", "localhost:8443", "[::1]:8443", "[2001:db8::1]", "old.example.org:443"])


@pytest.mark.parametrize(
    "host",
    [
        b"api.example.org",
        b"API.Example.ORG",
        b"api.example.org:443",
        b"localhost:8443",
        b"[::1]:8443",
        b"[2001:db8::1]",
        b"[2001:DB8::1]:443",
        b"old.example.org",
    ],
)
def test_allowed(host: bytes) -> None:
    """Exact, in any case; the default port of https may be written or not."""
    check_host({b"host": host}, HOSTS)


@pytest.mark.parametrize(
    "host",
    [
        b"example.org",
        b"api.example.org.",
        b"xapi.example.org",
        b"api.example.org.evil.net",
        b"api.example.org:8443",
        b"api.example.org:80",
        b"localhost",
        b"localhost:443",
        b"127.0.0.1:8443",
        b"[::1]",
    ],
)
def test_unknown(host: bytes) -> None:
    """A suffix, prefix, other port or other name of the same machine is another host."""
    with pytest.raises(Refusal) as caught:
        check_host({b"host": host}, HOSTS)
    assert caught.value.reason is HOST_UNKNOWN


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"user@api.example.org",
        b"user:pw@api.example.org",
        b"api.example.org:",
        b"api.example.org:port",
        b"api.example.org:443:443",
        b"api.example.org/path",
        b"api.example.org?x",
        b"api.example.org#x",
        b"api.example.org, api.example.org",
        b"api example.org",
        b" api.example.org",
        b"api.example.org%00",
        b"api.example.org\\x",
        b".api.example.org",
        b"::1",
        b"[::1",
        b"https://api.example.org",
        b"*",
    ],
)
def test_malformed(host: bytes) -> None:
    """Userinfo, a path, a list, a percent sign or nothing at all is no host."""
    with pytest.raises(Refusal) as caught:
        check_host({b"host": host}, HOSTS)
    assert caught.value.reason is REQUEST_MALFORMED


def test_missing() -> None:
    """Without Host there is nothing to compare (RFC 9112 §3.2)."""
    with pytest.raises(Refusal) as caught:
        check_host({}, HOSTS)
    assert caught.value.reason is REQUEST_MALFORMED


@given(st.binary(max_size=40))
def test_any_bytes(host: bytes) -> None:
    """Only a configured host passes."""
    try:
        check_host({b"host": host}, HOSTS)
    except Refusal:
        assert host.lower() not in HOSTS
    else:
        assert host.lower() in HOSTS


@pytest.mark.parametrize("name", ["", "*", "*.example.org", "https://a", "a/b", "user@a", "é.example.org", "a b"])
def test_names_that_cannot_be_configured(name: str) -> None:
    """A wildcard, a URL or a name outside ASCII stops start-up."""
    with pytest.raises(DeclarationError) as caught:
        allowed_hosts([name])
    assert caught.value.identifier == "host-form"


def test_no_host_configured() -> None:
    """A service for no host is a mistake, not a service for all."""
    with pytest.raises(DeclarationError) as caught:
        allowed_hosts([])
    assert caught.value.identifier == "host-missing"
