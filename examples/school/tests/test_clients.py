"""Ordinary OAuth clients against the served School, over TLS: they know the standards and nothing of Vallum."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey, OKPKey
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session
from test_demo import demo, free_ports, page_of

from vallum.cli import main
from vallum.crypto import signing_key
from vallum.crypto.signing_key import SigningKey
from vallum.serve.development import mark


@dataclass(frozen=True)
class Server:
    """The School, and the operator's commands on it."""

    data: Path
    url: str

    @property
    def authority(self) -> str:
        """Whom clients trust."""
        return str(self.data / "dev-ca.pem")

    def command(self, *arguments: str) -> str:
        """Standard output of `vallum …`."""
        said = io.StringIO()
        given = [*arguments, "--data", str(self.data), "--app", "school:api"]
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(SystemExit),
        ):
            main(given)
        return said.getvalue().strip()

    def client(self, name: str, *options: str) -> str:
        """What `vallum client add` prints."""
        made = self.command("client", "add", name, "--role", "reader", *options)
        assert made
        return made

    def trusted(self, session: requests.Session) -> None:
        """By this session: its authority, whatever the environment says."""
        session.verify, session.trust_env = self.authority, False

    def metadata(self) -> dict[str, str]:
        """Of the authorization server, found as a client finds it: by the challenge of a 401 (RFC 9728 §5)."""
        refused = requests.get(f"{self.url}/articles", verify=self.authority, timeout=10)
        where = refused.headers["WWW-Authenticate"].partition('resource_metadata="')[2].partition('"')[0]
        resource = requests.get(where, verify=self.authority, timeout=10).json()
        (issuer,) = resource["authorization_servers"]
        found: dict[str, str] = requests.get(
            f"{issuer}/.well-known/oauth-authorization-server", verify=self.authority, timeout=10
        ).json()
        assert found["issuer"] == issuer == self.url
        return found


@pytest.fixture(scope="module")
def server(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process for all of them, on the small school."""
    data, port = shutil.copytree(filled, tmp_path_factory.mktemp("clients") / "data"), free_ports()
    url = f"https://localhost:{port}"
    mark(data, url)
    with demo(data, port) as running:
        page_of(running)
        yield Server(data, url)


@pytest.fixture(scope="module")
def found(server: Server) -> dict[str, str]:
    """Where its endpoints are."""
    return server.metadata()


def private(key: SigningKey) -> ECKey | OKPKey:
    """As Authlib takes it; our kid is in its header only when it is told."""
    kind = ECKey if key.algorithm.name == "ES256" else OKPKey
    return kind.import_key(key.private_pem())


def articles(session: Any, server: Server) -> list[str]:
    """Their titles, with the session's token."""
    answer = session.get(f"{server.url}/articles")
    assert answer.status_code == 200, answer.text
    return sorted(article["title"] for article in answer.json()["items"])


def test_requests_oauthlib(server: Server, found: dict[str, str]) -> None:
    """A backend application by client_secret_basic, with the scope that it asked for."""
    secret = server.client("backend", "--scope", "articles", "--scope", "other")
    session = OAuth2Session(client=BackendApplicationClient("backend", scope="articles"))
    server.trusted(session)
    token = session.fetch_token(found["token_endpoint"], auth=HTTPBasicAuth("backend", secret))
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 900, ["articles"])
    assert articles(session, server) == ["Concert", "Welcome"]


def test_authlib_by_secret(server: Server, found: dict[str, str]) -> None:
    """Token, introspection, revocation: the token is void at once, and the next one is not."""
    secret = server.client("secretive", "--scope", "articles")
    with AuthlibSession("secretive", secret) as session:
        server.trusted(session)
        token = session.fetch_token(found["token_endpoint"], grant_type="client_credentials")
        assert token["scope"] == "articles"
        assert articles(session, server) == ["Concert", "Welcome"]
        text = token["access_token"]
        shown = session.introspect_token(found["introspection_endpoint"], token=text).json()
        assert (shown["active"], shown["sub"], shown["scope"]) == (True, "secretive", "articles")
        assert session.revoke_token(found["revocation_endpoint"], token=text).status_code == 200
        assert session.get(f"{server.url}/articles").status_code == 401
        assert session.introspect_token(found["introspection_endpoint"], token=text).json() == {"active": False}
        session.fetch_token(found["token_endpoint"], grant_type="client_credentials")
        assert articles(session, server) == ["Concert", "Welcome"]


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_authlib_by_key(server: Server, found: dict[str, str], tmp_path: Path, algorithm: str) -> None:
    """private_key_jwt as Authlib makes it, an hour long: each request has an assertion of its own."""
    key = signing_key.generate(algorithm)
    (tmp_path / "key.json").write_text(json.dumps(dict(key.public_jwk)))
    name = f"signs-{algorithm}"
    server.client(name, "--public-key", str(tmp_path / "key.json"))
    with AuthlibSession(name, private(key), token_endpoint_auth_method="private_key_jwt") as session:
        server.trusted(session)
        session.register_client_auth_method(PrivateKeyJWT(found["token_endpoint"], alg=algorithm))
        for _ in range(2):
            session.fetch_token(found["token_endpoint"], grant_type="client_credentials")
        assert articles(session, server) == ["Concert", "Welcome"]


def test_a_scope_beyond_the_clients(server: Server, found: dict[str, str]) -> None:
    """Libraries raise the error of RFC 6749 §5.2."""
    secret = server.client("curious", "--scope", "articles")
    with AuthlibSession("curious", secret) as session:
        server.trusted(session)
        with pytest.raises(OAuthError, match="invalid_scope"):
            session.fetch_token(found["token_endpoint"], grant_type="client_credentials", scope="everything")


def test_a_wrong_secret_and_a_revoked_client(server: Server, found: dict[str, str]) -> None:
    """Refused by the running server, the one from the start, the other from the next request on."""
    secret = server.client("brief")
    with AuthlibSession("brief", secret + "x") as session:
        server.trusted(session)
        with pytest.raises(OAuthError, match="invalid_client"):
            session.fetch_token(found["token_endpoint"], grant_type="client_credentials")
    with AuthlibSession("brief", secret) as session:
        server.trusted(session)
        session.fetch_token(found["token_endpoint"], grant_type="client_credentials")
        assert articles(session, server) == ["Concert", "Welcome"]
        assert "brief can get no token any more" in server.command("client", "revoke", "brief")
        assert session.get(f"{server.url}/articles").status_code == 401
        with pytest.raises(OAuthError, match="invalid_client"):
            session.fetch_token(found["token_endpoint"], grant_type="client_credentials")
