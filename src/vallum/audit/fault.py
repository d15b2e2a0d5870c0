"""What a verification found, and what it looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

KINDS: Final[Mapping[str, str]] = {
    "entry-changed": "An entry is not what was sealed.",
    "entry-moved": "An entry stands under the id of another one.",
    "entry-removed": "An entry that was sealed is gone, or an id was given and its entry is nowhere.",
    "entry-inserted": "An entry stands between sealed ones and was never sealed.",
    "entry-order": "The entries of a segment are in another order (exports only).",
    "segment-changed": "A segment is not what was hashed.",
    "segment-removed": "A segment is missing before another one.",
    "segment-inserted": "A segment stands where none can be.",
    "chain-broken": "A segment does not follow the one before it: this one, or what came before it, was written anew.",
    "chain-truncated": "The chain ends before the segment that a checkpoint signed.",
    "chain-replaced": "The chain has another segment where a checkpoint signed one: it was written anew.",
    "checkpoint-missing": "There are segments and no checkpoint.",
    "checkpoint-forged": "A checkpoint is not signed by a trusted key, or is malformed.",
    "trigger-missing": "A trigger that keeps entries and segments from being changed is not as it was made.",
    "trigger-foreign": "A trigger, rule or policy that is not Vallum's stands on a table of Vallum's.",
    "line-malformed": "A line is none of an export (exports only).",
}
"""Every kind of fault."""


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was sealed.

    Attributes:
        kind: of `KINDS`.
        detail: what exactly, for people.
        segment, entry: where, as far as it is known.
    """

    kind: str
    detail: str
    segment: int | None = None
    entry: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a verification.

    Attributes:
        entries: sealed ones that are what was sealed, or were compared at least.
        segments: of the chain; of these the entries of the first `pruned` are removed by retention.
        unsealed: entries behind the chain's end: written, and not sealed yet.
        sealed_at: Unix seconds of the newest segment; None when there is none.
        checkpoints: the segment that each signed, by where it was found.
        faults: at most `AUDIT_FINDINGS`; `further` counts the others.
    """

    entries: int
    segments: int
    pruned: int
    unsealed: int
    sealed_at: float | None
    checkpoints: Mapping[str, int]
    faults: Sequence[Fault]
    further: int

    @property
    def whole(self) -> bool:
        """Whether nothing is at fault."""
        return not self.faults
