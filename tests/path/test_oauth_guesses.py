"""Guessers, lock-outs, and what the answers of the authorization server tell between the lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.path.oauth import GRANT, REVOKE, TOKEN, Desk, basic
from tests.path.small import NOON
from tests.path.test_oauth_abuse import HOUR, asserted, header, pair, signed_by

from vallum.crypto import client_secret
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import VerificationKey
from vallum.oauth.presented import Secret, presented
from vallum.oauth.server import JWKS, RESOURCE_METADATA, SERVER_METADATA
from vallum.refusals import Refusal
from vallum.request import Request
from vallum.store.memory import MemoryCounters
from vallum.store.sqlite_reader import SqliteReader
from vallum.store.sqlite_writer import SqliteWriter
from vallum.testing import Answer
from vallum.throttle.budget import Tally


def comparable(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    """All of an answer but its request's id and the budget, which each request changes."""
    fields = {name: value for name, value in answer.headers.items() if name not in {"x-request-id", "ratelimit"}}
    return answer.status_code, answer.content, fields


def nobody(desk: Desk) -> list[Callable[[], Answer]]:
    """A wrong secret, an unknown client, and everything between them."""
    desk.add("ended")
    desk.add("gone")
    ended, gone = desk.shows("ended"), desk.shows("gone")
    desk.rotate("ended", overlap=0)
    desk.revoke("gone")
    secret = client_secret.generate().text
    return [
        *(
            partial(desk.send, TOKEN, GRANT, basic(name, secret))
            for name in ("heron", "nobody", "kite", "rita", "x" * 200)
        ),
        *(partial(desk.send, TOKEN, GRANT, known) for known in (ended, gone)),
        *(partial(signed_by, desk, "Ed25519", name) for name in ("kite", "nobody", "heron", "gone")),
        *(partial(signed_by, desk, "Ed25519", name, kid=desk.keys["kite"].kid) for name in ("kite", "nobody")),
        *(partial(signed_by, desk, "Ed25519", name, kid="x") for name in ("kite", "nobody")),
        *(partial(signed_by, desk, "ES256", name) for name in ("kite", "nobody")),
        partial(header, desk, "Basic ==="),
    ]


def test_the_bytes_tell_nobody_apart(desk: Desk) -> None:
    """Whether there is such a client, how it authenticates itself and how it ended: one answer for all."""
    answers = [comparable(ask()) for ask in nobody(desk)]
    assert [answer for answer in answers if answer != answers[0]] == []
    assert json.loads(answers[0][1])["error_description"] == "Client authentication failed."


@pytest.mark.stores("sqlite")  # what is counted are its reads
def test_the_work_tells_nobody_apart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One read of the store and one hash for a secret, one read and one verification for an assertion, whoever it is."""
    counts: Counter[str] = Counter()

    def counted(word: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            counts[word] += 1
            return function(*arguments, **named)

        return call

    monkeypatch.setattr(client_secret, "sha256", counted("hash", sha256))
    monkeypatch.setattr(VerificationKey, "verify", counted("verification", VerificationKey.verify))
    monkeypatch.setattr(SqliteReader, "read", counted("read", SqliteReader.read))
    monkeypatch.setattr(SqliteWriter, "write", counted("write", SqliteWriter.write))
    done = []
    for ask in nobody(desk)[:-1]:
        counts.clear()
        ask()
        done.append(dict(counts))
    assert done[:7] == [{"read": 1, "hash": 1}] * 7
    assert done[7:] == [{"read": 1, "verification": 1}] * 10


def test_a_stranger_elsewhere_locks_nobody_out(desk: Desk) -> None:
    """Any number of failures against a client, from however many addresses, leave its own address as it was."""
    for number in range(60):
        desk.send(TOKEN, GRANT, basic("heron", "x"), address=f"198.51.100.{number % 3}")
        desk.clock.forward(0.1)
    assert desk.send(TOKEN, GRANT, basic("heron", "x"), address="198.51.100.1").status_code == 429
    assert desk.ask("heron").status_code == 200


def guess(desk: Desk, number: int) -> Answer:
    """One bad secret each for another name, with time for the burst to come back."""
    desk.clock.forward(0.06)
    return desk.send(TOKEN, GRANT, basic(f"name-{number}", "x"))


def test_a_neighbour_does_not_stop_who_has_proven_itself(desk: Desk) -> None:
    """An address that guesses is refused, for any name alike. Clients that were right there before go on."""
    assert desk.ask("heron").status_code == desk.ask("kite").status_code == 200
    assert [guess(desk, number).status_code for number in range(30)] == [401] * 20 + [429] * 10
    assert desk.ask("heron").status_code == desk.ask("kite").status_code == 200
    refused = desk.ask("osprey")
    assert refused.status_code == 429
    assert refused.json()["error"] == "temporarily_unavailable"
    assert 0 < int(refused.headers["retry-after"]) <= 15
    assert comparable(refused) == comparable(guess_at_once(desk))
    desk.clock.forward(int(refused.headers["retry-after"]))
    assert desk.ask("osprey").status_code == 200


def guess_at_once(desk: Desk) -> Answer:
    return desk.send(TOKEN, GRANT, basic("nobody", "x"))


def test_a_neighbours_bad_assertions_do_not_stop_who_has_signed_a_good_one(desk: Desk) -> None:
    """In the name of the same client, at its address: the neighbour could lock it out whenever it liked."""
    assert desk.ask("kite").status_code == 200
    assert {signed_by(desk, "Ed25519").status_code for _ in range(30)} == {401}
    assert desk.ask("kite").status_code == 200


def test_strangers_who_fill_their_table_keep_no_client_from_its_token(desk: Desk) -> None:
    """What is open to strangers has a day's quota for each address, and a client needs a new token in a quarter of an hour."""
    desk.client.service.pipeline.meter.strangers = MemoryCounters(Tally, callers=1)
    assert desk.client.get("/open").status_code == 200
    assert desk.send(TOKEN, {**GRANT, **desk.asserted("kite")}, address="198.51.100.7").status_code == 200


