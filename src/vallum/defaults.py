"""Every limit: its value, its unit and where it comes from."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
DAY_SECONDS: Final = 86_400

# edge ---------------------------------------------------------------------------------
MAX_TARGET_BYTES: Final = 8000
"""Path and query together. RFC 9110 §4.1 recommends to support at least 8000 octets."""
MAX_HEADER_COUNT: Final = 64
"""An ordinary browser sends about 20."""
MAX_HEADERS_BYTES: Final = 16 * KIB
"""All names and values together; the server's own buffer is a little larger, so that the 431 is ours."""
MAX_BODY_BYTES: Final = 1 * MIB
"""Per route; a JSON document of an API is rarely above 100 KiB."""
DRAIN_BYTES: Final = 64 * KIB
"""A refused request's body up to this size is read, so that its connection can go on."""
DRAIN_SECONDS: Final = 1.0
"""Waiting for such a body."""
REQUEST_SECONDS: Final = 30.0
"""An `async def` handler must have answered by then (408)."""
BODY_SECONDS: Final = 10.0
"""The whole body must have arrived by then (408)."""
ADDRESS_PER_SECOND: Final = 100.0
"""Requests a second and address before anything is looked at; a page of a browser app makes about 20."""
ADDRESS_BURST: Final = 400
"""Requests of one address at once."""
ADDRESSES_TRACKED: Final = 100_000
"""Addresses remembered (about 20 MB); the one idle for longest is forgotten first."""
FAILURES_BURST: Final = 20
"""Bad credentials of one address at once."""
FAILURES_PER_SECOND: Final = 20 / 300
"""Bad credentials come back at 20 in five minutes (OWASP ASVS 5.0, 6.3.1: brute force)."""

PEERS_CACHED: Final = 4_096
"""Parsed peers and proxies kept (about 200 bytes each); the least recently used goes first."""
MAX_PROXY_HOPS: Final = 8
"""Proxies of the operator's own in one chain; a CDN, a balancer and an ingress make three."""
MAX_ACCEPT_RANGES: Final = 32
"""Media ranges of an Accept that are looked at; a browser sends about eight."""
CORS_MAX_AGE_SECONDS: Final = 7_200
"""How long a browser may keep the answer to a preflight; Chromium's own cap."""

# crypto -------------------------------------------------------------------------------
MAX_JWS_HEADER_CHARACTERS: Final = 2 * KIB
"""The encoded header; ours has about 130, a DPoP header that carries an RSA key (RFC 9449 §4.2) about 700."""
MAX_KID_CHARACTERS: Final = 256
"""A thumbprint (RFC 7638) has 43."""
MAX_CLAIM_CHARACTERS: Final = 256
"""Of one of `sub`, `client_id` and `jti`."""
MAX_SCOPES: Final = 64
"""Of one token; it has to fit MAX_TOKEN_BYTES anyway."""
MAX_TOKEN_LIFETIME_SECONDS: Final = 24 * 3600
"""`exp` minus `iat`: a token that lives longer than a day is a password (RFC 9700 §2.2)."""
MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""
MAX_RSA_BITS: Final = 8192
"""The cost of a verification grows with the square of it."""
ARGON2_MEMORY_KIB: Final = 19 * KIB
"""19 MiB (OWASP Password Storage Cheat Sheet: m=19456, t=2, p=1); the unit of RFC 9106 §3.1 is KiB."""
ARGON2_PASSES: Final = 2
"""`t` of the same line."""
ARGON2_LANES: Final = 1
"""`p` of the same line."""
MAX_PASSWORD_BYTES: Final = 1 * KIB
"""In UTF-8. NIST SP 800-63B §5.1.1.2 asks for at least 64 characters."""
MIN_PASSWORD_CHARACTERS: Final = 8
"""OWASP ASVS 5.0, 6.2.1."""
MAX_SECRET_FILE_BYTES: Final = 64 * KIB
"""An encrypted private key has about 500."""
DEVELOPMENT_AUTHORITY_DAYS: Final = 365
"""Its owner has to trust a new one once a year."""
DEVELOPMENT_CERTIFICATE_DAYS: Final = 30
"""Made anew by itself."""

