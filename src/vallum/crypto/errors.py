"""The two ways in which this package says no."""

from __future__ import annotations

from typing import final

from vallum.errors import OperatorError


@final
class NotAuthentic(Exception):
    """What a client sent did not verify: a token, a signature, a sealed text or a password.

    `reason` is a word for logs and tests. It never goes to the client: the answer to
    every bad credential is the same (RFC 6750 §3.1).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@final
class BadKey(OperatorError):
    """Key material that must not be used: malformed, too weak, of the wrong kind or open to others.

    This is a fault of the operator or of a key's publisher, never of the client whose
    request is being checked. `reason` is a stable word, `detail` says what to mend.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason.replace("_", "-"), "", detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
