"""The authorization server through the whole path: what a client gets, and how it ends."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from tests.path.oauth import GRANT, INTROSPECT, REVOKE, TOKEN, Desk, as_form, claims_of
from tests.path.small import NOON

from tests import stores
from vallum import defaults
from vallum.oauth.server import RESOURCE_METADATA, SERVER_METADATA
from vallum.pipeline import answer
from vallum.respond.stage import Reply
from vallum.serve.wire import build_service
from vallum.store import principals
from vallum.testing import ORIGIN, Failures, _place
from vallum.testing.wire import receiver

BOTH = pytest.mark.stores("sqlite", "postgresql")
"""For what the statements of the store decide."""
LIFE, LEEWAY = defaults.TOKEN_SECONDS, defaults.TOKEN_LEEWAY_SECONDS

# Tokens -------------------------------------------------------------------------------


@BOTH
def test_a_client_gets_a_token(desk: Desk) -> None:
    """RFC 6749 §5.1: the token, its type, its life and its scope; nothing keeps the answer."""
    answer = desk.ask("heron")
    assert answer.status_code == 200
    document = answer.json()
    token = document.pop("access_token")
    assert document == {"token_type": "Bearer", "expires_in": LIFE, "scope": "more texts"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["ratelimit-policy"] == '"burst";q=50;w=1'
    assert desk.whoami(token).json() == {"id": "heron", "scopes": ["more", "texts"]}


def test_what_a_token_says(desk: Desk) -> None:
    """RFC 9068 §2.2: of a client that acts for itself, `sub` is the client; no other claim is invented."""
    claims = claims_of(desk.token("heron"))
    assert len(claims.pop("jti")) == 32
    assert claims == {
        "iss": ORIGIN,
        "aud": ORIGIN,
        "sub": "heron",
        "client_id": "heron",
        "iat": int(NOON),
        "exp": int(NOON) + LIFE,
        "scope": "more texts",
    }


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
def test_a_client_signs_for_a_token(desk: Desk, algorithm: str) -> None:
    """private_key_jwt, with the issuer or the token endpoint as audience, alone in a list too, with a kid or without."""
    desk.add("key", algorithm=algorithm)
    changed: list[dict[str, Any]] = [{"aud": ORIGIN + TOKEN}, {"aud": [ORIGIN]}, {"iat": None}, {"nbf": int(NOON)}]
    for changes in changed:
        assert desk.send(TOKEN, {**GRANT, **desk.asserted("key", **changes)}).status_code == 200, changes
    for header in ({"kid": desk.keys["key"].kid}, {"typ": "JWT"}, {"typ": "client-authentication+jwt"}):
        assert desk.send(TOKEN, {**GRANT, **desk.asserted("key", header)}).status_code == 200, header
    assert desk.whoami(desk.token("key")).json() == {"id": "key", "scopes": None}


@pytest.mark.parametrize(
    ("scope", "granted"),
    [("texts", "texts"), ("more", "more"), ("texts more", "more texts"), ("more more", "more"), ("", "more texts")],
)
def test_a_scope_narrows(desk: Desk, scope: str, granted: str) -> None:
    """What was asked for, if the client has it; all of it when nothing was asked for."""
    assert desk.ask("heron", scope=scope).json()["scope"] == granted


@pytest.mark.parametrize("scope", ["texts admin", "admin", "texts  more", " texts", 'te"xts', "TEXTS", "a " * 70 + "a"])
def test_a_scope_never_widens(desk: Desk, scope: str) -> None:
    """RFC 6749 §3.3: beyond the client's own, or not of the grammar, none of it is given."""
    answer = desk.ask("heron", scope=scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_a_client_without_scopes_is_not_limited_by_them(desk: Desk) -> None:
    """As an API key without scopes; it may narrow itself to any."""
    desk.add("free")
    document = desk.ask("free").json()
    assert "scope" not in document
    assert desk.whoami(document["access_token"]).json() == {"id": "free", "scopes": None}
    assert desk.whoami(desk.token("free", scope="one")).json()["scopes"] == ["one"]


def test_scopes_limit_rights(desk: Desk) -> None:
    """A rule by scope holds for a token that carries it, and not for a narrower one of the same client."""
    for scope, shown in (("texts", {"id": 1, "text": "secret"}), ("more", {"id": 1})):
        headers = {"Authorization": f"Bearer {desk.token('heron', scope=scope)}"}
        assert desk.client.get("/notes/1", headers=headers).json() == shown


def test_a_token_ends(desk: Desk) -> None:
    """After 15 minutes and the leeway, to the second."""
    token = desk.token("heron")
    desk.clock.forward(LIFE + LEEWAY - 0.001)
    assert desk.whoami(token).status_code == 200
    desk.clock.forward(0.001)
    assert desk.whoami(token).status_code == 401


def test_the_resource_may_be_named(desk: Desk) -> None:
    """RFC 8707: this service, with or without a slash; a token for another one is not to be had."""
    assert desk.ask("heron", resource=ORIGIN).status_code == 200
    assert desk.ask("heron", resource=ORIGIN + "/").status_code == 200
    assert desk.ask("heron", resource="https://elsewhere.example").json()["error"] == "invalid_target"


def test_ids_and_secrets_are_form_encoded(desk: Desk) -> None:
    """RFC 6749 §2.3.1: a name with a colon, a space, a plus or a percent sign comes through."""
    name = "a:b c+d%20@school.example"
    desk.add(name)
    assert desk.whoami(desk.token(name)).json()["id"] == name


# Their end ----------------------------------------------------------------------------


@BOTH
def test_a_revoked_token_is_void_and_its_siblings_are_not(desk: Desk) -> None:
    """RFC 7009: from the next request on, though both tokens were verified and remembered before."""
    first, second = desk.token("heron"), desk.token("heron")
    assert desk.whoami(first).status_code == desk.whoami(second).status_code == 200
    answer = desk.endpoint(REVOKE, "heron", token=first)
    assert (answer.status_code, answer.content) == (200, b"")
    assert desk.whoami(first).status_code == 401
    assert desk.whoami(second).status_code == 200
    assert desk.whoami(desk.token("heron")).status_code == 200
    assert desk.endpoint(REVOKE, "heron", token=first).status_code == 200


@BOTH
def test_a_revocation_counts_in_every_process(desk: Desk) -> None:
    """A second service on the same data has verified the token and remembers it; its next request is refused."""
    token = desk.token("heron")
    service = build_service(
        desk.client.service.api, _place(desk.data, stores.database_of(desk.data)), Failures(), desk.clock
    )
    running = desk.client._running
    running.run(service.start())
    own = running.service
    try:
        running.service = service
        assert desk.whoami(token).status_code == 200
        running.service = own
        desk.endpoint(REVOKE, "heron", token=token)
        running.service = service
        assert desk.whoami(token).status_code == 401
    finally:
        running.service = own
        running.run(service.stop())


def test_a_revocation_is_recorded(desk: Desk) -> None:
    """In the audit, in the transaction that voids the token: which client, which token, in which request."""
    token = desk.token("heron")
    answer = desk.endpoint(REVOKE, "heron", token=token)
    rows = stores.rows(desk.data, "SELECT at, request_id, principal, verb, resource, row_key FROM vallum_audit")
    key = json.dumps({"jti": claims_of(token)["jti"]})
    assert rows == [(NOON, answer.headers["x-request-id"], "heron", "revoke", "oauth/token", key)]


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "anything"])
def test_a_hint_changes_nothing(desk: Desk, hint: str) -> None:
    """RFC 7009 §2.1: the server may ignore token_type_hint."""
    token = desk.token("heron")
    assert desk.endpoint(REVOKE, "heron", token=token, token_type_hint=hint).status_code == 200
    assert desk.whoami(token).status_code == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "vk_" + "0" * 65, "x" * 8000])
