"""Freshness from outside: a request counts once, at about the time at which it says it was made.

Each case of the tables is an attempt to have something counted that is not new, or to keep new requests out.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, final

import pytest
from tests.path import once
from tests.path.once import RUNG, Bell, Gong, Horn
from tests.path.small import NOON, Clock
from tests.path.test_authenticate import change
from tests.unit.serve.served import ROOT

from tests import stores
from vallum import API, defaults
from vallum.crypto import api_key
from vallum.declare.accounts import Account
from vallum.serve.wire import build_service
from vallum.store import api_keys, principals
from vallum.store.nonces import Nonces
from vallum.testing import Answer, Client, Failures, _place
from vallum.testing.wire import dumped, scope_of

NOW: Final = int(NOON)
NONCE: Final = "5f3c1d0b8a7e4f6290ab13cd57e8f042"
OTHER: Final = "0" * 16
WINDOW: Final = defaults.FRESH_SECONDS
HOME: Final = "192.0.2.1"
JSON: Final = {"content-type": "application/json"}

Pairs = Sequence[tuple[str, str]]
BOTH: Final = pytest.mark.stores(stores.SQLITE, stores.POSTGRESQL)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """One of each, which every test copies."""
    return made(tmp_path_factory.mktemp("once") / "data", store)


def made(data: Path, store: str) -> Path:
    """A bell, a gong and a horn."""
    rows = [kind(id=1, name="x") for kind in (Bell, Gong, Horn)]
    stores.create(once.api, data, lambda db: db.add_all(rows), lambda: NOON - 86_400, store)
    return data


@final
class Bells:
    """The API on data and a clock of a test's own, asked with exactly the header fields that are given."""

    def __init__(self, data: Path, api: API = once.api) -> None:
        self.data = data
        self.api = api
        self.clock = Clock()
        self._stack = ExitStack()
        self._clients: dict[str | None, Client] = {}
        RUNG.clear()

    def client(self, name: str | None) -> Client:
        """Of that account."""
        if name not in self._clients:
            client = Client(self.api, name, self.data, self.clock, stores.database_of(self.data), fresh=False)
            self._clients[name] = self._stack.enter_context(client)
        return self._clients[name]

    def stop(self) -> None:
        """As SIGTERM does."""
        self._clients.clear()
        self._stack.close()

    @property
    def nonces(self) -> Nonces:
        """Those of the service."""
        return self.client("ria").service.ledger.nonces

    def send(
        self,
        pairs: Pairs,
        who: str | None = "ria",
        method: str = "POST",
        path: str = "/ring",
        address: str = HOME,
        body: Any = None,
    ) -> Answer:
        """A request with these header fields, repeated ones too, and the credential of `who`."""
        client, content = self.client(who), b"" if body is None else dumped(body)
        fields = [("host", "testserver"), *pairs]
        if who is not None:
            fields.append(("authorization", f"Bearer {client.token}"))
        if content:
            fields += [("content-length", str(len(content))), *JSON.items()]
        scope = scope_of(method, path, "", [(k.encode(), v.encode()) for k, v in fields])
        return client.send({**scope, "client": (address, 4711)}, content)

    def ring(self, nonce: str = NONCE, at: object = None, who: str | None = "ria", **more: Any) -> Answer:
        """With a timestamp (the present one) and a nonce."""
        return self.send(stamp(self.clock() if at is None else at, nonce), who, **more)


def stamp(at: object, nonce: str = NONCE) -> Pairs:
    """The two fields; a float is written in whole seconds."""
    return [("x-request-timestamp", str(int(at) if isinstance(at, float) else at)), ("x-request-nonce", nonce)]


def refused(answer: Answer, status: int, code: str) -> None:
    """For that reason, and nothing was done."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own."""
    return stores.copied(filled, tmp_path / "data")


@pytest.fixture
def bells(data: Path) -> Iterator[Bells]:
    """Served at noon."""
    bells = Bells(data)
    yield bells
    bells.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Bells]:
    """One for the tables: each of their cases has a nonce of its own, or is refused before that matters."""
    bells = Bells(made(tmp_path_factory.mktemp("shared") / "data", store))
    yield bells
    bells.stop()


# The time -----------------------------------------------------------------------------------

