"""Secrets of clients."""

from __future__ import annotations

from hashlib import sha256

import pytest

from vallum.crypto import api_key, client_secret
from vallum.crypto.errors import NotAuthentic


def test_a_secret_is_like_an_api_key_and_is_none() -> None:
    """The same form, another prefix: each is refused where the other belongs."""
    made = client_secret.generate()
    assert made.text.startswith("vc_")
    assert len(made.text) == len(api_key.generate().text)
    assert made.digest == sha256(made.text.encode()).digest()
    assert client_secret.generate().text != made.text
    with pytest.raises(NotAuthentic, match="api_key_form"):
        api_key.identifier_of(made.text)


def test_the_digest_that_matches_is_returned() -> None:
    """One of several, wherever it stands."""
    made = [client_secret.generate() for _ in range(3)]
    for one in made:
        assert client_secret.verify(one.text, [other.digest for other in made]) == one.digest


@pytest.mark.parametrize(
    "text",
    ["", "x", "vc_", "ä", "\udcff", client_secret.generate().text],
    ids=["empty", "short", "prefix", "not-ascii", "surrogate", "of-another"],
)
def test_a_wrong_secret(text: str) -> None:
    """Any other text, whether the client has secrets or not; and the text behind the dummy is known to nobody."""
    for digests in ([], [client_secret.generate().digest]):
        with pytest.raises(NotAuthentic, match="client_secret"):
            client_secret.verify(text, digests)
