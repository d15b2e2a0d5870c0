"""The databases that a declaration is checked and compiled for."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import types
from sqlalchemy.dialects.postgresql import INTERVAL

DialectName = Literal["sqlite", "postgresql"]
"""As SQLAlchemy spells it."""

DURATION: Final = (types.Interval, INTERVAL)
"""Spans of time: SQLAlchemy's own, and PostgreSQL's, as a reflected table has it."""
