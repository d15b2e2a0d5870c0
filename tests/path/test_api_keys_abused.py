"""API keys misused in every way that came to mind: one table, a sentence for each case, and what it must come to.

Each case says what is answered and how many keys were looked up for it: what has not the form of a key costs no
statement. The good answers in the table are the other sides of the boundaries.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.path.conftest import As
from tests.path.small import NOON, Clock, api
from tests.path.test_authenticate import change, comparable, scope

from tests import stores
from vallum import defaults
from vallum.crypto import api_key
from vallum.crypto.api_key import NewKey
from vallum.declare.accounts import Account
from vallum.pipeline import answer
from vallum.store import api_keys, principals
from vallum.store.api_keys import ApiKeys, Limits, StoredKey
from vallum.store.ports import Statement
from vallum.store.sqlite_reader import SqliteReader
from vallum.testing import Answer, Client
from vallum.testing.wire import receiver, scope_of

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
"""The test client's address, and another one."""
END = int(NOON) + 30
BOOKS = "/books"
"""A route that lets no stranger in."""


@dataclass
class Scene:
    """A library with a robot that reads by an API key, as an attacker and its operator know it."""

    data: Path
    clock: Clock
    client: Client
    key: NewKey
    token: str
    lookups: list[str] = field(default_factory=list)

    def add(self, name: str, plan: str = "default", role: str = "reader", **limits: Any) -> NewKey:
        """A further account with a key."""
        key = api_key.generate()
        account = Account(name, frozenset({role}), {}, plan)
        change(self.data, api_keys.add(account, key, Limits(**limits), self.clock(), "sqlite"))
        return key

    def rotate(self, overlap: int) -> NewKey:
        """The robot's next key."""
        key = api_key.generate()
        script = api_keys.rotate("robot", key, self.clock(), "sqlite", overlap_seconds=overlap, life_seconds=None)
        change(self.data, script)
        return key

    def do(self, script: Callable[[], Any]) -> None:
        """What an operator's command does."""
        change(self.data, script)

    def send(self, *headers: tuple[str, str | bytes], path: str = BOOKS, address: str = HOME) -> Answer:
        """Header fields exactly so, byte by byte."""
        fields = [(k.lower().encode(), v if isinstance(v, bytes) else v.encode()) for k, v in headers]
        where, _, query = path.partition("?")
        sent = {**scope(where, [(b"host", b"testserver"), *fields], address), "query_string": query.encode()}
        return self.client.send(sent)

    def show(self, text: str | bytes, path: str = BOOKS, address: str = HOME) -> Answer:
        """As `X-API-Key`."""
        return self.send(("X-API-Key", text), path=path, address=address)

    def bear(self, text: str) -> Answer:
        """As a whole `Authorization`."""
        return self.send(("Authorization", text))


def resealed(body: str) -> str:
    """With the right checksum: anyone can compute it."""
    return body + api_key._checksum(body)


def swapped(text: str, at: int) -> str:
    """Another letter in that place."""
    return text[:at] + ("a" if text[at] != "a" else "b") + text[at + 1 :]


def exchanged(text: str) -> str:
    """With two neighbours that differ in each other's place."""
    at = next(at for at in range(20, 60) if text[at] != text[at + 1])
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def basic(text: str) -> str:
    """RFC 7617."""
    return "Basic " + base64.b64encode(text.encode()).decode()


def moved(scene: Scene, seconds: float, key: NewKey) -> Answer:
    """Shown once, and again so much later."""
    assert scene.show(key.text).status_code == 200
    scene.clock.forward(seconds)
    return scene.show(key.text)


def after(scene: Scene, script: Callable[[], Any]) -> Answer:
    """Shown, then the operator does something, then shown again."""
    assert scene.show(scene.key.text).status_code == 200
    scene.do(script)
    return scene.show(scene.key.text)


def without_plan(scene: Scene, name: str) -> Answer:
    """The account's plan is one that the served API does not have."""
    return after(scene, principals.alter("robot", "sqlite", plan=name))


def rotated(scene: Scene, seconds: float, *, new: bool) -> Answer:
    """A rotation with an overlap of 30 seconds; so much later the old or the new key is shown."""
    assert scene.show(scene.key.text).status_code == 200
    made = scene.rotate(30)
    scene.clock.forward(seconds)
    return scene.show(made.text if new else scene.key.text)


