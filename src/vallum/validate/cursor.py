"""Cursors: where a page ends, encrypted and bound to the caller, the list, the filter and the sort.

A cursor opens only for the same caller on the same list with the same filter and sort; anything else, and any
changed byte, is a 400. What it carries (values of fields, perhaps hidden ones) is not readable.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, final

from pydantic_core import to_json

from vallum.crypto.errors import NotAuthentic
from vallum.crypto.sealed import Sealer
from vallum.refusals import CURSOR_INVALID, Refusal
from vallum.validate.query import Query


@final
class Cursors:
    """Makes and opens cursors with one key."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def make(self, values: Sequence[Any], context: bytes) -> str:
        """Seal the order terms of the last row of a page."""
        return self._sealer.seal(to_json(values, inf_nan_mode="constants", fallback=str), context)

    def open(self, cursor: str, context: bytes, length: int) -> tuple[Any, ...]:
        """The order terms behind a cursor; `length` is how many this list has.

        Raises:
            Refusal: CURSOR_INVALID.
        """
        try:
            values = json.loads(self._sealer.open(cursor, context))
        except (NotAuthentic, ValueError) as error:
            raise Refusal(CURSOR_INVALID) from error
        if not isinstance(values, list) or len(values) != length:
            raise Refusal(CURSOR_INVALID)
        return tuple(values)


def context_of(caller: str | None, path: str, query: Query) -> bytes:
    """What a cursor is bound to; `repr` keeps the parts apart whatever they contain."""
    filters = [(f.name, f.operator, f.values) for f in query.filters]
    return repr((caller, path, filters, query.sort)).encode()


def context_of_included(caller: str | None, path: str, key: Sequence[str], relation: str) -> bytes:
    """What the cursor of an included page is bound to: the relation of that row.

    Args:
        path: of the row's collection.
        key: the row's, as it stands in a path.
    """
    return repr((caller, path, "include", tuple(key), relation)).encode()