# authenticate -------------------------------------------------------------------------
TOKEN_SECONDS: Final = 15 * 60
"""Life of an access token (RFC 9700 §2.2: short)."""
TOKEN_LEEWAY_SECONDS: Final = 5
"""Clock difference granted at `exp`, `nbf` and `iat` (RFC 9068 §4: at most a few minutes)."""
MAX_TOKEN_BYTES: Final = 4 * KIB
"""A token of ours has about 500."""
TOKEN_RECHECK_SECONDS: Final = 60
"""A verified token is taken on trust for this long (its principal's epoch is compared every time)."""
TOKENS_CACHED: Final = 10_000
"""Verified tokens and API keys kept (about 1 KiB each); the least recently used goes first."""
API_KEY_LIFE: Final = "90d"
"""Of a key whose life is not given; `never` must be said."""
API_KEY_OVERLAP: Final = "7d"
"""How long the keys before a rotation stay valid: a deployment of every client fits in a week."""
API_KEY_USE_SECONDS: Final = 60
"""A key's last use is written at most this often."""
MAX_API_KEY_NETWORKS: Final = 64
"""Address ranges of one key; each is looked at with every request."""

ASSERTION_LEEWAY_SECONDS: Final = 30
"""Clock difference granted to a client's own assertion: its clock is not ours."""
MAX_ASSERTION_LIFETIME_SECONDS: Final = 3600
"""`exp` of a client's assertion at most this far ahead (RFC 7523 §3, 4): what Authlib gives; others give a minute."""
CLIENT_OVERLAP: Final = "7d"
"""How long the secrets and keys before a rotation stay valid."""
CLIENT_FAILURES_BURST: Final = 10
"""Failures of one client at one address: half of FAILURES_BURST, so that a broken client does not use up its address."""
CLIENT_FAILURES_PER_SECOND: Final = 10 / 300
"""They come back at 10 in five minutes."""
CLIENTS_TRACKED: Final = 100_000
"""Clients at addresses whose failures are remembered (about 250 bytes each); the one idle for longest goes first."""
CLIENT_KEYS_CACHED: Final = 1_000
"""Public keys of clients kept ready to verify (about 2 KiB each)."""
CLIENTS_KNOWN: Final = 10_000
"""Clients that authenticated themselves (about 200 bytes each); the least recently used goes first."""
MAX_OAUTH_FORM_BYTES: Final = 16 * KIB
"""Of one request to an OAuth endpoint: an assertion and a token have at most MAX_TOKEN_BYTES each."""
OAUTH_PLAN_BURST: Final = "50/s"
"""Requests of one address to the OAuth endpoints and what they are discovered by: a client that starts makes about six,
and an office has one address. No hour: a neighbour that used it up would lock clients out."""
FRESH_SECONDS: Final = 180
"""How old the timestamp of a fresh request may be."""
FRESH_SECONDS_MIN: Final = 60
"""The shortest such window; below it ordinary clocks and mobile networks are refused."""
FRESH_SECONDS_MAX: Final = 600
"""The longest: each nonce is kept for so long."""
FRESH_SKEW_SECONDS: Final = 30
"""How far ahead of our clock a timestamp may be."""
MIN_NONCE_CHARACTERS: Final = 16
"""Of a nonce: 96 random bits in base64url, 64 in hex digits, and nothing that two requests have by chance."""
MAX_NONCE_CHARACTERS: Final = 128
"""Of a nonce: 512 bits in hex digits."""

