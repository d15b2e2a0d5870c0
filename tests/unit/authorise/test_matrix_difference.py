"""What a reviewer is told when the rules are not those that were agreed to, and which files are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.general.app import api as general
from tests.general.models import Comment, Tag

from vallum import API, CREATE, READ, UPDATE, Call, allow, deny, me, when
from vallum.authorise.matrix import MATRIX, Matrix, matrix_of
from vallum.authorise.matrix_difference import compare, read_matrix, told
from vallum.declare.policy import Rule


def tags(*rules: Rule, path: str = "/tags", roles: tuple[str, ...] = ("member", "manager")) -> Matrix:
    """The matrix of these rules on tags."""
    api = API("Tags", roles=roles)
    api.resource(Tag, *rules, path=path)
    return matrix_of(api, "sqlite")


AGREED = (
    allow("member", READ, where=~Tag.hidden, fields=["id", "name"]),
    allow("manager", CREATE | READ, when=when(scope="tags")),
)


@pytest.mark.parametrize(
    ("rules", "lines"),
    [
        (AGREED, []),
        (
            (*AGREED, allow("member", UPDATE, fields=["name"])),
            ["added    member · tags · UPDATE", "           fields name", "           allow"],
        ),
        (
            AGREED[:1],
            [
                "removed  manager · tags · READ",
                "           fields hidden, id, name, organisation_id",
                "           allow when scope tags",
                "removed  manager · tags · CREATE",
                "           fields hidden, name, organisation_id",
                "           allow when scope tags",
            ],
        ),
        (
            (allow("member", READ, where=~Tag.hidden, fields=["name", "hidden"]), AGREED[1]),
            [
                "changed  member · tags · READ",
                "         + field hidden",
                "         - field id",
            ],
        ),
        (
            (allow("member", READ, fields=["id", "name"]), AGREED[1]),
            ["changed  member · tags · READ", "         + rule allow", "         - rule allow where NOT tags.hidden"],
        ),
        (
            (*AGREED, allow("member", READ, where=Tag.hidden, fields=["id"])),
            [
                "changed  member · tags · READ",
                "         + field name*",
                "         - field name",
                "         + rule allow id where tags.hidden",
            ],
        ),
        (
            (*AGREED, deny("member", READ, where=Tag.name == me.id)),
            ["changed  member · tags · READ", "         + rule deny where tags.name = me.id"],
        ),
        (
            (AGREED[0], allow("manager", CREATE | READ, when=when(scope="tags", login_within=timedelta(minutes=5)))),
            [
                "changed  manager · tags · READ",
                "         + rule allow when login within 5 min and scope tags",
                "         - rule allow when scope tags",
                "changed  manager · tags · CREATE",
                "         + rule allow when login within 5 min and scope tags",
                "         - rule allow when scope tags",
            ],
        ),
        (
            (*AGREED, deny("member", CREATE)),
            ["added    denial of member · tags · CREATE", "           deny"],
        ),
    ],
    ids=["same", "added", "removed", "fields", "where", "sometimes", "deny", "when", "denial"],
)
def test_what_is_told(rules: tuple[Rule, ...], lines: list[str]) -> None:
    """What was added, removed and changed: role, resource, action, fields, condition; nothing when it is the same."""
    difference = compare(tags(*AGREED), tags(*rules))
    assert list(told(difference)) == lines
    assert bool(difference) is bool(lines)


def test_a_denial_that_becomes_a_right_says_so() -> None:
    """It may be done now; the other way round it may not any more."""
    denied = tags(allow("member", READ), deny("member", CREATE))
    allowed = tags(allow("member", READ), allow("member", CREATE, fields=["name"]))
    assert "         + may be done by this role" in told(compare(denied, allowed))
    assert "         - may be done by this role" in told(compare(allowed, denied))


def test_roles_resources_and_paths_are_compared() -> None:
    """A role without a right, a resource's path, and what every rule demands."""
    before, after = tags(*AGREED), tags(*AGREED, path="/labels", roles=("member", "manager", "guest"))
    assert list(told(compare(before, after)))[:3] == [
        "added    role guest",
        "added    resource labels",
        "removed  resource tags",
    ]
    (thing,) = tags(*AGREED).resources
    elsewhere = json.loads(MATRIX.dump_json(before))
    elsewhere["resources"][0] |= {"exists": "tags.deleted_at IS NULL", "path": "/old/tags"}
    assert list(told(compare(read_matrix(json.dumps(elsewhere).encode()), before))) == [
        "changed  resource tags",
        "         + path /tags",
        "         - path /old/tags",
        "         + every rule also demands nothing",
        "         - every rule also demands tags.deleted_at IS NULL",
    ]
    assert thing.path == "/tags"


def test_actions_and_endpoints_are_compared() -> None:
    """By the resource and the action's name, by the path and the method."""

    def built(*, more: bool) -> Matrix:
        api = API("Talk", roles=["member"])
        api.resource(Comment, allow("member", READ))
        if more:
            api.action(Comment, "pin", allow("member", where=Comment.author == me.id))(lambda call, row: None)
            api.get("/stats", allow("member"))(stats)
        return matrix_of(api, "sqlite")

    def stats(call: Call) -> int:
        return 1

    assert list(told(compare(built(more=False), built(more=True)))) == [
        "added    member · comments · pin",
        "           allow where comments.author = me.id",
        "added    member · stats · GET",
        "           allow",
    ]


def test_the_order_in_a_file_does_not_matter() -> None:
    """Rights, rules and fields may stand in any order, and the title be another."""
    matrix = matrix_of(general, "sqlite")
    document = json.loads(MATRIX.dump_json(matrix))
    document["title"] = "Another"
    for right in document["rights"]:
        for part in ("rules", "always", "sometimes", "requests"):
            right[part].reverse()
    for part in ("rights", "roles", "resources"):
        document[part].reverse()
    assert not compare(read_matrix(json.dumps(document).encode()), matrix)


GOOD: Any = json.loads(MATRIX.dump_json(tags(*AGREED)))


def changed(change: Callable[[Any], object]) -> bytes:
    """The good document after a change."""
    document = json.loads(json.dumps(GOOD))
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "EOF"),
        (b"no json", "expected"),
        (b"\xff\xfe{\x00}\x00", "expected"),
        (b"[" * 100_000, "recursion"),
        (b"null", "object"),
        (changed(lambda d: d.update(format="vallum-matrix/2")), "format"),
        (changed(lambda d: d.pop("format")), "format"),
        (changed(lambda d: d.pop("rights")), "rights"),
        (changed(lambda d: d.update(more=1)), "more"),
        (changed(lambda d: d["rights"][0].pop("rules")), "rights.0.rules"),
        (changed(lambda d: d["rights"][0].update(role=7)), "rights.0.role"),
        (changed(lambda d: d["rights"][0].update(role="\x1b[31mroot")), "rights.0.role"),
        (changed(lambda d: d["rights"][0].update(role="member\n::error::forged")), "rights.0.role"),
        (changed(lambda d: d["rights"][0]["rules"][0].update(effect="perhaps")), "rights.0.rules.0.effect"),
        (changed(lambda d: d["rights"].append(d["rights"][0])), "two entries for manager tags READ"),
        (changed(lambda d: d["resources"].append(d["resources"][0])), "two entries for tags"),
    ],
)
def test_what_is_no_matrix_is_refused_by_place(document: bytes, words: str) -> None:
    """Not JSON, another version, a member too few or too many, a right twice, or text that would move a cursor."""
    with pytest.raises(ValueError, match=words):
        read_matrix(document)
