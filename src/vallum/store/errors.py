"""What start-up and the commands say when the store cannot be used as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from vallum.errors import OperatorError
from vallum.refusals import BUSY, QUERY_TIMEOUT, Refusal


@final
class StoreError(OperatorError):
    """The store is missing, open to others, of another version, or asked for something that it does not hold.

    `place` is the file, table or account.
    """


@contextmanager
def for_operator(place: str) -> Iterator[None]:
    """What a request would be told to come again for, said to a command.

    Raises:
        StoreError: `database-busy`.
    """
    try:
        yield
    except Refusal as refusal:
        if refusal.reason not in (BUSY, QUERY_TIMEOUT):
            raise
        mend = "Somebody else holds for too long what the command needs, or the store is going down or full: see which, and try again."
        raise StoreError("database-busy", place, mend) from refusal
