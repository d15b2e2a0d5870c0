"""What counts once, or no more: assertions that were used, and access tokens that were revoked one by one.

Both are forgotten when their own time refuses them, by the next script that comes by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from vallum.crypto.errors import NotAuthentic
from vallum.declare.dialect import DialectName
from vallum.store import principals
from vallum.store.ports import Script, Violation
from vallum.store.sql import Param, each_dialect

_FORGET_ASSERTIONS: Final = each_dialect("DELETE FROM vallum_client_assertion WHERE expires <= ", Param("now"))
_USE_ASSERTION: Final = each_dialect(
    "INSERT INTO vallum_client_assertion (client, jti, expires) VALUES (",
    *(Param("client"), ", ", Param("jti"), ", ", Param("expires"), ")"),
)
_FORGET_TOKENS: Final = each_dialect("DELETE FROM vallum_revoked_token WHERE expires <= ", Param("now"))
_REVOKE_TOKEN: Final = each_dialect(
    *("INSERT INTO vallum_revoked_token (jti, expires) VALUES (", Param("jti"), ", ", Param("expires"), ")"),
    " ON CONFLICT (jti) DO NOTHING",
)


def use_assertion(
    client_id: str, token_id: str, until: float, now: float, dialect: DialectName
) -> Callable[[], Script[None]]:
    """Note that an assertion was used; it is kept for as long as it would be accepted (RFC 7523 §3, 7).

    Raises:
        NotAuthentic: `assertion_replayed`.
    """

    def script() -> Script[None]:
        yield _FORGET_ASSERTIONS[dialect].bind({"now": int(now)})
        try:
            yield _USE_ASSERTION[dialect].bind({"client": client_id, "jti": token_id, "expires": math.ceil(until)})
        except Violation:
            raise NotAuthentic("assertion_replayed") from None

    return script


def revoke_token(
    subject: str, token_id: str, until: float, now: float, dialect: DialectName
) -> Callable[[], Script[None]]:
    """Void one access token, from its next request on: the account's epoch makes every process look again.

    Raises:
        StoreError: `account-unknown`.
    """

    def script() -> Script[None]:
        yield _FORGET_TOKENS[dialect].bind({"now": int(now)})
        yield _REVOKE_TOKEN[dialect].bind({"jti": token_id, "expires": math.ceil(until)})
        yield from principals.bump(subject, dialect)()

    return script
