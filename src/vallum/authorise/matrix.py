"""Who may do what, for a person who must sign for it: role × resource × action × fields × condition.

It is read from the compiled rights, as a request would find them, and not from the rules' text: what does not stand in
it is refused. Each role stands alone and has every attribute; the rights of several roles unite, and a deny of one of
them takes away from all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, Literal, NamedTuple, final

from pydantic import ConfigDict, StringConstraints, TypeAdapter
from pydantic.dataclasses import dataclass
from sqlalchemy.sql.elements import True_

from vallum.authorise.matrix_worlds import ANYONE_NAME, NO_ROLE, Subject, Worlds
from vallum.authorise.rights import Rights, existence, granted_fields
from vallum.authorise.stage import access_by, may
from vallum.declare.app import API
from vallum.declare.dialect import DialectName
from vallum.declare.policy import Operation, Rule
from vallum.declare.route import OPERATIONS, Kind, Route, Verb, rules_of
from vallum.declare.words import condition_words, value_words, when_words

FORMAT: Final = "vallum-matrix/1"
CLOSED: Final = ConfigDict(extra="forbid")
ACTIONS: Final = ("READ", "CREATE", "UPDATE", "DELETE")
"""Of every resource, in this order; actions of its own and methods of endpoints follow by name."""

# What is read from a file is printed: nothing in it may move a terminal's cursor or begin a line of its own.
Word = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]


@final
@dataclass(frozen=True, slots=True, config=CLOSED)
class Line:
    """One rule, as far as it is about this right.

    Attributes:
        effect: `allow` or `deny`.
        fields: that it grants or takes away, sorted; None where it is about whole rows or there are no rows.
        where: on which rows; empty for all of them.
        when: on which requests; all of these must hold.
        set: field → what the server writes on CREATE.
    """

    effect: Literal["allow", "deny"]
    fields: tuple[Word, ...] | None
    where: Word
    when: tuple[Word, ...]
    set: dict[str, Word]


@final
@dataclass(frozen=True, slots=True, config=CLOSED)
class Right:
    """What one role may do to one resource, or by one action or endpoint; or what denies it that, whatever else it has.

    Attributes:
        granted: whether it may. Where nothing grants it to this role, a rule that denies it by name is listed all the
            same: an account may have other roles, too.
        role: also `ANYONE`, a caller without a credential, and `(no role)`, an account without any.
        resource: its name; of an endpoint the path without its first slash.
        action: READ, CREATE, UPDATE, DELETE, the name of an action, or the method of an endpoint.
        requests: the methods and paths that do it.
        always: fields that may be read (READ) or written (CREATE, UPDATE) in every row that it reaches, sorted.
        sometimes: fields that may be in some of these rows only, or on some requests only; read they are null elsewhere.
        rules: what grants it and what takes from it.
    """

    role: Word
    resource: Word
    action: Word
    granted: bool
    requests: tuple[Word, ...]
    always: tuple[Word, ...]
    sometimes: tuple[Word, ...]
    rules: tuple[Line, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about; no two rights of a matrix have the same."""
        return self.role, self.resource, self.action


@final
@dataclass(frozen=True, slots=True, config=CLOSED)
class Thing:
    """A resource, and the condition that is joined to every rule on it: its tenant, and that the row is not deleted."""

    resource: Word
    path: Word
    exists: Word


@final
@dataclass(frozen=True, slots=True, config=CLOSED)
class Matrix:
    """All rights of an API, in an order that does not depend on the order of its declarations.

    Attributes:
        title: of the API; it is not compared.
        roles: also those that may do nothing.
    """

    format: Literal["vallum-matrix/1"]
    title: str
    roles: tuple[Word, ...]
    resources: tuple[Thing, ...]
    rights: tuple[Right, ...]


MATRIX: Final = TypeAdapter(Matrix)


class Place(NamedTuple):
    """Where a right is looked for: an action on a resource, or an endpoint; READ has two routes and one set of rules."""

    resource: str
    action: str
    requests: tuple[str, ...]
    route: Route
    method: str
    verb: Verb


def matrix_of(api: API, dialect: DialectName) -> Matrix:
    """The matrix of a declaration that `check` finds no error in."""
    subjects = [Subject(ANYONE_NAME, (), False), Subject(NO_ROLE, (), True)]
    subjects += [Subject(role, (role,), True) for role in sorted(api.roles)]
    found = sorted(places(api), key=lambda place: (place.resource, _rank(place.action), place.action))
    return Matrix(
        format=FORMAT,
        title=api.title,
        roles=tuple(subject.name for subject in subjects),
        resources=tuple(_things(api)),
        rights=tuple(
            right
            for worlds in (Worlds(api, dialect, subject) for subject in subjects)
            for place in found
            if (right := _right(place, worlds)) is not None
        ),
    )


