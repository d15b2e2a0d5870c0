"""What start-up and the commands say: the root of all errors that an operator or an author mends."""

from __future__ import annotations


class OperatorError(Exception):
    """Nothing starts, or no command is carried out, before this is mended. Its text holds nothing of a request.

    Attributes:
        identifier: a stable word, documented, e.g. `database-missing`.
        place: where: the file, account, setting or line of the author's program.
        mend: what to do about it. Never a value that was given: it may be a secret in the wrong place.
    """

    def __init__(self, identifier: str, place: str, mend: str) -> None:
        super().__init__(f"{identifier}: {place}: {mend}")
        self.identifier = identifier
        self.place = place
        self.mend = mend