TIMES_TAKEN = [
    (NOW, "the present, in Unix seconds"),
    (NOW - 180, "the oldest, to the second"),
    (NOW + 30, "the furthest ahead, to the second"),
    ("2027-01-15T12:00:00Z", "RFC 3339"),
    ("2027-01-15t12:00:00z", "in lower case, as RFC 3339 §5.6 allows"),
    ("2027-01-15T12:00:00.000000000Z", "nine digits of a fraction"),
    ("2027-01-15T11:57:00.000Z", "the oldest with a fraction"),
    ("2027-01-15T12:00:29.999999Z", "almost the furthest ahead"),
    ("2027-01-15T12:00:00+00:00", "an offset of nothing"),
    ("2027-01-15T12:00:00-00:00", "an unknown offset (RFC 3339 §4.3)"),
    ("2027-01-15T17:45:00+05:45", "Kathmandu"),
    ("2027-01-15T00:30:00-11:30", "the same day, far in the west"),
    ("2027-01-16T11:59:00+23:59", "the next day, further east than anywhere"),
]
TIMES_STALE = [
    (NOW - 181, "a second too old"),
    (NOW + 31, "a second too far ahead"),
    ("2027-01-15T11:56:59.999999Z", "a microsecond too old"),
    ("2027-01-15T12:00:30.000001Z", "a microsecond too far ahead"),
    ("2027-01-15T12:00:00+01:00", "an hour ago, dressed as now"),
    ("2027-01-15T12:00:00-01:00", "in an hour, dressed as now"),
    ("2026-01-15T12:00:00Z", "last year's"),
    ("1000000000", "the smallest in ten digits"),
    ("9999999999", "the largest in ten digits"),
    ("0001-01-01T00:00:00+23:59", "before the first day of all"),
    ("9999-12-31T23:59:59.999999999-23:59", "after the last one"),
]
TIMES_MALFORMED = [
    ("", "nothing"),
    (" 1800014400", "a blank before"),
    ("1800014400 ", "a blank after"),
    ("+1800014400", "a sign"),
    ("-1800014400", "a negative time"),
    ("01800014400", "a zero before, eleven digits"),
    ("0800014400", "a zero before, ten digits"),
    ("180001440", "nine digits"),
    ("1800014400000", "milliseconds"),
    ("1800014400.0", "a fraction of Unix seconds"),
    ("1800014400e0", "an exponent"),
    ("1.8000144e9", "a float"),
    ("1_800_014_400", "as Python writes it"),
    ("0x6b49d200", "in hex digits"),
    ("1" * 4000, "four thousand digits"),
    ("1800014400, 1800014400", "joined by a proxy"),
    ("1800014400,1800014400", "joined without a blank"),
    ('"1800014400"', "in quotes"),
    ("@1800014400", "as RFC 9651 writes a date"),
    ("NaN", "no number"),
    ("inf", "endless"),
    ("now", "a word"),
    ("Fri, 15 Jan 2027 12:00:00 GMT", "an HTTP date"),
    ("2027-01-15 12:00:00Z", "a blank for the T"),
    ("2027-01-15T12:00:00", "no offset"),
    ("2027-01-15T12:00Z", "no seconds"),
    ("2027-01-15", "no time"),
    ("20270115T120000Z", "the basic form of ISO 8601"),
    ("2027-W02-5T12:00:00Z", "a week"),
    ("2027-015T12:00:00Z", "a day of the year"),
    ("2027-01-15T12:00:00,5Z", "a comma in the fraction"),
    ("2027-01-15T12:00:00.Z", "a fraction without digits"),
    ("2027-01-15T12:00:00.0000000000Z", "ten digits of a fraction"),
    ("2027-01-15T12:00:60Z", "a leap second in the middle of a day"),
    ("2016-12-31T23:59:60Z", "a leap second that there was: Unix time has no place for it"),
    ("2027-01-15T24:00:00Z", "24 o'clock"),
    ("2027-02-29T12:00:00Z", "a day that is not"),
    ("2027-13-15T12:00:00Z", "a month that is not"),
    ("0000-01-15T12:00:00Z", "a year that is not"),
    ("02027-01-15T12:00:00Z", "a year of five digits"),
    ("+2027-01-15T12:00:00Z", "a year with a sign"),
    ("2027-01-15T12:00:00+24:00", "an offset beyond a day"),
    ("2027-01-15T12:00:00+00:60", "an offset of sixty minutes"),
    ("2027-01-15T12:00:00+01", "half an offset"),
    ("2027-01-15T12:00:00+0100", "an offset without its colon"),
    ("2027-01-15T12:00:00Z+00:00", "two offsets"),
    ("2027-01-15T12:00:00Zx", "something behind"),
    ("2027-01-15T12:00:00Z;2027-01-15T12:00:00Z", "two times"),
]


@pytest.mark.parametrize("text", [text for text, _ in TIMES_TAKEN], ids=[why for _, why in TIMES_TAKEN])
def test_a_time_that_is_taken(shared: Bells, text: object, request: pytest.FixtureRequest) -> None:
    """Each form of a time inside the window; and once."""
    nonce = api_key.generate().text
    assert shared.ring(nonce, text).status_code == 200
    refused(shared.ring(nonce, text), 409, "nonce_reused")


