"""What start-up says when a declaration cannot be honoured."""

from __future__ import annotations

from typing import final


@final
class DeclarationError(Exception):
    """A declaration that cannot be honoured; start-up stops with it.

    Attributes:
        identifier: a stable word, documented, e.g. `resource-without-rules`.
        place: where in the author's program.
        mend: what to write instead.
    """

    def __init__(self, identifier: str, place: str, mend: str) -> None:
        super().__init__(f"{identifier}: {place}: {mend}")
        self.identifier = identifier
        self.place = place
        self.mend = mend
