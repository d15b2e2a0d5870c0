"""What start-up and the commands say when the store cannot be used as it is."""

from __future__ import annotations

from typing import final


@final
class StoreError(Exception):
    """The store is missing, open to others, of another version, or asked for something that it does not hold.

    Attributes:
        identifier: a stable word, documented, e.g. `database-missing`.
        place: the file, table or account.
        mend: what the operator does about it.
    """

    def __init__(self, identifier: str, place: str, mend: str) -> None:
        super().__init__(f"{identifier}: {place}: {mend}")
        self.identifier = identifier
        self.place = place
        self.mend = mend
