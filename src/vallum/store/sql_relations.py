"""Relations in a rule must begin at the row that the rule is about.

`Book.loans.any(…)` in a rule on books is an EXISTS that is tied to the book. In a rule on reviews nothing ties it: it
brings the books into its own FROM, and holds for every review as soon as one book has such a loan.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Table
from sqlalchemy.sql.selectable import Select


def astray(expression: Any, table: Table) -> str | None:
    """The name of a table at which a relation of this condition begins though it is not around it; None when all are."""
    return next(_astray(expression, frozenset([table])), None)


def _astray(element: Any, around: frozenset[Any]) -> Iterator[str]:
    if isinstance(element, Select):
        froms = frozenset(element.get_final_froms())
        # `any()` and `has()` correlate all tables but the ones that they lead to, so that any other is where they begin.
        if element._correlate_except is not None:  # noqa: SLF001  # there is no public way to ask
            for begun in froms - frozenset(element._correlate_except) - around:  # noqa: SLF001
                yield str(getattr(begun, "name", begun))
        around |= froms
    for child in element.get_children():
        yield from _astray(child, around)
