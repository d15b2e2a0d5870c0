"""JSON Merge Patch (RFC 7396) for rows.

The body of a PATCH is an object of field → value. A field that is absent stays as it
is; null writes NULL, since a column has no "absent". A field over a JSON column takes
a patch of the JSON inside it, which is merged as the RFC says: there, null removes.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from vallum import defaults
from vallum.refusals import BODY_INVALID, Fault, Refusal
from vallum.validate.strict_json import Json

_OBJECT_EXPECTED: Final = Fault("", "object", "The body is an object of field and value.")


def members(body: Json, declared: Container[str]) -> dict[str, Json]:
    """The changes that `body` asks for: field → value, or for a JSON column → patch.

    Args:
        body: the parsed body.
        declared: the fields that this caller may write; any other does not exist for them.

    Raises:
        Refusal: BODY_INVALID when the body is no object, or naming every field that is not declared.
    """
    if not isinstance(body, dict):
        raise Refusal(BODY_INVALID, faults=(_OBJECT_EXPECTED,))
    unknown = [name for name in body if name not in declared]
    if unknown:
        raise Refusal(BODY_INVALID, faults=tuple(map(_unknown_field, unknown[: defaults.MAX_FAULTS])))
    return body


def _unknown_field(name: str) -> Fault:
    escaped = name.replace("~", "~0").replace("/", "~1")  # RFC 6901 §3
    return Fault(f"/{escaped}", "unknown_field", "There is no such field.")


def merge(target: Json, patch: Json) -> Json:
    """What `target` becomes by `patch` (RFC 7396 §2); neither is changed, unchanged parts are shared.

    It recurses as deep as `patch`, whose depth the parser has bounded.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
