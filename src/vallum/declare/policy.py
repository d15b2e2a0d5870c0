"""Rules, as data: who may do what, to which rows, which fields, under which conditions of the request.

Nothing here decides. `authorise` compiles rules to SQL; its evaluator reads the same data in memory.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal, final

from sqlalchemy import BindParameter, Boolean, ColumnElement, Date, DateTime, String, true
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import coercions
from sqlalchemy.sql import roles as sql_roles
from sqlalchemy.types import NullType

from vallum.declare.attribute import check_mapped
from vallum.declare.errors import DeclarationError
from vallum.declare.when import When

ME_ID: Final = "vallum_me_id"
ME_ROLES: Final = "vallum_me_roles"
ME_ATTRIBUTE: Final = "vallum_me_attr_"
NOW: Final = "vallum_now"
TODAY: Final = "vallum_today"
_WORDS: Final = {ME_ID: "me.id", ME_ROLES: "me.roles", NOW: "now", TODAY: "today"}


def word_of(parameter: str) -> str | None:
    """How an author writes the parameter of that name, such as `me.attr["school"]`; None for a constant of a rule."""
    if parameter.startswith(ME_ATTRIBUTE):
        return f'me.attr["{parameter.removeprefix(ME_ATTRIBUTE)}"]'
    return _WORDS.get(parameter)


@final
class Anyone(enum.Enum):
    """The role of every caller, with or without a credential."""

    ANYONE = "ANYONE"

    def __str__(self) -> str:
        return self.value

    __repr__ = __str__


ANYONE: Final = Anyone.ANYONE


class Operation(enum.Flag):
    """What a rule on a resource is about."""

    CREATE = enum.auto()
    READ = enum.auto()
    UPDATE = enum.auto()
    DELETE = enum.auto()


CREATE: Final = Operation.CREATE
READ: Final = Operation.READ
UPDATE: Final = Operation.UPDATE
DELETE: Final = Operation.DELETE


@final
class _Attributes:
    """`me.attr["school"]`: a declared attribute of the caller, typed by the column it is compared with."""

    def __getitem__(self, name: str) -> BindParameter[Any]:
        if not name.isidentifier():
            raise DeclarationError("attribute-name", f"me.attr[{name!r}]", "Name attributes like Python identifiers.")
        return BindParameter(ME_ATTRIBUTE + name, None, unique=False, required=False)


@final
class Me:
    """The caller, as bound parameters of a rule."""

    @property
    def id(self) -> BindParameter[str]:
        """The caller's identifier: the NAME that `vallum user add` was given."""
        return BindParameter(ME_ID, None, type_=String(), unique=False, required=False)

    @property
    def roles(self) -> BindParameter[Any]:
        """The caller's roles: `Article.audience.in_(me.roles)`."""
        return BindParameter(ME_ROLES, None, type_=String(), unique=False, required=False, expanding=True)

    @property
    def attr(self) -> _Attributes:
        """The caller's attributes: `Student.school_id == me.attr["school"]`."""
        return _Attributes()


me: Final = Me()
now: Final[BindParameter[datetime]] = BindParameter(
    NOW, None, type_=DateTime(timezone=True), unique=False, required=False
)
"""The instant of the request (UTC), as a bound parameter: `Term.ends > now`."""
today: Final[BindParameter[date]] = BindParameter(TODAY, None, type_=Date(), unique=False, required=False)
"""The day of the request (UTC), as a bound parameter: `Term.ends >= today`."""