# throttle -----------------------------------------------------------------------------
NONCES_PER_CALLER: Final = 100_000
"""Live nonces of one caller: 555 fresh requests a second, all the time, at the window of FRESH_SECONDS."""
NONCES: Final = 1_000_000
"""Live nonces of known callers in the process (about 100 bytes each, 200 where every caller has few)."""
STRANGERS_NONCES: Final = 200_000
"""Likewise of callers without a credential, apart: there are as many as there are addresses."""
NONCE_ROWS: Final = 10_000
"""Nonces written in one transaction when the service stops."""
MARK_AHEAD_SECONDS: Final = 2
"""The mark on disk runs so far ahead of the clock; after a crash timestamps up to it are refused."""
MARK_SECONDS: Final = 0.5
"""Between two looks at the mark."""
CALLERS_TRACKED: Final = 200_000
"""Live counters in the process (about 500 bytes each)."""
COUNTER_FLUSH_SECONDS: Final = 0.5
"""Hour and day counters are written behind this often; a crash loses at most this much of them."""
COUNTER_EVICTIONS_TRIED: Final = 16
"""Counters looked at to make room for one new caller; bounds the work of one request."""
ADDRESS_KEYS_CACHED: Final = 16_384
"""Parsed network addresses kept (about 200 bytes each); the least recently used goes first."""
COUNT_COST: Final = 4
"""Units that an exact count adds to a list: it looks at every row that the caller may read, a page at 100 at most."""
INCLUDE_COST: Final = 2
"""Units that each included relation adds to a list or item, for each INCLUDE_COST_ROWS that the page may have."""
INCLUDE_COST_ROWS: Final = 25
"""With ten rows each they have up to 250 more, of which 100 are about a unit; and each may have others that are walked by."""
STATEMENT_COST: Final = 2
"""Units of the burst for a statement that is built for a caller's query: 0.35 ms, as long as two requests take."""
PLAN_BURST: Final = "20/s"
"""Of a caller without a plan of its own: a page of a browser app makes about 20 requests."""
PLAN_HOUR: Final = 5_000
"""Units an hour; what large public APIs give a known caller."""
PLAN_DAY: Final = 50_000
"""Ten full hours."""
ANONYMOUS_PLAN_BURST: Final = "5/s"
"""Of a caller without a credential, by network address; several people may share one."""
ANONYMOUS_PLAN_HOUR: Final = 300
"""Units an hour and address."""
ANONYMOUS_PLAN_DAY: Final = 2_000
"""Units a day and address."""

