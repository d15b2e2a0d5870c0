"""What is true of an operation, as far as its header fields and its refusals depend on it."""

from __future__ import annotations

from typing import Literal

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
    "act",
    "write",
    "once",
    "fresh",
]
"""`guarded` asks for a credential, `row` has a key in its path, `once` takes an Idempotency-Key, `fresh` has to be made
a moment ago; `any` is always true."""


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
    if verb is not Verb.SERVE:
        found.add(verb.value)
    if method != "GET":
        found.add("write")
    if method == "POST" and (handler is None or not handler.asynchronous):
        found.add("once")
    if method in route.fresh:
        found.add("fresh")
    return frozenset(found)
