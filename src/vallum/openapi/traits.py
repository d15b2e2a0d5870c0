"""What is true of an operation, as far as its header fields and its refusals depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from vallum.declare.route import Kind, Route, Verb, open_to_anyone

Trait = Literal[
    "any",
    "guarded",
    "body",
    "bodiless",
    "row",
    "list",
    "item",
    "create",
    "change",
    "remove",
    "many",
    "act",
    "async",
    "write",
    "once",
    "fresh",
]
"""`guarded` asks for a credential, `row` has a key in its path, `many` names several rows, `async` may work in several
transactions, `once` takes an Idempotency-Key, `fresh` has to be made a moment ago; `any` is always true."""


_OF_VERBS: Final[Mapping[Verb, frozenset[Trait]]] = {
    Verb.LIST: frozenset({"list"}),
    Verb.ITEM: frozenset({"item"}),
    Verb.CREATE: frozenset({"create"}),
    Verb.CHANGE: frozenset({"change"}),
    Verb.REMOVE: frozenset({"remove"}),
    Verb.CHANGE_MANY: frozenset({"change", "many"}),
    Verb.REMOVE_MANY: frozenset({"remove", "many"}),
    Verb.ACT: frozenset({"act"}),
}


def traits_of(route: Route, method: str, *, body: bool) -> frozenset[Trait]:
    """Of the operation behind a method.

    Args:
        body: whether it takes one.
    """
    verb, handler = route.methods[method], route.handlers.get(method)
    found: set[Trait] = {"any", "body" if body else "bodiless"}
    if not open_to_anyone(route, method):
        found.add("guarded")
    if route.kind in (Kind.ITEM, Kind.ACTION):
        found.add("row")
    found |= _OF_VERBS.get(verb, frozenset())
    if method != "GET":
        found.add("write")
    if handler is not None and handler.asynchronous:
        found.add("async")
    elif method == "POST":
        found.add("once")
    if method in route.fresh:
        found.add("fresh")
    return frozenset(found)
