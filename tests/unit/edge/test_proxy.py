"""Whose address counts, with and without proxies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.declare.errors import DeclarationError
from vallum.edge.proxy import Proxy, canonical, client_address
from vallum.refusals import HTTPS_REQUIRED, REQUEST_MALFORMED, Reason, Refusal

Client = tuple[str, int] | None
XFF = Proxy.of(["10.0.0.0/24", "2001:db8:1::/48"], unix_socket=True)
FORWARDED = Proxy.of(["10.0.0.0/24"], header="forwarded")
BEHIND = ("10.0.0.1", 1)
HTTPS = (b"x-forwarded-proto", b"https")


def address(
    *headers: tuple[bytes, bytes], proxy: Proxy | None = None, client: Client = BEHIND, scheme: str = "http"
) -> str:
    return client_address({"client": client, "scheme": scheme, "headers": list(headers)}, proxy)


def refused(
    *headers: tuple[bytes, bytes], proxy: Proxy | None = XFF, client: Client = BEHIND, scheme: str = "http"
) -> Reason:
    with pytest.raises(Refusal) as caught:
        address(*headers, proxy=proxy, client=client, scheme=scheme)
    return caught.value.reason


SPOOF = [(b"x-forwarded-for", b"192.0.2.66"), (b"forwarded", b"for=192.0.2.66;proto=https"), HTTPS]


@pytest.mark.parametrize("proxy", [None, XFF, FORWARDED])
def test_spoofed_headers(proxy: Proxy | None) -> None:
    """What a stranger writes into these headers is not looked at: not the address, not the scheme."""
    stranger = ("203.0.113.9", 1)
    assert address(*SPOOF, proxy=proxy, client=stranger, scheme="https") == "203.0.113.9"
    assert refused(*SPOOF, proxy=proxy, client=stranger) is HTTPS_REQUIRED


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
    ],
)
def test_peer(peer: str, expected: str) -> None:
    """One address has one text, so that it has one counter."""
    assert address(client=(peer, 1), scheme="https") == expected


def test_mapped_proxy_address() -> None:
    """A proxy that reaches a dual-stack socket over IPv4 is still that proxy."""
    assert address((b"x-forwarded-for", b"192.0.2.1"), HTTPS, proxy=XFF, client=("::ffff:10.0.0.1", 1)) == "192.0.2.1"


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (b"192.0.2.1", "192.0.2.1"),
        (b"192.0.2.66, 192.0.2.1", "192.0.2.1"),
        (b"192.0.2.66, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
        (b"192.0.2.1,10.0.0.7,2001:db8:1::5", "192.0.2.1"),
        (b"garbage, 192.0.2.1", "192.0.2.1"),
        (b'for="x, 192.0.2.1', "192.0.2.1"),
        (b"\xff\xfe, 192.0.2.1", "192.0.2.1"),
        (b", , 192.0.2.1", "192.0.2.1"),
        (b"10.0.0.8, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
        (b"10.0.0.8, 10.0.0.7", "10.0.0.8"),
        (b"192.0.2.1:5566", "192.0.2.1"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"[2001:DB8::1]:443", "2001:db8::1"),
        (b"::ffff:192.0.2.1", "192.0.2.1"),
        (b"::ffff:10.0.0.9", "10.0.0.9"),
    ],
)
def test_x_forwarded_for(chain: bytes, expected: str) -> None:
    """The rightmost address that is no proxy; whatever the client wrote to its left has no say."""
    assert address((b"x-forwarded-for", chain), HTTPS, proxy=XFF) == expected


def test_repeated_lines_are_one_chain() -> None:
    """Several header lines continue one another, in order."""
    lines = [(b"x-forwarded-for", b"192.0.2.66"), (b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-for", b"10.0.0.7")]
    assert address(*lines, HTTPS, proxy=XFF) == "192.0.2.1"


@pytest.mark.parametrize(
    "chain",
    [
        b"",
        b"unknown",
        b"_hidden",
        b"192.0.2.1, unknown",
        b"192.0.2.1, ",
        b"192.0.2.1, , 10.0.0.7",
        b"192.0.2.999",
        b"192.0.2.1:x",
        b"[::1",
        b"[::1]x",
        b"fe80::1%eth0",
        b"192.0.2.01",
        b"1",
        b"192.0.2.1/24",
        b"192.0.2.\xb2",
    ],
)
def test_proxy_that_names_nobody(chain: bytes) -> None:
    """A hop of our own proxies that is no address is a fault, not a reason to trust the next one."""
    assert refused((b"x-forwarded-for", chain), HTTPS) is REQUEST_MALFORMED


def test_proxy_without_the_header() -> None:
    """No chain at all: everybody would share the proxy's address and its limit."""
    assert refused(HTTPS) is REQUEST_MALFORMED


@pytest.mark.parametrize(
    "proto",
    [[], [b"http"], [b""], [b"https, http"], [b"http, https"], [b"https", b"https"], [b"https", b"http"], [b"httpsx"]],
)
def test_forwarded_proto(proto: list[bytes]) -> None:
    """The proxy must say, once, that the client came over https."""
    lines = [(b"x-forwarded-proto", value) for value in proto]
    assert refused((b"x-forwarded-for", b"192.0.2.1"), *lines) is HTTPS_REQUIRED
    assert refused((b"x-forwarded-for", b"192.0.2.1"), *lines, scheme="https") is HTTPS_REQUIRED


