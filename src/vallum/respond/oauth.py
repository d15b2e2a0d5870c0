"""Refusals of OAuth endpoints (RFC 6749 §5.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from vallum.refusals import Refusal

BY_STATUS: Final[Mapping[int, str]] = {
    401: "invalid_client",
    429: "temporarily_unavailable",
    500: "server_error",
    503: "temporarily_unavailable",
}
"""What the stages before an endpoint say; every other status is `invalid_request`."""

# RFC 6749 appendix A.8: error-description = 1*( %x20-21 / %x23-5B / %x5D-7E ).
_FOREIGN: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def oauth_error(refusal: Refusal) -> bytes:
    """The body. A reason of the stage `oauth` has the error's own word as its code, every other one is put into one."""
    reason = refusal.reason
    error = reason.code if reason.stage == "oauth" else BY_STATUS.get(reason.status, "invalid_request")
    description = " ".join([refusal.detail, *(fault.detail for fault in refusal.faults)])
    return json.dumps({"error": error, "error_description": _FOREIGN.sub("'", description)}).encode()