# validate -----------------------------------------------------------------------------
PAGE_DEFAULT: Final = 10
"""Rows of a page when `limit` is not given."""
PAGE_MAX: Final = 100
"""Rows of a page at most: it bounds the cost of one request, which is one unit."""
PAGE_BYTES: Final = 4 * MIB
"""JSON of the rows of a page: it ends before the row that goes beyond, and `next` begins there. One row is always given."""
COUNT_EXACT_ROWS: Final = 1_000
"""Rows that `count=estimated` counts before it estimates: below a millisecond along an index."""
MAX_QUERY_PARAMETERS: Final = 32
"""Filters and the reserved parameters together."""
MAX_FILTERS: Final = 16
"""Conditions of one list; each is one more term of its statement."""
MAX_IN_VALUES: Final = 100
"""Values of one `[in]`."""
MAX_SORTS: Final = 3
"""Fields of one `sort`; the key comes after them."""
BULK_ROWS: Final = 100
"""Rows of one bulk write at most, as of a page; MAX_IN_VALUES keys fit into one query."""
MAX_INCLUDES: Final = 8
"""Relations that one query follows, those on the way to others among them; each is one more part of its statement."""
INCLUDE_DEPTH: Final = 3
"""Relations from row to row, as in `include=grades.course.term`."""
INCLUDE_LIMIT: Final = 10
"""Rows of an included page, as of a list when `limit` is not given."""
MAX_INCLUDED_ROWS: Final = 2_500
"""Included rows of one answer at most: 100 rows with two lists of ten, and what each of them belongs to."""
MAX_WIDE_INCLUDES: Final = 256
"""Places in one answer where rows of unbounded text are included: 100 rows with two relations. Each has one such row of a
megabyte (MAX_BODY_BYTES), or a share of PAGE_BYTES."""
MAX_PATTERN_CHARACTERS: Final = 100
"""Of one `[contains]` or `[startswith]`."""
MAX_CURSOR_BYTES: Final = 2 * KIB
"""A cursor of ours carries the sort fields and the key of one row, and has about 100."""
MAX_FORM_PARAMETERS: Final = 32
"""Of one form body; a token request has about six (RFC 6749, RFC 7523)."""
JSON_INLINE_BYTES: Final = 32 * KIB
"""A larger body is parsed in a thread; this much takes below a millisecond, or 8 when it is made to be slow."""
MAX_JSON_DEPTH: Final = 32
"""Nested arrays and objects; the parser recurses once a level."""
MAX_STORED_JSON_DEPTH: Final = 500
"""Of a document that another program stored and a PATCH is merged into: half of what Python recurses."""
MAX_JSON_KEYS: Final = 1_000
"""Keys of one object."""
MAX_JSON_KEY_CHARACTERS: Final = 256
"""Of one key; names of fields are far shorter."""
MAX_JSON_ITEMS: Final = 10_000
"""Items of one array."""
MAX_JSON_STRING_CHARACTERS: Final = 512 * KIB
"""Of one string: half of MAX_BODY_BYTES."""
MAX_JSON_DIGITS: Final = 32
"""Significant digits of one number; an integer beyond 64 bits is refused by the column later."""
MIN_JSON_EXPONENT: Final = -324
"""Decimal exponent of the first digit of a number: 5e-324 is the smallest double (IEEE 754)."""
MAX_JSON_EXPONENT: Final = 308
"""1.797e308 is the largest double; beyond it a float field would become infinity."""
JSON_LOCATE_BYTES: Final = 16 * KIB
"""How far a refused body is searched for the place of its fault (about 20 ms at worst)."""
MAX_EMPTY_BODY_MESSAGES: Final = 64
"""Messages without a byte in one body: they cost work and never reach a byte limit (CVE-2019-9518)."""
MAX_DURATION_DAYS: Final = 700_000
"""Of a span of time, either way: SQLite keeps it as the instant so far from 1970, from the year 1 on."""
MAX_ENTITY_TAGS: Final = 100
"""Entity tags in one If-Match or If-None-Match: one for each row of a bulk; else an ordinary client sends one."""
MAX_IDEMPOTENCY_KEY_CHARACTERS: Final = 255
"""Of the key without its quotes; a UUID has 36 (Stripe's bound)."""
MAX_FAULTS: Final = 100
"""Faults listed in one answer."""

# execute ------------------------------------------------------------------------------
INLINE_READ_STEPS: Final = 200_000
"""SQLite virtual-machine steps (about 2 ms) before a read leaves the event loop for a thread."""
INLINE_READ_SECONDS: Final = 0.01
"""The same bound as the thread's own time, for rows so large that few steps take long."""
READ_SECONDS: Final = 5.0
"""A read that takes longer is stopped (503)."""
WRITE_SECONDS: Final = 10.0
"""A write, its handler included, that takes longer is undone (503)."""
WRITE_WAIT_SECONDS: Final = 10.0
"""A write that could not begin by then is refused (503): something before it, a handler perhaps, takes too long."""
WRITE_QUEUE: Final = 1024
"""Writes waiting; beyond it the answer is 503."""
WRITE_GROUP: Final = 64
"""Writes that share one commit."""
IDEMPOTENCY_SECONDS: Final = 24 * 3600
"""How long the answer to a request with an Idempotency-Key is kept: a client that retries has done so by then."""
IDEMPOTENCY_WAIT_SECONDS: Final = 5.0
"""How long a repeated request waits for the first one (409); as long as a read may take."""
POSTGRES_CONNECTIONS: Final = 10
"""Of one process; a pool beyond about twice the server's cores only queues there instead of here."""
POSTGRES_CONNECT_SECONDS: Final = 3.0
"""For one connection, TLS and login included; a server that takes longer is not there."""
POSTGRES_ACQUIRE_SECONDS: Final = 5.0
"""Waiting for a free connection; beyond it the answer is 503."""
POSTGRES_QUEUE: Final = 1024
"""Requests waiting for a connection; beyond it the answer is 503 at once."""
POSTGRES_GRACE_SECONDS: Final = 2.0
"""Beyond READ_SECONDS or WRITE_SECONDS the server itself should have answered: then its connection is given up."""
POSTGRES_LOOK_SECONDS: Final = 0.5
"""Between two looks for connections that are beyond that."""
POSTGRES_STATEMENTS: Final = 512
"""Prepared statements kept by each connection; the server holds the plan of each (about 20 KiB)."""
POSTGRES_ATTEMPTS: Final = 3
"""Of a write that lost a deadlock or its connection before its commit: it begins anew."""
STATEMENTS_CACHED: Final = 1_000
"""Built statements kept; varying the filters costs the time to join fragments anew (about 1 ms), not memory."""
RIGHTS_CACHED: Final = 500
"""Compiled role sets kept."""