def test_an_unknown_token_is_done_with(desk: Desk, token: str) -> None:
    """RFC 7009 §2.2: 200, for the client's purpose is reached."""
    assert desk.endpoint(REVOKE, "heron", token=token).status_code == 200


@BOTH
def test_revocations_are_forgotten_when_time_has_done_their_work(desk: Desk) -> None:
    """Rows of tokens that have expired are removed by the next revocation, not a moment too early."""
    first = desk.token("heron")
    desk.endpoint(REVOKE, "heron", token=first)
    desk.clock.forward(LIFE + LEEWAY - 1)
    second = desk.token("heron")
    desk.endpoint(REVOKE, "heron", token=second)
    assert desk.whoami(first).status_code == 401
    assert revoked(desk) == {claims_of(first)["jti"], claims_of(second)["jti"]}
    desk.clock.forward(1)
    third = desk.token("heron")
    desk.endpoint(REVOKE, "heron", token=third)
    assert revoked(desk) == {claims_of(second)["jti"], claims_of(third)["jti"]}


def revoked(desk: Desk) -> set[str]:
    """What the store remembers."""
    return {jti for (jti,) in stores.rows(desk.data, "SELECT jti FROM vallum_revoked_token")}


@BOTH
def test_a_revoked_client_is_over(desk: Desk) -> None:
    """Its secret and every token that it has, from the next request on; a rotation begins anew."""
    token = desk.token("heron")
    assert desk.whoami(token).status_code == 200
    desk.revoke("heron")
    assert desk.whoami(token).status_code == 401
    assert desk.ask("heron").json()["error"] == "invalid_client"
    desk.rotate("heron")
    desk.clock.forward(1)
    assert desk.whoami(desk.token("heron")).status_code == 200
    assert desk.whoami(token).status_code == 401


