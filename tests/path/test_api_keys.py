"""API keys through the whole path: whom they stand for, how they end, and each way to misuse one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.path.conftest import As
from tests.path.small import Clock
from tests.path.small import api as library_api
from tests.path.test_authenticate import assert_invalid, change, comparable, scope

from tests import stores
from vallum import API, READ, allow, defaults, when
from vallum.crypto import api_key
from vallum.crypto.api_key import NewKey
from vallum.declare.accounts import Account
from vallum.serve.wire import build_service
from vallum.store import api_keys, principals
from vallum.store.api_keys import ApiKeys, Limits, StoredKey
from vallum.store.ports import Statement
from vallum.testing import Answer, Client, Failures, _place, create_database

DAY = 86_400
HERE = "192.0.2.0/24"
"""Of the test client."""
ELSEWHERE = "198.51.100.7"
READER = Account("robot", frozenset({"reader"}), {"shelf": 1}, "default")

Add = Callable[..., NewKey]


@pytest.fixture
def add(data: Path, clock: Clock) -> Add:
    """`add(scopes=…, networks=…, expires=…)`: what `vallum key add` does."""

    def make(account: Account = READER, **limits: Any) -> NewKey:
        key = api_key.generate()
        change(data, api_keys.add(account, key, Limits(**limits), clock(), "sqlite"))
        return key

    return make


@pytest.fixture
def stranger(client: As) -> Client:
    """Sends what it is given and nothing of its own."""
    return client(None)


def rotated(data: Path, clock: Clock, overlap: int) -> NewKey:
    """What `vallum key rotate` does."""
    key = api_key.generate()
    change(data, api_keys.rotate("robot", key, clock(), "sqlite", overlap_seconds=overlap, life_seconds=None))
    return key


def shown(stranger: Client, text: str, path: str = "/hello") -> Answer:
    """The answer to a request with that key."""
    return stranger.get(path, headers={"X-API-Key": text})


def from_address(stranger: Client, text: str, address: str) -> Answer:
    """The same from another address."""
    return stranger.send(scope("/hello", [(b"host", b"testserver"), (b"x-api-key", text.encode())], address))


def wrong_secret(key: NewKey) -> str:
    """Well-formed, with the identifier of a key that exists."""
    body = key.text[:19] + api_key.generate().text[19:62]
    return body + api_key._checksum(body)


def last_used(data: Path) -> int | None:
    """As the store has it."""
    with stores.opened(data) as file:
        seconds: int | None = file.read(Statement("SELECT last_used FROM vallum_api_key", ()))[0][0]
        return seconds


# Whom a key stands for ----------------------------------------------------------------------


def test_a_key_is_good_in_either_header(stranger: Client, add: Add) -> None:
    """With the roles, the attributes and the plan of its account, again from memory, and on writes."""
    key = add()
    for headers in ({"X-API-Key": key.text}, {"Authorization": f"Bearer {key.text}"}) * 2:
        assert stranger.get("/hello", headers=headers).json() == {"id": "robot", "roles": ["reader"]}
    assert [row["id"] for row in shown(stranger, key.text, "/books").json()["items"]] == [1, 4, 5]
    answer = stranger.post("/notes", json={"text": "hi"}, headers={"X-API-Key": key.text})
    assert answer.status_code == 200
    assert "ratelimit" in answer.headers
    assert stranger.post("/books", json={"title": "x"}, headers={"X-API-Key": key.text}).status_code == 403


def test_a_key_writes_in_the_name_of_its_account(stranger: Client, add: Add) -> None:
    """The owner that the server writes is the name of the key's account."""
    key = add(Account("press", frozenset({"writer"}), {}, "default"))
    made = stranger.post("/books", json={"title": "Gorse"}, headers={"X-API-Key": key.text})
    assert (made.status_code, made.json()["owner"]) == (201, "press")


