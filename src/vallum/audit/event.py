"""What one write leaves behind: who did what to which row, in which request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from vallum.declare.accounts import RESERVED

OPERATOR: Final = f"{RESERVED}operator"
"""Who a command stands for: no account has such a name."""
SERVER: Final = f"{RESERVED}server"
"""Who does what no request and no command asked for, such as retention."""


@final
@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One row of the audit table.

    Attributes:
        at: Unix seconds of the request.
        request_id: as in the answer and the logs.
        principal: its id; None for the anonymous caller.
        verb: what was done, e.g. `create`.
        resource: the name of the resource, or the path of an endpoint.
        row_key: the row's key as a JSON object; None where there is no row.
        fields: names that were written; never their values.
        before, after: what identifies the state (its entity tag); None where there was or is no row.
        note: the reason that a handler gave for going past the rules.
        api_key: identifier of the API key that it was done with; None with another credential.
    """

    at: float
    request_id: str
    principal: str | None
    verb: str
    resource: str
    row_key: str | None = None
    fields: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    note: str | None = None
    api_key: str | None = None
