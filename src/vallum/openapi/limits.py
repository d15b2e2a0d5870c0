"""The schema of `GET /limits` (`execute/limits.py`)."""

from __future__ import annotations

from typing import Final

from vallum.declare.plan import MAX_COUNT
from vallum.openapi.bounded import nullable
from vallum.openapi.components import Json
from vallum.validate.column_schemas import choice, integer, text

METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
LONGEST_WINDOW_SECONDS: Final = 90_000
"""A day of 25 hours."""


def _object(properties: Json, optional: tuple[str, ...] = ()) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(item: Json, longest: int) -> Json:
    return {"type": "array", "maxItems": longest, "items": item}


def _units(description: str) -> Json:
    return {**integer(0, MAX_COUNT), "description": description}


SECONDS: Final = integer(0, LONGEST_WINDOW_SECONDS)
POLICY: Final = {
    "name": choice(["hour", "day", "burst"]),
    "quota": _units("Units in a window."),
    "window_seconds": SECONDS,
    "zone": {**text(100), "description": "Whose midnight begins a day."},
    "remaining": _units("Units left."),
    "reset_seconds": {**SECONDS, "description": "Until there are more."},
}
SLOW: Final = {
    "rate": {"type": "string", "maxLength": 20, "pattern": "^[0-9]+/(s|min|h)$", "examples": ["5/min"]},
    "in_effect": {"type": "boolean"},
}
COST: Final = {
    "method": choice(METHODS),
    "path": text(2_000),
    "units": _units("Of one request."),
    "extra": {
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": integer(0, MAX_COUNT),
        "description": "Units that a parameter adds.",
    },
}


def limits() -> Json:
    """A caller's budget."""
    members = {
        "plan": text(200),
        "account": {**nullable(text(200)), "description": "Null without a credential."},
        "policies": _list(_object(POLICY, ("zone",)), 3),
        "after_quota": {
            **nullable(_object(SLOW)),
            "description": "How the caller goes on when its quota is used up; null: not at all.",
        },
        "retry_after_seconds": SECONDS,
        "costs": _list(_object(COST), 10_000),
    }
    return {"description": "The budget of a caller.", **_object(members)}
