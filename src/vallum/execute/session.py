"""The Session of a handler: its SELECTs see what the caller may READ, its changes are recorded.

A handler is the author's own code inside an allowed action, so what it writes is not judged again by the rules
on UPDATE; what it reads is. Textual SQL and bulk DML would pass both by, so they need `call.unrestricted(reason)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

from sqlalchemy import ColumnElement, and_, event, false, inspect, or_
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter

from vallum.authorise.rights import Rights, existence
from vallum.declare.policy import ME_ROLES, NOW, TODAY, Operation, Rule
from vallum.declare.resource import Resource
from vallum.execute.frame import Frame


@final
@dataclass(slots=True, eq=False)
class Ledger:
    """What a handler changed and why it went past the rules: the audit's part of a transaction.

    `changes` has (verb, table, key as a JSON object, names of the changed attributes).
    """

    changes: list[tuple[str, str, str, tuple[str, ...]]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def guard(session: Session, frame: Frame, ledger: Ledger) -> None:
    """Put the caller's rules on a Session and record what it flushes."""
    criteria = [
        with_loader_criteria(
            resource.model, _readable(frame, resource), include_aliases=True, propagate_to_loaders=True
        )
        for resource in frame.rights.api.resources.values()
    ]
    served = frozenset(resource.table for resource in frame.rights.api.resources.values())

    def restrict(state: ORMExecuteState) -> None:
        if not state.is_orm_statement or not state.is_select:
            raise TypeError("call.db runs ORM SELECTs under the rules; for anything else use call.unrestricted(reason)")
        others = {m.local_table for m in state.all_mappers} - served
        if others:
            names = ", ".join(sorted(str(t) for t in others))
            raise TypeError(f"{names}: not a resource, so no rule opens it; use call.unrestricted(reason)")
        if not state.is_column_load and not state.is_relationship_load:
            state.statement = state.statement.options(*criteria)

    event.listen(session, "do_orm_execute", restrict)
    watch(session, ledger)


def watch(session: Session, ledger: Ledger) -> None:
    """Record every row that the Session's unit of work writes."""

    def note(flushed: Session, _: UOWTransaction) -> None:
        for verb, instances in (("create", flushed.new), ("change", flushed.dirty), ("remove", flushed.deleted)):
            for instance in instances:
                state = inspect(instance)
                names = tuple(a.key for a in state.attrs if a.history.has_changes()) if verb != "remove" else ()
                if verb == "change" and not names:
                    continue
                mapper = state.mapper
                key = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
                text = key_text(key, mapper.primary_key_from_instance(instance))
                ledger.changes.append((verb, mapper.local_table.name, text, names))

    event.listen(session, "after_flush", note)


def key_text(names: Sequence[str], values: Sequence[Any]) -> str:
    """A key as the audit writes it: a JSON object of texts and numbers."""
    return json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False, default=str)


def _readable(frame: Frame, resource: Resource) -> ColumnElement[bool]:
    """The caller's READ rules on a model as one expression with the caller's values in it."""
    rights: Rights = frame.rights
    mine = [rule for rule in resource.rules if rule.operations is not None and Operation.READ & rule.operations]
    mine = [rule for rule in mine if rights.concerns(rule)]
    allows = [_bound(frame, rule.where) for rule in mine if rule.effect == "allow" and not rights.lacks(rule.where)]
    denies = [_denied(frame, rule) for rule in mine if rule.effect == "deny" and rule.fields is None]
    exists = existence(resource)
    if not allows or rights.lacks(exists):
        return false()
    return and_(_bound(frame, exists), or_(*allows), *denies)


def _denied(frame: Frame, rule: Rule) -> ColumnElement[bool]:
    if frame.rights.lacks(rule.where):
        return false()
    return _bound(frame, rule.where).is_(false())


def _bound(frame: Frame, expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """The expression with the caller's values in place of `me`, `now` and `today`."""

    def replace(element: Any, **_: Any) -> Any:
        if not isinstance(element, BindParameter):
            return None
        if element.key == ME_ROLES:
            return BindParameter(None, list(frame.rights.roles), type_=element.type, unique=True, expanding=True)
        if element.key in frame.values or element.key in (NOW, TODAY):
            return BindParameter(None, frame.values[element.key], type_=element.type, unique=True)
        return None

    bound: ColumnElement[Any] = visitors.replacement_traverse(expression, {}, replace)
    return bound
