"""`when=`: the conditions that a rule puts on the request, beside the row.

Each condition is met, not met or unknown (no login time, an address that cannot be read). Unknown counts
against the caller on both sides: an allow needs conditions that hold, a deny is lifted only by conditions
that are known not to hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import final

from vallum import defaults
from vallum.authenticate.addresses import within
from vallum.declare.when import CredentialKind, When

Fact = bool | None


@final
@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What conditions ask about a request.

    Attributes:
        credential: the kind that came with the request; None for an anonymous caller.
        login_at: Unix seconds of the login behind the credential, or None.
        scopes: of the credential; None when it is not limited by scopes.
        address: the client's network address as text; empty when there is none (unix socket).
        now: Unix seconds at which the request came.
    """

    credential: CredentialKind | None
    login_at: float | None
    scopes: frozenset[str] | None
    address: str
    now: float


def conditions_hold(when: When | None, facts: RequestFacts) -> bool:
    """Whether every condition is met, as an allow needs it. No conditions hold always."""
    return when is None or all(fact is True for fact in _facts(when, facts))


def conditions_may_hold(when: When | None, facts: RequestFacts) -> bool:
    """Whether no condition is known to be unmet: a deny applies then."""
    return when is None or all(fact is not False for fact in _facts(when, facts))


def _facts(when: When, facts: RequestFacts) -> Iterator[Fact]:
    if when.credential is not None:
        yield facts.credential in when.credential
    if when.login_within is not None:
        yield _login(when.login_within.total_seconds(), facts)
    if when.scope is not None:
        # A credential without a limit carries every scope; no credential carries none.
        yield facts.credential is not None and (facts.scopes is None or when.scope in facts.scopes)
    if when.networks is not None:
        yield within(when.networks, facts.address)
    if when.between is not None:
        yield _time_of_day(when, facts.now)


def _login(within_seconds: float, facts: RequestFacts) -> Fact:
    """Met up to and including the last second of the span; a login in the future is no known age."""
    if facts.login_at is None or facts.login_at > facts.now + defaults.TOKEN_LEEWAY_SECONDS:
        return None
    return facts.now - facts.login_at <= within_seconds


def _time_of_day(when: When, now: float) -> Fact:
    """From inclusive, to exclusive, over midnight when `from` is later. Two equal times say nothing: unknown."""
    if when.between is None or when.between[0] == when.between[1]:
        return None
    start, end = when.between
    local = datetime.fromtimestamp(now, when.zone).time()
    return start <= local < end if start < end else local >= start or local < end
