"""Which refusals an operation may answer with, and how they look (RFC 9457).

The table is the whole truth: a test demands that each reason of `refusals.py` stands in it, or in `ELSEWHERE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from vallum import defaults, refusals
from vallum.openapi.components import Components, Json
from vallum.openapi.headers import REFUSED, RETRY_AFTER, headers
from vallum.openapi.traits import Trait
from vallum.refusals import Reason
from vallum.validate.column_schemas import WITHOUT_NUL, choice, text

MEDIA_TYPE: Final = "application/problem+json"
IDENTIFIER: Final = "0198c1a50d5e7d309c553f1f0f6b2a41"
"""A request's, in examples."""

WHERE: Final[Mapping[Reason, frozenset[Trait]]] = {
    # 400
    refusals.HTTPS_REQUIRED: frozenset({"any"}),
    refusals.REQUEST_MALFORMED: frozenset({"any"}),
    refusals.HEADER_UNSUPPORTED: frozenset({"any"}),
    refusals.CREDENTIAL_AMBIGUOUS: frozenset({"any"}),
    refusals.CREDENTIAL_IN_QUERY: frozenset({"any"}),
    refusals.QUERY_INVALID: frozenset({"any"}),
    refusals.CURSOR_INVALID: frozenset({"list", "item"}),  # of an item where it includes a list
    refusals.PRECONDITION_MALFORMED: frozenset({"item", "write"}),
    refusals.IDEMPOTENCY_KEY_UNSUPPORTED: frozenset({"any"}),
    refusals.IDEMPOTENCY_KEY_MALFORMED: frozenset({"once"}),
    refusals.FRESHNESS_MISSING: frozenset({"fresh"}),
    refusals.FRESHNESS_MALFORMED: frozenset({"fresh"}),
    refusals.TIMESTAMP_STALE: frozenset({"fresh"}),
    refusals.BODY_UNEXPECTED: frozenset({"bodiless"}),
    refusals.BODY_MALFORMED: frozenset({"body"}),
    # 401
    refusals.CREDENTIAL_MISSING: frozenset({"guarded"}),
    refusals.CREDENTIAL_INVALID: frozenset({"any"}),
    # 403
    refusals.FORBIDDEN: frozenset({"any"}),
    refusals.STATE_FORBIDDEN: frozenset({"create", "change", "act"}),
    # 404
    refusals.NOT_FOUND: frozenset({"row", "many", "act"}),
    # 406, 408
    refusals.NOT_ACCEPTABLE: frozenset({"any"}),
    refusals.REQUEST_TIMEOUT: frozenset({"body", "act"}),
    # 409
    refusals.CONFLICT: frozenset({"create", "change", "act"}),
    refusals.NONCE_REUSED: frozenset({"fresh"}),
    refusals.IN_USE: frozenset({"change", "remove", "act"}),
    refusals.ACTION_CONFLICT: frozenset({"act"}),
    refusals.IDEMPOTENCY_IN_FLIGHT: frozenset({"once"}),
    refusals.IDEMPOTENCY_RIGHTS_CHANGED: frozenset({"once"}),
    refusals.PARTLY_DONE: frozenset({"async"}),
    # 412 to 417
    refusals.STALE: frozenset({"change", "remove"}),
    refusals.BODY_TOO_LARGE: frozenset({"body"}),
    refusals.TARGET_TOO_LONG: frozenset({"any"}),
    refusals.MEDIA_TYPE_UNSUPPORTED: frozenset({"body"}),
    refusals.EXPECTATION_FAILED: frozenset({"any"}),
    # 421 to 431
    refusals.HOST_UNKNOWN: frozenset({"any"}),
    refusals.BODY_INVALID: frozenset({"body", "act"}),
    refusals.IDEMPOTENCY_KEY_REUSED: frozenset({"once"}),
    refusals.PRECONDITION_REQUIRED: frozenset({"change"}),
    refusals.ADDRESS_LIMITED: frozenset({"any"}),
    refusals.FAILURES_LIMITED: frozenset({"any"}),
    refusals.QUOTA_EXCEEDED: frozenset({"any"}),
    refusals.NONCES_LIMITED: frozenset({"fresh"}),
    refusals.HEADERS_TOO_LARGE: frozenset({"any"}),
    # 500, 503
    refusals.INTERNAL: frozenset({"any"}),
    refusals.METER_UNAVAILABLE: frozenset({"any"}),
    refusals.NONCES_UNAVAILABLE: frozenset({"fresh"}),
    refusals.BUSY: frozenset({"any"}),
    refusals.QUERY_TIMEOUT: frozenset({"any"}),
}
"""Reason → the traits of the operations that may answer with it; one is enough."""