@pytest.mark.parametrize("text", [text for text, _ in TIMES_STALE], ids=[why for _, why in TIMES_STALE])
def test_a_time_outside_the_window(shared: Bells, text: object) -> None:
    """The answer says by how much, and carries the clock by which the client can mend its own."""
    rung = len(RUNG)
    answer = shared.ring(at=text)
    refused(answer, 400, "timestamp_stale")
    assert "clock of this service" in answer.json()["detail"]
    assert answer.headers["date"] == "Fri, 15 Jan 2027 12:00:00 GMT"
    assert len(RUNG) == rung


@pytest.mark.parametrize("text", [text for text, _ in TIMES_MALFORMED], ids=[why for _, why in TIMES_MALFORMED])
def test_what_is_no_time(shared: Bells, text: str) -> None:
    """Nothing is guessed: one form of each, whole."""
    refused(shared.ring(at=text), 400, "freshness_malformed")


@pytest.mark.parametrize(
    "text", ["١٨٠٠٠١٤٤٠٠", "１８００014400", "1800014400\x00", "1800014400\r\nx: y", "18\t00014400"]
)
def test_a_time_in_other_characters(shared: Bells, text: str) -> None:
    """Digits of other scripts and control characters do not come past the edge."""
    refused(shared.ring(at=text), 400, "request_malformed")


def test_the_window_to_the_instant(bells: Bells) -> None:
    """A timestamp of noon is good until exactly three minutes past, and from exactly half a minute before."""
    bells.clock.now = NOON - 30
    assert bells.ring("a" * 16, NOW).status_code == 200
    bells.clock.now = NOON - 30.001
    refused(bells.ring("b" * 16, NOW), 400, "timestamp_stale")
    bells.clock.now = NOON + 180
    assert bells.ring("c" * 16, NOW).status_code == 200
    bells.clock.now = NOON + 180.001
    refused(bells.ring("d" * 16, NOW), 400, "timestamp_stale")


def test_a_shorter_window(data: Path) -> None:
    """`fresh_seconds=60`: a minute, to the instant; ahead it stays half of one."""
    bells = Bells(data, once.made(fresh_seconds=60))
    assert bells.ring("a" * 16, NOW - 60).status_code == 200
    assert bells.ring("b" * 16, NOW + 30).status_code == 200
    refused(bells.ring("c" * 16, NOW - 61), 400, "timestamp_stale")
    bells.stop()


# The nonce ----------------------------------------------------------------------------------

NONCES_TAKEN = [
    "a" * 16,
    "Z" * 128,
    "8e03978e-40d5-43e8-bc93-6894a57f9324",
    "aGVsbG8+d29ybGQ/aGVsbG8=",
    "-._~+/=0Az-._~+/=",
]
NONCES_MALFORMED = [
    ("", "nothing"),
    ("a" * 15, "a character too short"),
    ("a" * 129, "a character too long"),
    (f"{NONCE}, {NONCE}", "joined by a proxy"),
    (f"{NONCE},{OTHER}", "joined without a blank"),
    (f"{NONCE} ", "a blank after"),
    (f" {NONCE}", "a blank before"),
    (f'"{NONCE}"', "in quotes"),
    (f"{NONCE};a=b", "with a parameter"),
    (f"{NONCE}%00", "an encoded NUL"),
    (f"{NONCE}\\n", "an escaped line feed"),
    (f"{NONCE}:{OTHER}", "a colon"),
    (f"({NONCE})", "a list"),
]


@pytest.mark.parametrize("nonce", NONCES_TAKEN)
def test_what_is_a_nonce(shared: Bells, nonce: str) -> None:
    """Hex digits, UUIDs and both alphabets of base64, from the shortest to the longest. Case counts."""
    assert shared.ring(nonce).status_code == 200
    refused(shared.ring(nonce), 409, "nonce_reused")
    assert shared.ring(nonce.swapcase()).status_code == 200


@pytest.mark.parametrize("nonce", [text for text, _ in NONCES_MALFORMED], ids=[why for _, why in NONCES_MALFORMED])
def test_what_is_no_nonce(shared: Bells, nonce: str) -> None:
    """What two readers could read as two things is none."""
    refused(shared.ring(nonce), 400, "freshness_malformed")