Roles = tuple["str | Anyone", ...]
Effect = Literal["allow", "deny"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One line of a policy.

    Attributes:
        effect: `"allow"` or `"deny"`; a deny that applies wins over every allow.
        roles: whom it is about; `ANYONE` is every caller.
        operations: of the resource; None on a rule of an action or endpoint.
        where: a SQLAlchemy expression over the model; every row when it is true().
        fields: names of the fields; None means all of them.
        when: conditions on the request.
        set: column name → value written by the server on CREATE.
        attributes: those by which fields and columns were named; all belong to the model that the rule is for.
    """

    effect: Effect
    roles: Roles
    operations: Operation | None
    where: ColumnElement[bool]
    fields: tuple[str, ...] | None = None
    when: When | None = None
    set: Mapping[str, ColumnElement[Any]] = field(default_factory=dict)
    attributes: tuple[InstrumentedAttribute[Any], ...] = ()


Where = ColumnElement[bool] | InstrumentedAttribute[bool]
RoleArgument = str | Anyone | Iterable["str | Anyone"]


def _roles(roles: RoleArgument) -> Roles:
    given = (roles,) if isinstance(roles, (str, Anyone)) else tuple(roles)
    if not given:
        raise DeclarationError("rule-without-role", "allow/deny", "Name at least one role, or ANYONE.")
    return given


def _rule(
    effect: Effect,
    roles: RoleArgument,
    operations: Operation | None,
    where: Where | None,
    fields: Iterable[str | InstrumentedAttribute[Any]] | None,
    when: When | None,
    values: Mapping[InstrumentedAttribute[Any], object],
) -> Rule:
    if isinstance(fields, str):
        raise DeclarationError("fields-text", f"fields={fields!r}", f'Give a list: fields=["{fields}"].')
    if isinstance(where, bool):
        raise DeclarationError(
            "where-python", f"where={where}", "Python decided this comparison; write a SQLAlchemy expression."
        )
    if when is not None and not isinstance(when, When):
        raise DeclarationError("when-value", f"when= of type {type(when).__name__}", "Give when(…).")
    named = _roles(roles)
    place = f"{effect}({', '.join(map(str, named))})"
    listed = None if fields is None else tuple(fields)
    attributes = [*(f for f in listed or () if not isinstance(f, str)), *values]
    for attribute in attributes:
        check_mapped(attribute, place)
    names = None if listed is None else tuple(f if isinstance(f, str) else f.key for f in listed)
    written = {
        attribute.key: value
        if isinstance(value, ColumnElement)
        else BindParameter(None, value, type_=attribute.type, unique=True)
        for attribute, value in values.items()
    }
    return Rule(effect, named, operations, _condition(where, place), names, when, written, tuple(attributes))


def _condition(where: Where | None, place: str) -> ColumnElement[bool]:
    """What `where=` says: mapped attributes and hybrids become their expressions, so that all later code sees one kind."""
    if where is None:
        return true()
    element = where.__clause_element__() if hasattr(where, "__clause_element__") else where
    # Text, lambdas and text() are no ColumnElement; a number or a text is true in one store and an error in the other.
    if not isinstance(element, ColumnElement) or not isinstance(element.type, (Boolean, NullType)):
        raise DeclarationError(
            "where-form",
            f"{place}, where= of type {type(where).__name__}",
            "Write a SQLAlchemy condition, such as Model.column == value.",
        )
    return coercions.expect(sql_roles.WhereHavingRole, where)


def allow(
    roles: RoleArgument,
    operations: Operation | None = None,
    *,
    where: Where | None = None,
    fields: Iterable[str | InstrumentedAttribute[Any]] | None = None,
    when: When | None = None,
    set: Mapping[InstrumentedAttribute[Any], object] | None = None,
) -> Rule:
    """Grant `roles` the `operations` (none on actions and endpoints) on the rows `where`, on `fields` (all of them).

    READ and DELETE: `where` filters. UPDATE: it holds before and after. CREATE: it holds for the new row.
    `set` gives columns that the server writes on CREATE.
    """
    return _rule("allow", roles, operations, where, fields, when, set or {})


def deny(
    roles: RoleArgument,
    operations: Operation | None = None,
    *,
    where: Where | None = None,
    fields: Iterable[str | InstrumentedAttribute[Any]] | None = None,
    when: When | None = None,
) -> Rule:
    """Take away, whatever any `allow` grants. With `fields` it hides or freezes these fields, else whole rows.

    A condition that is NULL, or needs an attribute which the caller lacks, counts as met.
    """
    return _rule("deny", roles, operations, where, fields, when, {})
