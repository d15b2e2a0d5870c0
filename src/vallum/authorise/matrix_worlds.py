"""The requests that a role can make, as far as conditions (`when=`) tell them apart.

A world says of each condition whether it holds. A field is granted always when every world grants it. Not all of them
need a look: a grant that lacks the field shows itself where its own condition holds and no other, a deny where its own
and that of some grant hold. So worlds of at most two conditions are enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from itertools import combinations
from typing import Final, NamedTuple, final

from vallum.authorise.conditions import RequestFacts, conditions_hold
from vallum.authorise.rights import Rights
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.declare.policy import ANYONE, Rule
from vallum.declare.when import CREDENTIAL_KINDS, CredentialKind, When

ANYONE_NAME: Final = str(ANYONE)
NO_ROLE: Final = "(no role)"
MOST_HOLDING: Final = 2
DAY: Final = date(2026, 1, 15)
"""Any day, but one on which no zone changes its clocks."""


@final
class Subject(NamedTuple):
    """Whose rights are looked at.

    Attributes:
        name: a role, `ANYONE` for a caller without a credential, `(no role)` for an account without any.
        identified: whether there is an account; it has every attribute then.
    """

    name: str
    roles: tuple[str, ...]
    identified: bool


@final
class Worlds:
    """A subject's rights in each world, compiled once."""

    def __init__(self, api: API, dialect: DialectName, subject: Subject) -> None:
        self.subject = subject
        self._api = api
        self._dialect = dialect
        self._known: dict[frozenset[tuple[int, tuple[bool, bool]]], Rights] = {}

    def of(self, rules: Iterable[Rule]) -> Iterator[Rights]:
        """The worlds that differ for these rules. Conditions are taken to be independent of each other."""
        whens = {id(rule.when): rule.when for rule in rules if rule.when is not None and self._is_about(rule)}
        possible = [key for key, when in whens.items() if can_hold(when, self.subject)]
        for count in range(MOST_HOLDING + 1):
            for holding in combinations(possible, count):
                yield self._in(
                    {
                        key: (key in holding, key in holding or not can_fail(when, self.subject))
                        for key, when in whens.items()
                    }
                )

    def _is_about(self, rule: Rule) -> bool:
        return any(role is ANYONE or role in self.subject.roles for role in rule.roles)

    def _in(self, conditions: Mapping[int, tuple[bool, bool]]) -> Rights:
        world = frozenset(conditions.items())
        if world not in self._known:
            self._known[world] = Rights(
                api=self._api,
                dialect=self._dialect,
                roles=self.subject.roles,
                attributes=frozenset(self._api.attributes if self.subject.identified else ()),
                identified=self.subject.identified,
                conditions=conditions,
            )
        return self._known[world]


def can_hold(when: When, subject: Subject) -> bool:
    """Whether some request of the subject meets all of these conditions."""
    credential = _credential(when) if subject.identified else None
    start = time() if when.between is None else when.between[0]
    now = datetime.combine(DAY, start, when.zone).timestamp()
    facts = RequestFacts(
        credential=credential,
        login_at=now if credential == "token" else None,  # only a token tells when its login was
        scopes=None,
        address=str(when.networks[0].network_address) if when.networks else "",
        now=now,
    )
    return conditions_hold(when, facts)


def can_fail(when: When, subject: Subject) -> bool:
    """Whether some request of the subject is known not to meet them; only such a request lifts a deny."""
    kinds = CREDENTIAL_KINDS if subject.identified else {None}
    return (
        (when.credential is not None and not kinds <= when.credential)
        or (when.login_within is not None and subject.identified)
        or when.scope is not None
        or when.networks is not None
        or (when.between is not None and when.between[0] != when.between[1])
    )


def _credential(when: When) -> CredentialKind:
    """The kind that meets most conditions of those that may be used."""
    kinds = CREDENTIAL_KINDS if when.credential is None else when.credential
    return "token" if "token" in kinds else min(kinds)
