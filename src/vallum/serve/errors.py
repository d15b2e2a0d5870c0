"""What start-up and the commands say about settings."""

from __future__ import annotations

from typing import final


@final
class SettingsError(Exception):
    """A setting that cannot be used; nothing starts with it.

    Attributes:
        identifier: a stable word, documented, e.g. `public-url-http`.
        place: the flag, variable or entry that gave it.
        mend: what to write instead. Never the value itself: it may be a secret in the wrong place.
    """

    def __init__(self, identifier: str, place: str, mend: str) -> None:
        super().__init__(f"{identifier}: {place}: {mend}")
        self.identifier = identifier
        self.place = place
        self.mend = mend
