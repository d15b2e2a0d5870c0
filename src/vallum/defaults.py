"""Every limit: its value, its unit and where it comes from."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# edge ---------------------------------------------------------------------------------
MAX_TARGET_BYTES: Final = 8000
"""Path and query together. RFC 9110 §4.1 recommends to support at least 8000 octets."""
MAX_HEADER_COUNT: Final = 64
"""An ordinary browser sends about 20."""
MAX_HEADERS_BYTES: Final = 16 * KIB
"""All names and values together; the server's own buffer is a little larger, so that the 431 is ours."""
MAX_BODY_BYTES: Final = 1 * MIB
"""Per route; a JSON document of an API is rarely above 100 KiB."""
REQUEST_SECONDS: Final = 30.0
"""From the first byte of the body to the answer."""
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

# authenticate -------------------------------------------------------------------------
TOKEN_SECONDS: Final = 15 * 60
"""Life of an access token (RFC 9700 §2.2: short)."""
TOKEN_LEEWAY_SECONDS: Final = 5
"""Clock difference granted at `exp`, `nbf` and `iat` (RFC 9068 §4: at most a few minutes)."""
MAX_TOKEN_BYTES: Final = 4 * KIB
"""A token of ours has about 500."""
TOKENS_CACHED: Final = 10_000
"""Verified tokens kept (about 1 KiB each); the least recently used goes first."""
PRINCIPALS_CACHED: Final = 10_000
"""Principals kept (about 1 KiB each); each use checks the epoch in the statement."""

# throttle -----------------------------------------------------------------------------
CALLERS_TRACKED: Final = 200_000
"""Live counters in the process (about 500 bytes each)."""
COUNTER_FLUSH_SECONDS: Final = 0.5
"""Hour and day counters are written behind this often; a crash loses at most this much of them."""

# validate -----------------------------------------------------------------------------
PAGE_DEFAULT: Final = 10
PAGE_MAX: Final = 100
MAX_QUERY_PARAMETERS: Final = 32
MAX_FILTERS: Final = 16
MAX_IN_VALUES: Final = 100
MAX_SORTS: Final = 3
MAX_PATTERN_CHARACTERS: Final = 100
MAX_CURSOR_BYTES: Final = 2 * KIB
MAX_JSON_DEPTH: Final = 32
"""Nested arrays and objects; the parser recurses once a level."""
MAX_JSON_KEYS: Final = 1_000
"""Keys of one object."""
MAX_JSON_KEY_CHARACTERS: Final = 256
MAX_JSON_ITEMS: Final = 10_000
"""Items of one array."""
MAX_JSON_STRING_CHARACTERS: Final = 512 * KIB
MAX_JSON_DIGITS: Final = 32
"""Digits of one number; an integer beyond 64 bits is refused by the column later."""
MAX_FAULTS: Final = 100
"""Faults listed in one answer."""

# execute ------------------------------------------------------------------------------
INLINE_READ_STEPS: Final = 200_000
"""SQLite virtual-machine steps (about 2 ms) before a read leaves the event loop for a thread."""
READ_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 10.0
WRITE_QUEUE: Final = 1024
"""Writes waiting; beyond it the answer is 503."""
WRITE_GROUP: Final = 64
"""Writes that share one commit."""
STATEMENTS_CACHED: Final = 1_000
"""Built statements kept; varying the filters costs budget, not memory."""
RIGHTS_CACHED: Final = 500
"""Compiled role sets kept."""

# respond ------------------------------------------------------------------------------
HSTS_SECONDS: Final = 63_072_000
"""Two years (hstspreload.org)."""
HSTS_DEVELOPMENT_SECONDS: Final = 300
"""Short: a developer's localhost serves other programs tomorrow."""
