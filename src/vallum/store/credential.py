"""What API keys and clients' credentials have in common: lists of words in a column, and whether one is valid."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from vallum.store.ports import Row, Statement

Read = Callable[[Statement], Awaitable[Sequence[Row]]]


def text(words: Iterable[str] | None) -> str | None:
    """Words as they are kept: a JSON array, sorted; None stands for no limit."""
    return None if words is None else json.dumps(sorted(words))


def parsed(text: str | None) -> list[str] | None:
    """What :func:`text` has made, in its order."""
    return None if text is None else json.loads(text)


def words(text: str | None) -> frozenset[str] | None:
    """The same as a set."""
    return None if text is None else frozenset(json.loads(text))


def state(expires: int | None, revoked: int | None, now: float, *, disabled: Any) -> str:
    """In one word, the first that holds; `disabled` is the account's."""
    over = expires is not None and now >= expires
    return "revoked" if revoked is not None else "expired" if over else "disabled" if disabled else "valid"
