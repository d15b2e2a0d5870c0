"""Rules of one caller with the same condition, as one grant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

from sqlalchemy import ColumnElement

from vallum.store.sql import Sql


@final
@dataclass(frozen=True, slots=True, eq=False)
class Uncompiled:
    """A grant before it has a bit; a `free` one adds nothing to what every grant demands, which is tenant, soft delete
    and denies. `meant` is the condition as the author wrote it.
    """

    meant: ColumnElement[bool]
    where: Sql
    fields: frozenset[str]
    always: bool
    free: bool
    written: Mapping[str, Sql]


def needed(grants: list[Uncompiled]) -> list[Uncompiled]:
    """One grant for each distinct condition, and none that a free one makes superfluous."""
    united: list[Uncompiled] = []
    for grant in grants:
        index = next((i for i, other in enumerate(united) if _same(other, grant)), None)
        if index is None:
            united.append(grant)
        else:
            united[index] = replace(united[index], fields=united[index].fields | grant.fields)
    everywhere = next((g for g in united if g.free), None)
    return [g for g in united if g is everywhere or everywhere is None or not g.fields <= everywhere.fields]


def _same(one: Uncompiled, other: Uncompiled) -> bool:
    """Whether two conditions are the same on every store: one may write `flag` and `flag = true` alike, and what a
    caller may sort by would be another thing there.
    """
    return one.where == other.where and one.meant.compare(other.meant, compare_keys=False)
