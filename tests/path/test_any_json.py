"""Any JSON over the whole path, through the application that suites from outside are sent to (tests/system/json_app.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.system.json_app import api
from tests.unit.validate.test_strict_json import REFUSED, bytes_of

from tests import stores
from vallum.testing import Client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Client]:
    """Nobody in particular."""
    data = tmp_path_factory.mktemp("any-json") / "data"
    stores.create(api, data, store=store)
    with stores.client(api, None, data) as client:
        yield client


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ("[1, -2.5e3]", "list"),
        ('{"a": {"b": null}}', "dict"),
        ('"\\ud83d\\ude00"', "str"),
        ("1e3", "float"),
        ("null", "NoneType"),
    ],
)
def test_a_document_of_any_kind_is_read(client: Client, document: str, kind: str) -> None:
    """So a suite sees by the answer that what it sent was understood."""
    answer = client.request("POST", "/json", content=document.encode())
    assert (answer.status_code, answer.json()) == (200, {"type": kind})


def test_what_is_no_json_never_reaches_the_handler(client: Client) -> None:
    """Each document of the parser's own list is refused by the path."""
    for vector in REFUSED:
        answer = client.request("POST", "/json", content=bytes_of(vector))
        code = answer.json().get("code")
        assert (answer.status_code, code) in {(400, "body_malformed"), (422, "body_invalid")}, vector["id"]
