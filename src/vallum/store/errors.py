"""What start-up and the commands say when the store cannot be used as it is."""

from __future__ import annotations

from typing import final

from vallum.errors import OperatorError


@final
class StoreError(OperatorError):
    """The store is missing, open to others, of another version, or asked for something that it does not hold.

    `place` is the file, table or account.
    """
