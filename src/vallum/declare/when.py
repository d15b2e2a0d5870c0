"""`when=`: what a rule asks of the request, beside the row.

A condition that no request can meet lifts a deny for everybody, so a word that means nothing is refused here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import time, timedelta
from typing import Final, Literal, final, get_args
from zoneinfo import ZoneInfo

from vallum.crypto.access_token import checked_scopes
from vallum.declare.errors import DeclarationError

CredentialKind = Literal["token", "key"]
CREDENTIAL_KINDS: Final[frozenset[CredentialKind]] = frozenset(get_args(CredentialKind))
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@final
@dataclass(frozen=True, slots=True)
class When:
    """Conditions on the request; all that are given must hold.

    Attributes:
        credential: the kinds of credential that may be used (`"token"`, `"key"`).
        login_within: the login (`auth_time` of the token) is at most this old; a token without it fails.
        scope: the credential carries this scope.
        networks: the client's address is in one of these (CIDR).
        between: local times of day from (inclusive) to (exclusive); may run over midnight.
        zone: the time zone of `between`.

    Raises:
        DeclarationError: a value that no request could ever meet, or that cannot be compared with one.
    """

    credential: frozenset[CredentialKind] | None = None
    login_within: timedelta | None = None
    scope: str | None = None
    networks: tuple[Network, ...] | None = None
    between: tuple[time, time] | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def __post_init__(self) -> None:
        if self.credential is not None and not (self.credential and self.credential <= CREDENTIAL_KINDS):
            raise _unmet("credential", f"Name one or more of {', '.join(sorted(CREDENTIAL_KINDS))}.")
        age = self.login_within
        if age is not None and not (isinstance(age, timedelta) and age > timedelta()):
            raise _unmet("login_within", "Give a positive timedelta, such as timedelta(minutes=15).")
        if self.networks is not None and not self.networks:
            raise _unmet("networks", "Name one or more, or drop it.")
        if self.between is not None and any(moment.tzinfo is not None for moment in self.between):
            raise _unmet("between", 'Give local times without an offset, and zone="Europe/Berlin" beside them.')


def when(
    *,
    credential: CredentialKind | Iterable[CredentialKind] | None = None,
    login_within: timedelta | None = None,
    scope: str | None = None,
    networks: Iterable[str] | None = None,
    between: tuple[str, str] | None = None,
    zone: str = "UTC",
) -> When:
    """Conditions on the request, for `allow(…, when=when(networks=["10.0.0.0/8"], between=("08:00", "18:00")))`.

    Raises:
        DeclarationError: a value that cannot be read or that no request can meet, or no condition at all.
    """
    if credential is None and login_within is None and scope is None and networks is None and between is None:
        raise DeclarationError("when-empty", "when()", "Give at least one condition.")
    try:
        if scope is not None:
            checked_scopes([scope])
        return When(
            credential=None
            if credential is None
            else frozenset([credential] if isinstance(credential, str) else credential),
            login_within=login_within,
            scope=scope,
            networks=None if networks is None else tuple(map(_network, networks)),
            between=None if between is None else _times(*between),
            zone=ZoneInfo(zone),
        )
    # What the standard library raises for texts that cannot be read, and for what is no text.
    except (ValueError, KeyError, OSError, TypeError, AttributeError) as error:
        raise DeclarationError(
            "when-value", "when(…)", f"{error}: give CIDR networks, HH:MM times, an IANA zone, a scope of one word."
        ) from error


def _network(text: str) -> Network:
    if not isinstance(text, str):  # a number would be read as an address
        raise TypeError(f"{text!r} is no text")
    return ipaddress.ip_network(text)


def _times(start: str, end: str) -> tuple[time, time]:
    return time.fromisoformat(start), time.fromisoformat(end)


def _unmet(condition: str, mend: str) -> DeclarationError:
    return DeclarationError("when-value", f"when({condition}=…)", mend)