def test_a_broken_client_does_not_use_up_its_address(desk: Desk) -> None:
    """One that fails without end is stopped by itself: its neighbours still sign in, with secrets and with tokens."""
    token = desk.token("heron")
    statuses = []
    for _ in range(300):
        desk.clock.forward(1)
        statuses.append(desk.send(TOKEN, GRANT, basic("broken", "x")).status_code)
    assert statuses[:10] == [401] * 10
    assert statuses.count(401) in range(19, 22)
    assert desk.ask("osprey").status_code == 200
    assert desk.whoami(token).status_code == 200


def test_what_only_its_owner_can_have_is_no_guess(desk: Desk) -> None:
    """A secret that has ended, a disabled client, an assertion used again or too late: refused, and not counted."""
    old = desk.shows("heron")
    desk.rotate("heron", overlap=0)
    used = desk.asserted("kite")
    desk.send(TOKEN, {**GRANT, **used})
    for _ in range(30):
        desk.clock.forward(0.2)
        assert desk.send(TOKEN, GRANT, old).status_code == 401
        assert desk.send(TOKEN, {**GRANT, **used}).status_code == 401
        assert asserted(desk, exp=int(NOON) - HOUR).status_code == 401
    assert desk.ask("osprey").status_code == 200


def test_a_known_secret_that_ends_is_not_known_any_more(desk: Desk) -> None:
    """The memory of proofs lets nobody in: it only spares who is right from being taken for a guesser."""
    old = desk.shows("heron")
    assert desk.ask("heron").status_code == 200
    desk.rotate("heron", overlap=0)
    assert desk.send(TOKEN, GRANT, old).status_code == 401
    for number in range(20):
        guess(desk, number)
    assert desk.send(TOKEN, GRANT, old).status_code == 429


def test_failures_count_with_those_of_tokens(desk: Desk) -> None:
    """One budget for an address: bad tokens there, and bad secrets here."""
    for _ in range(20):
        desk.client.get("/whoami", headers={"Authorization": "Bearer x"})
    assert desk.send(TOKEN, GRANT, basic("nobody", "x")).status_code == 429


def test_readers_and_clients_have_budgets_of_their_own(desk: Desk) -> None:
    """Who has read away the anonymous quota of an address keeps no client there from its token, nor the other way."""
    while desk.client.get("/open").status_code == 200:
        desk.clock.forward(1)
    paths = (SERVER_METADATA, RESOURCE_METADATA, JWKS)
    assert [desk.client.get(path).status_code for path in paths] == [200] * 3
    assert [desk.ask("heron").status_code for _ in range(50)] == [200] * 47 + [429] * 3
    desk.clock.forward(1)
    assert desk.ask("heron").status_code == 200
    assert desk.client.get("/open").status_code == 429


def test_no_page_of_another_origin(desk: Desk) -> None:
    """A page that no `cors=` names may not ask beforehand, and reads no answer."""
    origin = {"Origin": "https://evil.example"}
    asked = desk.send(TOKEN, b"", {**origin, "Access-Control-Request-Method": "POST"}, method="OPTIONS")
    assert asked.status_code == 403
    answer = desk.send(TOKEN, GRANT, {**desk.shows("heron"), **origin})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.stores("sqlite")  # what is searched is the file
def test_secrets_are_kept_nowhere(desk: Desk) -> None:
    """Neither the secret nor the token stands in the database's files; the secret's digest does."""
    token = desk.token("heron")
    desk.endpoint(REVOKE, "heron", token=token)
    content = b"".join(path.read_bytes() for path in desk.data.glob("vallum.db*"))
    assert desk.secrets["heron"][19:].encode() not in content
    assert token.split(".")[2].encode() not in content
    assert sha256(desk.secrets["heron"].encode()).hexdigest().encode() in content


@given(st.text(max_size=60))
def test_any_authorization(text: str) -> None:
    """Whatever stands in the header is a secret to be verified, or refused; nothing else can come of it."""
    value = "".join(character for character in text if " " <= character <= "~")
    for shown in (value, f"Basic {value}", pair(text.encode())):
        request = Request("0", "POST", TOKEN, "", {b"authorization": shown.encode()}, "192.0.2.1", NOON, nothing)
        with suppress(Refusal, NotAuthentic):
            found = presented(request, {})
            assert isinstance(found, Secret)
            assert found.client_id
            assert found.secret


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60), st.text("abcXYZ0189_", min_size=1)
)
def test_what_clients_encode_is_understood(client_id: str, secret: str) -> None:
    """RFC 6749 §2.3.1 and appendix B: every id comes through its encoding."""
    fields = {b"authorization": basic(client_id, secret)["Authorization"].encode()}
    found = presented(Request("0", "POST", TOKEN, "", fields, "192.0.2.1", NOON, nothing), {})
    assert (found.client_id, found[1]) == (client_id, secret)


async def nothing() -> dict[str, object]:
    return {}
