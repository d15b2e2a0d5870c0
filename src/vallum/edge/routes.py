"""The route table: path → route and keys, by dictionaries on whole segments.

Three shapes: `/static/path`, `/resource/{key}` or `/resource/{a},{b}`, and `/resource/{key}/action`.
A static path goes before a pattern; two patterns that could match one path are refused at build.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeVar, final

from vallum import defaults
from vallum.declare.errors import DeclarationError
from vallum.declare.route import BodyKind, Kind, Route
from vallum.edge.target import ENCODED_COMMA

Place = TypeVar("Place", str, tuple[str, str])
Entry = TypeVar("Entry", tuple[Route, int], tuple[Route, tuple[str, ...]])

LITERAL: Final = re.compile(r"[A-Za-z0-9_.~-]+")
STATIC: Final = re.compile(r"(?:/[A-Za-z0-9_.~-]+)*/?")
KEYS: Final = re.compile(r"\{\w+\}(?:,\{\w+\})*")

NOTHING: Final[tuple[Route | None, tuple[str, ...]]] = (None, ())


@final
class RouteTable:
    """Finds the route of a path. Built once.

    Attributes:
        largest_body_bytes: what any route that asks for a credential takes. The edge measures all
            of them with it, or a stranger could tell a route by its own limit; `validate` has that one.
    """

    __slots__ = ("_actions", "_items", "_static", "largest_body_bytes")

    def __init__(self, routes: Iterable[Route]) -> None:
        """
        Raises:
            DeclarationError: `path-form` for another shape, `path-ambiguous` for two patterns that could
                match the same path, `service-misplaced` for a built-in route without a service or another with one,
                `public-misplaced` for another that is public, `form-not-public` for a form body behind a credential.
        """
        self._static: dict[str, tuple[Route, tuple[str, ...]]] = {}
        self._items: dict[str, tuple[Route, int]] = {}
        self._actions: dict[tuple[str, str], tuple[Route, int]] = {}
        self.largest_body_bytes = defaults.MAX_BODY_BYTES
        for route in routes:
            self._add(route)
            built_in = route.kind is Kind.BUILT_IN
            if built_in is (route.service is None):
                raise DeclarationError(
                    "service-misplaced", route.path, "A built-in route, and no other, has a service."
                )
            if route.public is not None and not built_in:
                raise DeclarationError("public-misplaced", route.path, "Only a built-in route is public; allow ANYONE.")
            if route.public is None:
                self.largest_body_bytes = max(self.largest_body_bytes, route.max_body_bytes)
                if BodyKind.FORM in route.bodies.values():
                    # A page of any origin can send a form, and media are checked alike for all such routes.
                    raise DeclarationError("form-not-public", route.path, "Take JSON, or make the route public.")
        self._refuse_overlaps()

    def find(self, path: str) -> tuple[Route | None, tuple[str, ...]]:
        """The route and its keys, or (None, ()).

        Args:
            path: as `read_path` gives it.
        """
        found = self._static.get(path)
        if found is not None:
            return found
        parent, _, last = path.rpartition("/")
        item = self._items.get(parent)
        if item is not None:
            return _with_keys(item, last)
        collection, _, key = parent.rpartition("/")
        action = self._actions.get((collection, last))
        return NOTHING if action is None else _with_keys(action, key)

    def _add(self, route: Route) -> None:
        if STATIC.fullmatch(route.path) and route.path and not {".", ".."} & set(route.path.split("/")):
            _put(self._static, route.path, (route, ()))
            return
        empty, *segments = route.path.split("/")
        at = next((index for index, segment in enumerate(segments) if KEYS.fullmatch(segment)), 0)
        literals = segments[:at] + segments[at + 1 :]
        well_formed = all(LITERAL.fullmatch(text) and text not in {".", ".."} for text in literals)
        if empty or not well_formed or at == 0 or len(segments) - at > 2:
            raise DeclarationError("path-form", route.path, "Write /name, /name/{key} or /name/{key}/action.")
        collection = "/" + "/".join(segments[:at])
        count = segments[at].count("{")
        if at == len(segments) - 1:
            _put(self._items, collection, (route, count))
        else:
            _put(self._actions, (collection, segments[-1]), (route, count))

    def _refuse_overlaps(self) -> None:
        # /a/{key}/b and /a/c/{key} meet in /a/c/b; with composite keys they cannot, for names have no comma.
        for (collection, _), (action, action_keys) in self._actions.items():
            for parent, (item, item_keys) in self._items.items():
                if parent.rpartition("/")[0] == collection and action_keys == item_keys == 1:
                    raise _ambiguous(action, item)


def _put(table: dict[Place, Entry], place: Place, entry: Entry) -> None:
    present = table.setdefault(place, entry)
    if present is not entry:
        raise _ambiguous(present[0], entry[0])


def _ambiguous(one: Route, other: Route) -> DeclarationError:
    return DeclarationError("path-ambiguous", f"{one.path} and {other.path}", "Give one of the two another path.")


def _with_keys(entry: tuple[Route, int], segment: str) -> tuple[Route | None, tuple[str, ...]]:
    route, count = entry
    parts = segment.split(",")
    if len(parts) != count or "" in parts:
        return NOTHING
    if ENCODED_COMMA in segment:
        return route, tuple([part.replace(ENCODED_COMMA, ",") for part in parts])
    return route, tuple(parts)
