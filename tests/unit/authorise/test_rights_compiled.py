"""What rules become for one caller: grants and denies, their fields, their bits, their SQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import Computed, Identity
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.general.models import Project, Tag

from vallum import ANYONE, API, CREATE, DELETE, READ, UPDATE, Rule, allow, deny, me, when
from vallum.authorise.rights import MAX_MASK_BITS, Access, Rights
from vallum.declare.errors import DeclarationError
from vallum.declare.policy import Operation
from vallum.store.sql import Sql


class Base(DeclarativeBase):
    """The table of these tests."""


class Page(Base):
    """With all kinds of columns that nobody may write."""

    __tablename__ = "pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)
    words: Mapped[int]
    twice: Mapped[int] = mapped_column(Computed("words * 2"))
    serial: Mapped[int] = mapped_column(Identity(always=True))


def rights(
    *rules: Rule,
    model: type[Any] = Tag,
    identified: bool = True,
    attributes: Iterable[str] = ("organisation", "region"),
    tenant: bool = False,
    held: tuple[bool, bool] = (True, True),
    **options: Any,
) -> Rights:
    """Of a caller with the role `a` of two."""
    api = API(
        "Things",
        roles=["a", "b"],
        attributes={"organisation": int, "region": str},
        tenant=("organisation_id", me.attr["organisation"]) if tenant else None,
    )
    api.resource(model, *rules, **options)
    conditions = {id(rule.when): held for rule in rules if rule.when is not None}
    return Rights(api, "sqlite", ("a",), frozenset(attributes), identified, conditions)


def compiled(operation: Operation, *rules: Rule, model: type[Any] = Tag, **options: Any) -> Access | None:
    """What the caller may do by this operation."""
    found = rights(*rules, model=model, **options)
    return found.on(found.api.resources[model], operation)


def access(operation: Operation, *rules: Rule, **options: Any) -> Access:
    """The same of a caller who may do something."""
    found = compiled(operation, *rules, **options)
    assert found is not None
    return found


def text(fragment: Sql) -> str:
    """With the names of the request's values, and the constants of the rules."""
    return "".join(p if isinstance(p, str) else f":{p.name}" if p.name else repr(p.value) for p in fragment.parts)


NAMED = Tag.name == "x"
HIDDEN = Tag.hidden.is_(True)


def test_only_the_rules_of_the_callers_roles_and_of_the_operation_count() -> None:
    """ANYONE's are everybody's; one role of several is enough."""
    assert compiled(READ, allow("b", READ)) is None
    assert compiled(READ, allow("a", UPDATE)) is None
    assert compiled(READ, allow(["b", "a"], READ)) is not None
    assert compiled(READ, allow(ANYONE, READ | UPDATE)) is not None
    assert compiled(READ, allow("a", READ), deny("b", READ)) is not None


@pytest.mark.parametrize(
    ("holds", "may_hold", "allowed", "denied"),
    [(True, True, True, True), (False, True, False, True), (False, False, False, False)],
)
def test_a_condition_of_the_request_is_sure_for_an_allow_and_possible_for_a_deny(
    *, holds: bool, may_hold: bool, allowed: bool, denied: bool
) -> None:
    """What is not known speaks against the caller both times."""
    asked = when(scope="tags")
    found = rights(allow("a", READ, when=asked), deny("a", READ, when=asked), held=(holds, may_hold))
    assert [found.concerns(rule) for rule in found.api.resources[Tag].rules] == [allowed, denied]


def test_an_allow_on_what_the_caller_lacks_grants_nothing() -> None:
    """No id, or not that attribute; another's condition is none of its business."""
    assert compiled(READ, allow("a", READ, where=Tag.name == me.id), identified=False) is None
    assert compiled(READ, allow("a", READ, where=Tag.name == me.id)) is not None
    by_region = allow("a", READ, where=Tag.name == me.attr["region"])
    assert compiled(READ, by_region, attributes=["organisation"]) is None
    assert compiled(READ, by_region, attributes=["region"], identified=False) is not None
    assert compiled(READ, by_region, allow("a", READ), attributes=()) is not None


def test_an_allow_that_would_write_what_the_caller_lacks_grants_nothing() -> None:
    """`set` is of the rule as its condition is."""
    by_region = allow("a", CREATE, set={Tag.name: me.attr["region"]})
    assert compiled(CREATE, by_region, attributes=()) is None
    found = access(CREATE, by_region)
    assert set(found.grants[0].written) == {"name"}
    assert "name" not in found.granted


