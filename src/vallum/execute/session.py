"""The Session of a handler: its SELECTs see what the caller may READ, its changes are recorded.

A handler is the author's own code inside an allowed action, so what it writes is not judged again by the rules
on UPDATE; what it reads is. Textual SQL and bulk DML would pass both by, so they need `call.unrestricted(reason)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

from sqlalchemy import BindParameter, ColumnElement, TextClause, bindparam, event, false, inspect, text, tuple_
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria
from sqlalchemy.orm.util import LoaderCriteriaOption
from sqlalchemy.types import NullType

from vallum.declare.policy import Operation
from vallum.declare.resource import Resource
from vallum.execute.frame import Frame
from vallum.execute.shape import field_sql, table_of, visible
from vallum.execute.sneaking import check_statement
from vallum.store.sql import Param, Prepared, Sql, joined, sql


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
    resources = frame.rights.api.resources
    criteria = [_criteria(model, _readable(frame, resource)) for model, resource in resources.items()]
    # A class without a resource may come along unnamed, by a relationship that is loaded with its owner.
    mappers = {mapper for model in resources for mapper in inspect(model).registry.mappers}
    criteria += [_criteria(mapper.class_, false()) for mapper in mappers if mapper.class_ not in resources]
    linking = {r.secondary for m in mappers for r in m.relationships if r.secondary is not None}
    served = frozenset(resource.table for resource in resources.values())

    def restrict(state: ORMExecuteState) -> None:
        if not state.is_orm_statement or not state.is_select:
            raise TypeError("call.db runs ORM SELECTs under the rules; for anything else use call.unrestricted(reason)")
        if state.is_column_load:
            return
        if not state.is_relationship_load:
            check_statement(state.statement, served, linking)
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
                row_key = key_text(key, mapper.primary_key_from_instance(instance))
                ledger.changes.append((verb, mapper.local_table.name, row_key, names))

    event.listen(session, "after_flush", note)


def key_text(names: Sequence[str], values: Sequence[Any]) -> str:
    """A key as the audit writes it: a JSON object of texts and numbers."""
    return json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False, default=str)


def _criteria(model: type[Any], condition: ColumnElement[bool]) -> LoaderCriteriaOption:
    # Propagated, or joinedload would not know them. Rows that a handler made itself carry no options all the same, so
    # `restrict` gives them to each load anew.
    return with_loader_criteria(model, condition, include_aliases=True, propagate_to_loaders=True)


def _readable(frame: Frame, resource: Resource) -> ColumnElement[bool]:
    """The keys of the rows that the caller may READ.

    It is the text of the rules that the wire runs too. As an expression of mapped classes it would be put under these
    criteria itself: a rule, or a deny, that looks at rows which the caller may not READ would come out otherwise.
    """
    access = frame.rights.on(resource, Operation.READ)
    if access is None:
        return false()
    keys = [field_sql(resource, resource.fields[name], frame.dialect) for name in resource.key]
    source = sql("SELECT ", joined(", ", keys), " FROM ", table_of(resource, frame.dialect), " WHERE ", visible(access))
    columns = [getattr(resource.model, name) for name in resource.key]
    key: ColumnElement[Any] = columns[0] if len(columns) == 1 else tuple_(*columns)
    return key.in_(_text(source, frame))


def _text(fragment: Sql, frame: Frame) -> TextClause:
    """A fragment with the caller's values in it, as the driver takes them."""
    params = tuple([part for part in fragment.parts if isinstance(part, Param)])
    pieces: list[str] = []
    values: list[BindParameter[Any]] = []
    for part in fragment.parts:
        name = f"vallum_{len(values)}"
        if isinstance(part, Param):
            values.append(bindparam(name, type_=NullType(), unique=True))
            pieces += [":", name]
        pieces.append((part.cast if isinstance(part, Param) else part).replace(":", "\\:"))
    for bind, value in zip(values, Prepared("", params).bind(frame.values).arguments, strict=True):
        bind.value, bind.required = value, False
    return text("".join(pieces)).bindparams(*values)
