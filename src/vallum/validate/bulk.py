"""The rows of a bulk: what one request would have created, changed or removed in several.

    POST    [{…}, {…}]                       new rows
    PATCH   [{"id": 1, …}, {"id": 2, …}]     the key of each row, and beside it its merge patch
    DELETE  ?id[in]=1,2                      keys and nothing else; of a composite key every part is named, one of them
                                             with [in]: ?book_id=7&reader[in]=ann,bob

All faults of all rows are found at once, `MAX_FAULTS` of them. Whether a row is there is decided when it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, final

from vallum import defaults
from vallum.authorise.rights import Access
from vallum.declare.resource import Resource
from vallum.refusals import BODY_INVALID, Fault, Refusal
from vallum.validate.columns import parse_text
from vallum.validate.faults import LENGTH, REPEATED, TYPE, fault, pointer_of
from vallum.validate.models import Models
from vallum.validate.query import Filter, read_filters, refuse


@final
class BulkRow(NamedTuple):
    """What is to be done to one row.

    Attributes:
        pointer: where the request names it.
        key: its key; empty of a new row.
        values: new ones by field; empty of a removal.
    """

    pointer: str
    key: tuple[Any, ...]
    values: Mapping[str, Any]


Read = Callable[[Any], tuple[tuple[Any, ...], Mapping[str, Any]]]


def new_rows(models: Models, resource: Resource, access: Access, body: Any) -> tuple[BulkRow, ...]:
    """The rows of a POST.

    Raises:
        Refusal: BODY_INVALID with every fault.
    """
    return _rows(resource, body, lambda row: ((), models.create(resource, access, row)))


def changed_rows(models: Models, resource: Resource, access: Access, body: Any) -> tuple[BulkRow, ...]:
    """The rows of a PATCH.

    Raises:
        Refusal: BODY_INVALID with every fault.
    """
    seen: set[tuple[Any, ...]] = set()

    def read(row: Any) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        given = row if isinstance(row, Mapping) else {}
        patch = {name: value for name, value in row.items() if name not in resource.key} if given else row
        key, values = _both(lambda: models.key(resource, given), lambda: models.change(resource, access, patch))
        if key in seen:
            place = pointer_of(*resource.key) if len(resource.key) == 1 else ""
            raise Refusal(BODY_INVALID, faults=(fault(place, REPEATED),))
        seen.add(key)
        return key, values

    return _rows(resource, body, read)


def _both(key: Callable[[], tuple[Any, ...]], values: Callable[[], Mapping[str, Any]]) -> Any:
    """The two parts of a row, or the faults of both."""
    found: list[Any] = []
    faults: list[Fault] = []
    for part in (key, values):
        try:
            found.append(part())
        except Refusal as refusal:
            faults += refusal.faults
    if faults:
        raise Refusal(BODY_INVALID, faults=tuple(faults))
    return found


def _rows(resource: Resource, body: Any, read: Read) -> tuple[BulkRow, ...]:
    if not isinstance(body, list):
        raise Refusal(BODY_INVALID, faults=(Fault("", TYPE, "The body is an array of objects, one for each row."),))
    if not 1 <= len(body) <= resource.bulk:
        raise Refusal(BODY_INVALID, faults=(Fault("", LENGTH, f"1 to {resource.bulk} rows."),))
    rows: list[BulkRow] = []
    faults: list[Fault] = []
    for index, row in enumerate(body):
        place = pointer_of(index)
        try:
            rows.append(BulkRow(place, *read(row)))
        except Refusal as refusal:
            faults += within(place, refusal.faults)
            if len(faults) >= defaults.MAX_FAULTS:
                break
    if faults:
        raise Refusal(BODY_INVALID, faults=tuple(faults[: defaults.MAX_FAULTS]))
    return tuple(rows)


def within(place: str, faults: Sequence[Fault]) -> list[Fault]:
    """Faults of a row, where they are in the whole body."""
    return [replace(found, pointer=f"{place}{found.pointer}") for found in faults]


def removed_rows(resource: Resource, query: str) -> tuple[BulkRow, ...]:
    """The rows of a DELETE.

    Raises:
        Refusal: QUERY_INVALID with every fault. A parameter that is no part of the key is one, whatever it is.
    """
    filters, faults = read_filters(query)
    named: dict[str, Filter] = {}
    for given in filters:
        if given.name not in resource.key or given.operator not in ("eq", "in"):
            faults.append(Fault(given.pointer, "not_a_key", "Rows are removed by their keys alone: key or key[in]."))
        elif named.setdefault(given.name, given) is not given:
            faults.append(Fault(given.pointer, "repeated", "This part of the key is given more than once."))
    if not faults:
        faults += [
            Fault(f"#query/{name}", "required", "Each part of the key is named: key=… or key[in]=…")
            for name in resource.key
            if name not in named
        ]
    if sum(given.operator == "in" for given in named.values()) > 1:
        faults.append(Fault("#query", "too_many", "One part of the key takes [in], the others one value."))
    parts = [_values(resource, given, faults) for given in named.values()]
    refuse(faults)
    return _keyed(resource, dict(zip(named, parts, strict=True)), named)


def _values(resource: Resource, given: Filter, faults: list[Fault]) -> list[Any]:
    if len(given.values) > resource.bulk:
        faults.append(Fault(given.pointer, "too_many", f"At most {resource.bulk} rows."))
    values: list[Any] = []
    for text in given.values:
        try:
            values.append(parse_text(resource.fields[given.name], text, "eq"))
        except ValueError as error:
            faults.append(Fault(given.pointer, "value", str(error)))
    if len(set(values)) < len(values):
        faults.append(fault(given.pointer, REPEATED))
    return values


def _keyed(resource: Resource, parts: Mapping[str, Sequence[Any]], named: Mapping[str, Filter]) -> tuple[BulkRow, ...]:
    varying = next((name for name in resource.key if named[name].operator == "in"), resource.key[-1])
    place = named[varying].pointer
    return tuple(
        BulkRow(
            f"{place}/{index}",
            tuple([value if name == varying else parts[name][0] for name in resource.key]),
            {},
        )
        for index, value in enumerate(parts[varying])
    )