@pytest.mark.parametrize("nonce", [f"{NONCE}é", f"{NONCE}\x00", f"{NONCE}\n", f"{NONCE}\x7f"])
def test_a_nonce_in_other_characters(shared: Bells, nonce: str) -> None:
    """They do not come past the edge."""
    refused(shared.ring(nonce), 400, "request_malformed")


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([], "freshness_missing"),
        ([("x-request-timestamp", str(NOW))], "freshness_missing"),
        ([("x-request-nonce", NONCE)], "freshness_missing"),
        ([("x_request_timestamp", str(NOW)), ("x_request_nonce", NONCE)], "freshness_missing"),
        ([("timestamp", str(NOW)), ("nonce", NONCE)], "freshness_missing"),
        ([("date", "Fri, 15 Jan 2027 12:00:00 GMT"), ("x-request-nonce", NONCE)], "freshness_missing"),
        ([("cookie", f"x-request-timestamp={NOW}; x-request-nonce={NONCE}")], "freshness_missing"),
        ([*stamp(NOW), ("x-request-nonce", OTHER)], "request_malformed"),
        ([*stamp(NOW), ("x-request-nonce", NONCE)], "request_malformed"),
        ([*stamp(NOW), ("x-request-timestamp", str(NOW))], "request_malformed"),
        ([*stamp(NOW), ("x-request-timestamp", str(NOW + 1))], "request_malformed"),
        ([*stamp(NOW), ("X-Request-Nonce", OTHER)], "request_malformed"),
    ],
)
def test_half_of_it_and_too_much_of_it(shared: Bells, pairs: Pairs, code: str) -> None:
    """Both fields, each once, under their names; a timestamp without a nonce is as little as a nonce without one."""
    refused(shared.send(pairs), 400, code)


# Once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, "to the byte"),
        ({"at": NOW + 1}, "under another time"),
        ({"at": NOW - 179}, "under an earlier time"),
        ({"at": "2027-01-15T12:00:00Z"}, "the same time in another form"),
        ({"path": "/bells/1/ring"}, "to another path"),
        ({"path": "/nowhere"}, "to a path that is not there"),
        ({"method": "DELETE"}, "by another method"),
        ({"method": "GET"}, "as a read, which need not be fresh"),
        ({"method": "OPTIONS"}, "by a method that does not exist here"),
        ({"path": "/hum"}, "to an endpoint that does not ask for it"),
        ({"address": "198.51.100.7"}, "from another address"),
        ({"method": "PUT", "body": {"a": 1}}, "with a body"),
    ],
)
def test_a_nonce_counts_once(bells: Bells, changed: dict[str, Any], why: str) -> None:
    """Whatever else of the request is changed, the second one is refused and does nothing."""
    assert bells.ring().status_code == 200
    refused(bells.ring(**changed), 409, "nonce_reused")
    assert RUNG == ["ria"]


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ({"path": "/nowhere"}, 404),
        ({"method": "PATCH"}, 405),
        ({"method": "PUT"}, 400),
        ({"path": "/bells", "body": {"nome": "x"}}, 422),
        ({"path": "/bells/9/ring"}, 404),
    ],
)
def test_a_request_that_fails_has_used_its_nonce(bells: Bells, first: dict[str, Any], status: int) -> None:
    """It was looked at: what it would do tomorrow, with other rights or rows, is not to be had by repeating it."""
    assert bells.ring(**first).status_code == status
    refused(bells.ring(), 409, "nonce_reused")


@BOTH
@pytest.mark.parametrize("ahead", [0, 30, -180, 7])
def test_a_nonce_counts_as_long_as_it_could_be_accepted(bells: Bells, ahead: int) -> None:
    """To the last instant of its window, from a client whose clock is behind or ahead; then the time itself is stale."""
    at = NOW + ahead
    assert bells.ring(at=at).status_code == 200
    for seconds in (0, 0.5, WINDOW - 0.001, WINDOW):
        bells.clock.now = max(bells.clock.now, at + seconds)
        refused(bells.ring(at=at), 409, "nonce_reused")
    bells.clock.now = at + WINDOW + 0.001
    refused(bells.ring(at=at), 400, "timestamp_stale")
    bells.clock.forward(1)
    assert len(bells.nonces) == 1
    assert bells.ring(OTHER).status_code == 200
    assert len(bells.nonces) == 1, "the first one is forgotten"


@BOTH
def test_nonces_of_other_callers(bells: Bells) -> None:
    """Two accounts and a stranger choose the same word: it is a word of each."""
    for who in ("ria", "rob", None):
        assert bells.ring(who=who).status_code == 200
        refused(bells.ring(who=who), 409, "nonce_reused")
    assert RUNG == ["ria", "rob", "nobody"]


@BOTH
@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::1"),
    ],
)
def test_strangers_are_told_apart_by_address(bells: Bells, one: str, same: str, other: str) -> None:
    """IPv6 by its /64: who holds 2^64 addresses does not have 2^64 tries with one recorded request."""
    assert bells.ring(who=None, address=one).status_code == 200
    refused(bells.ring(who=None, address=same), 409, "nonce_reused")
    assert bells.ring(who=None, address=other).status_code == 200


