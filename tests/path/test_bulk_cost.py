"""What a bulk costs, and what OpenAPI tells of it: no way round a quota, and nothing that the caller may not do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.path.small import NOON, Clock

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Plan, Reduced, allow, me
from vallum.openapi.audience import Audience
from vallum.openapi.document import Site, described
from vallum.store import principals
from vallum.testing import Answer, Client


class Base(DeclarativeBase):
    """All tables."""


class Sheep(Base):
    """Of one farm."""

    __tablename__ = "sheep"

    id: Mapped[int] = mapped_column(primary_key=True)
    farm: Mapped[int] = mapped_column(index=True)
    name: Mapped[str]


api: Final = API(
    "Farm",
    roles=["shepherd", "owner"],
    attributes={"farm": int},
    tenant=("farm", me.attr["farm"]),
    plans={
        "hourly": Plan("100/s", hour=10),
        "burst": Plan("5/s"),
        "both": Plan("5/s", hour=1000),
        "slow": Plan("100/s", hour=4, after_quota=Reduced("3/min")),
        "large": Plan("100000/s"),
    },
)
api.resource(
    Sheep,
    allow("shepherd", CREATE | READ),
    allow("owner", CREATE | READ | UPDATE | DELETE),
    bulk=10,
    cost={"change": 2},
)
for name, plan, farm in (
    ("hal", "hourly", 1),
    ("bo", "burst", 1),
    ("pia", "both", 1),
    ("sly", "slow", 1),
    ("lars", "large", 2),
):
    api.accounts.add(name, roles=["owner"], plan=plan, attributes={"farm": farm})

ANY = {"if-match": "*"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The data directory that every test copies."""
    data = tmp_path_factory.mktemp("farm") / "data"
    stores.create(api, data, clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own."""
    return stores.copied(filled, tmp_path / "data")


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def client(data: Path, clock: Clock) -> Iterator[Callable[[str], Client]]:
    """`client("hal")`."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(api, name, data, clock))


As = Callable[[str], Client]


def flock(count: int) -> list[dict[str, str]]:
    """So many new sheep."""
    return [{"name": f"s{index}"} for index in range(count)]


def left(answer: Answer) -> int:
    """Units that remain, as the answer tells."""
    return int(answer.headers["ratelimit"].partition("r=")[2].partition(";")[0])


def test_a_bulk_costs_as_much_as_its_rows(client: As) -> None:
    """Each verb its own price for each row, told by the answer itself; a malformed bulk costs one request."""
    hal = client("hal")
    made = hal.post("/sheep", json=flock(3))
    assert (made.status_code, left(made)) == (201, 7)
    keys = [row["id"] for row in made.json()["items"]]
    changed = hal.patch("/sheep", json=[{"id": key, "name": "x"} for key in keys[:1]], headers=ANY)
    assert (changed.status_code, left(changed)) == (200, 5)
    bad = hal.post("/sheep", json=[{"name": 1}] * 10)
    assert (bad.status_code, left(bad)) == (422, 4)
    gone = hal.delete(f"/sheep?id[in]={keys[0]},{keys[1]}")
    assert (gone.status_code, left(gone)) == (204, 2)
    missing = hal.delete("/sheep?id[in]=998,999")
    assert (missing.status_code, left(missing)) == (404, 0)


@pytest.mark.parametrize(("units", "status"), [(1, 429), (2, 429), (3, 201)])
def test_a_bulk_needs_a_unit_for_each_row(client: As, data: Path, units: int, status: int) -> None:
    """With fewer nothing is written, the answer names the quota, and one row still passes."""
    hal = client("hal")
    hal.post("/sheep", json=flock(10 - units))
    answer = hal.post("/sheep", json=flock(3))
    assert answer.status_code == status, answer.text
    count = stores.rows(data, "SELECT count(*) FROM sheep")[0][0]
    if status == 429:
        problem = answer.json()
        assert (problem["code"], problem["violated_policies"], count) == ("quota_exceeded", ["hour"], 10 - units)
        assert answer.headers["retry-after"] == "3600"
        assert sum(name.lower() == "ratelimit" for name, _ in answer.headers.items()) == 1
        assert left(answer) == units - 1
    else:
        assert (count, left(answer)) == (10, 0)


def test_a_bulk_larger_than_the_burst_takes_the_whole_burst(client: As, clock: Clock) -> None:
    """Else it could never pass; and Retry-After says when the same request does."""
    bo = client("bo")
    assert bo.post("/sheep", json=flock(10)).status_code == 201
    refused = bo.post("/sheep", json=flock(10))
    assert (refused.status_code, refused.json()["violated_policies"]) == (429, ["burst"])
    clock.forward(0.5)
    refused = bo.post("/sheep", json=flock(10))
    assert refused.json()["code"] == "quota_exceeded"
    clock.forward(int(refused.headers["retry-after"]))
    assert bo.post("/sheep", json=flock(10)).status_code == 201


@pytest.mark.parametrize("name", ["bo", "pia"])
def test_a_bulk_refused_by_the_burst_announces_the_burst(client: As, clock: Clock, name: str) -> None:
    """Its one unit was there, those of its rows were not: the answer has the limit that refused it, and that alone."""
    caller = client(name)
    assert caller.post("/sheep", json=flock(10)).status_code == 201
    clock.forward(0.5)
    refused = caller.post("/sheep", json=flock(10))
    assert (refused.status_code, refused.json()["violated_policies"]) == (429, ["burst"])
    limit = refused.headers["ratelimit"]
    assert limit.startswith('"burst";r=')
    assert int(limit.rpartition("t=")[2]) <= int(refused.headers["retry-after"])
    assert refused.headers["ratelimit-policy"].endswith('"burst";q=5;w=1')
    assert sorted(n.lower() for n, _ in refused.headers.items() if "ratelimit" in n.lower()) == [
        "ratelimit",
        "ratelimit-policy",
    ]


def test_a_bulk_past_the_quota_goes_at_the_reduced_pace(client: As, clock: Clock) -> None:
    """It takes as much of that pace's burst as is there, and the next one waits for it."""
    sly = client("sly")
    assert sly.post("/sheep", json=flock(10)).status_code == 201
    refused = sly.post("/sheep", json=flock(2))
    assert refused.status_code == 429
    clock.forward(int(refused.headers["retry-after"]))
    assert sly.post("/sheep", json=flock(2)).status_code == 201


def test_a_caller_whose_rights_moved_pays_for_a_bulk_once(client: As, data: Path) -> None:
    """The path runs again with the caller as it is now; what was claimed is not claimed again."""
    hal = client("hal")
    assert left(hal.get("/sheep")) == 9
    stores.change(data, principals.alter("hal", "sqlite", attributes={"farm": 7}))
    made = hal.post("/sheep", json=flock(3))
    assert (made.status_code, left(made)) == (201, 6)
    assert [row["farm"] for row in made.json()["items"]] == [7, 7, 7]


def test_rows_of_another_tenant_are_missing_ones(client: As, data: Path) -> None:
    """A bulk stays within the tenant: it makes rows there, and finds no others."""
    lars, hal = client("lars"), client("hal")
    assert [row["farm"] for row in lars.post("/sheep", json=flock(2)).json()["items"]] == [2, 2]
    ours = hal.post("/sheep", json=flock(1)).json()["items"][0]["id"]
    theirs = stores.rows(data, "SELECT min(id) FROM sheep WHERE farm = 2")[0][0]
    for other in (theirs, 999):
        answer = hal.patch("/sheep", json=[{"id": ours, "name": "x"}, {"id": other, "name": "x"}], headers=ANY)
        assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (404, ["/1"])
    assert stores.rows(data, "SELECT count(*) FROM sheep WHERE name = 'x'") == [(0,)]
    assert lars.post("/sheep", json=[{"name": "x", "farm": 1}]).status_code == 422


def test_the_document_has_bulk_writes_for_whom_they_are() -> None:
    """A shepherd reads of the list to POST and of nothing else; the owner of all three, with their bounds."""
    site = Site("https://api.example.org", False, "sqlite")

    def paths(role: str) -> dict[str, Any]:
        document = described(api, Audience((role,), frozenset({"farm"}), True), site)
        found: dict[str, Any] = document["paths"]["/sheep"]
        return found

    assert paths("shepherd").keys() == {"get", "post"}
    owner = paths("owner")
    assert owner.keys() == {"get", "post", "patch", "delete"}
    body = owner["post"]["requestBody"]["content"]["application/json"]["schema"]["anyOf"][1]
    assert (body["type"], body["minItems"], body["maxItems"]) == ("array", 1, 10)
    assert owner["patch"]["operationId"] == "change_many_sheep"
    assert "2 units of the caller's budget for each row" in owner["patch"]["description"]
    keys = owner["delete"]["parameters"][0]
    assert (keys["name"], keys["required"], keys["schema"]["maxItems"]) == ("id[in]", True, 10)
    assert {"404", "409", "412", "429"} <= owner["delete"]["responses"].keys()