def one_revoked(scene: Scene, *, of_two: str) -> Answer:
    """Both keys are known; the old one is revoked alone."""
    made = scene.rotate(3600)
    assert scene.show(made.text).status_code == scene.show(scene.key.text).status_code == 200
    scene.do(api_keys.revoke("robot", NOON, "sqlite", scene.key.identifier))
    return scene.show(made.text if of_two == "new" else scene.key.text)


def exhausted(scene: Scene, then: Callable[[], Answer]) -> Answer:
    """An address that has guessed twenty times; the guesses' own lookups are not counted."""
    for _ in range(defaults.FAILURES_BURST):
        scene.show(resealed(scene.key.text[:19] + api_key.generate().text[19:62]))
    scene.lookups.clear()
    return then()


INVALID = (401, "credential_invalid")
MISSING = (401, "credential_missing")
GOOD = (200, "")


class Abuse(NamedTuple):
    """What somebody tries, what comes of it, and how many keys are looked up for it (None: it does not matter)."""

    sentence: str
    tried: Callable[[Scene], Answer]
    expected: tuple[int, str]
    lookups: int | None = 0


ABUSES = [
    # Where it stands
    Abuse("in the query as api_key", lambda s: s.send(path=f"/books?api_key={s.key.text}"), (400, "credential_in_query")),
    Abuse("in the query, shouted", lambda s: s.send(path=f"/books?X-API-KEY={s.key.text}"), (400, "credential_in_query")),
    Abuse("in the query as an access token", lambda s: s.send(path=f"/books?access_token={s.key.text}"), (400, "credential_in_query")),
    Abuse("in the query beside a good header", lambda s: s.show(s.key.text, f"/books?limit=1&apikey={s.key.text}"), (400, "credential_in_query")),
    Abuse("in the query under an encoded name", lambda s: s.send(path=f"/books?%61pi_key={s.key.text}"), MISSING),
    Abuse("in the path", lambda s: s.send(path=f"/books/{s.key.text}"), MISSING),
    Abuse("in a cookie", lambda s: s.send(("Cookie", f"x-api-key={s.key.text}")), MISSING),
    Abuse("in a cookie of our kind", lambda s: s.send(("Cookie", f"__Host-vallum={s.key.text}")), MISSING),
    Abuse("as the user agent", lambda s: s.send(("User-Agent", s.key.text)), MISSING),
    Abuse("under a name with underscores", lambda s: s.send(("X_API_Key", s.key.text)), MISSING),
    Abuse("for a proxy", lambda s: s.send(("Proxy-Authorization", f"Bearer {s.key.text}")), MISSING),
    Abuse("as the user of Basic", lambda s: s.bear(basic(f"{s.key.text}:")), INVALID),
    Abuse("as the password of Basic", lambda s: s.bear(basic(f"robot:{s.key.text}")), INVALID),
    Abuse("as Basic, uncoded", lambda s: s.bear(f"Basic {s.key.text}"), INVALID),
    Abuse("under another scheme", lambda s: s.bear(f"ApiKey {s.key.text}"), INVALID),
    Abuse("without a scheme", lambda s: s.bear(s.key.text), INVALID),
    Abuse("behind a scheme in the other header", lambda s: s.show(f"Bearer {s.key.text}"), INVALID),
    Abuse("behind two blanks", lambda s: s.bear(f"Bearer  {s.key.text}"), INVALID),
    Abuse("behind bearer in small letters, which means the same", lambda s: s.bear(f"bearer {s.key.text}"), GOOD, 1),
    Abuse("in both headers", lambda s: s.send(("X-API-Key", s.key.text), ("Authorization", f"Bearer {s.key.text}")), (400, "credential_ambiguous")),
    Abuse("beside an empty Authorization", lambda s: s.send(("X-API-Key", s.key.text), ("Authorization", "")), (400, "credential_ambiguous")),
    Abuse("twice in one header field", lambda s: s.send(("X-API-Key", s.key.text), ("X-API-Key", s.key.text)), (400, "request_malformed")),
    Abuse("twice in a list", lambda s: s.show(f"{s.key.text}, {s.key.text}"), INVALID),
    # What it looks like
    Abuse("nothing in the header", lambda s: s.show(""), INVALID),
    Abuse("the prefix alone", lambda s: s.show("vk_"), INVALID),
    Abuse("the prefix shouted", lambda s: s.show("VK_" + s.key.text[3:]), INVALID),
    Abuse("the prefix of another product", lambda s: s.show("sk_" + s.key.text[3:]), INVALID),
    Abuse("all letters in the other case", lambda s: s.show("vk_" + s.key.text[3:].swapcase()), INVALID),
    Abuse("a wrong checksum", lambda s: s.show(swapped(s.key.text, 67)), INVALID),
    Abuse("a misspelt secret under the old checksum", lambda s: s.show(swapped(s.key.text, 40)), INVALID),
    Abuse("a misspelt identifier under the old checksum", lambda s: s.show(swapped(s.key.text, 5)), INVALID),
    Abuse("two letters exchanged", lambda s: s.show(exchanged(s.key.text)), INVALID),
    Abuse("one letter short", lambda s: s.show(s.key.text[:-1]), INVALID),
    Abuse("one letter short, with its checksum", lambda s: s.show(resealed(s.key.text[:61])), INVALID),
    Abuse("one letter more", lambda s: s.show(s.key.text + "0"), INVALID),
    Abuse("one letter more, with its checksum", lambda s: s.show(resealed(s.key.text[:62] + "0")), INVALID),
    Abuse("four thousand letters", lambda s: s.show("vk_" + "a" * 4000), INVALID),
    Abuse("in quotes", lambda s: s.show(f'"{s.key.text}"'), INVALID),
    Abuse("percent-encoded", lambda s: s.show(s.key.text.replace("_", "%5F")), INVALID),
    Abuse("with a letter of another script that looks the same", lambda s: s.show(s.key.text.replace("k", "к", 1)), (400, "request_malformed")),
    Abuse("in full width", lambda s: s.show("".join(chr(ord(c) + 0xFEE0) for c in s.key.text)), (400, "request_malformed")),
    Abuse("with a NUL behind it", lambda s: s.show(s.key.text.encode() + b"\0"), (400, "request_malformed")),
    Abuse("with a line feed behind it", lambda s: s.show(s.key.text.encode() + b"\n"), (400, "request_malformed")),
    Abuse("SQL for an identifier", lambda s: s.show(resealed("vk_' OR 1=1 --     " + s.key.text[19:62])), INVALID),
    Abuse("a pattern for an identifier", lambda s: s.show(resealed("vk_" + "%" * 16 + s.key.text[19:62])), INVALID),
    # Whose it is
    Abuse("an identifier that nobody has", lambda s: s.show(api_key.generate().text), INVALID, 1),
    Abuse("its identifier with another secret", lambda s: s.show(resealed(s.key.text[:19] + api_key.generate().text[19:62])), INVALID, 1),
    Abuse("another key's identifier with the own secret", lambda s: s.show(resealed(s.add("other").text[:19] + s.key.text[19:62])), INVALID, 1),
    Abuse("its identifier in the other case", lambda s: s.show(resealed("vk_" + s.key.identifier.swapcase() + s.key.text[19:62])), INVALID, 1),
    Abuse("the digest that the store holds in place of the secret", lambda s: s.show(resealed(s.key.text[:19] + s.key.digest.hex()[:43])), INVALID, 1),
    Abuse("a good token behind the prefix", lambda s: s.bear(f"Bearer vk_{s.token}"), INVALID),
    # When
    Abuse("a moment before its end", lambda s: moved(s, 29.9, s.add("brief", expires=END)), GOOD, 1),
    Abuse("at the very second of its end", lambda s: moved(s, 30, s.add("brief", expires=END)), INVALID, 2),
    Abuse("made with its end behind it", lambda s: s.show(s.add("late", expires=int(NOON)).text), INVALID, 1),
    Abuse("revoked", lambda s: after(s, api_keys.revoke("robot", NOON, "sqlite")), INVALID, None),
    Abuse("revoked alone, of two", lambda s: one_revoked(s, of_two="old"), INVALID, None),
    Abuse("not the one that was revoked", lambda s: one_revoked(s, of_two="new"), GOOD, None),
    Abuse("the old one until the overlap ends", lambda s: rotated(s, 29.9, new=False), GOOD, None),
    Abuse("the old one when the overlap ends", lambda s: rotated(s, 30, new=False), INVALID, None),
    Abuse("the new one from the first moment", lambda s: rotated(s, 0, new=True), GOOD, None),
    Abuse("the new one when the overlap ends", lambda s: rotated(s, 30, new=True), GOOD, None),
    # From where
    Abuse("from its IPv4 network", lambda s: s.show(s.add("near", networks=("192.0.2.0/31",)).text), GOOD, 1),
    Abuse("from the address next to its network", lambda s: s.show(s.add("near", networks=("192.0.2.0/31",)).text, address="192.0.2.2"), INVALID, 1),
    Abuse("from its IPv6 network", lambda s: s.show(s.add("six", networks=("2001:db8::/64",)).text, address="2001:db8::9"), GOOD, 1),
    Abuse("from outside of its IPv6 network", lambda s: s.show(s.add("six", networks=("2001:db8::/64",)).text, address="2001:db8:0:1::9"), INVALID, 1),
    Abuse("from its IPv4 network, written as IPv6", lambda s: s.show(s.add("near", networks=("192.0.2.0/24",)).text, address="::ffff:192.0.2.9"), GOOD, 1),
    Abuse("from elsewhere, written as IPv6", lambda s: s.show(s.add("near", networks=("192.0.2.0/24",)).text, address="::ffff:198.51.100.7"), INVALID, 1),
    Abuse("from an address that cannot be read", lambda s: s.show(s.add("near", networks=("0.0.0.0/0", "::/0")).text, address="unix:"), (400, "request_malformed")),
    Abuse("from nowhere at all", lambda s: s.show(s.add("none", networks=()).text), INVALID, 1),
    Abuse("from elsewhere with a header that says otherwise", lambda s: s.send(("X-API-Key", s.add("near", networks=(f"{HOME}/32",)).text), ("X-Real-IP", HOME), address=ELSEWHERE), INVALID, 1),
    # By whom
    Abuse("of an account that was disabled", lambda s: after(s, principals.disable("robot", "sqlite")), INVALID, None),
    Abuse("of an account whose plan is gone", lambda s: without_plan(s, "gold"), (503, "meter_unavailable"), None),
    Abuse("of an account whose role is gone", lambda s: after(s, principals.alter("robot", "sqlite", roles=["reeve"])), (403, "forbidden"), None),
    Abuse("of an account without a role", lambda s: after(s, principals.alter("robot", "sqlite", roles=[])), (403, "forbidden"), None),
    # How often
    Abuse("a new good key after twenty guesses", lambda s: exhausted(s, lambda: s.show(s.add("new").text)), (429, "failures_limited")),
    Abuse("a twenty-first guess", lambda s: exhausted(s, lambda: s.show(api_key.generate().text)), (429, "failures_limited")),
    Abuse("a new good key from another address meanwhile", lambda s: exhausted(s, lambda: s.show(s.add("new").text, address=ELSEWHERE)), GOOD, 1),
    Abuse("a bad key where none is needed, which nobody looks at", lambda s: s.show("vk_1", "/.well-known/jwks.json"), GOOD),
    Abuse("a bad key where strangers are let in, which makes nobody a stranger", lambda s: s.show("vk_1", "/hello"), INVALID),
]  # fmt: skip