def test_two_credentials_of_one_caller(bells: Bells) -> None:
    """A token, another token and an API key of one account: its nonces are the account's."""
    key = api_key.generate()
    limits = api_keys.Limits()
    change(
        bells.data, api_keys.add(Account("robot", frozenset(["ringer"]), {}, "default"), key, limits, NOON, "sqlite")
    )
    first = bells.client("robot").token
    bells.clock.forward(1)
    bells.client("robot")._token = None
    second = bells.client("robot").token
    assert first != second
    shown = [("authorization", f"Bearer {first}"), ("authorization", f"Bearer {second}"), ("x-api-key", key.text)]
    answers = [bells.send([*stamp(NOW), credential], None) for credential in shown]
    assert [answer.status_code for answer in answers] == [200, 409, 409]
    assert RUNG == ["robot"]


def test_name_and_nonce_do_not_run_into_each_other(bells: Bells) -> None:
    """A nonce that begins as another name ends is not that caller's."""
    for name in ("ria1", "ria"):
        change(
            bells.data, principals.add(Account(name + "x", frozenset(["ringer"]), {}, "default"), "user", 0, "sqlite")
        )
    assert bells.ring("x" + "0" * 16, who="riax").status_code == 200
    assert bells.ring("1x" + "0" * 16, who="riax").status_code == 200
    assert bells.ring("x" + "0" * 16, who="ria1x").status_code == 200
    assert bells.ring("0" * 16, who="ria1x").status_code == 200


# Where it is asked for ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("GET", "/bells", False),
        ("GET", "/bells/1", False),
        ("POST", "/bells", True),
        ("PATCH", "/bells/1", True),
        ("DELETE", "/bells/1", True),
        ("POST", "/bells/1/ring", True),
        ("POST", "/bells/1/hum", False),
        ("GET", "/gongs", True),
        ("GET", "/gongs/1", True),
        ("POST", "/gongs", True),
        ("GET", "/horns", False),
        ("POST", "/horns", False),
        ("DELETE", "/horns/1", False),
        ("POST", "/horns/1/blow", False),
        ("POST", "/horns/1/ring", True),
        ("GET", "/ring", False),
        ("PUT", "/ring", True),
        ("DELETE", "/ring", True),
        ("GET", "/listen", True),
        ("POST", "/hum", False),
        ("PUT", "/bells", False),
        ("OPTIONS", "/bells", False),
        ("POST", "/nowhere", False),
        ("GET", "/.well-known/jwks.json", False),
        ("GET", "/limits", False),
    ],
)
def test_where_freshness_is_asked_for(shared: Bells, method: str, path: str, asked: bool) -> None:
    """By method, as the API, the resource, the action or the endpoint says; where there is nothing, of nobody."""
    answer = shared.send([], method=method, path=path)
    assert ("freshness_missing" in answer.text) is asked
    half = shared.send([("x-request-nonce", NONCE)], method=method, path=path)
    refused(half, 400, "freshness_missing")


@pytest.mark.parametrize(
    ("word", "read", "write"), [("writes", False, True), ("all", True, True), ("off", False, False)]
)
def test_the_word_of_the_api(data: Path, word: Any, read: bool, write: bool) -> None:
    """It holds where nobody says otherwise; the others keep their own."""
    bells = Bells(data, once.made(fresh=word))
    for method, asked in (("GET", read), ("DELETE", write)):
        for path in ("/bells/1", "/ring"):
            found = bells.send([], method=method, path=path).status_code
            assert (found == 400) is asked, (method, path)
    assert bells.send([], method="GET", path="/gongs").status_code == 400
    assert bells.send([], path="/hum").status_code == 200
    bells.stop()


def test_reads_are_fresh_too_where_all_is_said(bells: Bells) -> None:
    """A list, an item and an endpoint: once each, and not a second time."""
    for path in ("/gongs", "/gongs/1", "/listen"):
        nonce = api_key.generate().text
        assert bells.ring(nonce, method="GET", path=path).status_code == 200
        refused(bells.ring(nonce, method="GET", path=path), 409, "nonce_reused")
        refused(bells.ring(nonce, NOW - 181, method="GET", path=path), 400, "timestamp_stale")


def test_a_public_route_looks_at_it_when_it_is_there(bells: Bells) -> None:
    """The nonce is the address's, whatever credential stands beside it."""
    keys = {"method": "GET", "path": "/.well-known/jwks.json"}
    assert bells.ring(who=None, **keys).status_code == 200
    refused(bells.ring(who=None, **keys), 409, "nonce_reused")
    refused(bells.ring(who="ria", **keys), 409, "nonce_reused")


