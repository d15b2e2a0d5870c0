"""An API with clients: what the tests of the authorization server share.

`Desk` stands at the OAuth endpoints: it makes clients as an operator does and sends what a client might send.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.path.small import Clock
from tests.unit.crypto.forging import forge

from tests import stores
from vallum import ANYONE, API, READ, Call, Plan, allow, when
from vallum.crypto import client_secret, signing_key
from vallum.crypto.signing_key import SigningKey
from vallum.declare.accounts import Account
from vallum.declare.dialect import DialectName
from vallum.oauth.presented import JWT_BEARER
from vallum.serve.database import command_database
from vallum.store import clients
from vallum.store.clients import Credential
from vallum.store.postgres_address import parse
from vallum.testing import ORIGIN, Answer, Client
from vallum.testing.wire import ADDRESS

TOKEN, REVOKE, INTROSPECT = "/oauth/token", "/oauth/revoke", "/oauth/introspect"
GRANT: Final = {"grant_type": "client_credentials"}


class Base(DeclarativeBase):
    """All tables."""


class Note(Base):
    """Its text is for tokens with a scope."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


api: Final = API(
    "Notes",
    roles=["robot", "person"],
    plans={"default": Plan(burst="1000/s"), "anonymous": Plan(burst="5/s", hour=6)},
)
api.resource(
    Note,
    allow(["robot", "person"], READ, fields=["id"]),
    allow("robot", READ, fields=["text"], when=when(scope="texts")),
)
api.accounts.add("rita", roles=["person"])


@api.get("/open", allow(ANYONE))
def open_(call: Call) -> dict[str, Any]:
    """For everybody."""
    return {}


@api.get("/whoami", allow(["robot", "person"]))
def whoami(call: Call) -> dict[str, Any]:
    """Who the service thinks is calling."""
    scopes = call.principal.scopes
    return {"id": call.principal.id, "scopes": None if scopes is None else sorted(scopes)}


def seed(db: Session) -> None:
    """One note."""
    db.add(Note(id=1, text="secret"))


def basic(client_id: str, secret: str) -> dict[str, str]:
    """RFC 6749 §2.3.1."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@dataclass
class Desk:
    """See the module."""

    data: Path
    clock: Clock
    secrets: dict[str, str] = field(default_factory=dict)
    keys: dict[str, SigningKey] = field(default_factory=dict)
    served: Client | None = None

    @property
    def client(self) -> Client:
        """Who sends."""
        assert self.served is not None
        return self.served

    def change(self, make: Callable[[DialectName], Callable[[], Any]]) -> Any:
        """What an operator's command does, over a connection of its own."""
        url = stores.database_of(self.data)
        with command_database(None if url is None else parse(url), self.data) as database:
            return database.write(make(database.dialect))

    def add(self, name: str, *, algorithm: str | None = None, scopes: set[str] | None = None, **more: Any) -> None:
        """A client with a secret, or with a key of that algorithm."""
        credential = self.credential(name, algorithm)
        account = Account(name, frozenset({"robot"}), {}, "default")
        granted = None if scopes is None else frozenset(scopes)
        self.change(lambda dialect: clients.add(account, credential, granted, self.clock(), dialect, **more))

    def rotate(self, name: str, *, algorithm: str | None = None, overlap: int = 0) -> None:
        """A further secret or key."""
        credential = self.credential(name, algorithm)
        self.change(lambda dialect: clients.rotate(name, credential, self.clock(), dialect, overlap_seconds=overlap))

    def revoke(self, name: str) -> None:
        """The client as a whole."""
        self.change(lambda dialect: clients.revoke(name, self.clock(), dialect))

    def credential(self, name: str, algorithm: str | None) -> Credential:
        """A new one; the old one is kept by whoever has read it."""
        if algorithm is None:
            made = client_secret.generate()
            self.secrets[name] = made.text
            return Credential.secret(made)
        self.keys[name] = signing_key.generate(algorithm)
        return Credential.key(self.keys[name].public_jwk)

    def send(
        self,
        path: str,
        form: Mapping[str, str] | bytes,
        headers: Mapping[str, str] | None = None,
        *,
        address: str = ADDRESS[0],
        method: str = "POST",
    ) -> Answer:
        """A form, from whichever address."""
        return self.client.send(*self.request(path, form, headers, address=address, method=method))

    def request(
        self,
        path: str,
        form: Mapping[str, str] | bytes,
        headers: Mapping[str, str] | None = None,
        *,
        address: str = ADDRESS[0],
        method: str = "POST",
    ) -> tuple[dict[str, Any], bytes]:
        """The same as an ASGI scope and a body."""
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        fields = {"content-type": "application/x-www-form-urlencoded", "content-length": str(len(body))}
        fields.update({name.lower(): value for name, value in (headers or {}).items()})
        where, _, query = path.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "raw_path": where.encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"testserver"), *((k.encode(), v.encode()) for k, v in fields.items())],
            "client": (address, 50_000),
        }
        return scope, body

    def shows(self, name: str) -> dict[str, str]:
        """Its secret, as a header."""
        return basic(name, self.secrets[name])

    def ask(self, name: str, address: str = ADDRESS[0], **form: str) -> Answer:
        """A token, by secret or by assertion."""
        return self.endpoint(TOKEN, name, address, **GRANT, **form)

    def endpoint(self, path: str, name: str, address: str = ADDRESS[0], **form: str) -> Answer:
        """Whichever endpoint, by secret or by assertion."""
        if name in self.secrets:
            return self.send(path, form, self.shows(name), address=address)
        return self.send(path, {**form, **self.asserted(name)}, address=address)

    def token(self, name: str, **form: str) -> str:
        """The token itself."""
        answer = self.ask(name, **form)
        assert answer.status_code == 200, answer.text
        text: str = answer.json()["access_token"]
        return text

    def whoami(self, token: str) -> Answer:
        """What the API says to a token."""
        return self.client.get("/whoami", headers={"Authorization": f"Bearer {token}"})

    def claims(self, name: str, **changes: object) -> dict[str, object]:
        """Those of a good assertion; None takes one away."""
        now = int(self.clock())
        count = next(_numbers)
        good = {"iss": name, "sub": name, "aud": ORIGIN, "exp": now + 60, "iat": now, "jti": f"j{count}"}
        return {key: value for key, value in {**good, **changes}.items() if value is not None}

    def assertion(self, name: str, header: Mapping[str, object] | None = None, **changes: object) -> str:
        """Signed by the client's key."""
        key = self.keys[name]
        head = {"alg": key.algorithm.name, **(header or {})}
        return forge({k: v for k, v in head.items() if v is not None}, self.claims(name, **changes), key.sign)

    def asserted(self, name: str, header: Mapping[str, object] | None = None, **changes: object) -> dict[str, str]:
        """The form parameters of a good assertion."""
        return as_form(self.assertion(name, header, **changes))


def as_form(assertion: str) -> dict[str, str]:
    """RFC 7523 §2.2."""
    return {"client_assertion_type": JWT_BEARER, "client_assertion": assertion}


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, unverified."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


_numbers = iter(range(1_000_000))
