"""What is different between two matrices: the one that was agreed to, and the one of the rules as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

from pydantic import ValidationError

from vallum.authorise.matrix import MATRIX, Matrix, Right, Thing
from vallum.authorise.matrix_words import fields_words, line_words

T = TypeVar("T", bound=Hashable)


@final
@dataclass(frozen=True, slots=True)
class Change:
    """A right that both have, and not the same."""

    before: Right
    after: Right


@final
@dataclass(frozen=True, slots=True)
class Moved:
    """A resource that one of them lacks, or whose path or existence is another one."""

    before: Thing | None
    after: Thing | None


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """What the rules as they are add to the agreed ones, take from them and change. No order counts as a difference."""

    roles_added: tuple[str, ...]
    roles_removed: tuple[str, ...]
    resources: tuple[Moved, ...]
    added: tuple[Right, ...]
    removed: tuple[Right, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        return any((self.roles_added, self.roles_removed, self.resources, self.added, self.removed, self.changed))


def read_matrix(document: bytes) -> Matrix:
    """What `vallum matrix --json` wrote.

    Raises:
        ValueError: it is something else, or of another version; the text says where.
    """
    try:
        matrix = MATRIX.validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else str(first["msg"])) from None
    keys = [right.key for right in matrix.rights]
    if twice := _twice(keys) or _twice([thing.resource for thing in matrix.resources]):
        raise ValueError(f"two entries for {' '.join(twice) if isinstance(twice, tuple) else twice}")
    return matrix


def compare(before: Matrix, after: Matrix) -> Difference:
    """From the agreed matrix to that of the rules as they are."""
    old, new = ({right.key: right for right in matrix.rights} for matrix in (before, after))
    was, now = ({thing.resource: thing for thing in matrix.resources} for matrix in (before, after))
    return Difference(
        roles_added=_missing(after.roles, before.roles),
        roles_removed=_missing(before.roles, after.roles),
        resources=tuple(
            Moved(was.get(name), now.get(name)) for name in sorted({*was, *now}) if was.get(name) != now.get(name)
        ),
        added=tuple(right for key, right in new.items() if key not in old),
        removed=tuple(right for key, right in old.items() if key not in new),
        changed=tuple(
            Change(old[key], right) for key, right in new.items() if key in old and any(_details(old[key], right))
        ),
    )


def told(difference: Difference) -> Iterator[str]:
    """The difference, line by line."""
    yield from (f"added    role {role}" for role in difference.roles_added)
    yield from (f"removed  role {role}" for role in difference.roles_removed)
    for moved in difference.resources:
        yield from _moved(moved)
    for word, rights in (("added  ", difference.added), ("removed", difference.removed)):
        for right in rights:
            yield f"{word}  {'' if right.granted else 'denial of '}{' · '.join(right.key)}"
            if fields := fields_words(right):
                yield f"           fields {', '.join(fields)}"
            yield from (f"           {rule}" for rule in _rules(right))
    for change in difference.changed:
        yield f"changed  {' · '.join(change.after.key)}"
        yield from (f"         {detail}" for detail in _details(change.before, change.after))


def _details(before: Right, after: Right) -> Iterator[str]:
    """`+ fields salary`, `- allow where …`."""
    for word, old, new in (
        ("may be done", *(("by this role",) * right.granted for right in (before, after))),
        ("request", before.requests, after.requests),
        ("field", fields_words(before), fields_words(after)),
        ("rule", _rules(before), _rules(after)),
    ):
        yield from (f"+ {word} {name}" for name in _missing(new, old))
        yield from (f"- {word} {name}" for name in _missing(old, new))


def _rules(right: Right) -> list[str]:
    return [line_words(line, right) for line in right.rules]


def _moved(moved: Moved) -> Iterator[str]:
    if moved.after is None or moved.before is None:
        thing = moved.after or moved.before
        name = "" if thing is None else thing.resource
        yield f"{'removed' if moved.after is None else 'added  '}  resource {name}"
        return
    yield f"changed  resource {moved.after.resource}"
    for word, old, new in (
        ("path", moved.before.path, moved.after.path),
        ("every rule also demands", moved.before.exists, moved.after.exists),
    ):
        if old != new:
            yield f"         + {word} {new or 'nothing'}"
            yield f"         - {word} {old or 'nothing'}"


def _missing(names: Sequence[T], others: Collection[T]) -> tuple[T, ...]:
    return tuple(name for name in names if name not in others)


def _twice(keys: Sequence[T]) -> T | None:
    return next((key for key, count in Counter(keys).items() if count > 1), None)
