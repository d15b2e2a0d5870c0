"""Nonces that were accepted and could be accepted again: each counts once, for its caller.

Time is counted in whole seconds here: a timestamp belongs to the second at whose end it lies at the latest, so that a
nonce is kept for up to a second longer than needed and never for less. Four rules:

1. A nonce whose timestamp is at or below `floor` is refused: of those times we no longer know what was accepted.
2. Every accepted nonce above `floor` is here. One is forgotten only when its timestamp is outside the window for good,
   and `floor` rises to it, so that a clock that is set back does not bring it in again.
3. What there is no room for is refused, never exchanged for what is here.
4. A nonce that is not above `mark` needs no writing down: after a crash the mark becomes the floor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil
from typing import Final, final

from vallum import defaults
from vallum.crypto.digest import nonce_key
from vallum.refusals import NONCE_REUSED, NONCES_LIMITED, NONCES_UNAVAILABLE, TIMESTAMP_STALE, Refusal
from vallum.store.memory import STRANGER

NonceRow = tuple[str, str, int]
"""(caller, digest in hex digits, second of the timestamp), as it is written down."""
NEVER: Final = -1
FULL: Final = "There is no room for another nonce at the moment."


@final
class Nonces:
    """For one process and one thread: nothing here awaits, so a claim is one step.

    Attributes:
        floor: the last second of which it is not known any more what was accepted.
        mark: the last second that the mark on disk covers.
        used: whether anything was accepted since somebody set this to False.
        is_open: whether it is known what was accepted before, and nobody has closed it.
        window_seconds: how old a timestamp may be.
    """

    def __init__(
        self,
        window_seconds: int = defaults.FRESH_SECONDS,
        *,
        per_caller: int = defaults.NONCES_PER_CALLER,
        known: int = defaults.NONCES,
        strangers: int = defaults.STRANGERS_NONCES,
    ) -> None:
        """
        Args:
            per_caller: live nonces of one caller.
            known, strangers: of all callers with and without a credential.
        """
        self.window_seconds = window_seconds
        self.floor = self.mark = NEVER
        self.used = False
        self.is_open = False
        self._per_caller = per_caller
        self._limits = {False: known, True: strangers}
        self._totals = {False: 0, True: 0}
        self._live: set[bytes] = set()
        self._held: dict[str, int] = {}
        self._seconds: dict[int, dict[str, list[bytes]]] = {}
        self._oldest = float("inf")

    def __len__(self) -> int:
        return len(self._live)

    def claim(self, caller: str, nonce: bytes, at: float, now: float) -> NonceRow | None:
        """Accept a nonce, once.

        Args:
            caller: its name, or STRANGER and the key of its address.
            at: the timestamp beside it, Unix seconds, inside the window.
            now: Unix seconds.

        Returns:
            What must be on disk before the request goes on; None when the mark covers it.

        Raises:
            Refusal: TIMESTAMP_STALE, NONCE_REUSED, NONCES_LIMITED, NONCES_UNAVAILABLE.
        """
        self.forget(now)
        second = ceil(at)
        if second <= self.floor:
            raise self._unknown(now)
        digest = nonce_key(caller, nonce)
        if digest in self._live:
            raise Refusal(NONCE_REUSED)
        self._check_room(caller, now)
        self._add(caller, digest, second)
        self.used = True
        return None if second <= self.mark else (caller, digest.hex(), second)

    def forget(self, now: float) -> None:
        """Drop what cannot be accepted again; each nonce costs that once."""
        end = now - self.window_seconds
        if self._oldest >= end:
            return
        for second in sorted(second for second in self._seconds if second < end):
            for caller, digests in self._seconds.pop(second).items():
                self._live.difference_update(digests)
                self._count(caller, -len(digests))
            self.floor = max(self.floor, second)
        self._oldest = min(self._seconds, default=float("inf"))

    def restore(self, floor: int, mark: int, rows: Iterable[NonceRow]) -> None:
        """Go on where an earlier process ended; all of its nonces are taken, whatever the limits are."""
        self.floor, self.mark = max(self.floor, floor), max(self.mark, mark)
        for caller, digest, second in rows:
            if (key := bytes.fromhex(digest)) not in self._live:
                self._add(caller, key, second)
        self.is_open = True

    def close(self) -> None:
        """Accept no more."""
        self.is_open = False

    def rows(self) -> Iterator[NonceRow]:
        """All that are live."""
        for second, callers in self._seconds.items():
            for caller, digests in callers.items():
                for digest in digests:
                    yield caller, digest.hex(), second

    def _check_room(self, caller: str, now: float) -> None:
        if not self.is_open:
            raise Refusal(NONCES_UNAVAILABLE)
        if self._held.get(caller, 0) >= self._per_caller:
            first = min(second for second, callers in self._seconds.items() if caller in callers)
            raise Refusal(NONCES_LIMITED, retry_after_seconds=self._gone_in(first, now))
        stranger = caller.startswith(STRANGER)
        if self._totals[stranger] >= self._limits[stranger]:
            raise Refusal(NONCES_UNAVAILABLE, FULL, retry_after_seconds=self._gone_in(min(self._seconds), now))

    def _gone_in(self, second: int, now: float) -> int:
        """Whole seconds until the nonces of that second are forgotten."""
        return max(1, int(second + self.window_seconds - now) + 1)

    def _unknown(self, now: float) -> Refusal:
        """Of that time we do not know what was accepted: the service ended without a stop, or its clock was set back."""
        wait = ceil(self.floor + 1 - now)
        return Refusal(
            TIMESTAMP_STALE,
            "The service has begun anew since that time, and cannot tell whether it saw this request. Send it with a new"
            f" timestamp{f' in {wait} s' if wait > 0 else ''}, and a new nonce.",
            retry_after_seconds=wait if wait > 0 else None,
        )

    def _add(self, caller: str, digest: bytes, second: int) -> None:
        self._live.add(digest)
        self._seconds.setdefault(second, {}).setdefault(caller, []).append(digest)
        self._oldest = min(self._oldest, second)
        self._count(caller, 1)

    def _count(self, caller: str, more: int) -> None:
        self._totals[caller.startswith(STRANGER)] += more
        held = self._held.get(caller, 0) + more
        if held:
            self._held[caller] = held
        else:
            del self._held[caller]