# store --------------------------------------------------------------------------------
READ_THREADS: Final = 4
"""Threads for reads that left the event loop; SQLite lets the interpreter go while it works."""
READ_QUEUE: Final = 64
"""Such reads, running or waiting; beyond it the answer is 503."""
SLOW_STATEMENTS: Final = 256
"""Statement texts remembered to go to a thread at once."""
SLOW_PARDON: Final = 16
"""Quick runs in a row after which a remembered text is tried on the event loop again."""
PROGRESS_STEPS: Final = 20_000
"""SQLite virtual-machine steps (about 0.2 ms) between two looks at a bound; each look waits for the interpreter."""
INLINE_PROGRESS_STEPS: Final = 2_000
"""The same on the event loop: about 200 rows, however large they are."""
WRITE_GROUP_SECONDS: Final = 0.05
"""A commit is not put off longer than this for further members of its group."""
BUSY_SECONDS: Final = 5.0
"""How long a write waits for another process that writes (a command)."""
BUSY_POLL_SECONDS: Final = 0.001
"""Between two attempts to begin; SQLite's own waits grow to 0.1 s, and a busy server would starve a command."""
SQLITE_STATEMENTS: Final = 512
"""Prepared statements kept by each connection."""
SQLITE_CACHE_KIB: Final = 16 * KIB
"""Database pages kept by each connection."""
WAL_BYTES: Final = 64 * MIB
"""The write-ahead log is cut back to this after a checkpoint."""
OPTIMIZE_SECONDS: Final = 3600.0
"""Between two `PRAGMA optimize` (sqlite.org/lang_analyze.html: every few hours)."""
ANALYSIS_ROWS: Final = 1_000
"""Rows of an index that ANALYZE looks at (sqlite.org/lang_analyze.html: 100 to 1000)."""
IDEMPOTENCY_SWEEP_SECONDS: Final = 60.0
"""Between two sweeps of the answers that are kept no longer."""
IDEMPOTENCY_ROWS: Final = 500
"""Answers dropped by one transaction: a few milliseconds, in which no other write begins."""
WINDOW_ROWS: Final = 1_000
"""Counters written by one statement."""

# audit --------------------------------------------------------------------------------
AUDIT_SEAL_SECONDS: Final = 5.0
"""Between two sealings: an entry that is younger is written, and can still be changed unnoticed."""
AUDIT_SEGMENT_ROWS: Final = 500
"""Entries of one segment; hashing them holds the writer for about 4 ms."""
AUDIT_CHECKPOINT_SECONDS: Final = 60.0
"""The newest checkpoint goes into the log and beside the database this often."""
AUDIT_LATE_SECONDS: Final = 60.0
"""On PostgreSQL a lower id may be committed this long after a higher one: WRITE_SECONDS and room."""
AUDIT_LATE_SEGMENTS: Final = 2_000
"""Newest segments looked through for such ids: 60 s of 10,000 writes a second make 1,200."""
AUDIT_LATE_IDS: Final = 10_000
"""Missing ids that are asked for, the newest ones; those of rolled-back writes are among them."""
AUDIT_STOP_SEGMENTS: Final = 100
"""Segments that a stop still seals (about a second); the rest is sealed after the next start."""
AUDIT_DENIAL_SECONDS: Final = 60.0
"""Refusals are counted this long and then written; a crash loses at most this much of them."""
AUDIT_DENIALS_KNOWN: Final = 256
"""Kinds of refusals of known callers counted at once (about 70 KB of database a minute at most)."""
AUDIT_DENIALS_STRANGERS: Final = 128
"""The same of network addresses, apart: a flood of strangers must not hide what a known caller was refused."""
AUDIT_PRUNE_SEGMENTS: Final = 20
"""Segments removed in one transaction (about 0.1 s)."""
AUDIT_PRUNE_SECONDS: Final = 3600.0
"""Between two looks for what `audit_retention_days` lets go."""
AUDIT_FINDINGS: Final = 100
"""Faults listed by one verification; further ones are counted."""
AUDIT_PAGE: Final = 1_000
"""Rows read by one statement of a verification or an export."""
AUDIT_LISTED: Final = 50
"""Entries that `vallum audit list` shows when it is not told how many."""

