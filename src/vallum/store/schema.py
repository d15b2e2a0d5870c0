"""Vallum's own tables, beside the application's in the same database. Times are Unix seconds."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Integer, LargeBinary, MetaData, Table, Text

from vallum.store.guards import append_only

METADATA: Final = MetaData()

_Number: Final = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both; only INTEGER can be a row id of SQLite."""

meta: Final = Table(
    "vallum_meta",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

principal: Final = Table(
    "vallum_principal",
    METADATA,
    Column("id", Text, primary_key=True, comment="the NAME given by the operator; `sub` of tokens"),
    Column("kind", Text, nullable=False, comment="user, client or key"),
    Column("roles", Text, nullable=False, comment="a JSON array, sorted"),
    Column("attributes", Text, nullable=False, comment="a JSON object"),
    Column("plan", Text, nullable=False),
    Column(
        "epoch", _Number, nullable=False, comment="one more with every change; never set back, rows are never deleted"
    ),
    Column("tokens_from", _Number, nullable=False, comment="tokens issued before this second are void"),
    Column("disabled", Integer, nullable=False, comment="0 or 1"),
    Column("password", Text, comment="an Argon2 hash"),
    Column("created", _Number, nullable=False),
)

signing_key: Final = Table(
    "vallum_signing_key",
    METADATA,
    Column("kid", Text, primary_key=True),
    Column("algorithm", Text, nullable=False),
    Column("public_jwk", Text, nullable=False, comment="JSON (RFC 7517); the private key is a file"),
    Column("created", _Number, nullable=False),
    Column("retires", _Number, comment="it signs no more, and from then on it verifies no more"),
    Column("revoked", _Number, comment="void from this second on"),
)

api_key: Final = Table(
    "vallum_api_key",
    METADATA,
    Column("id", Text, primary_key=True, comment="the identifier in the key's text"),
    Column("principal", Text, nullable=False, index=True),
    Column("digest", Text, nullable=False, comment="SHA-256 of the key's text, in hex digits"),
    Column("scopes", Text, comment="a JSON array, sorted; NULL: not limited by scopes"),
    Column("networks", Text, comment="a JSON array of CIDR; NULL: good from every address"),
    Column("created", _Number, nullable=False),
    Column("expires", _Number, comment="void from this second on; NULL: never. A rotation brings it nearer"),
    Column("revoked", _Number, comment="void from this second on"),
    Column("last_used", _Number, comment="written behind, at most once a minute"),
)

client: Final = Table(
    "vallum_client",
    METADATA,
    Column("id", Text, primary_key=True, comment="the account; `client_id` (RFC 6749 §2.2)"),
    Column("scopes", Text, comment="a JSON array, sorted; NULL: its tokens are not limited by scopes"),
    Column("introspects", Integer, nullable=False, comment="0 or 1: it may ask about tokens of others (RFC 7662)"),
)

client_credential: Final = Table(
    "vallum_client_credential",
    METADATA,
    Column("client", Text, primary_key=True),
    Column("id", Text, primary_key=True, comment="the identifier in the secret's text, or the kid of the key"),
    Column("digest", Text, comment="of a secret: SHA-256 of its text, in hex digits"),
    Column("public_jwk", Text, comment="of a key: JSON (RFC 7517)"),
    Column("created", _Number, nullable=False),
    Column("expires", _Number, comment="void from this second on; NULL: never. A rotation sets it"),
    Column("revoked", _Number, comment="void from this second on"),
)

client_assertion: Final = Table(
    "vallum_client_assertion",
    METADATA,
    Column("client", Text, primary_key=True),
    Column("jti", Text, primary_key=True, comment="of an assertion that was used (RFC 7523 §3)"),
    Column("expires", _Number, nullable=False, index=True, comment="refused by its own time from then on"),
)

revoked_token: Final = Table(
    "vallum_revoked_token",
    METADATA,
    Column("jti", Text, primary_key=True),
    Column("expires", _Number, nullable=False, index=True, comment="refused by its own time from then on"),
)

CLIENT_TABLES: Final = (client, client_credential, client_assertion, revoked_token)
"""Made together."""

# No index but the id: each would be paid for by every write of the application.
audit: Final = Table(
    "vallum_audit",
    METADATA,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("principal", Text, comment="NULL: the anonymous caller"),
    Column("verb", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("row_key", Text, comment="a JSON object"),
    Column("fields", Text, comment="a JSON array of the names that were written"),
    Column("before", Text, comment="entity tag"),
    Column("after", Text, comment="entity tag"),
    Column("note", Text),
    Column("api_key", Text, comment="identifier of the key that was used; NULL: another credential"),
    sqlite_autoincrement=True,  # an id is never given twice, so a missing one shows
)

window: Final = Table(
    "vallum_window",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("start", _Number, nullable=False),
    Column("count", _Number, nullable=False),
    sqlite_with_rowid=False,
)

idempotency: Final = Table(
    "vallum_idempotency",
    METADATA,
    Column(
        "id", LargeBinary, primary_key=True, comment="SHA-256 of caller, method, route, the client's key and the row's"
    ),
    Column("fingerprint", LargeBinary, nullable=False, comment="SHA-256 of the query and the body"),
    Column("rights", LargeBinary, nullable=False, comment="SHA-256 of what the caller was allowed"),
    Column("row_key", Text, comment="of a new row, a JSON object; empty: it made none"),
    Column("json", Text, comment="the body of the answer; NULL: it had none"),
    Column("tag", Text, comment="its entity tag"),
    Column("expires", Double, nullable=False, index=True, comment="forgotten from this instant on"),
)

mark: Final = Table(
    "vallum_mark",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="1: there is one mark"),
    Column("holder", Text, nullable=False, comment="the process that may move it"),
    Column("mark", _Number, nullable=False, comment="timestamps up to this second may have been accepted"),
)

nonce: Final = Table(
    "vallum_nonce",
    METADATA,
    Column("digest", Text, primary_key=True, comment="of caller and nonce, in hex digits"),
    Column("caller", Text, nullable=False),
    Column("second", _Number, nullable=False, index=True, comment="of the timestamp that came with it, rounded up"),
    sqlite_with_rowid=False,
)

# The rows of a removed segment are gone, itself it stays: the chain goes through it (`audit.prune`).
audit_segment: Final = Table(
    "vallum_audit_segment",
    METADATA,
    Column("number", _Number, primary_key=True, autoincrement=False, comment="1, 2, 3, …"),
    Column("ids", Text, nullable=False, comment="of its entries, as 1-500 or 7,9-20"),
    Column("highest", _Number, nullable=False, comment="the highest id in this segment and those before it"),
    Column("digest", Text, nullable=False, comment="SHA-256 of its entries, in hex digits"),
    Column("marks", Text, nullable=False, comment="8 characters for each entry: which of them changed"),
    Column("previous", Text, nullable=False, comment="`hash` of the segment before it"),
    Column("at", Double, nullable=False),
    Column("hash", Text, nullable=False, comment="SHA-256 of all this, in hex digits"),
)

AUDIT_REMOVABLE: Final = "audit_removable"
"""The key in `vallum_meta` of the highest id of an entry that retention has let go."""

append_only(
    audit,
    f"OLD.id <= COALESCE((SELECT CAST(value AS BIGINT) FROM vallum_meta WHERE key = '{AUDIT_REMOVABLE}'), 0)",
)
append_only(audit_segment)
