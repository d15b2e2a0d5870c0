"""The School for tools that make thousands of requests from one address, and show it dozens of bad credentials."""

from __future__ import annotations

from school import api as api
from vallum import Plan
from vallum.store.memory import AddressLimiter

api.plans = dict.fromkeys(api.plans, Plan("100000/s"))
limits = AddressLimiter.__init__.__kwdefaults__ or {}
limits["failures_burst"] = 1_000_000  # no setting: nobody else wants that
