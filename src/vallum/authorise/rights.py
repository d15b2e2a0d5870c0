"""The rights of a role set: rules compiled to SQL conditions, once, and kept.

A caller's rights depend on its roles, on which attributes it has, and on which conditions of the
request hold; not on the attributes' values, which are bound parameters. So callers share them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from sqlalchemy import ColumnElement, and_, false, true
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter, True_

from vallum.authorise.relations import prefer_in
from vallum.authorise.united import Uncompiled, needed
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.declare.policy import ANYONE, ME_ATTRIBUTE, ME_ID, Operation, Rule
from vallum.declare.resource import Resource
from vallum.declare.route import Handler, Route
from vallum.store.codec import written_sql
from vallum.store.sql import Sql, all_of, condition, sql

MAX_MASK_BITS: Final = 62
"""Bits of a SQL integer that a mask may use."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """One allow rule of the caller.

    Attributes:
        bit: its bit in a row's mask.
        where: the rule's condition, with the row's existence (tenant, soft delete) and no applying deny.
        fields: names of the fields that it grants.
        always: it holds on every row, whatever becomes of the row.
        written: column name → value that the server writes on CREATE.
    """

    bit: int
    where: Sql
    fields: frozenset[str]
    always: bool
    written: Mapping[str, Sql]


@final
@dataclass(frozen=True, slots=True, eq=False)
class FieldDeny:
    """A deny on fields: `passes` is true on rows where it does not apply."""

    bit: int
    passes: Sql
    fields: frozenset[str]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """What a caller may do by one operation on one resource, or by one action.

    Attributes:
        grants: never empty; a caller without any has no Access.
        denies: on fields.
        granted: fields that some grant names.
        certain: fields that every visible row shows.
        shown: the granted fields in the resource's order.
    """

    grants: tuple[Grant, ...]
    denies: tuple[FieldDeny, ...]
    granted: frozenset[str]
    certain: frozenset[str]
    shown: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Every row looks the same: one grant and no deny on a field."""
        return len(self.grants) == 1 and not self.denies

    def allows(self, mask: int, name: str) -> bool:
        """Whether a row with this mask grants the field `name`."""
        return any(mask & g.bit and name in g.fields for g in self.grants) and all(
            mask & d.bit for d in self.denies if name in d.fields
        )

    def holds(self, mask: int) -> bool:
        """Whether any grant holds on a row with this mask."""
        return any(mask & g.bit for g in self.grants)

    def mask(self) -> Sql:
        """SQL of a row's mask: a bit for each grant that holds and each deny that does not apply."""
        terms = [sql("CASE WHEN ", g.where, f" THEN {g.bit} ELSE 0 END") for g in self.grants]
        terms += [sql("CASE WHEN ", d.passes, f" THEN {d.bit} ELSE 0 END") for d in self.denies]
        parts: list[Sql | str] = []
        for index, term in enumerate(terms):
            parts += [" | ", term] if index else [term]
        return sql(*parts)


