"""An API in memory: what its rules mean for each request, by the evaluator alone. It knows no SQL and no pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Table
from sqlalchemy.types import JSON, Enum, Numeric
from tests.property.models import Tables

from vallum import API, CREATE, DELETE, READ, UPDATE
from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Question, decide, fields_of, granted, lacking
from vallum.declare.policy import ME_ATTRIBUTE, ME_ID, Operation, Rule
from vallum.declare.resource import Field, Resource

Row = dict[str, Any]
Json = dict[str, Any]

COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "eq": lambda field, value: field == value,
    "ne": lambda field, value: field != value,
    "lt": lambda field, value: field < value,
    "lte": lambda field, value: field <= value,
    "gt": lambda field, value: field > value,
    "gte": lambda field, value: field >= value,
    "in": lambda field, values: field.in_(values),
    "contains": lambda field, value: field.contains(value, autoescape=True),
    "startswith": lambda field, value: field.startswith(value, autoescape=True),
    "isnull": lambda field, value: field.is_(None) if value else field.is_not(None),
}


@dataclass(frozen=True)
class Answer:
    """What is to come: one of these statuses; with one of success, that body."""

    statuses: frozenset[int]
    body: Json | None = None

    @property
    def done(self) -> bool:
        """Whether the request is carried out."""
        return min(self.statuses) < 400


NEVER: Final = frozenset({401, 403})
"""Nobody like this caller may do that to any row."""
GONE: Final = NEVER | {404}
"""There is no such row for this caller."""
INVALID: Final = frozenset({422})
UNWRITABLE: Final = NEVER | {409, 422}
"""A field that no rule names is unknown; a faulty reference and a constraint that is broken are said before the rule."""


class Meaning:
    """The API's rows in memory, for one caller at one instant. Writes change the rows."""

    def __init__(self, api: API, rows: Tables, caller: CallerValues, facts: RequestFacts, now: datetime) -> None:
        self.api = api
        self.rows = rows
        self.caller = caller
        self.facts = facts
        self.now = now
        self._questions: dict[tuple[int, str], tuple[Tables, Question]] = {}
        self._served = {resource.table: resource for resource in api.resources.values()}

    # Reads ---------------------------------------------------------------------------------

    def question(self, resource: Resource, rows: Tables | None = None) -> Question:
        """About the rows of a resource, as they are or as they would be."""
        rows = self.rows if rows is None else rows
        key = id(rows), resource.name
        if key not in self._questions:
            # The rows are kept with it, so that their id cannot pass to others.
            self._questions[key] = rows, Question(Evaluator(rows, self.caller, self.now), resource, self.facts)
        return self._questions[key][1]

    def visible(self, resource: Resource) -> list[tuple[Row, frozenset[str]]]:
        """The rows that the caller may read, with the fields that it sees of each."""
        asked = self.question(resource)
        found = [(row, decide(resource.rules, READ, asked, row)) for row in self.rows[resource.table]]
        return [(row, decision.fields) for row, decision in found if decision.visible]

    def hinted(self, resource: Resource, operation: Operation) -> frozenset[str]:
        """Fields that some allow rule of the caller names, whatever the row."""
        asked = self.question(resource)
        rules = [r for r in resource.rules_on(operation) if r.effect == "allow" and asked.concerns(r)]
        mine = [rule for rule in rules if not lacking(rule, operation, self.caller)]
        return frozenset(name for rule in mine for name in fields_of(resource, rule, operation))

    def shown(self, resource: Resource, row: Row, fields: frozenset[str]) -> Json:
        """The JSON of a row, of the fields that it shows; others that are there are null."""
        evaluator = self.question(resource).evaluator
        shown = [field for name, field in resource.fields.items() if name in fields]
        return {
            f.name: row[f.name]  # documents are not compared, so the evaluator has no word for them
            if isinstance(f.type, JSON)
            else wire(f, evaluator.value(f.expression, resource.table, row))
            for f in shown
        }

    def matches(self, resource: Resource, row: Row, name: str, operator: str, value: Any) -> bool:
        """Whether a filter holds on a field's value."""
        condition = COMPARE[operator](resource.fields[name].expression, value)
        return self.question(resource).evaluator.holds(condition, resource.table, row) is True

    def in_order(self, resource: Resource, rows: Sequence[Row], sort: Sequence[tuple[str, bool]]) -> list[Row]:
        """NULLs last in either direction; then by the key, in the direction of the last field."""
        evaluator = self.question(resource).evaluator
        down = sort[-1][1] if sort else False
        named = {name for name, _ in sort}
        found = list(rows)
        for name, descending in reversed([*sort, *((k, down) for k in resource.key if k not in named)]):
            expression = resource.fields[name].expression
            valued = [(evaluator.value(expression, resource.table, row), row) for row in found]
            # Python's sort keeps the order of equals, backwards too.
            some = sorted((p for p in valued if p[0] is not None), key=itemgetter(0), reverse=descending)
            found = [row for _, row in some] + [row for value, row in valued if value is None]
        return found

    # Writes --------------------------------------------------------------------------------

    def create(self, resource: Resource, body: Row) -> Answer:
        """Insert what the body and the rules' `set=` give; the rules are asked about the new row."""
        asked = self.question(resource)
        grants = [r for r in resource.rules_on(CREATE) if r.effect == "allow" and asked.concerns(r)]
        grants = [rule for rule in grants if not lacking(rule, CREATE, self.caller)]
        denies = [rule for rule in resource.rules_on(CREATE) if rule.effect == "deny"]
        tenant = resource.tenant
        if not grants or (tenant is not None and tenant[1] not in self.caller.attributes):
            return Answer(NEVER)
        grants, row = self._standing(resource, grants, denies, body)
        fields = granted([*grants, *denies], CREATE, [(self.question(resource, self.changed(resource, row)), row)])
        if fields is None or not set(body) <= fields:
            return Answer(UNWRITABLE)
        empty = any(row[column.key] is None and not column.nullable for column in resource.table.columns)
        if empty or self.dangling(resource, body, body):
            return Answer(INVALID)
        self.rows = self.changed(resource, row)
        return self._answer(resource, row, 201, 201)

    def _standing(
        self, resource: Resource, grants: list[Rule], denies: list[Rule], body: Row
    ) -> tuple[list[Rule], Row]:
        """The rules that may have written, and their row: what a rule's `set=` writes stands only where it holds."""
        row, writing = self._new_row(resource, grants, body)
        then = self.question(resource, self.changed(resource, row))
        wrong = [rule for rule in writing if granted([rule, *denies], CREATE, [(then, row)]) is None]
        if not wrong:
            return grants, row
        return self._standing(resource, [rule for rule in grants if rule not in wrong], denies, body)

    def _new_row(self, resource: Resource, grants: Sequence[Rule], body: Row) -> tuple[Row, list[Rule]]:
        """The row, and the rules that have written into it: the first that names a field."""
        row: Row = {column.key: body.get(column.key) for column in resource.table.columns}
        writing: list[Rule] = []
        for rule in reversed(grants):
            for name, value in rule.set.items():
                if name not in body:
                    row[name] = self._bound(value)
        taken: set[str] = set(body)
        for rule in grants:
            if not set(rule.set) <= taken:
                writing.append(rule)
            taken |= set(rule.set)
        if resource.tenant is not None:
            row[resource.tenant[0]] = self.caller.attributes[resource.tenant[1]]
        return row, writing

    def _bound(self, value: Any) -> Any:
        """What `set=` gives."""
        if value.key == ME_ID:
            return self.caller.id
        name = value.key.removeprefix(ME_ATTRIBUTE)
        return value.value if name == value.key else self.caller.attributes[name]

    def change(self, resource: Resource, row: Row, body: Row) -> Answer:
        """One rule holds before and after, and grants each field."""
        asked = self.question(resource)
        before = decide(resource.rules, UPDATE, asked, row)
        if not before.visible:
            return Answer(GONE | INVALID)
        if not before.allowed or not set(body) <= before.fields:
            return Answer(NEVER | INVALID)
        new = {**row, **body}
        if self.dangling(resource, body, new):
            return Answer(INVALID)
        rows = self.changed(resource, new, row)
        both = decide(resource.rules, UPDATE, asked, row, after=new, then=self.question(resource, rows))
        if not both.allowed or not set(body) <= both.fields:
            return Answer(UNWRITABLE)
        self.rows = rows
        return self._answer(resource, new, 200, 204)

    def remove(self, resource: Resource, row: Row) -> Answer:
        """The row goes, or is marked; nothing that the caller may not remove goes along."""
        decision = decide(resource.rules, DELETE, self.question(resource), row)
        if not decision.visible:
            return Answer(GONE)
        if not decision.allowed:
            return Answer(NEVER)
        if resource.soft_delete is not None:
            self.rows = self.changed(resource, {**row, resource.soft_delete: self.now}, row)
            return Answer(frozenset({204}))
        left = self.left_without(resource, row)
        if left is None:
            return Answer(frozenset({409}))
        self.rows = left
        return Answer(frozenset({204}))

    def left_without(self, resource: Resource, row: Row) -> Tables | None:
        """The rows that are left; None when others refer to it or would go along without leave."""
        doomed, cleared = [(resource.table, row)], []
        for holder, gone in doomed:
            for child, constraint, referring in self._referring(holder, gone):
                acting = constraint.ondelete
                if acting is None:
                    continue
                if child.key not in resource.cascade and not self._removable(child, referring):
                    return None
                if acting == "CASCADE" and not any(referring is other for _, other in doomed):
                    doomed.append((child, referring))
                elif acting == "SET NULL":
                    cleared.append((child, referring, constraint))
        dead = {id(gone) for _, gone in doomed}
        for holder, gone in doomed:
            for _, constraint, referring in self._referring(holder, gone):
                if constraint.ondelete is None and id(referring) not in dead:
                    return None
        left = {t: [r for r in rows if id(r) not in dead] for t, rows in self.rows.items()}
        for child, referring, constraint in cleared:
            left[child] = [{**r, **dict.fromkeys(constraint.column_keys)} if r is referring else r for r in left[child]]
        return left

    def _referring(self, table: Table, row: Row) -> Iterator[tuple[Table, ForeignKeyConstraint, Row]]:
        for child, rows in self.rows.items():
            for constraint in child.foreign_key_constraints:
                if constraint.referred_table is table:
                    pairs = [(element.parent.key, element.column.key) for element in constraint.elements]
                    for other in rows:
                        if all(other[here] == row[there] for here, there in pairs):
                            yield child, constraint, other

    def _removable(self, table: Table, row: Row) -> bool:
        resource = self._served.get(table)
        return resource is not None and decide(resource.rules, DELETE, self.question(resource), row).allowed

    def dangling(self, resource: Resource, body: Row, whole: Row) -> bool:
        """Whether a written reference points to a row that the caller may not read."""
        for reference in resource.references:
            key = [whole.get(name) for name in reference.fields]
            if not any(name in body for name in reference.fields) or None in key:
                continue
            target = self._served.get(reference.target)
            seen = [] if target is None else self.visible(target)
            if not any(
                [row[element.column.key] for element in reference.constraint.elements] == key for row, _ in seen
            ):
                return True
        return False

    def changed(self, resource: Resource, new: Row, old: Row | None = None) -> Tables:
        """The rows with a new one, in place of an old one if there is such."""
        rows = [row for row in self.rows[resource.table] if row is not old]
        return {**self.rows, resource.table: [*rows, new]}

    def _answer(self, resource: Resource, row: Row, seen: int, unseen: int) -> Answer:
        decision = decide(resource.rules, READ, self.question(resource), row)
        if not decision.visible:
            return Answer(frozenset({unseen}))
        return Answer(frozenset({seen}), self.shown(resource, row, decision.fields))


def wire(field: Field, value: Any) -> Any:
    """A value as JSON has it."""
    type_ = field.type
    if value is None:
        return None
    if isinstance(type_, Enum):
        if type_.enum_class is None:
            return value
        return next(m.value for word, m in zip(type_.enums, type_.enum_class, strict=True) if value in (word, m))
    if isinstance(value, datetime):
        zone = getattr(type_, "timezone", False)
        at = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return at.isoformat() + ("Z" if zone else "")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal) and isinstance(type_, Numeric) and type_.asdecimal:
        return f"{value:.{type_.scale}f}"
    return str(value) if isinstance(value, UUID) else value