def test_too_many_hops() -> None:
    """A chain of proxies of our own has an end."""
    hops = [b"10.0.0.7"] * (defaults.MAX_PROXY_HOPS - 1)
    assert address((b"x-forwarded-for", b",".join([b"192.0.2.1", *hops])), HTTPS, proxy=XFF) == "192.0.2.1"
    assert refused((b"x-forwarded-for", b",".join([b"192.0.2.1", b"10.0.0.7", *hops])), HTTPS) is REQUEST_MALFORMED


@pytest.mark.parametrize("client", [None, ("", 0)])
def test_unix_socket(client: Client) -> None:
    """A unix socket is a proxy only where that is configured, and has no address of its own."""
    line = (b"x-forwarded-for", b"192.0.2.1")
    assert address(line, HTTPS, proxy=XFF, client=client) == "192.0.2.1"
    for proxy in (None, FORWARDED):
        assert refused(line, HTTPS, proxy=proxy, client=client) is HTTPS_REQUIRED
        assert refused(line, HTTPS, proxy=proxy, client=client, scheme="https") is REQUEST_MALFORMED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"for=192.0.2.1;proto=https", "192.0.2.1"),
        (b"For=192.0.2.1; Proto=HTTPS ;by=10.0.0.1", "192.0.2.1"),
        (b'proto=https;for="192.0.2.1:47"', "192.0.2.1"),
        (b'for="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
        (b"for=192.0.2.66;proto=http, for=192.0.2.1;proto=https", "192.0.2.1"),
        (b'for="unclosed, for=192.0.2.1;proto=https', "192.0.2.1"),
        (b"for=192.0.2.1;proto=https, for=10.0.0.7;proto=http", "192.0.2.1"),
        (b"for=192.0.2.1;proto=https;host=evil.net", "192.0.2.1"),
    ],
)
def test_forwarded(value: bytes, expected: str) -> None:
    """RFC 7239 from the right; the proxy that met the client says over which scheme."""
    assert address((b"forwarded", value), proxy=FORWARDED) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"for=192.0.2.1", HTTPS_REQUIRED),
        (b"for=192.0.2.1;proto=http", HTTPS_REQUIRED),
        (b"for=192.0.2.1;proto=http, for=10.0.0.7;proto=https", HTTPS_REQUIRED),
        (b"proto=https", REQUEST_MALFORMED),
        (b"for=unknown;proto=https", REQUEST_MALFORMED),
        (b"for=_hidden;proto=https", REQUEST_MALFORMED),
        (b"for=192.0.2.1;for=192.0.2.2;proto=https", REQUEST_MALFORMED),
        (b"for=192.0.2.1;proto=http;PROTO=https", REQUEST_MALFORMED),
        (b'for=";proto=https', REQUEST_MALFORMED),
        (b"", REQUEST_MALFORMED),
    ],
)
def test_forwarded_refused(value: bytes, reason: Reason) -> None:
    """Without https, without an address, or with a parameter twice."""
    assert refused((b"forwarded", value), proxy=FORWARDED) is reason


def test_only_the_configured_header_counts() -> None:
    """The other header comes from the client, through the proxy, and has no say."""
    forwarded = (b"forwarded", b"for=192.0.2.66;proto=https")
    assert address(forwarded, (b"x-forwarded-for", b"192.0.2.1"), HTTPS, proxy=XFF) == "192.0.2.1"
    real = (b"forwarded", b"for=192.0.2.1;proto=https")
    assert address(real, (b"x-forwarded-for", b"192.0.2.66"), proxy=FORWARDED) == "192.0.2.1"


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from([XFF, FORWARDED]))
def test_any_bytes(before: bytes, written: bytes, proxy: Proxy) -> None:
    """Anything becomes an address in its one text, or a Refusal."""
    name = proxy.header.encode()
    try:
        found = address((name, before), (name, written), HTTPS, proxy=proxy)
    except Refusal:
        return
    assert canonical(found) == found


@given(st.binary(max_size=60))
def test_the_client_cannot_choose(before: bytes) -> None:
    """Whatever a client sends along, the address is the one that the proxy saw."""
    line = before + b", 192.0.2.1"
    assert address((b"x-forwarded-for", line), HTTPS, proxy=XFF) == "192.0.2.1"
    assert address((b"forwarded", before + b", for=192.0.2.1;proto=https"), proxy=FORWARDED) == "192.0.2.1"


@pytest.mark.parametrize(
    "network", ["", "0.0.0.0/0", "::/0", "10.0.0.0/7", "2000::/3", "10.0.0.1/24", "proxy", "10.0.0"]
)
def test_networks_that_cannot_be_trusted(network: str) -> None:
    """Half the internet, or no network at all, stops start-up."""
    with pytest.raises(DeclarationError) as caught:
        Proxy.of([network])
    assert caught.value.identifier == "proxy-network"


def test_no_proxy_at_all() -> None:
    """A proxy configuration that names none is a mistake."""
    with pytest.raises(DeclarationError):
        Proxy.of()
