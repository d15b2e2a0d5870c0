from __future__ import annotations

import pytest

from vallum.crypto import signing_key
from vallum.crypto.signing_key import SigningKey


@pytest.fixture(scope="session")
def ed25519() -> SigningKey:
    return signing_key.generate("Ed25519")


@pytest.fixture(scope="session")
def es256() -> SigningKey:
    return signing_key.generate("ES256")


@pytest.fixture(params=["Ed25519", "ES256"])
def key(request: pytest.FixtureRequest, ed25519: SigningKey, es256: SigningKey) -> SigningKey:
    return {"Ed25519": ed25519, "ES256": es256}[request.param]