# openapi ------------------------------------------------------------------------------
DOCUMENTS_CACHED: Final = 64
"""OpenAPI documents kept, one for each role set with its scopes (about 150 KB each); the least recently used goes first."""

# respond ------------------------------------------------------------------------------
HSTS_SECONDS: Final = 63_072_000
"""Two years (hstspreload.org)."""
HSTS_DEVELOPMENT_SECONDS: Final = 300
"""Short: a developer's localhost serves other programs tomorrow."""

# serve --------------------------------------------------------------------------------
PORT: Final = 8443
"""The usual alternative to 443 for programs without the right to a port below 1024."""
HEADER_SECONDS: Final = 3.0
"""For the headers of a request, and how long an idle connection is kept: 200 half-open ones are gone within 5 s."""
STALLED_SECONDS: Final = 15.0
"""How long a client may take nothing of an answer that waits for it; TCP_USER_TIMEOUT (RFC 5482)."""
HEADER_BUFFER_BYTES: Final = 32 * KIB
"""Of the server, for one header section: MAX_HEADERS_BYTES, MAX_TARGET_BYTES and the bytes between them."""
CONNECTIONS: Final = 1_024
"""Open at once; idle ones are closed after HEADER_SECONDS."""
BACKLOG: Final = 1_024
"""Connections that the kernel keeps waiting."""
HANG_UP_SECONDS: Final = 0.5
"""Between two looks at the reads that run; one that is met twice is given up when its client goes."""
STOP_SECONDS: Final = 35
"""A stop waits for running requests: a little longer than REQUEST_SECONDS."""
COLLECTION_OBJECTS: Final = 10_000
"""Objects that may be cycles, between two collections of the young (Python's 700 suits programs that make more cycles)."""
JOURNAL_SECONDS: Final = 0.2
"""Between two writes of the log."""
JOURNAL_LINES: Final = 20_000
"""Log lines waiting to be written (about 8 MB); further ones are counted and dropped."""
JOURNAL_NAMES: Final = 10_000
"""Names of callers and routes whose JSON is kept (about 200 bytes each); the least recently used goes first."""
OPS_SECONDS: Final = 2.0
"""For one question to the health and metrics listener, and for the database read behind `ready`."""
OPS_REQUEST_BYTES: Final = 4 * KIB
"""The header section of a question to that listener; a probe or a scraper sends about 300."""
DEVELOPMENT_RENEW_DAYS: Final = 7
"""A development certificate is made anew when less of its 30 days is left."""
DEVELOPMENT_AUTHORITY_RENEW_DAYS: Final = 30
"""Likewise its authority, which must then be trusted again."""
EXPIRY_WARNING_DAYS: Final = 14
"""`check` warns when a certificate ends before that; ACME clients renew at 30."""
INDEXED_ROWS: Final = 1_000
"""`check` asks for the index of a sort or filter on tables from this size on: below, all rows are a few pages of the disk."""
EXPLAINED_ROWS: Final = 100_000
"""Of one table that `vallum explain` reads for a rule that names it (about 100 MB); it says "unknown" beyond."""
