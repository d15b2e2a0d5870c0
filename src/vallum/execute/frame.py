"""What every script of a request shares: the caller, its values and its rights."""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import Any, ParamSpec, final

from vallum import defaults
from vallum.authenticate.stage import Identified
from vallum.authorise.rights import Rights
from vallum.authorise.stage import Authorised
from vallum.declare.dialect import DialectName
from vallum.declare.policy import ME_ATTRIBUTE, ME_ID, NOW, TODAY
from vallum.declare.resource import Resource
from vallum.execute.shape import KEY
from vallum.store.codec import to_driver
from vallum.store.ports import Principal, Value
from vallum.store.sql import Prepared

P = ParamSpec("P")


@final
class Moved(Exception):
    """The caller's epoch is not the one that its rights were taken at; the path runs once more."""


@final
class Plans:
    """Prepared statements by what makes them the same; the least recently used is dropped.

    Locked: the event loop and the writer's thread share it, and two threads in one OrderedDict with keys of Python's
    own classes lose entries or end the process.
    """

    def __init__(self, limit: int = defaults.STATEMENTS_CACHED) -> None:
        self._limit = limit
        self._kept: OrderedDict[object, Prepared] = OrderedDict()
        self._lock = Lock()

    def get(self, key: object, build: Callable[P, Prepared], *args: P.args, **kwargs: P.kwargs) -> Prepared:
        """The statement under `key`: `build(…)` makes it when it is not there."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = build(*args, **kwargs)  # a millisecond, in which nobody else waits
        with self._lock:
            self._kept[key] = made
            self._kept.move_to_end(key)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return made


@final
class Values(dict[str, Any]):
    """What the parameters of a request's statements are bound to; the clock is read only by rules that ask for it."""

    __slots__ = ("_now",)

    def __init__(self, principal: Principal, now: float) -> None:
        self[ME_ID] = principal.id
        if principal.attributes:
            for name, value in principal.attributes.items():
                self[ME_ATTRIBUTE + name] = value
        self._now = now

    def __missing__(self, name: str) -> Any:
        instant = datetime.datetime.fromtimestamp(self._now, datetime.UTC)
        if name == NOW:
            return instant
        if name == TODAY:
            return instant.date()
        raise KeyError(name)

    def with_(self, more: Mapping[str, Any]) -> Values:
        """A copy with further values."""
        values = copy(self)
        values.update(more)
        return values


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
    values: Values

    def key_values(self, resource: Resource, key: tuple[Any, ...]) -> Values:
        """The values of this frame with a row's key, as the driver takes it."""
        return self.values.with_(key_values(resource, key, self.dialect))


def frame_of(authorised: Authorised, dialect: DialectName, plans: Plans) -> Frame:
    """The view of an authorised request."""
    identified = authorised.metered.identified
    request = identified.admitted.request
    return Frame(
        principal=identified.principal,
        rights=authorised.rights,
        dialect=dialect,
        plans=plans,
        request_id=request.id,
        now=request.received_at,
        values=Values(identified.principal, request.received_at),
    )


def same_epoch(identified: Identified, epoch: str | None) -> None:
    """Compare the caller's epoch with the one that a statement has found.

    Raises:
        Moved: it is another one.
    """
    principal = identified.principal
    if principal.id is not None and epoch != str(principal.epoch):
        raise Moved


def key_values(resource: Resource, key: tuple[Any, ...], dialect: DialectName) -> dict[str, Value]:
    """A row's key, as the driver takes it."""
    found: dict[str, Value] = {}
    for index, (name, value) in enumerate(zip(resource.key, key, strict=True)):
        convert = to_driver(resource.fields[name], dialect)
        found[f"{KEY}{index}"] = value if convert is None or value is None else convert(value)
    return found
