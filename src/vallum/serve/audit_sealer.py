"""Keeps the audit while the service runs: counts refusals down, seals what was committed, keeps checkpoints, prunes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, final

from vallum import defaults
from vallum.audit import anchor, denials, keys
from vallum.audit.checkpoint import Sign, signer
from vallum.audit.denials import Denials
from vallum.audit.event import SERVER
from vallum.audit.prune import Pruned, Pruning, prune
from vallum.audit.seal import batch, newest
from vallum.crypto.jwk import KeySet
from vallum.crypto.random import request_id
from vallum.pipeline import Journal
from vallum.serve.files import KEYS_FOLDER
from vallum.store.ports import Database, Script, Violation

T = TypeVar("T")


log = logging.getLogger(__name__)


@final
class AuditSealer:
    """Seals every `AUDIT_SEAL_SECONDS`; a stop in order leaves nothing unsealed.

    Args:
        data: the data directory, in which the audit's key is and the newest checkpoint is kept.
        passphrase: of the key's file, or None.
        retention_days: after which entries are removed; None: never.
    """

    def __init__(
        self,
        counts: Denials,
        database: Database,
        journal: Journal,
        clock: Callable[[], float],
        data: Path,
        *,
        passphrase: bytes | None = None,
        retention_days: int | None = None,
    ) -> None:
        self._counts = counts
        self._database = database
        self._journal = journal
        self._clock = clock
        self._data = data
        self._passphrase = passphrase
        self._retention_days = retention_days
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sign: Sign
        self._keys: KeySet
        self._known: str | None = None
        """The checkpoint that was signed or seen last. Nobody who writes in the database can change it here."""
        self._denials_at = self._anchored_at = self._pruned_at = 0.0

    async def start(self) -> None:
        """Take the key, or make the first one, and begin.

        Raises:
            StoreError: `audit-key-missing`, `audit-key`.
        """
        folder, dialect = self._data / KEYS_FOLDER, self._database.dialect
        signed = await self._database.write(lambda: newest(dialect)) is not None
        key = keys.ensure(folder, self._passphrase, signed=signed)
        self._sign, self._keys = signer(key), keys.key_set(keys.public_jwks(folder))
        self._denials_at = self._clock()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what was counted, seal what there is, keep the checkpoint."""
        if self._task is None:
            return
        self._stopping.set()
        await self._task
        await self.round(self._clock(), last=True)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self.round(self._clock())
            try:
                await asyncio.wait_for(self._stopping.wait(), defaults.AUDIT_SEAL_SECONDS)
            except TimeoutError:
                continue

    async def round(self, now: float, *, last: bool = False) -> None:
        """What is due at that time; in the end all of it.

        Args:
            now: Unix seconds.
        """
        try:
            if last or now - self._denials_at >= defaults.AUDIT_DENIAL_SECONDS:
                self._denials_at = now
                await self._write_denials()
            if self._retention_days is not None and now - self._pruned_at >= defaults.AUDIT_PRUNE_SECONDS:
                self._pruned_at = now
                await self._prune(now, self._retention_days)
            await self._seal(now, defaults.AUDIT_STOP_SEGMENTS if last else None)
            if last or now - self._anchored_at >= defaults.AUDIT_CHECKPOINT_SECONDS:
                self._anchored_at = now
                await self._anchor()
        except Exception as error:  # noqa: BLE001  # whatever it is, serving goes on, and the next round tries again
            self._journal.failed("audit", error)

    async def _write_denials(self) -> None:
        taken = self._counts.take()
        if not taken:
            return
        try:
            await self._database.write(lambda: denials.write(taken, self._database.dialect))
        except BaseException:
            self._counts.put_back(taken)
            raise

    async def _seal(self, now: float, most: int | None) -> None:
        made = 0
        while most is None or made < most:
            try:
                segment = await self._signed(lambda: batch(self._sign, self._keys, now, self._database.dialect))
            except Violation:
                return  # another sealer was first
            made += 1
            if segment is None or (self._stopping.is_set() and most is None):
                return

    async def _anchor(self) -> None:
        before = anchor.kept(self._data)
        text = await self._database.write(lambda: anchor.follow(before, self._keys, self._database.dialect))
        if text is not None:
            await asyncio.to_thread(anchor.keep, self._data, text)
            log.info("audit checkpoint %s", text)

    async def _prune(self, now: float, days: int) -> None:
        pruning = Pruning(now - days * defaults.DAY_SECONDS, SERVER, request_id())
        dialect = self._database.dialect
        done: Pruned | None = Pruned(0, 0, 0)
        while done is not None and not self._stopping.is_set():
            done = await self._signed(lambda: prune(pruning, self._sign, self._keys, now, dialect))

    async def _signed(self, sign: Callable[[], Script[T]]) -> T:
        """Run what signs the chain's end, but never upon an end that is not the one that was signed.

        Raises:
            StoreError: `audit-replaced`.
        """
        before, dialect = self._known or anchor.kept(self._data), self._database.dialect

        def script() -> Script[tuple[T, str | None]]:
            done = yield from anchor.upon(before, self._keys, dialect, sign())
            return done, (yield from newest(dialect))

        done, self._known = await self._database.write(script)
        return done
