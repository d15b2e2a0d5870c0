"""The client credentials grant (RFC 6749 §4.4): a client acts for itself."""

from __future__ import annotations

from collections.abc import Mapping

from vallum.oauth.grant import Grant
from vallum.oauth.scopes import narrowed
from vallum.store.clients import Client


def client_credentials(client: Client, form: Mapping[str, str]) -> Grant:
    """A token for the client's own account (RFC 9068 §2.2: `sub` is the client then).

    Raises:
        Refusal: INVALID_SCOPE.
    """
    return Grant(client.id, narrowed(form.get("scope"), client.scopes))
