"""Whose address counts, and whether the way to it was encrypted.

`X-Forwarded-For` and `Forwarded` (RFC 7239) are written by whoever likes. They are read only
when the peer of the socket is a configured proxy, from the right, and only as far as configured
proxies wrote them; one of the two headers is configured, for a proxy that sets one hands the
client's other one through. Without a proxy in the configuration neither is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, Literal, final

from vallum import defaults
from vallum.declare.errors import DeclarationError
from vallum.edge.headers import RawHeaders
from vallum.refusals import HTTPS_REQUIRED, REQUEST_MALFORMED, Refusal

ForwardedHeader = Literal["x-forwarded-for", "forwarded"]
WIDEST_PREFIX: Final = {4: 8, 6: 16}
"""Bits of a network that can still be somebody's own; anything wider trusts strangers."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Proxy:
    """The TLS-terminating proxies in front; build it with `Proxy.of`.

    Attributes:
        trusts: whether an address, as `canonical` writes it, is one of them.
        unix_socket: whether a peer on a unix socket, which has no address, is one of them.
        header: the header that they write.
    """

    trusts: Callable[[str], bool]
    unix_socket: bool
    header: ForwardedHeader

    @classmethod
    def of(
        cls, networks: Iterable[str] = (), *, unix_socket: bool = False, header: ForwardedHeader = "x-forwarded-for"
    ) -> Proxy:
        """The proxies of `networks` (CIDR notation).

        Raises:
            DeclarationError: no proxy at all, no network, or one wider than /8 (IPv6: /16).
        """
        known = tuple(_network(text) for text in networks)
        if not known and not unix_socket:
            raise DeclarationError("proxy-network", "the proxy", "Name its networks or its unix socket.")
        trusts = lru_cache(maxsize=defaults.PEERS_CACHED)(partial(_inside, known))
        return cls(trusts, unix_socket, header)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise DeclarationError("proxy-network", f"network {text!r}", f"Write it as 10.0.0.0/24: {error}.") from None
    if network.prefixlen < WIDEST_PREFIX[network.version]:
        raise DeclarationError("proxy-network", f"network {text!r}", "Name the proxies' own network, not the internet.")
    return network


def _inside(networks: tuple[IPv4Network | IPv6Network, ...], address: str) -> bool:
    parsed = ip_address(address)
    return any(parsed in network for network in networks)


@lru_cache(maxsize=defaults.PEERS_CACHED)
def canonical(address: str) -> str:
    """One way to write an address: IPv6 compressed, without zone; an IPv4 address mapped into IPv6 as IPv4.

    Raises:
        ValueError: not an address.
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def client_address(scope: Mapping[str, Any], proxy: Proxy | None) -> str:
    """The caller's network address, once it is certain that the caller came over HTTPS.

    Raises:
        Refusal: HTTPS_REQUIRED; REQUEST_MALFORMED when nobody trustworthy says who calls.
    """
    client = scope.get("client")
    peer: str = client[0] if client else ""  # a unix socket: None, or an empty name (Granian)
    try:
        if ":" in peer:
            peer = canonical(peer)
        trusted = proxy is not None and (proxy.trusts(peer) if peer else proxy.unix_socket)
    except ValueError:
        raise Refusal(REQUEST_MALFORMED, "The connection has no network address.") from None
    if proxy is not None and trusted:
        return forwarded_address(scope["headers"], proxy)
    if scope["scheme"] != "https":
        raise Refusal(HTTPS_REQUIRED)
    if not peer:
        raise Refusal(REQUEST_MALFORMED, "The connection has no network address.")
    return peer


def forwarded_address(raw: RawHeaders, proxy: Proxy) -> str:
    """The rightmost address that is no proxy of ours; the leftmost when all are.

    Raises:
        Refusal: HTTPS_REQUIRED; REQUEST_MALFORMED when the proxy named nobody, or too many proxies.
    """
    name = proxy.header.encode()
    chain = b",".join([value for key, value in raw if key == name]).decode("latin-1")
    plain = name == b"x-forwarded-for"
    if plain and [value.lower() for key, value in raw if key == b"x-forwarded-proto"] != [b"https"]:
        raise Refusal(HTTPS_REQUIRED)
    for _ in range(defaults.MAX_PROXY_HOPS):
        chain, _, hop = chain.rpartition(",")
        pair = {"for": hop.strip(" \t"), "proto": "https"} if plain else _parameters(hop)
        address = _node(pair.get("for", ""))
        if not chain or not proxy.trusts(address):
            # The proxy that met the client knows how; between proxies TLS is the operator's choice.
            if pair.get("proto", "").lower() != "https":
                raise Refusal(HTTPS_REQUIRED)
            return address
    raise Refusal(REQUEST_MALFORMED, "The request came through too many proxies.")


def _parameters(element: str) -> dict[str, str]:
    # RFC 7239 §4: forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] ), each name once.
    pairs: dict[str, str] = {}
    for pair in element.split(";"):
        name, _, value = pair.strip(" \t").partition("=")
        if name.lower() in pairs:
            raise Refusal(REQUEST_MALFORMED, "The proxy's Forwarded header has a parameter twice.")
        pairs[name.lower()] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return pairs


def _node(text: str) -> str:
    # RFC 7239 §6: IPv4 or [IPv6], each with or without port; X-Forwarded-For also has IPv6 without brackets.
    # "unknown" and obfuscated names identify nobody, and nobody cannot be limited.
    host, port = text, ""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        well_formed = bracket and (not port or port.startswith(":"))
        port = port[1:] if well_formed else "?"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        if "%" in host or not (port or "0").isdecimal():
            raise ValueError(text)
        return canonical(host)
    except ValueError:
        raise Refusal(REQUEST_MALFORMED, "The proxy did not say who calls.") from None