@final
@dataclass(slots=True, eq=False)
class Rights:
    """The rights of one role set; each part is compiled when it is first asked for.

    Attributes:
        roles: of the caller, sorted.
        attributes: names of the attributes that the caller has.
        identified: whether there is a caller behind `me.id`.
        conditions: identity of a `When` → whether it holds (as an allow needs) and may hold (as a deny needs).
        words: what conditions are compiled with; the store's own dialect when it is None.
        permits: (path of a route, method of it) → what `authorise` found there.
        inclusions: (name of a resource, name of its relation) → what `inclusions` found there.
    """

    api: API
    dialect: DialectName
    roles: tuple[str, ...]
    attributes: frozenset[str]
    identified: bool
    conditions: Mapping[int, tuple[bool, bool]]
    words: Dialect | None = None
    permits: dict[tuple[str, str], tuple[bool, Access | None]] = field(default_factory=dict)
    inclusions: dict[tuple[str, str], Any] = field(default_factory=dict)
    _access: dict[tuple[str, object], Access | None] = field(default_factory=dict)

    def on(self, resource: Resource, operation: Operation) -> Access | None:
        """Rights by `operation` on `resource`, or None when no rule grants any."""
        key = (resource.name, operation)
        if key not in self._access:
            self._access[key] = self._compile(resource, resource.rules_on(operation), operation)
        return self._access[key]

    def by_action(self, route: Route, handler: Handler) -> Access | None:
        """Rights to an action: its rules are conditions on the row."""
        key = (route.path, handler)
        if key not in self._access:
            if route.resource is None:
                raise TypeError("an action has a resource")
            self._access[key] = self._compile(route.resource, handler.rules, None)
        return self._access[key]

    def to_endpoint(self, handler: Handler) -> bool:
        """Whether a rule without a row lets the caller in; a deny wins."""
        mine = [rule for rule in handler.rules if self.concerns(rule)]
        return any(r.effect == "allow" for r in mine) and not any(r.effect == "deny" for r in mine)

    def concerns(self, rule: Rule) -> bool:
        """Whether the rule is about this caller at this request."""
        if not any(role is ANYONE or role in self.roles for role in rule.roles):
            return False
        if rule.when is None:
            return True
        holds, may_hold = self.conditions[id(rule.when)]
        return holds if rule.effect == "allow" else may_hold

    def lacks(self, expression: ColumnElement[Any]) -> bool:
        """Whether the rule uses something that this caller does not have."""
        for element in visitors.iterate(expression):
            if isinstance(element, BindParameter):
                if element.key == ME_ID and not self.identified:
                    return True
                if (
                    element.key.startswith(ME_ATTRIBUTE)
                    and element.key.removeprefix(ME_ATTRIBUTE) not in self.attributes
                ):
                    return True
        return False

    def _compile(self, resource: Resource, rules: Iterable[Rule], operation: Operation | None) -> Access | None:
        mine = [rule for rule in rules if self.concerns(rule)]
        denies = [rule for rule in mine if rule.effect == "deny"]
        always = [rule for rule in denies if isinstance(rule.where, True_)]
        exists = existence(resource)
        if self.lacks(exists) or any(rule.fields is None for rule in always):
            return None
        never = frozenset(name for rule in always for name in rule.fields or ())
        whole = [self._passes(resource, rule) for rule in denies if rule.fields is None]
        grants = [
            self._grant(resource, rule, granted_fields(resource, rule, operation) - never, exists, whole)
            for rule in mine
            if rule.effect == "allow" and not any(self.lacks(needed) for needed in (rule.where, *rule.set.values()))
        ]
        if not grants:
            return None
        return _access(
            resource,
            grants if operation is Operation.CREATE else needed(grants),
            [
                (self._passes(resource, rule), frozenset(rule.fields))
                for rule in denies
                if rule.fields is not None and rule not in always
            ],
        )

    def _grant(
        self, resource: Resource, rule: Rule, fields: frozenset[str], exists: ColumnElement[bool], whole: list[Sql]
    ) -> Uncompiled:
        parts = list(whole)
        if not isinstance(exists, True_):
            parts.insert(0, self._condition(resource, exists))
        if not isinstance(rule.where, True_):
            where = prefer_in(rule.where, resource.table) if self.dialect == "sqlite" else rule.where
            parts.insert(0, self._condition(resource, where))
        return Uncompiled(
            rule.where, all_of(parts), fields, not parts, isinstance(rule.where, True_), self._written(resource, rule)
        )

    def _written(self, resource: Resource, rule: Rule) -> dict[str, Sql]:
        return {
            name: written_sql(resource.fields[name], value, self.dialect, self.api.attributes)
            for name, value in rule.set.items()
        }

    def _condition(self, resource: Resource, expression: ColumnElement[Any]) -> Sql:
        return condition(expression, resource.table, self.dialect, self.roles, self.words, self.api.attributes)

    def _passes(self, resource: Resource, rule: Rule) -> Sql:
        # NULL means deny, so a deny is passed only where its condition is known to be false.
        if self.lacks(rule.where):
            return self._condition(resource, false())
        return sql("(", self._condition(resource, rule.where), ") IS FALSE")


def existence(resource: Resource) -> ColumnElement[bool]:
    """The condition under which a row exists for anybody: its tenant is the caller's and it is not deleted."""
    terms: list[ColumnElement[bool]] = []
    if resource.tenant is not None:
        column, attribute = resource.tenant
        expression = resource.fields[column].expression
        terms.append(expression == BindParameter(ME_ATTRIBUTE + attribute, None, type_=expression.type, unique=False))
    if resource.soft_delete is not None:
        terms.append(resource.fields[resource.soft_delete].expression.is_(None))
    return and_(*terms) if terms else true()


def granted_fields(resource: Resource, rule: Rule, operation: Operation | None) -> frozenset[str]:
    """The fields that an allow rule grants for an operation; what cannot be written is never granted for writing."""
    if operation is Operation.READ or operation is None:
        return frozenset(resource.fields if rule.fields is None else rule.fields)
    if operation is Operation.DELETE:
        return frozenset()
    writable = {name for name, f in resource.fields.items() if f.writable}
    writable -= set(rule.set)
    if resource.tenant is not None:
        writable.discard(resource.tenant[0])
    if resource.soft_delete is not None:
        writable.discard(resource.soft_delete)
    if operation is Operation.UPDATE:
        writable -= set(resource.key)
    elif rule.fields is None:
        # A key that the database makes is not the client's to choose, unless a rule names it.
        writable -= {name for name in resource.key if resource.fields[name].generated}
    return frozenset(writable if rule.fields is None else writable & set(rule.fields))


def _access(resource: Resource, grants: list[Uncompiled], denies: list[tuple[Sql, frozenset[str]]]) -> Access:
    if len(grants) + len(denies) > MAX_MASK_BITS:
        raise DeclarationError(
            "too-many-rules", "one role set", f"At most {MAX_MASK_BITS} rules may apply to one operation."
        )
    compiled = tuple(Grant(1 << index, g.where, g.fields, g.always, g.written) for index, g in enumerate(grants))
    field_denies = tuple(
        FieldDeny(1 << (len(grants) + index), passes, fields) for index, (passes, fields) in enumerate(denies)
    )
    nothing: frozenset[str] = frozenset()
    granted = nothing.union(*(g.fields for g in compiled))
    denied = nothing.union(*(d.fields for d in field_denies))
    certain = frozenset(name for name in granted if all(name in g.fields for g in compiled)) - denied
    shown = tuple(name for name in resource.fields if name in granted)
    return Access(compiled, field_denies, granted, certain, shown)
