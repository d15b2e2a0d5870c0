"""A write under an `Idempotency-Key`: carried out once, answered as often as it is asked.

1. The key is claimed, in the transaction of the write. Whoever comes second waits here until the first has ended.
2. Free: the write runs and its answer is filled in. A refusal undoes the claim with everything else, so that only what
   was carried out is remembered.
3. Taken: the caller's epoch is compared, as by every write. Another request than the first is refused, and so is one
   with other rights; the same gets the first answer, and nothing is written.

The answer is kept as what it is made of, and `respond` makes the same bytes of it.
"""

from __future__ import annotations

from typing import NamedTuple, final

from vallum.crypto.digest import fingerprint
from vallum.execute.frame import Frame
from vallum.execute.rows import Seen, check_epoch
from vallum.refusals import (
    IDEMPOTENCY_IN_FLIGHT,
    IDEMPOTENCY_KEY_REUSED,
    IDEMPOTENCY_RIGHTS_CHANGED,
    QUERY_TIMEOUT,
    Refusal,
)
from vallum.store.idempotency import claim, find, keep, kept
from vallum.store.ports import Script
from vallum.validate.idempotency import IdempotencyKey


@final
class Result(NamedTuple):
    """What a write answers.

    Attributes:
        json: the body, or None.
        tag: the entity tag, when the body is a row.
        row_key: of a new row, a JSON object; empty otherwise.
        replayed: it was carried out before.
    """

    json: str | None
    tag: str | None = None
    row_key: str = ""
    replayed: bool = False


def result_of(seen: Seen) -> Result:
    """What the making of a row answers."""
    return Result(seen.json, seen.tag, seen.key_json)


def once(frame: Frame, key: IdempotencyKey, write: Script[Result]) -> Script[Result]:
    """Run `write`, or give the answer that it gave before.

    Raises:
        Refusal: IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_RIGHTS_CHANGED, and what `write` refuses.
        Moved: the caller's epoch moved.
    """
    rights = _rights(frame)
    try:
        free = yield claim(key.id, key.fingerprint, rights, frame.now, frame.dialect)
    except Refusal as refusal:
        if refusal.reason is QUERY_TIMEOUT:
            raise Refusal(IDEMPOTENCY_IN_FLIGHT, retry_after_seconds=1) from refusal
        raise
    if not free:
        return (yield from _replay(frame, key, rights))
    result = yield from write
    yield keep(key.id, result.row_key, result.json, result.tag, frame.dialect)
    return result


def _replay(frame: Frame, key: IdempotencyKey, rights: bytes) -> Script[Result]:
    yield from check_epoch(frame)
    rows = yield find(key.id, frame.dialect)
    first = kept(rows[0])
    if first.fingerprint != key.fingerprint:
        raise Refusal(IDEMPOTENCY_KEY_REUSED)
    if first.rights != rights:
        raise Refusal(IDEMPOTENCY_RIGHTS_CHANGED)
    return Result(first.json, first.tag, first.row_key, replayed=True)


def _rights(frame: Frame) -> bytes:
    """What the caller may do: by the state of its account, and by the conditions that hold at this request.

    The epoch alone would let a credential with fewer scopes see what one with more was answered.
    """
    rights = frame.rights
    holding = "".join("01"[holds] + "01"[may_hold] for holds, may_hold in rights.conditions.values())
    return fingerprint(str(frame.principal.epoch).encode(), holding.encode(), *(role.encode() for role in rights.roles))