def test_what_a_key_did_is_recorded_with_the_key(
    stranger: Client, client: As, add: Add, data: Path, clock: Clock
) -> None:
    """Which of an account's keys it was: its identifier stands in the audit row of a row, of a handler and in none of others."""
    old = add(Account("press", frozenset({"writer"}), {}, "default"))
    new = api_key.generate()
    change(data, api_keys.rotate("press", new, clock(), "sqlite", overlap_seconds=DAY, life_seconds=None))
    for key in (old, new):
        made = stranger.post("/books", json={"title": "Gorse"}, headers={"X-API-Key": key.text})
        assert (
            stranger.post(
                f"{made.headers['location'].removeprefix('https://testserver')}/publish",
                headers={"X-API-Key": key.text},
            ).status_code
            == 200
        )
    client("walt").post("/books", json={"title": "Heath"})
    with stores.opened(data) as file:
        rows = file.read(Statement("SELECT verb, resource, principal, api_key FROM vallum_audit ORDER BY id", ()))
    of_old, of_new = ("press", old.identifier), ("press", new.identifier)
    done = [("create", "books"), ("act", "/books/{id}/publish"), ("change", "books")]
    expected = [(*what, *who) for who in (of_old, of_new) for what in done]
    assert rows == [*expected, ("create", "books", "walt", None)]


def test_both_keys_of_an_account_share_its_budget(stranger: Client, add: Add, data: Path, clock: Clock) -> None:
    """A rotation is no second quota."""
    old = add(Account("robot", frozenset({"reader"}), {}, "tiny"))
    new = rotated(data, clock, DAY)
    statuses = [shown(stranger, key.text).status_code for key in (old, new, old, new)]
    assert statuses == [200, 200, 200, 429]


class Base(DeclarativeBase):
    """Of the second API."""


class Reading(Base):
    """One row of a meter."""

    __tablename__ = "readings"
    id: Mapped[int] = mapped_column(primary_key=True)


class Bill(Base):
    """What follows from it."""

    __tablename__ = "bills"
    id: Mapped[int] = mapped_column(primary_key=True)


def test_rules_may_ask_for_a_key_and_its_scopes(tmp_path: Path, clock: Clock) -> None:
    """`when(credential="key")` opens to keys only, `when(scope=…)` to those that carry it or carry no limit."""
    api = API("Meter", roles=["meter"])
    api.resource(Reading, allow("meter", READ, when=when(credential="key")))
    api.resource(Bill, allow("meter", READ, when=when(scope="bills")))
    api.accounts.add("person", roles=["meter"])
    create_database(api, tmp_path / "data", clock=lambda: clock() - DAY)
    keys = {}
    for name, scopes in (("all", None), ("some", {"bills", "x"}), ("other", {"x"}), ("none", set())):
        keys[name] = api_key.generate()
        limits = Limits(None if scopes is None else frozenset(scopes))
        account = Account(name, frozenset({"meter"}), {}, "default")
        change(tmp_path / "data", api_keys.add(account, keys[name], limits, clock(), "sqlite"))
    with Client(api, as_="person", data=tmp_path / "data", clock=clock) as person:
        assert (person.get("/readings").status_code, person.get("/bills").status_code) == (403, 200)
    with Client(api, data=tmp_path / "data", clock=clock) as client:
        answers = {name: shown(client, key.text, "/bills").status_code for name, key in keys.items()}
        assert answers == {"all": 200, "some": 200, "other": 403, "none": 403}
        assert {shown(client, key.text, "/readings").status_code for key in keys.values()} == {200}
        documents = {name: shown(client, key.text, "/openapi.json") for name, key in keys.items()}
        assert {name for name, found in documents.items() if "/bills" in found.json()["paths"]} == {"all", "some"}
        assert documents["all"].content == documents["some"].content
        assert documents["other"].content == documents["none"].content
        assert "limited to none of the scopes" in documents["none"].json()["info"]["description"]


# How it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [False, True])
def test_a_key_expires_to_the_second(stranger: Client, add: Add, clock: Clock, seen: bool) -> None:
    """No leeway, remembered or not: who checks is who wrote the time."""
    key = add(expires=int(clock()) + 30)
    clock.forward(29.9)
    if seen:
        assert shown(stranger, key.text).status_code == 200
    clock.forward(0.1)
    assert_invalid(shown(stranger, key.text))


@pytest.mark.parametrize("path", ["/hello", "/books", "/books/1", "/loans/1,rita", "/nothing"])
def test_a_revoked_key_is_refused_at_its_next_request(stranger: Client, add: Add, data: Path, path: str) -> None:
    """Also where it is remembered, also where it would have been refused anyway."""
    key = add()
    shown(stranger, key.text, path)
    change(data, api_keys.revoke("robot", 0, "sqlite"))
    assert_invalid(shown(stranger, key.text, path))
    assert_invalid(shown(stranger, key.text, path))