@pytest.mark.parametrize("pairs", [[], stamp(NOW), stamp(0), stamp("x", "y"), [("x-request-nonce", NONCE)]])
def test_who_is_not_known_learns_nothing_of_it(bells: Bells, pairs: Pairs) -> None:
    """Every closed path and method gives the stranger the same 401, whatever it asks for, and no nonce is used."""
    for path, method in (("/bells", "POST"), ("/gongs", "GET"), ("/horns", "POST"), ("/nowhere", "DELETE")):
        refused(bells.send(pairs, None, method, path), 401, "credential_missing")
        wrong = [*pairs, ("authorization", "Bearer a.b.c")]
        refused(bells.send(wrong, None, method, path), 401, "credential_invalid")
    assert len(bells.nonces) == 0


def test_a_preflight_needs_none(bells: Bells) -> None:
    """A browser sends no fields of the page with it, and is told that the page may send these two."""
    asks = [("origin", "https://app.example.org"), ("access-control-request-method", "POST")]
    answer = bells.send(asks, None, "OPTIONS")
    assert answer.status_code == 204
    assert {"X-Request-Timestamp", "X-Request-Nonce"} <= set(answer.headers["access-control-allow-headers"].split(", "))
    answer = bells.send([*asks[:1], *stamp(NOW - 500)])
    assert "Date" in answer.headers["access-control-expose-headers"], "a page has to see it to mend its clock"


# The budget ---------------------------------------------------------------------------------


def test_a_request_without_budget_leaves_no_nonce(bells: Bells) -> None:
    """Refused by the burst, and sent again to the byte a second later: it is carried out."""
    for number in range(3):
        assert bells.ring(f"{number}" * 16, who="kim").status_code == 200
    refused(bells.ring(who="kim"), 429, "quota_exceeded")
    bells.clock.forward(1)
    assert bells.ring(at=NOW, who="kim").status_code == 200
    assert RUNG == ["kim"] * 4


def test_a_repetition_costs_its_units(bells: Bells) -> None:
    """Who floods with a recorded request meets the quota like anybody else, and is told what is left."""
    left = []
    for _ in range(3):
        left.append(bells.ring(who="kim").headers["ratelimit"])
        bells.clock.forward(1)
    assert left == ['"hour";r=5;t=3600', '"hour";r=4;t=3599', '"hour";r=3;t=3598']
    for _ in range(3):
        bells.ring(at=NOW, who="kim")
        bells.clock.forward(1)
    refused(bells.ring(at=NOW, who="kim"), 429, "quota_exceeded")
    assert RUNG == ["kim"]


def test_a_stale_one_costs_nothing(bells: Bells) -> None:
    """It is refused before the budget: a client with a wrong clock does not lose its hour by it."""
    for _ in range(20):
        answer = bells.ring(at=NOW - 181, who="kim")
        refused(answer, 400, "timestamp_stale")
        assert "ratelimit" not in answer.headers
    assert bells.ring(who="kim").headers["ratelimit"] == '"hour";r=5;t=3600'


@pytest.mark.parametrize("plan", ["default", "tiny"])
def test_a_caller_that_changed_claims_once(bells: Bells, plan: str) -> None:
    """The path runs twice when the caller's epoch moved, also under another plan: neither a 409 nor a second deed."""
    assert bells.ring(OTHER).status_code == 200
    change(bells.data, principals.alter("ria", "sqlite", plan=plan))
    assert bells.ring().status_code == 200
    refused(bells.ring(), 409, "nonce_reused")
    assert RUNG == ["ria", "ria"]


def test_who_loses_the_right_meanwhile_has_used_the_nonce(bells: Bells) -> None:
    """Given back later, the recorded request does not come true."""
    assert bells.ring(OTHER).status_code == 200
    change(bells.data, principals.alter("ria", "sqlite", roles=[]))
    refused(bells.ring(path="/bells/1/ring"), 403, "forbidden")
    change(bells.data, principals.alter("ria", "sqlite", roles=["ringer"]))
    refused(bells.ring(path="/bells/1/ring"), 409, "nonce_reused")


# Room ---------------------------------------------------------------------------------------


def bounded(bells: Bells, **limits: int) -> None:
    """Smaller bounds than a test could fill."""
    nonces = bells.nonces
    nonces._per_caller = limits.get("per_caller", nonces._per_caller)
    nonces._limits = {False: limits.get("known", 1000), True: limits.get("strangers", 1000)}


def test_the_nonces_of_a_caller_are_bounded(bells: Bells) -> None:
    """A new one is refused until the oldest is out of its window, to the second; none is forgotten for it."""
    bounded(bells, per_caller=3)
    for at in (0, 10, 20):
        assert bells.ring(f"{at:016}", NOW + at).status_code == 200
    answer = bells.ring()
    refused(answer, 429, "nonces_limited")
    assert answer.headers["retry-after"] == str(WINDOW + 1)
    assert "ratelimit" in answer.headers
    assert bells.ring(who="rob").status_code == 200
    for at in (0, 10, 20):
        refused(bells.ring(f"{at:016}", NOW + at), 409, "nonce_reused")
    bells.clock.forward(WINDOW)
    refused(bells.ring(), 429, "nonces_limited")
    bells.clock.forward(1)
    assert bells.ring().status_code == 200


