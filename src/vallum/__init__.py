"""Vallum: declare SQLAlchemy models and a page of rules; every request passes every check."""

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
    when,
)
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