ELSEWHERE: Final[Mapping[Reason, str]] = {
    refusals.ORIGIN_FORBIDDEN: "of a preflight, which is no operation",
    refusals.METHOD_NOT_ALLOWED: "of methods that the document does not have",
    refusals.FORM_MALFORMED: "of the endpoints of OAuth",
    **{reason: "of the endpoints of OAuth" for reason in refusals.REASONS.values() if reason.stage == "oauth"},
}
"""Reasons that no operation answers with, and why."""

FAULTY: Final = frozenset({refusals.QUERY_INVALID, refusals.BODY_INVALID})


def refusals_of(traits: frozenset[Trait], components: Components, problems: str) -> dict[str, Json]:
    """Status → the response of an operation with these traits, in order of the status.

    Args:
        problems: the address of the pages about refusals, to which a code is appended.
    """
    by_status: dict[int, list[Reason]] = {}
    for reason, where in WHERE.items():
        if where & traits:
            by_status.setdefault(reason.status, []).append(reason)
    return {
        str(status): components.ref(
            "responses",
            _name(status, reasons, traits),
            lambda status=status, reasons=reasons: _response(status, reasons, components, problems),  # type: ignore[misc]
        )
        for status, reasons in sorted(by_status.items())
    }


def _name(status: int, reasons: Iterable[Reason], traits: frozenset[Trait]) -> str:
    """`Refused404`; `Refused400List` where only some operations have all of these reasons."""
    special = set().union(*(WHERE[reason] & traits for reason in reasons if "any" not in WHERE[reason]))
    return f"Refused{status}" + "".join(word.capitalize() for word in sorted(special))


def _response(status: int, reasons: list[Reason], components: Components, problems: str) -> Json:
    described = "\n".join(f"- `{reason.code}`: {reason.detail}" for reason in reasons)
    codes = {"status": {"const": status}, "code": choice([reason.code for reason in reasons])}
    extra = RETRY_AFTER.get(status, {})
    return {
        "description": described,
        "headers": headers(components, REFUSED | extra),
        "content": {
            MEDIA_TYPE: {
                "schema": {**components.ref("schemas", "Problem", lambda: _problem(components)), "properties": codes},
                "examples": {
                    reason.code: components.ref(
                        "examples",
                        reason.code,
                        lambda reason=reason: {"value": example(reason, problems)},  # type: ignore[misc]
                    )
                    for reason in reasons
                },
            }
        },
    }


def example(reason: Reason, problems: str) -> Json:
    """A whole problem document."""
    found: Json = {
        "type": f"{problems}{reason.code}",
        "title": reason.title,
        "status": reason.status,
        "detail": reason.detail,
        "code": reason.code,
        "request_id": IDENTIFIER,
    }
    if reason in FAULTY:
        fault = ("/name", "required", "This field is required.")
        if reason is refusals.QUERY_INVALID:
            fault = ("#query/limit", "range", f"A whole number from 1 to {defaults.PAGE_MAX}.")
        found["errors"] = [dict(zip(("pointer", "code", "detail"), fault, strict=True))]
    if reason is refusals.QUOTA_EXCEEDED:
        found["violated_policies"] = ["hour"]
    return found


def _problem(components: Components) -> Json:
    """RFC 9457 §3.1, with our own members."""
    return {
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri", "maxLength": 2_000, "description": "A page about the code."},
            "title": {**text(200), "description": "Of the code, the same each time."},
            "status": {"type": "integer", "format": "int32", "minimum": 400, "maximum": 599},
            "detail": {**text(None), "description": "A sentence for people about this request."},
            "code": {"type": "string", "maxLength": 60, "pattern": "^[a-z_]+$", "description": "A word for programs."},
            "request_id": {
                "type": "string",
                "maxLength": 32,
                "pattern": "^[0-9a-f]{32}$",
                "description": "Finds the request in the log of the service.",
            },
            "errors": {
                "type": "array",
                "maxItems": defaults.MAX_FAULTS,
                "items": components.ref("schemas", "Fault", _fault),
                "description": "All faults of the input at once.",
            },
            "violated_policies": {
                "type": "array",
                "maxItems": 3,
                "items": choice(["hour", "day", "burst"]),
                "description": "Names of the quotas that are used up.",
            },
        },
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "additionalProperties": False,
    }


def _fault() -> Json:
    return {
        "type": "object",
        "description": "One fault of the input.",
        "properties": {
            "pointer": {
                "type": "string",
                "maxLength": 9_000,
                "pattern": WITHOUT_NUL,
                "description": "A JSON pointer (RFC 6901) into the body, or `#query/` and the name of a parameter.",
            },
            "code": {"type": "string", "maxLength": 60, "pattern": "^[a-z_]+$", "description": "A word for programs."},
            "detail": {**text(None), "description": "A sentence for people."},
        },
        "required": ["pointer", "code", "detail"],
        "additionalProperties": False,
    }
