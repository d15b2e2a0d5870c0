"""The matrix says what the compiled rights say: not less, which nobody would notice, and not more."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import true
from tests.general.app import api as general
from tests.general.models import Invoice, Tag, Task
from tests.path.small import api as small

from vallum import ANYONE, API, CREATE, READ, UPDATE, allow, deny, me, when
from vallum.authorise.matrix import MATRIX, Matrix, Right, matrix_of
from vallum.authorise.matrix_worlds import ANYONE_NAME, NO_ROLE, Subject, can_fail, can_hold
from vallum.authorise.rights import Rights
from vallum.authorise.stage import Policy, may
from vallum.declare.policy import Operation, Rule
from vallum.declare.route import Kind
from vallum.declare.when import When

NOTHING: frozenset[str] = frozenset()


def rights_of(api: API, role: str, conditions: Mapping[int, tuple[bool, bool]]) -> Rights:
    """Those of a caller with this role and every attribute; of a stranger, without any."""
    roles = () if role in (ANYONE_NAME, NO_ROLE) else (role,)
    known = role != ANYONE_NAME
    return Rights(api, "sqlite", roles, frozenset(api.attributes if known else ()), known, conditions)


def by_key(matrix: Matrix) -> dict[tuple[str, str, str], Right]:
    return {right.key: right for right in matrix.rights if right.granted}


@pytest.mark.parametrize("api", [general, small], ids=["general", "small"])
def test_it_has_a_field_when_the_compiled_rights_grant_it(api: API) -> None:
    """Of each role, resource and operation: an entry exactly where there is access, with exactly the granted fields."""
    found = by_key(matrix_of(api, "sqlite"))
    best = {id(condition): (True, False) for condition in Policy(api, "sqlite").conditions}
    for role, resource, operation in product([NO_ROLE, *api.roles], api.resources.values(), Operation):
        rights = rights_of(api, role, best)
        read, access = rights.on(resource, Operation.READ), rights.on(resource, operation)
        right = found.get((role, resource.name, str(operation.name)))
        possible = access is not None and (read is not None or operation is CREATE)
        assert (right is not None) is possible, (role, resource.name, operation)
        if right is not None and access is not None:
            assert {*right.always, *right.sometimes} == access.granted, (role, resource.name, operation)


@pytest.mark.parametrize("api", [general, small], ids=["general", "small"])
def test_it_has_an_action_or_endpoint_when_a_request_may_call_it(api: API) -> None:
    """As `authorise` decides, with every condition of the request met that allows and none that denies."""
    found = by_key(matrix_of(api, "sqlite"))
    best = {id(condition): (True, False) for condition in Policy(api, "sqlite").conditions}
    for role, route in product([ANYONE_NAME, NO_ROLE, *api.roles], api.routes.values()):
        for method, verb in route.methods.items():
            if route.kind in (Kind.ACTION, Kind.ENDPOINT):
                owner = route.name if route.resource is None else route.resource.name
                action = route.name if route.kind is Kind.ACTION else method
                expected = may(rights_of(api, role, best), route, method, verb)
                assert ((role, owner, action) in found) is expected, (role, route.path)


# Conditions of the request ------------------------------------------------------------------

WHENS: Sequence[When] = (
    when(scope="a"),
    when(networks=["10.0.0.0/8"]),
    when(login_within=timedelta(hours=1)),
)
WHERES = (true(), Tag.hidden, Tag.name == me.id)
NAMES = ("id", "name", "hidden")


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    """Allows and denies of READ on tags, with every mixture of rows, fields and conditions."""
    drawn = []
    for _ in range(draw(st.integers(1, 6))):
        fields = draw(st.none() | st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
        where, condition = draw(st.sampled_from(WHERES)), draw(st.none() | st.sampled_from(WHENS))
        roles = draw(st.sampled_from([["member"], ["manager"], [ANYONE], ["member", "manager"]]))
        effect = draw(st.sampled_from([allow, allow, deny]))
        drawn.append(effect(roles, READ, where=where, fields=fields, when=condition))
    return drawn


def declared(*rules: Rule) -> API:
    """An API with these rules on tags."""
    api = API("Tags", roles=["member", "manager"])
    api.resource(Tag, *rules)
    return api


@given(rules())
def test_always_means_in_every_world(drawn: list[Rule]) -> None:
    """Against all mixtures of conditions that hold and do not, where the matrix looks at pairs of them."""
    api = declared(*drawn)
    found = by_key(matrix_of(api, "sqlite"))
    resource = api.resources[Tag]
    for role in (NO_ROLE, "member", "manager"):
        worlds = [
            rights_of(api, role, {id(w): (held, held) for w, held in zip(WHENS, holding, strict=True)}).on(
                resource, READ
            )
            for holding in product([True, False], repeat=len(WHENS))
        ]
        open_ = [access for access in worlds if access is not None]
        right = found.get((role, "tags", "READ"))
        assert (right is not None) is bool(open_)
        if right is not None:
            everywhere = NOTHING.union(*(access.granted for access in open_))
            always = everywhere.intersection(*(access.certain for access in open_))
            assert {*right.always} == always
            assert {*right.always, *right.sometimes} == everywhere


@given(rules())
def test_a_stranger_meets_no_condition_on_a_credential(drawn: list[Rule]) -> None:
    """Nor one on a login; so the rights of ANYONE depend on the network alone."""
    api = declared(*drawn)
    scope, network, login = map(id, WHENS)
    found = by_key(matrix_of(api, "sqlite")).get((ANYONE_NAME, "tags", "READ"))
    granted: set[str] = set()
    for inside in (True, False):
        conditions = {scope: (False, False), network: (inside, inside), login: (False, True)}
        rights = rights_of(api, ANYONE_NAME, conditions)
        access = rights.on(api.resources[Tag], READ)
        denies = [r for r in drawn if r.effect == "deny" and rights.concerns(r) and rights.lacks(r.where)]
        if access is not None and all(rule.fields is not None for rule in denies):
            granted |= access.granted.difference(*(rule.fields or () for rule in denies))
    assert granted == (set() if found is None else {*found.always, *found.sometimes})


def test_a_deny_that_a_stranger_cannot_lift_leaves_no_right() -> None:
    """By what only an account has, or by an age of the login that is not known: known accounts keep theirs."""
    login = when(login_within=timedelta(hours=1))
    for denial in (deny(ANYONE, READ, where=Tag.name == me.id), deny(ANYONE, READ, when=login)):
        found = by_key(matrix_of(declared(allow(ANYONE, READ | UPDATE), denial), "sqlite"))
        assert {role for role, _, _ in found} == {NO_ROLE, "member", "manager"}
        assert [line.effect for line in found[NO_ROLE, "tags", "READ"].rules] == ["allow", "deny"]


def test_a_deny_that_a_request_can_lift_leaves_the_right() -> None:
    """With the condition that does; an endpoint too, although no request is allowed while it holds."""
    scoped = deny("member", when=when(scope="a"))
    api = declared(allow("member", READ), deny("member", READ, when=when(scope="a")))
    api.get("/stats", allow("member"), scoped)(lambda call: 1)
    api.get("/never", allow("member"), deny("member"))(lambda call: 1)
    found = by_key(matrix_of(api, "sqlite"))
    assert {key[1:] for key in found} == {("tags", "READ"), ("stats", "GET")}
    assert all([line.when for line in right.rules] == [(), ("scope a",)] for right in found.values())


ACCOUNT, STRANGER = Subject("member", ("member",), True), Subject(ANYONE_NAME, (), False)


@pytest.mark.parametrize(
    ("condition", "account", "stranger"),
    [
        (when(credential="key"), (True, True), (False, True)),
        (when(credential=["key", "token"]), (True, False), (False, True)),
        (when(login_within=timedelta(hours=1)), (True, True), (False, False)),
        (when(login_within=timedelta(hours=1), credential="key"), (False, True), (False, True)),
        (when(scope="a"), (True, True), (False, True)),
        (when(networks=["10.0.0.0/8"]), (True, True), (True, True)),
        (when(between=("22:00", "06:00"), zone="Europe/Berlin"), (True, True), (True, True)),
        (when(between=("08:00", "08:00")), (False, False), (False, False)),
    ],
)
def test_what_conditions_can_be(condition: When, account: tuple[bool, bool], stranger: tuple[bool, bool]) -> None:
    """Whether some request meets it, and whether some request is known not to: for an account and for a stranger."""
    for subject, expected in ((ACCOUNT, account), (STRANGER, stranger)):
        assert (can_hold(condition, subject), can_fail(condition, subject)) == expected


def test_conditions_are_shown_and_make_fields_uncertain() -> None:
    """A field that one network sees and others do not is there sometimes; scopes, networks and hours stand beside it."""
    office = when(networks=["10.0.0.0/8"], between=("08:00", "18:00"))
    api = declared(allow("member", READ, fields=["id"]), allow("member", READ, when=office, fields=["id", "name"]))
    (right,) = matrix_of(api, "sqlite").rights
    assert (right.always, right.sometimes) == (("id",), ("name",))
    assert [line.when for line in right.rules] == [(), ("from 10.0.0.0/8", "from 08:00 to 18:00 UTC")]


# Rules --------------------------------------------------------------------------------------


def test_what_is_written_by_the_server_and_what_is_demanded_of_every_row() -> None:
    """`set=` stands in the rule of a CREATE; tenant and soft delete stand once, with the resource."""
    matrix = matrix_of(general, "sqlite")
    create = by_key(matrix)["member", "comments", "CREATE"]
    assert [line.set for line in create.rules] == [{"author": "me.id", "written": "now"}]
    exists = {thing.resource: thing.exists for thing in matrix.resources}
    assert exists["projects"] == 'projects.organisation_id = me.attr["organisation"] AND projects.deleted_at IS NULL'


def test_denies_stand_with_what_they_limit() -> None:
    """Of rows, of fields, and those of ANYONE; a field that is always denied is in no list."""
    found = by_key(matrix_of(general, "sqlite"))
    rate = found["manager", "people", "READ"]
    assert ("rate" in rate.sometimes, "rate" in rate.always) == (True, False)
    assert [(line.fields, line.where) for line in rate.rules if line.effect == "deny"] == [
        (("rate",), "people.account != me.id")
    ]
    assert any(line.effect == "deny" for line in found["member", "tasks", "READ"].rules)
    hidden = declared(allow("member", READ), deny("member", READ, fields=["hidden"]))
    (right,) = matrix_of(hidden, "sqlite").rights
    assert "hidden" not in {*right.always, *right.sometimes}


def test_a_deny_without_a_right_is_listed_by_its_role() -> None:
    """It is no right, and it takes from accounts that have another role; a deny of ANYONE is not repeated so."""
    api = declared(allow("member", READ), deny("manager", READ, where=Tag.hidden), deny(ANYONE, UPDATE))
    granted, denied = sorted(matrix_of(api, "sqlite").rights, key=lambda right: not right.granted)
    assert (granted.role, granted.granted) == ("member", True)
    assert (denied.role, denied.granted, denied.always, denied.sometimes) == ("manager", False, (), ())
    assert [(line.effect, line.where) for line in denied.rules] == [("deny", "tags.hidden")]


def test_who_cannot_read_changes_nothing() -> None:
    """A rule to UPDATE without one to READ finds no row, so it is no right."""
    assert matrix_of(declared(allow("member", UPDATE)), "sqlite").rights == ()


def test_a_rule_for_every_row_settles_the_fields_under_a_tenant_too() -> None:
    """Tenant, soft delete and denies are demanded by each rule: they make none of them special."""
    found = by_key(matrix_of(general, "sqlite"))
    assert found["manager", "tags", "READ"].sometimes == ()
    assert found["accountant", "tags", "READ"].always == ("id", "name")


def test_a_stranger_has_what_anyone_has() -> None:
    """And an account without a role as well; a role has it beside its own."""
    found = by_key(matrix_of(small, "sqlite"))
    for role in (ANYONE_NAME, NO_ROLE, *small.roles):
        assert (role, "hello", "GET") in found
        assert (role, "shelves", "READ") in found
    assert (ANYONE_NAME, "tags", "READ") not in by_key(matrix_of(general, "sqlite"))  # its tenant needs an attribute


def test_requests_are_those_of_the_routes() -> None:
    """READ has two, an action its path, an endpoint its method."""
    found = by_key(matrix_of(small, "sqlite"))
    assert found["reader", "books", "READ"].requests == ("GET /books", "GET /books/{id}")
    assert found["writer", "books", "publish"].requests == ("POST /books/{id}/publish",)
    assert found["reader", "notes", "POST"].requests == ("POST /notes",)
    assert ("writer", "notes", "POST") not in found


# Order --------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_no_order_of_declarations_matters(seed: int) -> None:
    """Roles, resources, rules, fields and roles of a rule may be written in any order."""
    assert MATRIX.dump_json(matrix_of(shuffled(seed), "sqlite")) == MATRIX.dump_json(matrix_of(shuffled(0), "sqlite"))


def shuffled(seed: int) -> API:
    """The same rules, declared in an order of its own."""
    order = random.Random(seed)

    def mixed(*things: Any) -> list[Any]:
        return order.sample(things, len(things))

    api = API("Mixed", roles=mixed("member", "manager", "clerk"))
    resources = {
        Tag: mixed(
            allow(mixed("member", "clerk"), READ, fields=mixed("id", "name")),
            allow("manager", READ | UPDATE),
            deny("manager", UPDATE, where=Tag.hidden),
        ),
        Invoice: mixed(
            allow("clerk", READ, where=Invoice.paid.is_(None)), allow("clerk", READ, when=when(scope="all"))
        ),
        Task: [allow("member", READ)],
    }
    for model in mixed(*resources):
        api.resource(model, *resources[model])
    return api


def test_its_json_is_what_it_is_read_from() -> None:
    """To the last member, and validated."""
    matrix = matrix_of(general, "sqlite")
    assert MATRIX.validate_json(MATRIX.dump_json(matrix)) == matrix


def test_the_store_makes_no_difference() -> None:
    """Rules read alike on both, whatever their SQL is there."""
    assert matrix_of(general, "postgresql") == matrix_of(general, "sqlite")