def test_a_disabled_client_is_nobody(desk: Desk) -> None:
    """`vallum user disable` is for clients too, by secret and by key."""
    token = desk.token("kite")
    for name in ("heron", "kite"):
        desk.change(partial(principals.disable, name))
        assert desk.ask(name).json()["error"] == "invalid_client"
    assert desk.whoami(token).status_code == 401
    desk.change(partial(principals.enable, "heron"))
    assert desk.ask("heron").status_code == 200


def test_a_rotation_overlaps(desk: Desk) -> None:
    """The secret before is good until the end of the overlap, to the second, and the new one from the start."""
    old = desk.shows("heron")
    desk.rotate("heron", overlap=3600)
    assert desk.ask("heron").status_code == 200
    desk.clock.forward(3599.999)
    assert desk.send(TOKEN, GRANT, old).status_code == 200
    desk.clock.forward(0.001)
    assert desk.send(TOKEN, GRANT, old).status_code == 401
    assert desk.ask("heron").status_code == 200


@BOTH
def test_a_rotation_of_keys_overlaps(desk: Desk) -> None:
    """Both keys sign, without naming themselves too; from a secret to a key is a rotation like any other."""
    old = desk.keys["kite"]
    desk.rotate("kite", algorithm="Ed25519", overlap=60)
    new = desk.keys["kite"]
    for key in (old, new):
        desk.keys["kite"] = key
        assert desk.ask("kite").status_code == 200
    desk.clock.forward(60)
    assert desk.ask("kite").status_code == 200
    desk.keys["kite"] = old
    assert desk.ask("kite").status_code == 401
    desk.rotate("heron", algorithm="ES256", overlap=60)
    assert desk.ask("heron").status_code == 200
    assert desk.send(TOKEN, {**GRANT, **desk.asserted("heron")}).status_code == 200


def test_a_client_revoked_while_it_gets_its_token_has_nothing(desk: Desk) -> None:
    """The token is of the time at which the request came, so the revocation after it voids it."""
    server = desk.client.service
    find = server.pipeline.edge.routes.find(TOKEN)[0].service.args[0].clients  # type: ignore[union-attr]
    original = type(find).find

    async def slow(self: object, client_id: str) -> object:
        found = await original(find, client_id)
        await asyncio.to_thread(desk.revoke, "heron")
        desk.clock.forward(5)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(find), "find", slow)
        token = desk.token("heron")
    assert desk.whoami(token).status_code == 401


# Introspection ------------------------------------------------------------------------


def test_a_client_asks_about_its_own_token(desk: Desk) -> None:
    """RFC 7662 §2.2: whether it is good, and what it says."""
    token = desk.token("heron", scope="texts")
    answer = desk.endpoint(INTROSPECT, "heron", token=token)
    assert answer.status_code == 200
    assert answer.json() == {
        "active": True,
        "client_id": "heron",
        "sub": "heron",
        "scope": "texts",
        "token_type": "Bearer",
        "iss": ORIGIN,
        "aud": ORIGIN,
        "iat": int(NOON),
        "exp": int(NOON) + LIFE,
        "jti": claims_of(token)["jti"],
    }


def test_a_token_of_others_is_shown_to_who_may_ask(desk: Desk) -> None:
    """Another client hears that it is inactive and nothing else; one that the operator let ask hears everything."""
    desk.add("gateway", introspects=True)
    token = desk.token("heron")
    assert desk.endpoint(INTROSPECT, "osprey", token=token).content == b'{"active": false}'
    assert desk.endpoint(INTROSPECT, "gateway", token=token).json()["sub"] == "heron"
    people = desk.client._running.run(
        desk.client.service.keyring.issue("rita", issuer=ORIGIN, audience=ORIGIN, lifetime_seconds=60)
    )
    assert desk.endpoint(INTROSPECT, "gateway", token=people).json()["sub"] == "rita"
    assert desk.endpoint(INTROSPECT, "heron", token=people).content == b'{"active": false}'


