"""Whether a client's address is in a network."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address


def within(networks: Iterable[IPv4Network | IPv6Network], text: str) -> bool | None:
    """None when the address cannot be read, as that of a unix socket."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # A dual-stack socket shows 10.0.0.1 as ::ffff:10.0.0.1 (RFC 4291 §2.5.5.2); it is the same client.
        address = address.ipv4_mapped
    return any(address in network for network in networks)
