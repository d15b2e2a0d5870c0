"""Every way to say no.

One table: a code (a word that is never reused), the HTTP status it becomes, a
title, and the stage that says it. Stages raise :class:`Refusal` with a
:class:`Reason` from this table and never mention a status; `respond` turns it
into bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

RETRY_SECONDS: Final = 1
"""`Retry-After` of a 503 that knows nothing better: what keeps the service from answering is mostly over by then."""


@final
@dataclass(frozen=True, slots=True)
class Reason:
    """One row of the table.

    `detail` is what a client reads when the raiser has nothing more precise to say.
    """

    code: str
    status: int
    title: str
    stage: str
    detail: str


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the input.

    `pointer` is a JSON pointer (RFC 6901) into the body, or `#query/<name>` for a
    query parameter; `code` is a word a program can match on.
    """

    pointer: str
    code: str
    detail: str


@final
class Refusal(Exception):
    """The root of all refusals: raised by a stage, answered by `respond`."""

    def __init__(
        self,
        reason: Reason,
        detail: str | None = None,
        *,
        faults: tuple[Fault, ...] = (),
        retry_after_seconds: int | None = None,
        allow: tuple[str, ...] = (),
        violated: tuple[str, ...] = (),
        limits: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        """
        Args:
            reason: the row of the table below.
            detail: one sentence for the client; the row's own when omitted.
            faults: every fault of the input at once.
            retry_after_seconds: for `Retry-After`; of a 503 it is RETRY_SECONDS when omitted.
            allow: the methods for the `Allow` of a 405.
            violated: names of the quota policies that were exceeded.
            limits: header fields of the claim that was refused, in place of those of the claim before it.
        """
        super().__init__(reason.code)
        self.reason = reason
        self.detail = reason.detail if detail is None else detail
        self.faults = faults
        unknown = retry_after_seconds is None and reason.status == 503
        self.retry_after_seconds = RETRY_SECONDS if unknown else retry_after_seconds
        self.allow = allow
        self.violated = violated
        self.limits = limits


# edge ---------------------------------------------------------------------------------

HTTPS_REQUIRED: Final = Reason("https_required", 400, "HTTPS required", "edge", "This service answers over HTTPS only.")
REQUEST_MALFORMED: Final = Reason(
    "request_malformed", 400, "Malformed request", "edge", "The request line or a header is not well formed."
)
HOST_UNKNOWN: Final = Reason(
    "host_unknown", 421, "Misdirected request", "edge", "This service does not answer for that host."
)
TARGET_TOO_LONG: Final = Reason("target_too_long", 414, "URI too long", "edge", "The request target is too long.")
HEADERS_TOO_LARGE: Final = Reason(
    "headers_too_large",
    431,
    "Request header fields too large",
    "edge",
    "There are too many header fields, or they are too long.",
)
BODY_TOO_LARGE: Final = Reason(
    "body_too_large", 413, "Content too large", "edge", "The body is larger than this route accepts."
)
BODY_UNEXPECTED: Final = Reason("body_unexpected", 400, "Unexpected body", "edge", "This method takes no body.")
MEDIA_TYPE_UNSUPPORTED: Final = Reason(
    "media_type_unsupported",
    415,
    "Unsupported media type",
    "edge",
    "The body must be JSON in UTF-8, without a content coding.",
)
NOT_ACCEPTABLE: Final = Reason("not_acceptable", 406, "Not acceptable", "edge", "This service answers in JSON.")
EXPECTATION_FAILED: Final = Reason(
    "expectation_failed", 417, "Expectation failed", "edge", "Only the expectation 100-continue is understood."
)
REQUEST_TIMEOUT: Final = Reason(
    "request_timeout", 408, "Request timeout", "edge", "The request did not arrive, or was not carried out, in time."
)
ADDRESS_LIMITED: Final = Reason(
    "address_limited", 429, "Too many requests", "edge", "Too many requests come from this network address."
)
ORIGIN_FORBIDDEN: Final = Reason(
    "origin_forbidden", 403, "Origin not allowed", "edge", "Pages of that origin may not call this service."
)
HEADER_UNSUPPORTED: Final = Reason(
    "header_unsupported",
    400,
    "Unsupported header",
    "edge",
    "A header asks for something that this service does not do.",
)

# authenticate -------------------------------------------------------------------------

CREDENTIAL_MISSING: Final = Reason(
    "credential_missing",
    401,
    "Credential required",
    "authenticate",
    "Send an access token in the Authorization header, or an API key in X-API-Key.",
)
CREDENTIAL_INVALID: Final = Reason(
    "credential_invalid",
    401,
    "Credential not valid",
    "authenticate",
    "The credential is malformed, expired, revoked or not from a trusted issuer.",
)
CREDENTIAL_AMBIGUOUS: Final = Reason(
    "credential_ambiguous", 400, "More than one credential", "authenticate", "Send exactly one credential."
)
CREDENTIAL_IN_QUERY: Final = Reason(
    "credential_in_query",
    400,
    "Credential in the query",
    "authenticate",
    "A credential is never accepted in the query: URLs end up in logs.",
)

FAILURES_LIMITED: Final = Reason(
    "failures_limited",
    429,
    "Too many failed credentials",
    "authenticate",
    "Too many bad credentials came from this network address.",
)
FRESHNESS_MISSING: Final = Reason(
    "freshness_missing", 400, "Freshness required", "authenticate", "Send X-Request-Timestamp and X-Request-Nonce."
)
FRESHNESS_MALFORMED: Final = Reason(
    "freshness_malformed",
    400,
    "Freshness not well formed",
    "authenticate",
    "X-Request-Timestamp is RFC 3339 or Unix seconds in ten digits; X-Request-Nonce has 16 to 128 letters, digits and -._~+/=.",
)
TIMESTAMP_STALE: Final = Reason(
    "timestamp_stale", 400, "Timestamp not accepted", "authenticate", "The timestamp is too far from our clock (Date)."
)

# throttle -----------------------------------------------------------------------------

QUOTA_EXCEEDED: Final = Reason(
    "quota_exceeded", 429, "Quota exceeded", "throttle", "The quota of this caller is used up for now."
)
METER_UNAVAILABLE: Final = Reason(
    "meter_unavailable", 503, "Metering unavailable", "throttle", "The quota cannot be checked at the moment."
)
NONCE_REUSED: Final = Reason(
    "nonce_reused", 409, "Request seen before", "throttle", "A request with this X-Request-Nonce was accepted before."
)
NONCES_LIMITED: Final = Reason(
    "nonces_limited", 429, "Too many fresh requests", "throttle", "Too many nonces of this caller are still in use."
)
NONCES_UNAVAILABLE: Final = Reason(
    "nonces_unavailable", 503, "Freshness unavailable", "throttle", "Freshness cannot be checked at the moment."
)

# authorise ----------------------------------------------------------------------------

FORBIDDEN: Final = Reason("forbidden", 403, "Not allowed", "authorise", "This caller may not do that here.")
NOT_FOUND: Final = Reason("not_found", 404, "Not found", "authorise", "There is nothing here for this caller.")
METHOD_NOT_ALLOWED: Final = Reason(
    "method_not_allowed",
    405,
    "Method not allowed",
    "authorise",
    "This method does not exist on this path for this caller.",
)

# validate -----------------------------------------------------------------------------

QUERY_INVALID: Final = Reason(
    "query_invalid", 400, "Query not valid", "validate", "The query has faults; each is listed."
)
CURSOR_INVALID: Final = Reason(
    "cursor_invalid",
    400,
    "Cursor not valid",
    "validate",
    "The cursor was not issued to this caller for this list, filter and sort.",
)
PRECONDITION_MALFORMED: Final = Reason(
    "precondition_malformed",
    400,
    "Precondition not valid",
    "validate",
    "If-Match and If-None-Match take entity tags, in quotation marks as ETag has them.",
)
PRECONDITION_REQUIRED: Final = Reason(
    "precondition_required",
    428,
    "Precondition required",
    "validate",
    "Send If-Match with the ETag of the state that you mean to change.",
)
IDEMPOTENCY_KEY_MALFORMED: Final = Reason(
    "idempotency_key_malformed",
    400,
    "Idempotency-Key not valid",
    "validate",
    "Send one text of 1 to 255 printable ASCII characters in double quotes, a UUID for instance.",
)
IDEMPOTENCY_KEY_UNSUPPORTED: Final = Reason(
    "idempotency_key_unsupported",
    400,
    "Idempotency-Key not supported here",
    "validate",
    "Only POST takes an Idempotency-Key. Other methods may be repeated without one: PATCH is guarded by its If-Match.",
)
BODY_MALFORMED: Final = Reason("body_malformed", 400, "Malformed JSON", "validate", "The body is not acceptable JSON.")
FORM_MALFORMED: Final = Reason(
    "form_malformed", 400, "Malformed form", "validate", "The body is not an acceptable form."
)
BODY_INVALID: Final = Reason("body_invalid", 422, "Body not valid", "validate", "The body has faults; each is listed.")

# execute ------------------------------------------------------------------------------

STALE: Final = Reason("stale", 412, "Precondition failed", "execute", "The row has changed since that ETag was issued.")
STATE_FORBIDDEN: Final = Reason(
    "state_forbidden",
    403,
    "New state not allowed",
    "execute",
    "No rule allows this caller to leave the row in that state.",
)
CONFLICT: Final = Reason("conflict", 409, "Conflict", "execute", "A row with these values exists already.")
IN_USE: Final = Reason("in_use", 409, "Still in use", "execute", "Other rows refer to this one.")
ACTION_CONFLICT: Final = Reason(
    "action_conflict", 409, "Not possible in this state", "execute", "The action is not possible in the present state."
)
IDEMPOTENCY_KEY_REUSED: Final = Reason(
    "idempotency_key_reused",
    422,
    "Idempotency-Key used for another request",
    "execute",
    "A request with another body was carried out under this Idempotency-Key; send this one under a new key.",
)
IDEMPOTENCY_IN_FLIGHT: Final = Reason(
    "idempotency_in_flight",
    409,
    "Still being carried out",
    "execute",
    "The first request with this Idempotency-Key is still being carried out; ask again later with the same key.",
)
IDEMPOTENCY_RIGHTS_CHANGED: Final = Reason(
    "idempotency_rights_changed",
    409,
    "Rights have changed",
    "execute",
    "The request was carried out, and this caller's rights have changed since: its answer is not shown again.",
)
PARTLY_DONE: Final = Reason(
    "partly_done",
    409,
    "Partly carried out",
    "execute",
    "The request was ended before its answer; what it had written by then stays. Look what is there before you repeat it.",
)
BUSY: Final = Reason("busy", 503, "Busy", "execute", "The service cannot take more work at the moment.")
QUERY_TIMEOUT: Final = Reason(
    "query_timeout", 503, "Query took too long", "execute", "The query was stopped because it ran too long."
)

# oauth: the codes are the words of RFC 6749 §5.2 and its extensions, as clients know them ----

INVALID_REQUEST: Final = Reason(
    "invalid_request", 400, "Invalid request", "oauth", "A parameter is missing, or not as it must be."
)
INVALID_CLIENT: Final = Reason("invalid_client", 401, "Invalid client", "oauth", "Client authentication failed.")
INVALID_GRANT: Final = Reason(
    "invalid_grant", 400, "Invalid grant", "oauth", "The grant or token was issued to another client, or is not valid."
)
UNSUPPORTED_GRANT_TYPE: Final = Reason(
    "unsupported_grant_type", 400, "Unsupported grant type", "oauth", "There is only the grant type client_credentials."
)
INVALID_SCOPE: Final = Reason(
    "invalid_scope", 400, "Invalid scope", "oauth", "The scope is malformed, or goes beyond what this client has."
)
INVALID_TARGET: Final = Reason(
    "invalid_target", 400, "Invalid target", "oauth", "Tokens are issued for this service only (RFC 8707)."
)

# respond ------------------------------------------------------------------------------

INTERNAL: Final = Reason(
    "internal_error",
    500,
    "Internal error",
    "respond",
    "Something failed on our side; the request id finds it in our log.",
)

REASONS: Final[dict[str, Reason]] = {
    reason.code: reason for reason in list(globals().values()) if isinstance(reason, Reason)
}
"""Every reason by its code; a code that is retired stays listed in the documentation."""
