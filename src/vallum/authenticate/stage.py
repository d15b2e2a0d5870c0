"""Stage 2, authenticate: who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from vallum.edge.stage import Admitted
from vallum.store.ports import Principal


@final
@dataclass(frozen=True, slots=True)
class Identified:
    """The caller is known, or known to be anonymous on a route that allows it."""

    admitted: Admitted
    principal: Principal