@pytest.fixture
def scene(data: Path, clock: Clock, client: As, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The robot's key has not been seen by the service yet; every lookup of a key is written down."""
    found = Scene(data, clock, client(None), api_key.generate(), str(client("rita").token))
    change(
        data, api_keys.add(Account("robot", frozenset({"reader"}), {}, "default"), found.key, Limits(), NOON, "sqlite")
    )
    find = ApiKeys.find

    async def counted(keys: ApiKeys, identifier: str) -> StoredKey | None:
        found.lookups.append(identifier)
        return await find(keys, identifier)

    monkeypatch.setattr(ApiKeys, "find", counted)
    return found


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.sentence)
def test_a_key_is_good_as_it_was_given_and_in_no_other_way(scene: Scene, abuse: Abuse) -> None:
    """What the table says, with the same bytes for all that is no valid key, and no lookup for what has not its form."""
    found = abuse.tried(scene)
    assert (found.status_code, found.json().get("code", "")) == abuse.expected
    if abuse.lookups is not None:
        assert len(scene.lookups) == abuse.lookups
    if abuse.expected == INVALID:
        assert comparable(found) == comparable(scene.bear("Bearer x.y.z"))
    assert scene.key.text not in found.text + str(dict(found.headers))


def test_the_table_is_as_long_as_it_is_said_to_be() -> None:
    """Each case has a sentence of its own, and most of them are refused."""
    sentences = [abuse.sentence for abuse in ABUSES]
    assert len(set(sentences)) == len(sentences) >= 70
    assert sum(abuse.expected[0] >= 400 for abuse in ABUSES) >= 55


