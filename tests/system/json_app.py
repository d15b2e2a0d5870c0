"""An application with one endpoint that takes any JSON, for suites that send it thousands of documents.

Served by `vallum serve tests.system.json_app:api --dev`; tests/path/test_any_json.py sends it what the parser refuses.
"""

from __future__ import annotations

from typing import Any, Final

from vallum import ANYONE, API, Call, Plan, allow

PLENTY: Final = 900_000_000
"""Units: the suite measures the parser, not the meter."""
OPEN: Final = Plan(burst=f"{PLENTY}/s", hour=PLENTY, day=PLENTY)

api: Final = API("Any JSON", roles=["sender"], plans={"default": OPEN, "anonymous": OPEN})
api.accounts.add("sender-1", roles=["sender"])


# A repetition does no harm here, and the suites send nothing but documents.
@api.post("/json", allow(ANYONE), body=Any, fresh="off")
def take(call: Call, body: Any) -> dict[str, str]:
    """Say what kind of value arrived, so that a control sees that it was read."""
    return {"type": type(body).__name__}