def test_all_nonces_together_are_bounded(bells: Bells) -> None:
    """When there is no room nothing more is accepted; strangers fill a place of their own."""
    bounded(bells, known=1, strangers=2)
    for number in range(2):
        assert bells.ring(who=None, address=f"192.0.2.{number}").status_code == 200
    answer = bells.ring(who=None, address="192.0.2.9")
    refused(answer, 503, "nonces_unavailable")
    assert answer.headers["retry-after"] == str(WINDOW + 1)
    assert bells.ring().status_code == 200
    refused(bells.ring(who="rob"), 503, "nonces_unavailable")
    bells.clock.forward(WINDOW + 1)
    assert bells.ring(who="rob").status_code == bells.ring(who=None, address="192.0.2.9").status_code == 200
    assert len(bells.nonces) == 2


def test_what_costs_nothing_takes_no_room(bells: Bells) -> None:
    """Or who has nothing left, and strangers, would fill it for nothing, and nobody's write were fresh any more."""
    bounded(bells, known=1, strangers=1)
    for who, path in (("ria", "/limits"), (None, "/problems/forbidden")):
        for nonce in (NONCE, NONCE, OTHER):
            assert bells.ring(nonce, who=who, method="GET", path=path).status_code == 200
        refused(bells.ring(at=NOW - 181, who=who, method="GET", path=path), 400, "timestamp_stale")
    assert len(bells.nonces) == 0
    assert bells.ring().status_code == 200


def test_a_clock_that_is_set_back_brings_nothing_in_again(bells: Bells) -> None:
    """What was forgotten lies below the floor, even when its window is open once more; new times are good at once."""
    assert bells.ring().status_code == 200
    bells.clock.forward(WINDOW + 10)
    assert bells.ring(OTHER).status_code == 200
    bells.clock.now = NOON
    for _ in range(2):  # what was counted in the future counts as of this moment: bursts have to come back first
        assert bells.ring(at=NOW).status_code == 429
        bells.clock.forward(1)
    answer = bells.ring(at=NOW)
    refused(answer, 400, "timestamp_stale")
    assert "begun anew" in answer.json()["detail"]
    assert bells.ring("z" * 16, NOW + 1).status_code == 200
    assert RUNG == ["ria"] * 3


# Another process ----------------------------------------------------------------------------


@BOTH
def test_a_stop_in_order_forgets_nothing_and_refuses_nothing(data: Path) -> None:
    """What was accepted counts for the next process; what was not is good, from clocks behind and ahead too."""
    bells = Bells(data)
    for at in (NOW, NOW - 170, NOW + 29):
        assert bells.ring(str(at).zfill(16), at).status_code == 200
        bells.ring(str(at).zfill(16), at, who=None)
    bells.stop()
    bells = Bells(data)
    for at in (NOW, NOW - 170, NOW + 29):
        refused(bells.ring(str(at).zfill(16), at), 409, "nonce_reused")
        refused(bells.ring(str(at).zfill(16), at, who=None), 409, "nonce_reused")
        assert bells.ring(str(at).zfill(17), at).status_code == 200
    assert RUNG == ["ria"] * 3
    bells.stop()


@pytest.mark.stores("sqlite")  # whose mark on the disk it is about
def test_a_longer_window_brings_nothing_in_again(data: Path) -> None:
    """Served anew with ten minutes instead of one: what the shorter window had let go stays out."""
    bells = Bells(data, once.made(fresh_seconds=60))
    assert bells.ring().status_code == 200
    bells.clock.forward(62)
    assert bells.ring(OTHER).status_code == 200
    bells.stop()
    bells = Bells(data, once.made(fresh_seconds=600))
    bells.clock.forward(62)
    refused(bells.ring(at=NOW), 400, "timestamp_stale")
    refused(bells.ring(OTHER), 409, "nonce_reused")
    assert bells.ring("n" * 16, NOW + 1).status_code == 200
    bells.stop()


@pytest.mark.stores(stores.POSTGRESQL)
def test_two_servers_with_one_database_accept_a_request_once(data: Path, tmp_path: Path) -> None:
    """Whichever of them is asked first; and each goes on with requests that are new."""
    twin = tmp_path / "twin"
    shutil.copytree(data, twin)
    one, other = Bells(data), Bells(twin)
    for first, second in ((one, other), (other, one)):
        nonce = api_key.generate().text
        assert first.ring(nonce).status_code == 200
        answer = second.ring(nonce)
        refused(answer, 409, "nonce_reused")
        assert "ratelimit" in answer.headers
        assert second.ring(nonce[::-1]).status_code == 200
    assert len(RUNG) == 4
    one.stop()
    other.stop()


