"""Ordinary OAuth clients against the served School, over TLS: they know the standards and nothing of Vallum."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc.jwk import ECKey, OKPKey
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session
from test_demo import demo, free_ports, page_of

from school.demo import HOME
from tests import stores
from vallum.cli import main
from vallum.crypto import signing_key
from vallum.crypto.signing_key import SigningKey
from vallum.refusals import REASONS
from vallum.serve.development import mark

pytestmark = pytest.mark.stores("sqlite")  # what is shown is the clients


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
    data, port = stores.copied(filled, tmp_path_factory.mktemp("clients") / "data"), free_ports()
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


# docs/clients.md ----------------------------------------------------------------------

PAGE = (HOME.parents[1] / "docs" / "clients.md").read_text(encoding="utf-8")
AUTHORITY = "../../data/dev-ca.pem"
ROW = re.compile(r"^\| (\d{3}) \| `(\w+)` \|", re.MULTILINE)
ADDRESS = "https://localhost:8443"


def blocks(language: str) -> list[str]:
    """Of the page, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def sent(server: Server, line: str, **variables: str) -> requests.Response:
    """What curl would send."""
    for name, value in variables.items():
        line = line.replace(f"${name}", value)
    words = shlex.split(line)
    assert words[:3] == ["curl", "--cacert", AUTHORITY]
    url, rest = words[3].replace(ADDRESS, server.url), words[4:]
    given = {option: [value for key, value in batched(rest) if key == option] for option in ("-u", "-d", "-H")}
    assert sum(map(len, given.values())) * 2 == len(rest)
    headers = dict(header.split(": ", 1) for header in given["-H"])
    proof = HTTPBasicAuth(*given["-u"][0].split(":")) if given["-u"] else None
    if not given["-d"]:
        return requests.get(url, headers=headers, auth=proof, verify=server.authority, timeout=10)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    content = "&".join(given["-d"])
    return requests.post(url, data=content, headers=headers, auth=proof, verify=server.authority, timeout=10)


def batched(words: list[str]) -> list[tuple[str, str]]:
    """Options and their values."""
    return list(zip(words[::2], words[1::2], strict=True))


def test_the_page_of_clients(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What docs/clients.md says to do works as it stands there, from the first client to the end of the last."""
    _, making, asking, using, ending = blocks("sh")
    by_key, rule, *_ = blocks("python")
    (shown,) = (json.loads(text) for text in blocks("json"))
    for name in ("kiosk", "kiosk-2"):
        private_key = Ed25519PrivateKey.generate()
        pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.key").write_bytes(pem)
        public = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{name}.pem").write_bytes(public)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(server.data)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.authority)

    def operator(block: str) -> list[str]:
        lines = [line.removeprefix("secret=$(").removesuffix(")") for line in block.splitlines()]
        return [server.command(*shlex.split(line)[1:]) for line in lines if line.startswith("vallum ")]

    secret, registered, other, listed = operator(making)
    assert "kiosk authenticates itself" in registered
    assert other.startswith("vc_")
    assert {"board", "kiosk", "gateway"} <= set(listed.split())

    answer = sent(server, asking.strip(), secret=secret)
    token = answer.json()["access_token"]
    assert answer.json() == {**shown, "access_token": token}
    first, *uses = using.splitlines()
    assert first == f"token={shown['access_token']}"
    answers = [sent(server, line, secret=secret, token=token) for line in uses]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 401]
    assert answers[1].json()["active"] is True

    program = by_key.replace(ADDRESS, server.url).replace(AUTHORITY, server.authority)
    assert "Concert" in executed(program, tmp_path, capsys)
    imports = "from vallum import READ, allow, when\n"
    assert "scope='articles'" in executed(f"{imports}print({rule.strip()})", tmp_path, capsys)

    rotated, *_, revoked, disabled = operator(ending)
    assert rotated.startswith("vc_")
    assert revoked.startswith("board can get no token any more")
    assert disabled == "kiosk is disabled."
    assert sent(server, asking.strip(), secret=rotated).json()["error"] == "invalid_client"


def executed(program: str, place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a program of the page prints."""
    (place / "program.py").write_text(program)
    runpy.run_path(str(place / "program.py"))
    return capsys.readouterr().out


def test_the_openssl_of_the_page() -> None:
    """The files are those that the page's commands make; the program itself may not be there."""
    assert [line for line in blocks("sh")[1].splitlines() if line.startswith("openssl ")] == [
        "openssl genpkey -algorithm ed25519 -out kiosk.key",
        "openssl pkey -in kiosk.key -pubout -out kiosk.pem",
    ]


def test_the_errors_are_those_of_the_table() -> None:
    """With their statuses; the word for what other stages say is one of OAuth's too."""
    rows = {code: int(status) for status, code in ROW.findall(PAGE)}
    assert rows.pop("temporarily_unavailable") == 429
    assert rows == {code: reason.status for code, reason in REASONS.items() if reason.stage == "oauth"}
