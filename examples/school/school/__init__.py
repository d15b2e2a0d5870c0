"""A school behind Vallum: `vallum serve` finds `school:api` (vallum.toml) and serves what these modules declare."""

from school import policies

# isort: split
from school import actions, seed  # an action needs its resource
from school.app import api

__all__ = ["actions", "api", "policies", "seed"]
