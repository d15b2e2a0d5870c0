"""What a database means that was brought back from an earlier day: nobody who was signed in then, or since, still is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vallum import defaults
from vallum.declare.dialect import DialectName
from vallum.store.ports import Script
from vallum.store.sql import Param, each_dialect

TABLES: Final[Mapping[str, str]] = {
    "vallum_meta": "kept: the version of the tables, and the newest checkpoint, which is signed anew",
    "vallum_principal": "kept; every token given before is void, and every epoch lies beyond those of any process",
    "vallum_signing_key": "all revoked; a new key signs from now on, and no private key was in the backup",
    "vallum_api_key": "kept: keys are credentials, not sessions; `--void-credentials` revokes them",
    "vallum_client": "kept",
    "vallum_client_credential": "kept, like API keys; `--void-credentials` revokes them",
    "vallum_client_assertion": "kept: what was used before the backup cannot be used again",
    "vallum_revoked_token": "kept; all access tokens are void anyway",
    "vallum_audit": "kept, and an entry says that it was restored",
    "vallum_audit_segment": "kept; the chain goes on under a new key",
    "vallum_nonce": "kept: what was accepted before the backup counts no second time",
    "vallum_mark": "moved: no timestamp from before the restore is accepted, whose nonces the backup cannot know",
    "vallum_window": "kept: quotas go on from the counts of then, which can only be lower than they were",
    "vallum_idempotency": "kept: what was carried out then is not carried out twice; its answer is not shown again",
}
"""Every table of Vallum's, and what is right for it. A test misses none."""

_PRINCIPALS: Final = each_dialect(
    *("UPDATE vallum_principal SET epoch = CASE WHEN epoch < ", Param("now"), " THEN ", Param("now")),
    *(" ELSE epoch + 1 END, tokens_from = CASE WHEN tokens_from < ", Param("from"), " THEN ", Param("from")),
    " ELSE tokens_from END RETURNING 1",
)
_SIGNING: Final = each_dialect("UPDATE vallum_signing_key SET revoked = ", Param("now"), " WHERE revoked IS NULL")
_KEYS: Final = each_dialect("UPDATE vallum_api_key SET revoked = ", Param("now"), " WHERE revoked IS NULL RETURNING 1")
_CREDENTIALS: Final = each_dialect(
    "UPDATE vallum_client_credential SET revoked = ", Param("now"), " WHERE revoked IS NULL RETURNING 1"
)
_MARK: Final = each_dialect(
    *(
        "INSERT INTO vallum_mark (id, holder, mark) VALUES (1, '', ",
        Param("mark"),
        ") ON CONFLICT (id) DO UPDATE SET mark =",
    ),
    " CASE WHEN vallum_mark.mark < excluded.mark THEN excluded.mark ELSE vallum_mark.mark END, holder = ''",
)
_FORGET: Final = each_dialect("DELETE FROM vallum_meta WHERE key = ", Param("key"))


def end_sessions(now: float, dialect: DialectName) -> Script[int]:
    """Void every token, every signing key and every request that was signed; returns how many accounts there are.

    A request may have come with a timestamp that was ahead of the clock, by as much as is granted.
    An epoch counts changes, one at a time, so the present second lies beyond any that a process may remember from the
    time after the backup. `iat` has whole seconds: those of the running one are void too.
    """
    second = int(now)
    rows = yield _PRINCIPALS[dialect].bind({"now": second, "from": second + 1})
    yield _SIGNING[dialect].bind({"now": second})
    yield _MARK[dialect].bind({"mark": second + 1 + defaults.FRESH_SKEW_SECONDS})
    return len(rows)


def void_credentials(now: float, dialect: DialectName) -> Script[int]:
    """Revoke every API key and every client's secret and key; returns how many."""
    keys = yield _KEYS[dialect].bind({"now": int(now)})
    credentials = yield _CREDENTIALS[dialect].bind({"now": int(now)})
    return len(keys) + len(credentials)


def forget(key: str, dialect: DialectName) -> Script[None]:
    """Take a word about the backup out of it."""
    yield _FORGET[dialect].bind({"key": key})
