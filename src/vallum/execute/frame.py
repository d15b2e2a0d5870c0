"""What every script of a request shares: the caller, its values and its rights."""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from vallum import defaults
from vallum.authorise.rights import Rights
from vallum.declare.policy import ME_ATTRIBUTE, ME_ID, NOW, TODAY
from vallum.declare.resource import Resource
from vallum.execute.shape import KEY
from vallum.store.codec import to_driver
from vallum.store.ports import Principal, Value
from vallum.store.sql import DialectName, Prepared


@final
class Moved(Exception):
    """The caller's epoch is not the one that its rights were taken at; the path runs once more."""


@final
class Plans:
    """Prepared statements by what makes them the same; the least recently used is dropped."""

    def __init__(self, limit: int = defaults.STATEMENTS_CACHED) -> None:
        self._limit = limit
        self._kept: OrderedDict[object, Prepared] = OrderedDict()

    def get(self, key: object, build: Callable[[], Prepared]) -> Prepared:
        """The statement under `key`, built when it is not there."""
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = build()
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found


@final
@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One request's view of the store.

    Attributes:
        values: of the caller and the instant, by the names that rules use.
        now: Unix seconds.
    """

    principal: Principal
    rights: Rights
    dialect: DialectName
    plans: Plans
    request_id: str
    now: float
    values: Mapping[str, Any] = field(default_factory=dict)

    def key_values(self, resource: Resource, key: tuple[Any, ...]) -> dict[str, Value]:
        """The values of this frame with a row's key, as the driver takes it."""
        found = dict(self.values)
        for index, (name, value) in enumerate(zip(resource.key, key, strict=True)):
            convert = to_driver(resource.fields[name], self.dialect)
            found[f"{KEY}{index}"] = value if convert is None or value is None else convert(value)
        return found


def caller_values(principal: Principal, now: float) -> dict[str, Any]:
    """The values of `me`, `now` and `today`."""
    instant = datetime.datetime.fromtimestamp(now, datetime.UTC)
    values: dict[str, Any] = {ME_ID: principal.id, NOW: instant, TODAY: instant.date()}
    for name, value in principal.attributes.items():
        values[ME_ATTRIBUTE + name] = value
    return values