# Statements and work -----------------------------------------------------------------------


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The text of every SELECT that the service runs."""
    texts: list[str] = []
    read = SqliteReader.read

    async def counted(reader: SqliteReader, statement: Statement) -> Any:
        texts.append(statement.text)
        return await read(reader, statement)

    monkeypatch.setattr(SqliteReader, "read", counted)
    return texts


def test_what_has_not_the_form_of_a_key_reaches_no_store(scene: Scene, statements: list[str]) -> None:
    """A thousand misspelt keys would be a thousand statements; they are none."""
    for text in (swapped(scene.key.text, 67), scene.key.text[:-1], scene.key.text + "0", "vk_", "x"):
        assert scene.show(text).status_code == 401
    assert statements == []


@pytest.mark.stores("sqlite")  # what is counted are its reads
def test_an_unknown_identifier_and_a_wrong_secret_are_the_same_work(
    scene: Scene, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement, one digest, one comparison of 32 bytes: nothing that a clock could tell apart."""
    done: list[str] = []
    compare, digest = hmac.compare_digest, api_key._digest

    def compared(a: bytes, b: bytes) -> bool:
        done.append(f"{len(a)}={len(b)}")
        return compare(a, b)

    def digested(text: str) -> bytes:
        done.append(f"digest of {len(text)}")
        return digest(text)

    monkeypatch.setattr(hmac, "compare_digest", compared)
    monkeypatch.setattr(api_key, "_digest", digested)
    work = []
    for text in (api_key.generate().text, resealed(scene.key.text[:19] + "0" * 43)):
        statements.clear()
        done.clear()
        assert scene.show(text).status_code == 401
        work.append((list(statements), list(done)))
    assert work[0] == work[1]
    assert (len(work[0][0]), work[0][1]) == (1, ["digest of 68", "32=32"])