@pytest.mark.stores("sqlite")  # whose mark on the disk it is about
def test_of_two_servers_with_one_file_the_first_one_ends(data: Path) -> None:
    """As at SIGHUP: what both could accept is refused by the new one, and what is beyond by the old one."""
    bells = Bells(data)
    assert bells.ring().status_code == 200
    old, running = bells.client("ria").service, bells.client("ria")._running
    new = build_service(once.api, _place(data, None), Failures(), bells.clock)
    running.run(new.start())
    running.service = new
    answer = bells.ring("n" * 16)
    refused(answer, 400, "timestamp_stale")
    assert answer.headers["retry-after"] == "3"
    running.service = old
    assert bells.ring("o" * 16).status_code == 200, "up to its mark"
    bells.clock.forward(3)
    refused(bells.ring("p" * 16), 503, "nonces_unavailable")
    refused(bells.ring("q" * 16, NOW + 30), 503, "nonces_unavailable")
    running.service = new
    assert bells.ring("p" * 16).status_code == 200
    running.run(old.stop())
    for nonce in (NONCE, "o" * 16):
        refused(bells.ring(nonce, NOW), 400, "timestamp_stale")
    refused(bells.ring("p" * 16), 409, "nonce_reused")
    bells.stop()
    bells = Bells(data)
    bells.clock.forward(3)
    refused(bells.ring("p" * 16), 409, "nonce_reused")
    bells.stop()


def broken(bells: Bells, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot write."""

    async def fail(_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(bells.client("ria").service.ledger, "_database", SimpleNamespace(write=fail, dialect="sqlite"))


@pytest.mark.stores("sqlite")  # whose mark on the disk it is about
def test_when_the_mark_cannot_be_written_nothing_is_accepted(bells: Bells, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the mark it goes on; then 503, and nothing is carried out until the store is well again."""
    assert bells.ring().status_code == 200
    with monkeypatch.context() as patch:
        broken(bells, patch)
        assert bells.ring(OTHER).status_code == 200
        bells.clock.forward(5)
        answer = bells.ring("n" * 16)
        refused(answer, 503, "nonces_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert bells.send([], method="GET", path="/bells").status_code == 200, "reads go on"
        refused(bells.ring("n" * 16), 409, "nonce_reused")
        errors = bells.client("ria")._running.journal.errors
        assert {str(error) for error in errors} == {"the disk is full"}
        errors.clear()
    assert bells.ring("m" * 16).status_code == 200
    assert len(RUNG) == 3


@pytest.mark.stores("sqlite")  # whose mark on the disk it is about
def test_a_stop_that_cannot_write_is_a_crash(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process refuses what this one might have accepted, and says from when on it is sure."""
    bells = Bells(data)
    assert bells.ring().status_code == 200
    with monkeypatch.context() as patch:
        broken(bells, patch)
        bells.client("ria")._running.journal.errors.clear()
        bells.stop()
    bells = Bells(data)
    for nonce in (NONCE, OTHER):
        answer = bells.ring(nonce)
        refused(answer, 400, "timestamp_stale")
        assert answer.headers["retry-after"] == "3"
        assert "in 3 s" in answer.json()["detail"]
    bells.clock.forward(3)
    assert bells.ring().status_code == 200
    answer = bells.ring("z" * 16, NOW)
    refused(answer, 400, "timestamp_stale")
    assert "retry-after" not in answer.headers, "a newer timestamp is good at once"
    bells.stop()


@pytest.mark.stores("sqlite")  # whose mark on the disk it is about
def test_the_memory_can_be_given_up(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the statement of the page about limitations: after a clock that was days ahead, writes are served again."""
    page = (ROOT / "docs" / "limitations.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r"`(UPDATE vallum_mark [^`]+)`", page)
    bells = Bells(data)
    bells.clock.forward(30 * 86_400)
    assert bells.ring().status_code == 200
    bells.stop()
    bells = Bells(data)
    assert bells.ring(OTHER).status_code == 200, "after a stop in order it takes no statement"
    bells.clock.forward(30 * 86_400)
    assert bells.ring("a" * 16).status_code == 200
    with monkeypatch.context() as patch:
        broken(bells, patch)
        bells.client("ria")._running.journal.errors.clear()
        bells.stop()
    bells = Bells(data)
    answer = bells.ring("b" * 16)
    refused(answer, 400, "timestamp_stale")
    assert int(answer.headers["retry-after"]) >= 30 * 86_400
    bells.stop()
    with closing(sqlite3.connect(data / "vallum.db")) as connection, connection:
        connection.execute(statement)
    bells = Bells(data)
    assert bells.ring("b" * 16).status_code == 200
    bells.stop()