def places(api: API) -> Iterator[Place]:
    """Every place of the API, in the order of its declarations."""
    seen: dict[tuple[str, str], Place] = {}
    for route in api.routes.values():
        for method, verb in route.methods.items():
            resource = route.name if route.resource is None else route.resource.name
            operation = OPERATIONS.get(verb)
            action = str(operation.name) if operation else route.name if route.kind is Kind.ACTION else method
            present = seen.get((resource, action))
            requests = (*(() if present is None else present.requests), f"{method} {route.path}")
            seen[resource, action] = Place(resource, action, requests, route, method, verb)
    yield from seen.values()


def _things(api: API) -> Iterator[Thing]:
    for resource in sorted(api.resources.values(), key=lambda resource: resource.name):
        yield Thing(resource.name, resource.path, condition_words(existence(resource), resource.table))


def _right(place: Place, worlds: Worlds) -> Right | None:
    rules = rules_of(place.route, place.method)
    reads = () if place.route.resource is None else place.route.resource.rules_on(Operation.READ)
    every = list(worlds.of([*rules, *reads]))
    open_ = [rights for rights in every if _is_open(rights, place, rules, reads)]
    if not open_:
        return _denied(place, worlds, rules)
    shown = [_fields(rights, place, rules) for rights in open_]
    nothing: frozenset[str] = frozenset()
    everywhere = nothing.union(*(granted for _, granted in shown))
    always = everywhere.intersection(*(certain for certain, _ in shown))
    lines = [line for rule in rules if (line := _line(rule, place, every)) is not None]
    return Right(
        role=worlds.subject.name,
        resource=place.resource,
        action=place.action,
        granted=True,
        requests=place.requests,
        always=tuple(sorted(always)),
        sometimes=tuple(sorted(everywhere - always)),
        rules=_sorted(lines),
    )


def _denied(place: Place, worlds: Worlds, rules: Iterable[Rule]) -> Right | None:
    """What takes this away from accounts that have further roles. A deny of ANYONE stands with each right that it limits."""
    by_name = [rule for rule in rules if rule.effect == "deny" and not {*worlds.subject.roles}.isdisjoint(rule.roles)]
    lines = [line for rule in by_name if (line := _line(rule, place, worlds.of(by_name))) is not None]
    if not lines:
        return None
    return Right(worlds.subject.name, place.resource, place.action, False, place.requests, (), (), _sorted(lines))


def _is_open(rights: Rights, place: Place, rules: Iterable[Rule], reads: Iterable[Rule]) -> bool:
    """Whether a request of this kind can succeed on some row."""
    about = [*rules, *(() if place.verb is Verb.CREATE else reads)]
    shut = any(rule.fields is None and _denies_always(rights, rule) for rule in about)
    return not shut and may(rights, place.route, place.method, place.verb)


def _denies_always(rights: Rights, rule: Rule) -> bool:
    """Whether it takes from every row, because it has no condition or one on what the caller lacks."""
    if rule.effect == "allow" or not rights.concerns(rule):
        return False
    return isinstance(rule.where, True_) or rights.lacks(rule.where)


def _fields(rights: Rights, place: Place, rules: Iterable[Rule]) -> tuple[frozenset[str], frozenset[str]]:
    """The fields that every row has, and that any row has."""
    access = access_by(rights, place.route, place.method, place.verb)
    if access is None or place.verb is Verb.ACT:
        return frozenset(), frozenset()
    never = {name for rule in rules if _denies_always(rights, rule) for name in rule.fields or ()}
    return access.certain - never, access.granted - never


def _line(rule: Rule, place: Place, worlds: Iterable[Rights]) -> Line | None:
    """The rule in words, when it does something in one of these worlds."""
    resource, operation = place.route.resource, OPERATIONS.get(place.verb)
    about = [rights for rights in worlds if rights.concerns(rule)]
    lacking = [rights for rights in about if any(map(rights.lacks, (rule.where, *rule.set.values())))]
    if not about or (rule.effect == "allow" and len(lacking) == len(about)):
        return None
    fields = rule.fields
    if rule.effect == "allow" and resource is not None:
        writes = operation in (Operation.READ, Operation.CREATE, Operation.UPDATE)
        fields = tuple(granted_fields(resource, rule, operation)) if writes else None
    return Line(
        effect=rule.effect,
        fields=None if fields is None else tuple(sorted(fields)),
        where="" if lacking or resource is None else condition_words(rule.where, resource.table),
        when=when_words(rule.when),
        set={name: value_words(value) for name, value in sorted(rule.set.items())},
    )


def _sorted(lines: Sequence[Line]) -> tuple[Line, ...]:
    return tuple(sorted((line for index, line in enumerate(lines) if line not in lines[:index]), key=_order))


def _order(line: Line) -> tuple[object, ...]:
    return line.effect, line.where, line.when, line.fields or (), tuple(line.set.items())


def _rank(action: str) -> int:
    return ACTIONS.index(action) if action in ACTIONS else len(ACTIONS)
