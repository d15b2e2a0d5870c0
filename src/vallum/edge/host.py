"""The authority: for which hosts this service answers (RFC 9110 §7.2, RFC 9112 §3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from vallum.declare.errors import DeclarationError
from vallum.refusals import HOST_UNKNOWN, REQUEST_MALFORMED, Refusal

# uri-host [ ":" port ] of RFC 9110 §7.2, narrowed to what names and addresses on the internet use:
# no userinfo, no percent-encoding, no sub-delims.
HOST: Final = re.compile(rb"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def allowed_hosts(names: Iterable[str]) -> frozenset[bytes]:
    """The hosts as they may stand in `Host`, in lower case; the port 443 may be written or not (RFC 9110 §4.2.2).

    Args:
        names: `host` or `host:port`, e.g. `api.example.org`, `localhost:8443`, `[::1]:8443`.

    Raises:
        DeclarationError: none given, or one that is no host.
    """
    hosts: set[bytes] = set()
    for name in names:
        host = name.lower().encode("ascii", "replace")
        if HOST.fullmatch(host) is None:
            raise DeclarationError("host-form", f"host {name!r}", "Write host or host:port, without scheme or path.")
        hosts.add(host)
        if host.endswith(b":443"):
            hosts.add(host.removesuffix(b":443"))
        elif host.endswith(b"]") or b":" not in host:
            hosts.add(host + b":443")
    if not hosts:
        raise DeclarationError("host-missing", "the allowed hosts", "Name the host of the public URL.")
    return frozenset(hosts)


def check_host(headers: Mapping[bytes, bytes], hosts: frozenset[bytes]) -> None:
    """Refuse a request for another service, or for none. A missing `Host` is refused in HTTP/1.0 too.

    Raises:
        Refusal: REQUEST_MALFORMED when it is missing or no host; HOST_UNKNOWN.
    """
    host = headers.get(b"host")
    if host in hosts:
        return
    # Granian hands a missing Host over as an empty one.
    if not host or HOST.fullmatch(host) is None:
        raise Refusal(REQUEST_MALFORMED, "Host is missing or is not a host.")
    if host.lower() not in hosts:
        raise Refusal(HOST_UNKNOWN)
