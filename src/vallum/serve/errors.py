"""What start-up and the commands say about settings."""

from __future__ import annotations

from typing import final

from vallum.errors import OperatorError


@final
class SettingsError(OperatorError):
    """A setting that cannot be used, e.g. `public-url-http`; `place` is the flag, variable or entry that gave it."""
