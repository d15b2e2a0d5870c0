"""Vallum: declare SQLAlchemy models and a page of rules; every request passes every check.

Names are loaded when they are asked for: `vallum token` stands inside other commands and must not wait for SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vallum.declare.app import API
    from vallum.declare.errors import DeclarationError
    from vallum.declare.plan import Plan, Rate, Reduced
    from vallum.declare.policy import (
        ANYONE,
        CREATE,
        DELETE,
        READ,
        UPDATE,
        Operation,
        Rule,
        allow,
        deny,
        me,
        now,
        today,
    )
    from vallum.declare.when import when
    from vallum.execute.call import Call, Conflict

__all__ = [
    "ANYONE",
    "API",
    "CREATE",
    "DELETE",
    "READ",
    "UPDATE",
    "Call",
    "Conflict",
    "DeclarationError",
    "Operation",
    "Plan",
    "Rate",
    "Reduced",
    "Rule",
    "allow",
    "deny",
    "me",
    "now",
    "today",
    "when",
]

_MODULES: Final = {
    "API": "declare.app",
    "Call": "execute.call",
    "Conflict": "execute.call",
    "DeclarationError": "declare.errors",
    "Plan": "declare.plan",
    "Rate": "declare.plan",
    "Reduced": "declare.plan",
    "when": "declare.when",
}
"""Where a name is; all others are in `declare.policy`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'declare.policy')}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