def test_a_write_on_the_way_is_stopped_by_the_revocation(stranger: Client, add: Add, data: Path, client: As) -> None:
    """Nothing of it reaches the table."""
    key = add(Account("press", frozenset({"writer"}), {}, "default"))
    assert shown(stranger, key.text, "/books").status_code == 200
    before = client("ada").get("/books").json()
    change(data, api_keys.revoke("press", 0, "sqlite"))
    assert_invalid(stranger.post("/books", json={"title": "Late"}, headers={"X-API-Key": key.text}))
    assert client("ada").get("/books").json() == before


@pytest.mark.stores("sqlite")  # the other process opens the file
def test_a_revocation_by_another_process_counts_in_all(add: Add, data: Path, clock: Clock) -> None:
    """Two services on one file, each of which remembers the key: both refuse it at once."""
    key = add()
    other = build_service(library_api, _place(data, stores.database_of(data)), Failures(), clock)
    known = other.pipeline.authenticator
    with Client(library_api, None, data, clock, fresh=False) as stranger:
        assert shown(stranger, key.text).status_code == 200
        stranger._running.run(other.start())
        try:
            mine = stranger.service.pipeline
            ours, stranger._running.service.pipeline = mine, other.pipeline
            assert shown(stranger, key.text).status_code == 200
            assert len(known._verified) == 1
            change(data, api_keys.revoke("robot", 0, "sqlite"))
            assert_invalid(shown(stranger, key.text))
            stranger._running.service.pipeline = ours
            assert_invalid(shown(stranger, key.text))
        finally:
            stranger._running.run(other.stop())


