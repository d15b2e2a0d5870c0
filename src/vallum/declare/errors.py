"""What start-up says when a declaration cannot be honoured."""

from __future__ import annotations

from typing import final

from vallum.errors import OperatorError


@final
class DeclarationError(OperatorError):
    """A declaration that cannot be honoured, e.g. `resource-without-rules`; `place` is in the author's program."""