def test_a_deny_on_what_the_caller_lacks_applies_everywhere() -> None:
    """Its rows pass nowhere; so do its fields."""
    by_region = deny("a", READ, where=Tag.name == me.attr["region"])
    assert text(access(READ, allow("a", READ), by_region, attributes=()).grants[0].where) == "(0 = 1)"
    by_field = deny("a", READ, where=Tag.name == me.attr["region"], fields=["name"])
    assert text(access(READ, allow("a", READ), by_field, attributes=()).denies[0].passes) == "0 = 1"


def test_a_deny_passes_only_where_it_is_known_to_be_false() -> None:
    """NULL is no pass."""
    found = access(READ, allow("a", READ, where=HIDDEN), deny("a", READ, where=NAMED))
    assert text(found.grants[0].where) == "(tags.hidden IS 1) AND ((tags.name = 'x') IS FALSE)"
    assert not found.grants[0].always


def test_a_deny_of_every_row_leaves_nothing_and_one_of_every_rows_fields_not_these() -> None:
    """They are told at once, and cost no statement anything."""
    assert compiled(READ, allow("a", READ), deny("a", READ)) is None
    found = access(READ, allow("a", READ), deny("a", READ, fields=["name"]))
    assert found.granted == found.certain == {"id", "organisation_id", "hidden"}
    assert found.denies == ()
    assert found.plain


def test_the_tenant_and_the_deleted_are_joined_to_every_rule() -> None:
    """Without the tenant's attribute there is no row at all."""
    found = access(READ, allow("a", READ), tenant=True)
    assert text(found.grants[0].where) == "(tags.organisation_id = :vallum_me_attr_organisation)"
    assert compiled(READ, allow("a", READ), tenant=True, attributes=["region"]) is None
    found = access(READ, allow("a", READ, where=NAMED), deny("a", READ, where=HIDDEN), tenant=True)
    assert text(found.grants[0].where) == (
        "(tags.name = 'x') AND (tags.organisation_id = :vallum_me_attr_organisation) AND ((tags.hidden IS 1) IS FALSE)"
    )
    found = access(READ, allow("a", READ), model=Project, soft_delete=Project.deleted_at)
    assert text(found.grants[0].where) == "(projects.deleted_at IS NULL)"
    found = access(READ, allow("a", READ), model=Project, soft_delete=Project.deleted_at, tenant=True)
    assert text(found.grants[0].where) == (
        "(projects.organisation_id = :vallum_me_attr_organisation AND projects.deleted_at IS NULL)"
    )
    assert not found.grants[0].always


def test_a_rule_for_every_row_holds_always() -> None:
    """Whatever becomes of the row, if nothing else is demanded."""
    found = access(READ, allow("a", READ)).grants[0]
    assert (text(found.where), found.always) == ("TRUE", True)
    assert not access(READ, allow("a", READ, where=NAMED)).grants[0].always
    assert not access(READ, allow("a", READ), deny("a", READ, where=NAMED)).grants[0].always


def test_reading_grants_what_is_named_or_all() -> None:
    """Expressions, too."""
    assert {"open_tasks", "running", "id", "deleted_at"} <= access(READ, allow("a", READ), model=Project).granted
    assert access(READ, allow("a", READ, fields=["name"])).granted == {"name"}
    assert access(DELETE, allow("a", DELETE)).granted == frozenset()


def test_writing_grants_no_field_that_the_server_writes() -> None:
    """The tenant, the instant of deletion, what the rule sets, what the database computes; named or not."""
    everything = access(UPDATE, allow("a", UPDATE), model=Project, tenant=True, soft_delete=Project.deleted_at).granted
    assert everything == {"lead_id", "title", "stage", "budget", "starts"}
    named = allow("a", UPDATE, fields=["organisation_id", "title", "deleted_at", "running"])
    assert access(UPDATE, named, model=Project, tenant=True, soft_delete=Project.deleted_at).granted == {"title"}
    assert access(UPDATE, named, model=Project).granted == {"organisation_id", "title", "deleted_at"}
    assert access(UPDATE, allow("a", UPDATE), model=Page).granted == {"words"}


def test_a_key_is_given_at_creation_only_where_nobody_makes_it() -> None:
    """One that is made may be given where a rule names it; none is ever changed."""
    assert access(CREATE, allow("a", CREATE)).granted == {"organisation_id", "name", "hidden"}
    assert access(CREATE, allow("a", CREATE, fields=["id", "name"])).granted == {"id", "name"}
    assert access(CREATE, allow("a", CREATE), model=Page).granted == {"id", "part", "words"}
    assert access(UPDATE, allow("a", UPDATE, fields=["id", "name"])).granted == {"name"}