def test_a_revocation_between_two_looks_is_not_missed(
    stranger: Client, add: Add, data: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after the key was read and before the statement: what was remembered has the old epoch and is void."""
    key, find = add(), ApiKeys.find
    revoking = [api_keys.revoke("robot", clock(), "sqlite")]

    async def slow(keys: ApiKeys, identifier: str) -> StoredKey | None:
        found = await find(keys, identifier)
        if revoking:
            await asyncio.to_thread(change, data, revoking.pop())
        return found

    monkeypatch.setattr(ApiKeys, "find", slow)
    assert_invalid(shown(stranger, key.text))
    assert_invalid(shown(stranger, key.text))


def test_during_an_overlap_both_keys_are_good(stranger: Client, add: Add, data: Path, clock: Clock) -> None:
    """Then only the new one; the old one was remembered with a later end."""
    old = add(expires=int(clock()) + 90 * DAY)
    assert shown(stranger, old.text).status_code == 200
    new = rotated(data, clock, 30)
    clock.forward(29.9)
    assert [shown(stranger, key.text).status_code for key in (old, new)] == [200, 200]
    clock.forward(0.1)
    assert_invalid(shown(stranger, old.text))
    assert shown(stranger, new.text).json()["id"] == "robot"


def test_a_rotation_without_an_overlap_counts_at_once(stranger: Client, add: Add, data: Path, clock: Clock) -> None:
    """For a key that leaked."""
    old = add()
    assert shown(stranger, old.text).status_code == 200
    new = rotated(data, clock, 0)
    assert_invalid(shown(stranger, old.text))
    assert shown(stranger, new.text).status_code == 200


def test_a_disabled_account_takes_its_keys_along(stranger: Client, add: Add, data: Path) -> None:
    """Seen before or not; enabled again they are good again."""
    key = add()
    assert shown(stranger, key.text).status_code == 200
    change(data, principals.disable("robot", "sqlite"))
    assert_invalid(shown(stranger, key.text))
    assert_invalid(stranger.get("/hello", headers={"Authorization": f"Bearer {key.text}"}))
    change(data, principals.enable("robot", "sqlite"))
    assert shown(stranger, key.text).status_code == 200


def test_roles_of_its_account_count_from_the_next_request_on(stranger: Client, add: Add, data: Path) -> None:
    """A remembered key has the roles of the present epoch."""
    key = add()
    assert shown(stranger, key.text, "/books").status_code == 200
    change(data, principals.alter("robot", "sqlite", roles=[]))
    assert shown(stranger, key.text, "/books").status_code == 403


def test_a_known_key_is_verified_again_after_a_minute(stranger: Client, add: Add, data: Path, clock: Clock) -> None:
    """Should the store lose the key without an epoch (a restored backup), it ends then."""
    key = add()
    assert shown(stranger, key.text).status_code == 200
    with stores.opened(data) as file:
        file.write(lambda: (yield Statement("DELETE FROM vallum_api_key", ())))
    clock.forward(defaults.TOKEN_RECHECK_SECONDS - 0.1)
    assert shown(stranger, key.text).status_code == 200
    clock.forward(0.1)
    assert_invalid(shown(stranger, key.text))


# Abuse --------------------------------------------------------------------------------------


@pytest.fixture
def refused(add: Add, data: Path, clock: Clock) -> dict[str, str]:
    """A key of each kind that is refused."""
    keys = {"expired": add(Account("a", frozenset(), {}, "default"), expires=int(clock()))}
    keys["revoked"] = add(Account("b", frozenset(), {}, "default"))
    change(data, api_keys.revoke("b", clock(), "sqlite"))
    keys["address"] = add(Account("c", frozenset(), {}, "default"), networks=("198.51.100.0/24",))
    keys["disabled"] = add(Account("d", frozenset(), {}, "default"))
    change(data, principals.disable("d", "sqlite"))
    secret = wrong_secret(add())
    texts = {name: key.text for name, key in keys.items()}
    return {**texts, "secret": secret, "unknown": api_key.generate().text, "typing": secret[:-1] + "-", "form": "vk_1"}


def test_every_bad_key_gets_the_same_bytes(stranger: Client, refused: dict[str, str]) -> None:
    """Wrong secret, unknown, expired, revoked, disabled, wrong address, misspelt: also those of a bad token."""
    expected = comparable(stranger.get("/hello", headers={"Authorization": "Bearer x.y.z"}))
    assert expected[0] == 401
    for name, text in refused.items():
        assert comparable(shown(stranger, text)) == expected, name
        assert comparable(stranger.get("/hello", headers={"Authorization": f"Bearer {text}"})) == expected, name
        assert comparable(shown(stranger, text, "/nothing")) == expected, name


@pytest.mark.parametrize("kind", ["secret", "unknown", "typing", "form", "address"])
def test_guesses_are_counted(stranger: Client, refused: dict[str, str], add: Add, kind: str) -> None:
    """Twenty, then that address waits: a good key that is new is not even looked up."""
    good = add(Account("good", frozenset(), {}, "default"))
    for _ in range(defaults.FAILURES_BURST):
        assert_invalid(shown(stranger, refused[kind]))
    answer = shown(stranger, good.text)
    assert (answer.status_code, answer.json()["code"]) == (429, "failures_limited")


@pytest.mark.parametrize("kind", ["expired", "revoked", "disabled"])
def test_old_keys_of_ours_are_no_guesses(stranger: Client, refused: dict[str, str], add: Add, kind: str) -> None:
    """Who has the right secret does not guess: a forgotten job must not lock out its neighbours."""
    good = add(Account("good", frozenset(), {}, "default"))
    for _ in range(defaults.FAILURES_BURST + 1):
        assert_invalid(shown(stranger, refused[kind]))
    assert shown(stranger, good.text).status_code == 200


@pytest.mark.parametrize("kind", ["expired", "revoked", "disabled", "address"])
def test_without_the_secret_a_state_cannot_be_told_by_the_budget(
    stranger: Client, refused: dict[str, str], kind: str
) -> None:
    """The identifier of a revoked key with another secret is a guess as any other."""
    body = refused[kind][:19] + "0" * 43
    for _ in range(defaults.FAILURES_BURST):
        assert_invalid(shown(stranger, body + api_key._checksum(body)))
    assert shown(stranger, refused["form"]).status_code == 429


def test_a_known_key_goes_on_while_a_neighbour_guesses(stranger: Client, add: Add) -> None:
    """It is found by its digest before guesses are asked for."""
    key = add()
    assert shown(stranger, key.text).status_code == 200
    for _ in range(defaults.FAILURES_BURST + 1):
        shown(stranger, wrong_secret(key))
    assert shown(stranger, api_key.generate().text).status_code == 429
    assert shown(stranger, key.text).status_code == 200


def test_a_misspelt_key_is_not_looked_up(stranger: Client, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksum says so without the store."""
    key, asked = add(), []

    async def find(_: ApiKeys, identifier: str) -> None:
        asked.append(identifier)

    monkeypatch.setattr(ApiKeys, "find", find)
    swapped = key.text[:-1] + ("0" if key.text[-1] != "0" else "1")
    for text in (swapped, key.text[:-1], key.text + "0", "vk_", "vk_" + "0" * 65, "vk_" + "a" * 4000):
        assert_invalid(shown(stranger, text))
    assert asked == []
    assert_invalid(shown(stranger, key.text))
    assert asked == [key.identifier]


def test_the_address_is_looked_at_with_every_request(stranger: Client, add: Add) -> None:
    """A key that is remembered from its own network is refused from another one, with the same bytes, and back."""
    key = add(networks=(HERE, "2001:db8::/32"))
    unknown = comparable(from_address(stranger, api_key.generate().text, ELSEWHERE))
    for _ in range(2):
        for good in ("192.0.2.1", "192.0.2.255", "::ffff:192.0.2.9", "2001:db8:1::1"):
            assert from_address(stranger, key.text, good).status_code == 200, good
        for bad in (ELSEWHERE, "192.0.3.1", "2001:db9::1", "::ffff:198.51.100.7"):
            assert comparable(from_address(stranger, key.text, bad)) == unknown, bad


def test_a_thief_who_asks_from_elsewhere_is_slowed_down(stranger: Client, add: Add) -> None:
    """A remembered key at a wrong address counts as a guess, and does not lock out its holder."""
    key = add(networks=(HERE,))
    assert shown(stranger, key.text).status_code == 200
    for _ in range(defaults.FAILURES_BURST):
        assert_invalid(from_address(stranger, key.text, ELSEWHERE))
    assert from_address(stranger, key.text, ELSEWHERE).status_code == 429
    for _ in range(defaults.FAILURES_BURST):
        shown(stranger, wrong_secret(key))
    assert shown(stranger, key.text).status_code == 200


def test_who_is_known_goes_on_when_its_key_is_verified_again(stranger: Client, add: Add, clock: Clock) -> None:
    """A minute has passed and a neighbour guesses: the key was good, so showing it is no guess."""
    key = add(networks=(HERE,))
    assert shown(stranger, key.text).status_code == 200
    clock.forward(defaults.TOKEN_RECHECK_SECONDS)
    for _ in range(defaults.FAILURES_BURST):
        shown(stranger, wrong_secret(key))
    assert shown(stranger, key.text).status_code == 200


def test_a_header_of_a_client_does_not_change_its_address(stranger: Client, add: Add) -> None:
    """Without a proxy that is configured, what it says of where it comes from is no address."""
    key = add(networks=(ELSEWHERE + "/32",))
    for name in ("X-Forwarded-For", "X-Real-IP", "True-Client-IP"):
        assert stranger.get("/hello", headers={"X-API-Key": key.text, name: ELSEWHERE}).status_code in {400, 401}


@pytest.mark.parametrize(
    "value",
    [
        *("{key} ", " {key}x", "Bearer {key}", "bearer {key}", "{key},{key}", "{key}, {key}", '"{key}"', "VK_{rest}"),
        *("{rest}", "{token}", "x-api-key {key}", ""),
    ],
)
def test_x_api_key_holds_a_key_and_nothing_else(client: As, stranger: Client, add: Add, value: str) -> None:
    """No scheme, no list, no quotes, no token, also when the key itself is remembered."""
    key = add()
    assert shown(stranger, key.text).status_code == 200
    text = value.format(key=key.text, rest=key.text[3:], token=client("rita").token)
    assert shown(stranger, text).status_code in {400, 401}


@pytest.mark.parametrize(
    "value",
    ["{key}", "Basic {key}", "ApiKey {key}", "Bearer  {key}", "Bearer {key} x", "x-api-key: {key}", "x-api-key {key}"],
)
def test_authorization_holds_a_key_behind_bearer_only(stranger: Client, add: Add, value: str) -> None:
    """Also when the same text is remembered from the other header: a cache is no way around the grammar."""
    key = add()
    assert shown(stranger, key.text).status_code == 200
    assert_invalid(stranger.get("/hello", headers={"Authorization": value.format(key=key.text)}))


@pytest.mark.parametrize("path", ["/books", "/hello", "/nothing", "/.well-known/jwks.json"])
def test_two_credentials_are_ambiguous(client: As, stranger: Client, add: Add, path: str) -> None:
    """A token and a key, the same key twice, a good and a bad one: 400, whichever."""
    key = add()
    for authorization in (f"Bearer {client('rita').token}", f"Bearer {key.text}", "Bearer x", "Basic x"):
        for value in (key.text, "vk_1", ""):
            answer = stranger.get(path, headers={"Authorization": authorization, "X-API-Key": value})
            assert (answer.status_code, answer.json()["code"]) == (400, "credential_ambiguous")


def test_the_header_given_twice_is_refused(stranger: Client, add: Add) -> None:
    """At the edge: two servers on the way could each read another one."""
    key = add().text.encode()
    headers = [(b"host", b"testserver"), (b"x-api-key", key), (b"x-api-key", key)]
    assert stranger.send(scope("/hello", headers, "192.0.2.1")).status_code == 400


@pytest.mark.parametrize("name", ["api_key", "x-api-key", "X-API-KEY", "access_token", "apikey"])
def test_a_key_in_the_query_is_refused(stranger: Client, add: Add, name: str) -> None:
    """Also beside a good one in the header."""
    key = add()
    for headers in ({}, {"X-API-Key": key.text}):
        answer = stranger.get(f"/hello?{name}={key.text}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "credential_in_query")


def test_a_key_in_a_cookie_is_no_credential(stranger: Client, add: Add) -> None:
    """The API ignores cookies."""
    key = add()
    for cookie in (f"x-api-key={key.text}", f"vk={key.text}"):
        assert stranger.get("/books", headers={"Cookie": cookie}).json()["code"] == "credential_missing"


def test_a_key_does_not_fall_through_to_a_token(client: As, stranger: Client) -> None:
    """`vk_` before a good token is a bad key; nor is a token that begins otherwise looked up as a key."""
    token = client("rita").token
    assert_invalid(stranger.get("/hello", headers={"Authorization": f"Bearer vk_{token}"}))
    assert_invalid(shown(stranger, str(token)))


def test_a_cursor_of_one_account_is_none_of_a_key(client: As, stranger: Client, add: Add) -> None:
    """Cursors are bound to the caller."""
    after = client("rita").get("/books?limit=1").json()["next"]
    assert shown(stranger, add().text, f"/books?limit=1&after={after}").status_code == 400


def test_the_answer_and_the_memory_hold_no_key(stranger: Client, add: Add) -> None:
    """Neither does the text come back nor is it kept: what is remembered is a digest."""
    key = add()
    for text in (key.text, wrong_secret(key)):
        answer = shown(stranger, text)
        assert text not in answer.text + str(dict(answer.headers))
    assert key.text not in repr(stranger.service.pipeline.authenticator._verified)


# Last use -----------------------------------------------------------------------------------


def flush(stranger: Client) -> None:
    """What the server does twice a second."""
    stranger._running.run(stranger.service.counters._save())


def test_the_last_use_is_written_behind_once_a_minute(stranger: Client, add: Add, data: Path, clock: Clock) -> None:
    """By the time of the request; from memory or not; and no epoch moves for it."""
    key, start = add(), int(clock())
    for seconds, expected in ((0, 0), (30, 0), (29.9, 0), (0.1, 60), (60, 120)):
        clock.forward(seconds)
        assert shown(stranger, key.text).status_code == 200
        flush(stranger)
        assert last_used(data) == start + expected
    with stores.opened(data) as file:
        assert file.read(principals.epoch("robot", "sqlite")) == [(1,)]


def test_a_refused_key_is_not_used(stranger: Client, add: Add, data: Path) -> None:
    """Neither a guess nor a wrong address leaves a trace that looks like its holder."""
    key = add(networks=(HERE,))
    shown(stranger, wrong_secret(key))
    from_address(stranger, key.text, ELSEWHERE)
    flush(stranger)
    assert last_used(data) is None


def test_no_request_waits_for_the_last_use(
    stranger: Client, add: Add, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that cannot write it loses nothing: requests go on, and the next round writes it."""
    key, service = add(), stranger.service

    async def fail(_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(
            service.counters, "_database", type("Full", (), {"write": staticmethod(fail), "dialect": "sqlite"})
        )
        assert shown(stranger, key.text).status_code == 200
        flush(stranger)
        assert last_used(data) is None
        assert [str(error) for error in stranger._running.journal.errors] == ["the disk is full"]
        stranger._running.journal.errors.clear()
    flush(stranger)
    flush(stranger)
    assert last_used(data) is not None
