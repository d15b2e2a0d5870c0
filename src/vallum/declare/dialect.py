"""The databases that a declaration is checked and compiled for."""

from __future__ import annotations

from typing import Literal

DialectName = Literal["sqlite", "postgresql"]
"""As SQLAlchemy spells it."""