def test_what_is_over_is_inactive(desk: Desk) -> None:
    """Revoked alone, of a revoked client, expired, forged, an API key or nonsense: the same bytes."""
    desk.add("gateway", introspects=True)
    alone, whole, old = desk.token("heron"), desk.token("osprey"), desk.token("kite")
    desk.endpoint(REVOKE, "heron", token=alone)
    desk.revoke("osprey")
    texts = [alone, whole, alone[:-4] + "AAAA", "vk_" + "0" * 65, "x"]
    assert {desk.endpoint(INTROSPECT, "gateway", token=text).content for text in texts} == {b'{"active": false}'}
    assert desk.endpoint(INTROSPECT, "gateway", token=old).json()["active"] is True
    desk.clock.forward(LIFE + LEEWAY)
    assert desk.endpoint(INTROSPECT, "gateway", token=old).content == b'{"active": false}'


# Discovery ----------------------------------------------------------------------------


def test_the_metadata_of_the_server(desk: Desk) -> None:
    """RFC 8414 §2: every URL is under the issuer, character by character, and every endpoint is there."""
    document = desk.client.get(SERVER_METADATA).json()
    methods, algorithms = ["client_secret_basic", "private_key_jwt"], ["ES256", "Ed25519"]
    assert document == {
        "issuer": ORIGIN,
        "token_endpoint": f"{ORIGIN}/oauth/token",
        "revocation_endpoint": f"{ORIGIN}/oauth/revoke",
        "introspection_endpoint": f"{ORIGIN}/oauth/introspect",
        "jwks_uri": f"{ORIGIN}/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        **{f"{e}_endpoint_auth_methods_supported": methods for e in ("token", "revocation", "introspection")},
        **{
            f"{e}_endpoint_auth_signing_alg_values_supported": algorithms
            for e in ("token", "revocation", "introspection")
        },
    }
    assert desk.client.get("/.well-known/jwks.json").json()["keys"]


def test_the_metadata_of_the_resource(desk: Desk) -> None:
    """RFC 9728 §5.1: the challenge of a 401 leads to it, and it leads to the server."""
    challenge = desk.client.get("/notes").headers["www-authenticate"]
    assert challenge == f'Bearer realm="api", resource_metadata="{ORIGIN}{RESOURCE_METADATA}"'
    assert desk.client.get(RESOURCE_METADATA).json() == {
        "resource": ORIGIN,
        "resource_name": "Notes",
        "authorization_servers": [ORIGIN],
        "bearer_methods_supported": ["header"],
    }


# Assertions are used once -------------------------------------------------------------


@BOTH
def test_an_assertion_is_good_once(desk: Desk) -> None:
    """RFC 7523 §3, 7: at whichever endpoint, by whichever process, until it has expired, and for its client alone."""
    assertion = as_form(desk.assertion("kite", jti="once"))
    assert desk.send(TOKEN, {**GRANT, **assertion}).status_code == 200
    assert desk.send(TOKEN, {**GRANT, **assertion}).json()["error"] == "invalid_client"
    assert desk.send(INTROSPECT, {"token": "x", **assertion}).status_code == 401
    again = as_form(desk.assertion("kite", jti="once", exp=int(NOON) + 30))
    assert desk.send(TOKEN, {**GRANT, **again}).status_code == 401
    desk.add("key", algorithm="Ed25519")
    assert desk.send(TOKEN, {**GRANT, **desk.asserted("key", jti="once")}).status_code == 200


def test_an_assertion_is_remembered_for_as_long_as_it_would_be_good(desk: Desk) -> None:
    """Up to the last moment before its time refuses it; then the row goes."""
    assertion = as_form(desk.assertion("kite", jti="once"))
    assert desk.send(TOKEN, {**GRANT, **assertion}).status_code == 200
    desk.clock.forward(60 + defaults.ASSERTION_LEEWAY_SECONDS - 0.001)
    assert desk.ask("kite").status_code == 200
    assert desk.send(TOKEN, {**GRANT, **assertion}).status_code == 401
    desk.clock.forward(0.001)
    assert desk.ask("kite").status_code == 200
    assert desk.send(TOKEN, {**GRANT, **assertion}).status_code == 401
    assert ("once",) not in stores.rows(desk.data, "SELECT jti FROM vallum_client_assertion")


@BOTH
def test_of_many_at_once_one_wins(desk: Desk) -> None:
    """Twelve copies of one assertion in flight together: one token."""
    form = {**GRANT, **desk.asserted("kite")}
    running = desk.client._running

    async def all_at_once() -> list[int]:
        return [reply.status for reply in await asyncio.gather(*(one() for _ in range(12)))]

    async def one() -> Reply:
        scope, body = desk.request(TOKEN, form)
        return await answer(scope, receiver(body), running.service.pipeline, desk.clock())

    statuses = running.run(all_at_once())
    assert sorted(statuses) == [200] + [401] * 11
