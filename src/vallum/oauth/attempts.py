"""How often clients fail to prove who they are, and who has done so before.

Failures are counted by client at an address, and by address; never by client alone, or a stranger could lock one out.
Who has proven itself goes on, whatever its neighbours do: a secret that was right before, and a client that has signed
an assertion at this address. (A further assertion is no guess; checking it costs a tenth of a millisecond.)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol, final

from vallum import defaults
from vallum.authenticate.stage import Guesses
from vallum.refusals import FAILURES_LIMITED, Refusal
from vallum.store.memory import address_key


class Failures(Protocol):
    """Failures by key (`store.memory.Buckets`)."""

    def count(self, key: str, now: float) -> int | None:
        """Count one; None, or the seconds to wait when it is one too many."""

    def wait(self, key: str, now: float) -> int | None:
        """None, or the seconds until one more would be counted."""


@final
class Attempts:
    """The counts, and the proofs that are known.

    Args:
        guesses: bad credentials by address, those of every route.
        failures: of a client at an address.
        known: how many proofs are remembered.
    """

    def __init__(self, guesses: Guesses, failures: Failures, known: int = defaults.CLIENTS_KNOWN) -> None:
        self._guesses = guesses
        self._failures = failures
        self._limit = known
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def check(self, client_id: str, address: str, proof: bytes, now: float) -> None:
        """Before anything is verified.

        Args:
            proof: what stands for this credential in memory.

        Raises:
            Refusal: FAILURES_LIMITED.
        """
        if proof in self._known:
            self._known.move_to_end(proof)
            return
        wait = self._failures.wait(_at(client_id, address), now) or self._guesses.failures_exhausted(address, now)
        if wait is not None:
            raise Refusal(FAILURES_LIMITED, retry_after_seconds=wait)

    def failed(self, client_id: str, address: str, proof: bytes, now: float, *, guess: bool) -> None:
        """It was not good. What only its owner can have (an expired secret) is no guess."""
        self._known.pop(proof, None)
        if guess:
            self._failures.count(_at(client_id, address), now)
            self._guesses.record_failure(address, now)

    def succeeded(self, proof: bytes) -> None:
        """It was good."""
        self._known[proof] = None
        self._known.move_to_end(proof)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)


def _at(client_id: str, address: str) -> str:
    # An address has no space, so no two pairs are one text.
    return f"{address_key(address)} {client_id}"
