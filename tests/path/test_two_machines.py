"""Two machines on one database, as docs/deployment.md sets them up: a data directory each, the same files in `keys`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.path.small import api, seed

from tests import stores
from vallum.audit import keys
from vallum.audit.verify import verify
from vallum.serve.keyring import rotate
from vallum.testing import Client

pytestmark = pytest.mark.stores("postgresql")


class Machine(NamedTuple):
    """One of the two; its clients are of an account each."""

    data: Path
    walt: Client
    tim: Client


@pytest.fixture
def machines(tmp_path: Path, store: str) -> Iterator[tuple[Machine, Machine]]:
    """The second has the database and the keys of the first."""
    first, second = tmp_path / "first", tmp_path / "second"
    stores.create(api, first, seed=seed, store=store)
    second.mkdir(mode=0o700)
    shutil.copytree(first / "keys", second / "keys")
    shutil.copy(first / stores.URL_FILE, second)
    with (
        stores.client(api, "walt", first) as a,
        stores.client(api, "tim", first) as at,
        stores.client(api, "walt", second) as b,
        stores.client(api, "tim", second) as bt,
    ):
        yield Machine(first, a, at), Machine(second, b, bt)


def sealed(machine: Machine) -> None:
    """What the machine does every five seconds; what goes wrong there is raised."""
    running = machine.walt._running
    running.run(machine.walt.service.audit.round(time.time(), last=True))
    for error in running.journal.errors:
        raise error


def bearer(client: Client) -> dict[str, str]:
    """A token that this machine issued."""
    return {"authorization": f"Bearer {client.token}"}


def test_tokens_cursors_and_nonces_of_one_count_on_the_other(machines: tuple[Machine, Machine]) -> None:
    """A page is gone on with, a token is taken, and what was accepted once is accepted nowhere again."""
    one, other = machines
    page: dict[str, Any] = one.walt.get("/shelves?limit=1").json()
    assert other.walt.get(f"/shelves?limit=1&after={page['next']}", headers=bearer(one.walt)).status_code == 200
    once = {"x-request-timestamp": str(int(time.time())), "x-request-nonce": "5f3c1d0b8a7e4f6290ab13cd57e8f042"}
    said = [machine.walt.request("DELETE", "/books/999999", headers=once).status_code for machine in machines]
    assert said == [404, 409]


def test_both_seal_one_audit(machines: tuple[Machine, Machine]) -> None:
    """In turns, each upon what the other has sealed; the chain verifies by the one key."""
    for number in range(4):
        machine = machines[number % 2]
        assert machine.walt.post("/books", json={"title": f"Volume {number}"}).status_code == 201
        sealed(machine)
    trusted = keys.key_set(keys.public_jwks(machines[0].data / "keys"))
    report = stores.change(machines[0].data, lambda: verify(trusted, {}, "postgresql", time.time()))
    assert not report.faults
    assert report.segments >= 4


def test_a_rotation_takes_a_file_to_the_others(machines: tuple[Machine, Machine]) -> None:
    """Until it is there they issue nothing, and verify all the same; from then on they issue, without a restart."""
    one, other = machines
    kid = stores.change(one.data, rotate(one.data / "keys", time.time(), "postgresql"))
    with stores.client(api, "walt", one.data) as again, stores.client(api, "walt", other.data) as too:
        new = bearer(again)
        assert other.walt.get("/books", headers=new).status_code == 200
        with pytest.raises(FileNotFoundError):
            _ = too.token
        shutil.copy(one.data / "keys" / f"{kid}.pem", other.data / "keys")
        assert one.walt.get("/books", headers=bearer(too)).status_code == 200


def test_each_counts_for_itself(machines: tuple[Machine, Machine]) -> None:
    """A quota that is used up on one is whole on the other."""
    one, other = machines
    while one.tim.get("/shelves").status_code == 200:
        pass
    assert other.tim.get("/shelves").status_code == 200
    assert json.loads(one.tim.get("/shelves").text)["code"] == "quota_exceeded"