def test_a_revocation_during_the_request_counts(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the key was verified and before the statement: the epoch that the statement finds is another one."""
    find = ApiKeys.find
    revoking = [api_keys.revoke("robot", NOON, "sqlite")]

    async def slow(keys: ApiKeys, identifier: str) -> StoredKey | None:
        found = await find(keys, identifier)
        if revoking:
            await asyncio.to_thread(change, scene.data, revoking.pop())
        return found

    monkeypatch.setattr(ApiKeys, "find", slow)
    assert scene.show(scene.key.text).status_code == 401
    with stores.opened(scene.data) as file:
        assert file.read(Statement("SELECT last_used FROM vallum_api_key", ())) == [(None,)]


def test_a_name_of_a_person_gets_no_key(scene: Scene) -> None:
    """A key is never a second way into somebody's own account: it has an account of its own."""
    for name in ("rita", "robot"):
        with pytest.raises(Exception, match="account-exists"):
            scene.add(name)


# At once -----------------------------------------------------------------------------------


def crowd(scene: Scene, keys: list[NewKey], times: int) -> list[int]:
    """A request with each key so many times, all begun before any is answered; their statuses, sorted."""
    running = scene.client._running

    async def one(key: NewKey) -> int:
        sent = scope_of("GET", "/hello", "", [(b"host", b"testserver"), (b"x-api-key", key.text.encode())])
        return (await answer(sent, receiver(b""), running.service.pipeline, scene.clock())).status

    async def everyone() -> list[int]:
        return sorted(await asyncio.gather(*map(one, keys * times)))

    return running.run(everyone())


@pytest.mark.parametrize("limit", ["burst", "hour", "day"])
def test_a_hundred_at_once_on_the_last_unit(scene: Scene, limit: str) -> None:
    """Of the burst, the hour or the day: exactly one passes, whichever of the account's two new keys it shows."""
    plan = api.plans["large"]
    old = scene.add("crowd", "large")
    new = api_key.generate()
    scene.do(api_keys.rotate("crowd", new, NOON, "sqlite", overlap_seconds=60, life_seconds=None))
    if limit == "burst":
        assert crowd(scene, [old], plan.burst.count - 1) == [200] * (plan.burst.count - 1)
    else:
        start, quota = (int(NOON), plan.hour) if limit == "hour" else (int(NOON) - 12 * 3600, plan.day)
        assert quota is not None
        scene.client.service.pipeline.meter.restore([("crowd", limit, start, quota - 1)])
    assert crowd(scene, [old, new], 50) == [200] + [429] * 99