def test_each_rule_has_a_bit_and_each_field_the_bits_that_grant_it() -> None:
    """A row shows a field where a rule with it holds and each deny on it passes."""
    found = access(
        READ,
        allow("a", READ, where=HIDDEN, fields=["id", "name"]),
        allow("a", READ, where=NAMED, fields=["id", "hidden"]),
        deny("a", READ, where=Tag.id == 7, fields=["hidden"]),
    )
    assert [grant.bit for grant in found.grants] == [1, 2]
    assert [(field.bit, field.fields) for field in found.denies] == [(4, frozenset({"hidden"}))]
    assert found.granted == {"id", "name", "hidden"}
    assert found.certain == {"id"}
    assert found.shown == ("id", "name", "hidden")
    assert not found.plain
    shown = {mask: {name for name in found.shown if found.allows(mask, name)} for mask in range(8)}
    hidden = {6: {"id", "hidden"}, 7: {"id", "name", "hidden"}}
    assert shown == {0: set(), 1: {"id", "name"}, 2: {"id"}, 3: {"id", "name"}, 4: set(), 5: {"id", "name"}} | hidden
    assert [found.holds(mask) for mask in range(5)] == [False, True, True, True, False]


def test_a_field_under_two_denies_needs_both_to_pass() -> None:
    """And another deny is none of its business."""
    found = access(
        READ,
        allow("a", READ),
        deny("a", READ, where=HIDDEN, fields=["name"]),
        deny("a", READ, where=NAMED, fields=["name", "hidden"]),
    )
    assert [field.bit for field in found.denies] == [2, 4]
    assert found.certain == {"id", "organisation_id"}
    assert not found.plain
    assert [found.allows(mask, "name") for mask in (1, 3, 5, 7)] == [False, False, False, True]
    assert [found.allows(mask, "hidden") for mask in (1, 3, 5, 7)] == [False, False, True, True]


def test_the_mask_says_which_rules_hold() -> None:
    """One number for each row."""
    found = access(
        READ, allow("a", READ, where=HIDDEN, fields=["id"]), deny("a", READ, where=NAMED, fields=["id", "name"])
    )
    assert text(found.mask()) == (
        "CASE WHEN (tags.hidden IS 1) THEN 1 ELSE 0 END | CASE WHEN (tags.name = 'x') IS FALSE THEN 2 ELSE 0 END"
    )


def test_creation_keeps_a_narrower_rule() -> None:
    """It writes other values than the wider one."""
    rules = [allow("a", CREATE), allow("a", CREATE, where=NAMED, set={Tag.hidden: True})]
    assert len(access(CREATE, *rules).grants) == 2


def test_a_caller_has_as_many_rules_as_a_number_has_bits() -> None:
    """One more is refused at start-up; a deny on fields counts as well."""
    rules = [allow("a", READ, where=Tag.id == number) for number in range(MAX_MASK_BITS - 1)]
    found = access(READ, *rules, deny("a", READ, where=NAMED, fields=["name"]))
    assert found.denies[0].bit == 1 << 61
    with pytest.raises(DeclarationError, match="At most 62 rules"):
        access(READ, *rules, deny("a", READ, where=NAMED, fields=["name"]), allow("a", READ, where=HIDDEN))


def test_rights_are_compiled_once() -> None:
    """Of each resource and operation, of each action."""
    found = rights(allow("a", READ | UPDATE), allow("a", DELETE, where=NAMED))
    tag = found.api.resources[Tag]
    assert found.on(tag, READ) is found.on(tag, READ)
    assert found.on(tag, READ) is not found.on(tag, UPDATE)


def test_an_action_is_under_its_own_rules() -> None:
    """They grant reading what the action answers with."""
    found = rights(allow("a", READ))
    found.api.action(Tag, "hide", allow("a", where=NAMED))(lambda: None)
    found.api.action(Tag, "show", allow("b"))(lambda: None)
    hide, show = (found.api.routes[f"/tags/{{id}}/{name}"] for name in ("hide", "show"))
    mine = found.by_action(hide, hide.handlers["POST"])
    assert mine is found.by_action(hide, hide.handlers["POST"])
    assert mine is not None
    assert text(mine.grants[0].where) == "(tags.name = 'x')"
    assert mine.granted == {"id", "organisation_id", "name", "hidden"}
    assert found.by_action(show, show.handlers["POST"]) is None


@pytest.mark.parametrize(
    ("rules", "may"),
    [
        ([], False),
        ([allow("a")], True),
        ([allow("b")], False),
        ([deny("a")], False),
        ([allow("a"), deny("b")], True),
        ([allow("a"), deny(ANYONE)], False),
    ],
)
def test_an_endpoint_needs_an_allow_and_no_deny(rules: list[Rule], *, may: bool) -> None:
    """There is no row to be asked."""
    found = rights()
    found.api.get("/sums", *rules)(lambda: None)
    assert found.to_endpoint(found.api.routes["/sums"].handlers["GET"]) is may
