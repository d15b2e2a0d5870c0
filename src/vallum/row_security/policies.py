"""The policies of one table: what its rules let a caller see, add, change and remove, as SQL without parameters.

1.  SELECT sees the rows that READ grants.
2.  INSERT: some rule holds for the new row, which has what its `set=` writes; each column that no such rule grants has its
    default; each reference points to a row that the caller may READ.
3.  UPDATE finds rows that are readable and may be changed. One and the same rule holds before and after; each column that
    it does not grant is as it was; each reference that changes points to a readable row.
4.  DELETE finds rows that are readable and may be removed, and that take no row along which may not. Where the API only
    marks rows as deleted, nothing is removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, final

from sqlalchemy import Column, ForeignKeyConstraint, types

from vallum.authorise.rights import Access
from vallum.declare.app import API
from vallum.declare.policy import Operation
from vallum.declare.resource import Reference, Resource
from vallum.execute.references import endangered, resource_of
from vallum.execute.shape import holds, shown, visible
from vallum.row_security.column_defaults import comparable, default_of
from vallum.row_security.rules import everybody
from vallum.row_security.words import AFTER, BEFORE, NEW, own, text_of, view_of
from vallum.store.sql import Sql, quoted

OLD: Final = "vallum_before"
MASK: Final = "vallum_mask"
NOTHING: Final = "FALSE"


@final
class Policies:
    """The policies of an API's tables.

    Raises:
        DeclarationError: a rule that cannot be written as a policy.
    """

    def __init__(self, api: API) -> None:
        self._before = everybody(api, BEFORE)
        self._after = everybody(api, AFTER)
        self.resources: Sequence[Resource] = tuple(self._before.api.resources.values())

    def select(self, resource: Resource) -> str:
        """USING."""
        return self._visible(resource, Operation.READ)

    def insert(self, resource: Resource) -> str:
        """WITH CHECK."""
        access = self._after.on(resource, Operation.CREATE)
        if access is None:
            return NOTHING
        mask = f"{NEW}.{MASK}"
        checks = [holds(access, mask), *self._defaults(resource, access, mask)]
        checks += [
            self._points(resource, reference, ())
            for reference in resource.references
            if access.granted.intersection(reference.fields)
        ]
        return f"(SELECT {_all(checks)} FROM {self._new(resource, access)})"

    def update(self, resource: Resource) -> str:
        """USING."""
        found = self._visible(resource, Operation.UPDATE)
        return found if found == NOTHING else _all([self.select(resource), found])

    def updated(self, resource: Resource) -> str:
        """WITH CHECK."""
        before, after = (rights.on(resource, Operation.UPDATE) for rights in (self._before, self._after))
        if before is None or after is None:
            return NOTHING
        both = f"({OLD}.{MASK} & {NEW}.{MASK})"
        checks = [holds(after, both), *_kept(resource, after, both)]
        checks += [
            self._points(resource, reference, reference.fields)
            for reference in resource.references
            if after.granted.intersection(reference.fields)
        ]
        table, here = own(resource.table), view_of(resource.table)
        same = " AND ".join(f"{table}.{key} = {NEW}.{key}" for key in _keys(resource))
        old = f"(SELECT {table}.*, {self._text(before.mask())} AS {MASK} FROM {here} AS {table} WHERE {same})"
        return f"(SELECT {_all(checks)} FROM {self._new(resource, after)} CROSS JOIN LATERAL {old} AS {OLD})"

    def delete(self, resource: Resource) -> str:
        """USING."""
        found = self._visible(resource, Operation.DELETE)
        if found == NOTHING or resource.soft_delete is not None:
            return NOTHING
        orphans = [self._orphans(constraint) for constraint in endangered(resource)]
        alone = [f"(SELECT {_all(orphans)} FROM (SELECT {own(resource.table)}.*) AS {NEW})"] if orphans else []
        return _all([self.select(resource), found, *alone])

    def readable(self, resource: Resource) -> list[str]:
        """The columns that some rule shows to somebody."""
        return _granted(self._before.on(resource, Operation.READ), resource)

    def creatable(self, resource: Resource) -> list[str]:
        """The columns that a new row may be given: what is granted, what the API itself would write, and the defaults
        that only Python makes.
        """
        access = self._after.on(resource, Operation.CREATE)
        if access is None:
            return []
        written = {name for grant in access.grants for name in grant.written}
        made = {name for name, field in resource.fields.items() if field.column is not None and field.column.default}
        tenant = {resource.tenant[0]} if resource.tenant else set()
        return _columns(resource, access.granted | written | made | tenant)

    def changeable(self, resource: Resource) -> list[str]:
        """The columns that some rule lets somebody change."""
        return _granted(self._before.on(resource, Operation.UPDATE), resource)

    def _visible(self, resource: Resource, operation: Operation) -> str:
        access = self._before.on(resource, operation)
        return NOTHING if access is None else self._text(visible(access))

    def _text(self, fragment: Sql) -> str:
        return text_of(fragment)

    def _new(self, resource: Resource, access: Access) -> str:
        """The row that is written, with its mask."""
        table = own(resource.table)
        inner = f"(SELECT {table}.*) AS {NEW}"
        mask = f"(SELECT {self._text(access.mask())} AS {MASK}) AS vallum_judged"
        return f"(SELECT {NEW}.*, vallum_judged.{MASK} FROM {inner} CROSS JOIN LATERAL {mask}) AS {NEW}"

    def _defaults(self, resource: Resource, access: Access, mask: str) -> Iterator[str]:
        for name, field in resource.fields.items():
            default = default_of(resource, field)
            if field.column is None or field.column.computed is not None or default is None:
                continue
            granted = _granted_or_written(access, name, mask)
            if granted != "TRUE":
                value = comparable(field.column, f"{NEW}.{_name(field.column)}")
                yield _any([granted, f"{value} IS NOT DISTINCT FROM {default}"])

    def _points(self, resource: Resource, reference: Reference, unless: Collection[str]) -> str:
        """Whether a reference points to nothing or to a readable row; one that is as it was is not asked."""
        columns = {name: resource.fields[name].column for name in reference.fields}
        parts = [f"{NEW}.{_name(column)}" for column in columns.values() if column is not None]
        escapes = [f"{part} IS NULL" for part in parts]
        if unless:
            olds = [f"{OLD}.{_name(column)}" for column in columns.values() if column is not None]
            escapes.append(f"({', '.join(parts)}) IS NOT DISTINCT FROM ({', '.join(olds)})")
        return _any([*escapes, self._target(reference, parts)])

    def _target(self, reference: Reference, parts: Sequence[str]) -> str:
        target = resource_of(self._before, reference.target)
        read = None if target is None else self._before.on(target, Operation.READ)
        if read is None:
            return NOTHING
        table = own(reference.target)
        named = zip(reference.constraint.elements, parts, strict=True)
        same = [f"{table}.{_name(element.column)} = {part}" for element, part in named]
        where = _all([*same, self._text(visible(read))])
        return f"EXISTS (SELECT 1 FROM {view_of(reference.target)} AS {table} WHERE {where})"

    def _orphans(self, constraint: ForeignKeyConstraint) -> str:
        """No row behind this key would go along that the caller may not remove."""
        table = own(constraint.table)
        terms = [f"{table}.{_name(e.parent)} = {NEW}.{_name(e.column)}" for e in constraint.elements]
        owner = resource_of(self._before, constraint.table)
        accesses = [] if owner is None else [self._before.on(owner, o) for o in (Operation.READ, Operation.DELETE)]
        known = [access for access in accesses if access is not None]
        if len(known) == len((Operation.READ, Operation.DELETE)):
            terms.append(f"({_all([self._text(visible(access)) for access in known])}) IS NOT TRUE")
        return f"NOT EXISTS (SELECT 1 FROM {view_of(constraint.table)} AS {table} WHERE {_all(terms)})"


def _kept(resource: Resource, access: Access, mask: str) -> Iterator[str]:
    """Each column is as it was, unless a rule that holds grants it."""
    fields = {field.column: name for name, field in resource.fields.items() if field.column is not None}
    for column in resource.table.columns:
        name = fields.get(column)
        if column.computed is not None or (name is not None and name in access.certain):
            continue
        values = (f"{row}.{_name(column)}" for row in (OLD, NEW))
        # JSON, and what the model leaves out, may be of a type that has no equality.
        bare = name is not None and not isinstance(column.type, types.JSON)
        old, new = (value if bare else f"{value}::TEXT" for value in values)
        same = f"{old} IS NOT DISTINCT FROM {new}"
        yield same if name not in access.granted else _any([shown(access, str(name), mask), same])


def _granted_or_written(access: Access, name: str, mask: str) -> str:
    """Whether a rule that holds gives the field to the client, or writes it."""
    writing = sum(grant.bit for grant in access.grants if name in grant.written)
    if name in access.certain:
        return "TRUE"
    ways = [shown(access, name, mask)] if name in access.granted else []
    ways += [f"({mask} & {writing}) != 0"] if writing else []
    return _any(ways) if ways else NOTHING


def _granted(access: Access | None, resource: Resource) -> list[str]:
    return [] if access is None else _columns(resource, access.granted)


def _columns(resource: Resource, names: Iterable[str]) -> list[str]:
    wanted = set(names)
    fields = [resource.fields[name] for name in resource.fields if name in wanted]
    return [_name(field.column) for field in fields if field.column is not None]


def _keys(resource: Resource) -> list[str]:
    return [_name(column) for column in resource.table.primary_key]


def _name(column: Column[Any]) -> str:
    return quoted(column.name, "postgresql")


def _all(terms: Sequence[str]) -> str:
    return " AND ".join(f"({term})" for term in terms)


def _any(terms: Sequence[str]) -> str:
    return " OR ".join(f"({term})" for term in terms)
