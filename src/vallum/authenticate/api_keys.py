"""Stage 2 with an API key: its form, its secret, its state, from where it comes, and whom it stands for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, Protocol, final

from vallum import defaults
from vallum.authenticate.addresses import within
from vallum.crypto import api_key
from vallum.crypto.errors import NotAuthentic
from vallum.store.api_keys import Networks, StoredKey
from vallum.store.ports import Principal


class Keys(Protocol):
    """Where API keys are looked up (`store.api_keys.ApiKeys`)."""

    async def find(self, identifier: str) -> StoredKey | None:
        """The key of this identifier, whether it is still valid or not; with its account, of the same moment."""


@final
class Known(NamedTuple):
    """A credential that was verified.

    Attributes:
        until: Unix seconds at which it must be verified again.
        networks: from where the key is good; None for everywhere.
    """

    principal: Principal
    until: float
    networks: Networks | None = None

    def good_from(self, address: str) -> bool:
        """Whether it may come from this address; one that cannot be read is on no list."""
        return self.networks is None or within(self.networks, address) is True


@final
class Uses:
    """When each key was last used, to be written behind: in memory here, so that no request waits for it."""

    def __init__(self, keys: int = defaults.TOKENS_CACHED) -> None:
        self._keys = keys
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._unwritten: dict[str, float] = {}

    def note(self, key: str, now: float) -> None:
        """It was used now; within a minute of the last time this changes nothing."""
        if now < self._noted.get(key, 0.0) + defaults.API_KEY_USE_SECONDS:
            return
        self._noted[key] = self._unwritten[key] = now
        self._noted.move_to_end(key)
        if len(self._noted) > self._keys:
            self._noted.popitem(last=False)

    def take(self, count: int) -> list[tuple[str, float]]:
        """At most so many of those that are to be written, each once."""
        return [(key, self._unwritten.pop(key)) for key in list(islice(self._unwritten, count))]

    def put_back(self, uses: list[tuple[str, float]]) -> None:
        """What could not be written."""
        self._unwritten = {**dict(uses), **self._unwritten}


async def verified(text: str, keys: Keys, address: str, now: float) -> Known:
    """Whom a key stands for.

    The secret comes before everything that the store says of the key: who does not have it learns nothing.

    Raises:
        NotAuthentic: `api_key_form`, `api_key_checksum`, `api_key_secret`, `api_key_revoked`, `api_key_expired`,
            `api_key_address`, `principal_unknown`.
    """
    identifier = api_key.identifier_of(text)
    found = await keys.find(identifier)
    api_key.verify(text, None if found is None else found.digest)
    if found is None or found.principal is None:
        raise NotAuthentic("principal_unknown")
    if found.revoked is not None:
        raise NotAuthentic("api_key_revoked")
    if found.expires is not None and now >= found.expires:
        raise NotAuthentic("api_key_expired")
    until = now + defaults.TOKEN_RECHECK_SECONDS
    known = Known(
        replace(found.principal, credential="key", scopes=found.scopes, key=identifier),
        until if found.expires is None else min(until, found.expires),
        found.networks,
    )
    if not known.good_from(address):
        raise NotAuthentic("api_key_address")
    return known
