"""A filter of a list against its columns: what its value means, and whether this caller may ask."""

from __future__ import annotations

from typing import Any

from vallum.authorise.rights import Access
from vallum.declare.resource import Resource
from vallum.refusals import Fault
from vallum.validate.columns import parse_text
from vallum.validate.query import Filter


def read_filter(given: Filter, resource: Resource, access: Access, faults: list[Fault]) -> tuple[str, str, Any]:
    """(field, operator, value) as the statement takes them; what is wrong is added to `faults`."""
    if given.name not in access.granted:
        faults.append(unknown(given.name, given.name))
        return given.name, given.operator, None
    if given.name not in resource.filters:
        faults.append(Fault(given.pointer, "not_filterable", f"{given.name} cannot be filtered by."))
        return given.name, given.operator, None
    if given.operator == "isnull":
        return given.name, "null" if given.values[0] == "true" else "notnull", None
    field = resource.fields[given.name]
    values = []
    for text in given.values:
        try:
            values.append(parse_text(field, text, given.operator))
        except ValueError as error:
            faults.append(Fault(given.pointer, "value", str(error)))
    if given.operator == "in":
        return given.name, "in", values
    return given.name, given.operator, values[0] if values else None


def unknown(parameter: str, name: str) -> Fault:
    """The fault of a field that is not there for this caller, in this parameter."""
    return Fault(f"#query/{parameter}", "unknown_field", f"There is no field {name}.")
