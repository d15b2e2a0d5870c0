"""JSON Merge Patch (RFC 7396) of the documents in JSON columns.

The body of a PATCH is a merge patch of the row: a field that is absent stays as it is, and null writes NULL, since
a column has no "absent" (`models.Models.change`). Inside the document of a JSON column null removes, as the RFC says.
"""

from __future__ import annotations

from vallum.validate.strict_json import Json


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
