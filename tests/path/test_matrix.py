"""The matrix against the served API: a role has a field in it exactly where a request may name the field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import types
from tests.general import app as general
from tests.path.small import NOON, Clock
from tests.path.test_authenticate import change

from vallum.authorise.matrix import Right, matrix_of
from vallum.declare.accounts import Account
from vallum.declare.resource import Resource
from vallum.store import principals
from vallum.testing import Answer, Client, create_database

ATTRIBUTES: Mapping[str, int | str | bool] = {"organisation": 1, "region": "B", "external": False}
NONSENSE = "no_such_field"
CONDITIONAL = {
    ("member", "comments", "UPDATE"),
    ("accountant", "invoices", "CREATE"),
    ("accountant", "invoices", "UPDATE"),
    ("accountant", "invoices", "DELETE"),
}
"""Rights by conditions on the request alone; `tests/unit/authorise/test_matrix.py` is about these."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second application with an account for each role that has no other."""
    data = tmp_path_factory.mktemp("matrix") / "data"
    create_database(general.api, data, seed=general.seed, clock=lambda: NOON - 86_400)
    for role in general.api.roles:
        account = Account(f"only-{role}", frozenset({role}), ATTRIBUTES, "default")
        change(data, principals.add(account, "user", NOON - 86_400, "sqlite"))
    return data


@pytest.fixture(scope="module")
def rights() -> Mapping[tuple[str, str, str], Right]:
    """By role, resource and action."""
    return {right.key: right for right in matrix_of(general.api, "sqlite").rights if right.granted}


def key(resource: Resource) -> str:
    """Of some row, which need not exist: fields are judged before rows are looked for."""
    uuid = "00000000-0000-0000-0000-000000000001"
    return ",".join(uuid if isinstance(resource.fields[name].type, types.Uuid) else "1" for name in resource.key)


def known(answer: Answer, resource: Resource) -> set[str]:
    """Of all fields that a request named, and one that is none, those that are not called unknown."""
    faults = [fault for fault in answer.json()["errors"] if fault["code"] == "unknown_field"]
    unknown = {name for name in (*resource.fields, NONSENSE) if any(is_about(fault, name) for fault in faults)}
    assert NONSENSE in unknown
    return {*resource.fields} - unknown


def is_about(fault: Mapping[str, str], name: str) -> bool:
    """A fault of the body names its field in the pointer, one of the query in its detail."""
    return fault["pointer"] == f"/{name}" or fault["detail"] == f"There is no field {name}."


def is_conditional(right: Right) -> bool:
    """Whether this request may be one that it is not about: its network, its scopes, the hour."""
    return all(line.when for line in right.rules if line.effect == "allow")


@pytest.mark.parametrize("role", general.api.roles)
def test_a_request_may_name_what_the_matrix_lists(
    data: Path, clock: Clock, rights: Mapping[tuple[str, str, str], Right], role: str
) -> None:
    """To read, to write and to change, each field of each resource; 403 where the matrix has no right at all."""
    with Client(general.api, f"only-{role}", data, clock) as client:
        for resource in general.api.resources.values():
            everything = [*resource.fields, NONSENSE]
            body = dict.fromkeys(everything)
            answers = {
                "READ": client.get(f"{resource.path}?fields={','.join(everything)}"),
                "CREATE": client.post(resource.path, json=body),
                "UPDATE": client.patch(f"{resource.path}/{key(resource)}", json=body, headers={"If-Match": "*"}),
                "DELETE": client.delete(f"{resource.path}/{key(resource)}"),
            }
            for action, answer in answers.items():
                right = rights.get((role, resource.name, action))
                if right is not None and is_conditional(right):
                    assert (role, resource.name, action) in CONDITIONAL
                elif right is None or action == "DELETE":
                    assert (answer.status_code != 403) is (right is not None), (resource.name, action)
                else:
                    assert known(answer, resource) == {*right.always, *right.sometimes}, (resource.name, action)


@pytest.mark.parametrize("role", general.api.roles)
def test_what_is_there_sometimes_cannot_be_sorted_by(
    data: Path, clock: Clock, rights: Mapping[tuple[str, str, str], Right], role: str
) -> None:
    """A sort is refused exactly where the matrix marks the field, or does not have it."""
    with Client(general.api, f"only-{role}", data, clock) as client:
        for resource in general.api.resources.values():
            right = rights.get((role, resource.name, "READ"))
            for name in resource.sorts if right is not None else ():
                answer = client.get(f"{resource.path}?sort={name}")
                assert (answer.status_code == 200) is (right is not None and name in right.always), (
                    resource.name,
                    name,
                )
