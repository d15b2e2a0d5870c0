"""Stage 5, validate: only now the query is understood and the body is read. All faults at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias, final

from vallum import defaults
from vallum.authorise.inclusions import Included
from vallum.authorise.rights import Access
from vallum.authorise.stage import Authorised, charged
from vallum.declare.resource import Resource
from vallum.declare.route import BodyKind, Handler, Verb
from vallum.refusals import NOT_FOUND, PRECONDITION_REQUIRED, Fault, Refusal
from vallum.throttle.stage import Meter, charge
from vallum.validate.body import body_of, refuse_body
from vallum.validate.bulk import BulkRow, changed_rows, new_rows, removed_rows
from vallum.validate.columns import parse_text
from vallum.validate.cursor import Cursors, context_of
from vallum.validate.filters import read_filter, unknown
from vallum.validate.form import read_form
from vallum.validate.idempotency import IdempotencyKey, identify, read_key
from vallum.validate.include import included_of
from vallum.validate.item import WHOLE, read_item
from vallum.validate.models import Models
from vallum.validate.preconditions import EntityTags, check_preconditions, parse_entity_tags
from vallum.validate.query import Query, read_query, refuse, reject_query
from vallum.validate.strict_json import parse


@final
class ListIntent(NamedTuple):
    """A page of a collection.

    Attributes:
        fields: shown, in the resource's order.
        filters: (field, operator, value), validated.
        after: the driver's values of the cursor, or None for the first page.
        included: the relations that are followed.
    """

    authorised: Authorised
    resource: Resource
    access: Access
    query: Query
    fields: tuple[str, ...]
    filters: tuple[tuple[str, str, Any], ...]
    after: tuple[Any, ...] | None
    included: tuple[Included, ...] = ()


@final
class ItemIntent(NamedTuple):
    """One row. `fields` is None for all of them; `after` is where the one included page goes on."""

    authorised: Authorised
    resource: Resource
    access: Access
    key: tuple[Any, ...]
    fields: tuple[str, ...] | None
    if_none_match: EntityTags | None
    included: tuple[Included, ...] = ()
    after: tuple[Any, ...] | None = None


@final
class CreateIntent(NamedTuple):
    """A new row with these values by field; once, if the client gave it a key."""

    authorised: Authorised
    resource: Resource
    access: Access
    values: Mapping[str, Any]
    idempotency: IdempotencyKey | None


@final
class ChangeIntent(NamedTuple):
    """New values for a row in the state of `if_match`."""

    authorised: Authorised
    resource: Resource
    access: Access
    key: tuple[Any, ...]
    values: Mapping[str, Any]
    if_match: EntityTags


@final
class RemoveIntent(NamedTuple):
    """A row to be removed."""

    authorised: Authorised
    resource: Resource
    access: Access
    key: tuple[Any, ...]
    if_match: EntityTags | None


@final
class BulkIntent(NamedTuple):
    """Several rows to be written in one transaction, each as a request of its own would be: all of them or none."""

    authorised: Authorised
    resource: Resource
    access: Access
    rows: tuple[BulkRow, ...]
    if_match: EntityTags | None
    idempotency: IdempotencyKey | None


@final
class ActIntent(NamedTuple):
    """A handler to be called: with a row (`access` and `key`) or without; once, if the client gave it a key."""

    authorised: Authorised
    handler: Handler
    access: Access | None
    key: tuple[Any, ...]
    body: Any
    idempotency: IdempotencyKey | None


@final
class ServiceIntent(NamedTuple):
    """The service of a built-in route to be called, with the form where it takes one."""

    authorised: Authorised
    form: Mapping[str, str] | None


Intent: TypeAlias = (
    ListIntent | ItemIntent | CreateIntent | ChangeIntent | RemoveIntent | BulkIntent | ActIntent | ServiceIntent
)

ANY_TAG: Final = EntityTags(any=True)


@final
@dataclass(frozen=True, slots=True)
class Validation:
    """What the stage works with: the models derived from columns, the key of the cursors, the meter of a bulk's rows."""

    models: Models
    cursors: Cursors
    meter: Meter


async def validate(authorised: Authorised, validation: Validation) -> Intent:
    """Read query, preconditions and body.

    Raises:
        Refusal: QUERY_INVALID, CURSOR_INVALID, PRECONDITION_REQUIRED and its like, BODY_MALFORMED, FORM_MALFORMED, BODY_INVALID;
            BODY_UNEXPECTED where none is taken; BODY_TOO_LARGE and REQUEST_TIMEOUT while the body arrives;
            IDEMPOTENCY_KEY_UNSUPPORTED, IDEMPOTENCY_KEY_MALFORMED; QUOTA_EXCEEDED by the rows of a bulk.
    """
    verb, access, resource = authorised.verb, authorised.access, authorised.route.resource
    request = authorised.metered.identified.admitted.request
    once = read_key(authorised)
    if verb is Verb.SERVE:
        return await _service(authorised)
    check_preconditions(request, verb)
    if verb is Verb.ACT:
        return await _act(authorised, once, validation)
    if resource is None or access is None:
        raise TypeError("every verb but an action or a service has a resource")
    if verb is Verb.LIST:
        return _list(authorised, resource, access, validation)
    if verb is Verb.ITEM:
        return _item(authorised, resource, access, validation.cursors)
    if verb is Verb.CHANGE_MANY or verb is Verb.REMOVE_MANY:
        return await _many(authorised, resource, access, validation)
    reject_query(request.query)
    if verb is Verb.CREATE:
        body, data = await _json(authorised)
        if resource.bulk and isinstance(body, list):
            rows = new_rows(validation.models, resource, access, body)
            paid = _paid(authorised, len(rows), validation)
            return BulkIntent(paid, resource, access, rows, None, identify(authorised, once, data))
        values = validation.models.create(resource, access, body)
        return CreateIntent(authorised, resource, access, values, identify(authorised, once, data))
    key = _key(authorised, resource)
    if_match = request.header(b"if-match")
    tags = None if if_match is None else parse_entity_tags(if_match)
    if verb is Verb.REMOVE:
        return RemoveIntent(authorised, resource, access, key, tags)
    if tags is None:
        raise Refusal(PRECONDITION_REQUIRED)
    body, _ = await _json(authorised)
    return ChangeIntent(authorised, resource, access, key, validation.models.change(resource, access, body), tags)


async def _many(authorised: Authorised, resource: Resource, access: Access, validation: Validation) -> BulkIntent:
    """Changes or removals. `If-Match` lists the tags of all rows: the state of each must be among them."""
    request = authorised.metered.identified.admitted.request
    if_match = request.header(b"if-match")
    tags = None if if_match is None else parse_entity_tags(if_match)
    if authorised.verb is Verb.REMOVE_MANY:
        rows = removed_rows(resource, request.query)
        await refuse_body(request)
    else:
        reject_query(request.query)
        if tags is None:
            raise Refusal(PRECONDITION_REQUIRED, "Send If-Match with the ETag of every row, commas between, or *.")
        body, _ = await _json(authorised)
        rows = changed_rows(validation.models, resource, access, body)
    return BulkIntent(_paid(authorised, len(rows), validation), resource, access, rows, tags, None)


def _paid(authorised: Authorised, rows: int, validation: Validation) -> Authorised:
    """The rows of a bulk cost what they would have cost one by one."""
    method = authorised.metered.identified.admitted.request.method
    return charged(authorised, charge(authorised.metered, validation.meter, authorised.route.costs[method] * rows))


def _item(authorised: Authorised, resource: Resource, access: Access, cursors: Cursors) -> ItemIntent:
    request = authorised.metered.identified.admitted.request
    asked = read_item(authorised, resource, access, cursors) if request.query else WHOLE
    header = request.header(b"if-none-match")
    tags = None if header is None else parse_entity_tags(header)
    return ItemIntent(authorised, resource, access, _key(authorised, resource), asked.fields, tags, *asked[1:])


def _list(authorised: Authorised, resource: Resource, access: Access, validation: Validation) -> ListIntent:
    identified = authorised.metered.identified
    request = identified.admitted.request
    query, faults = read_query(request.query)
    filters = tuple([read_filter(f, resource, access, faults) for f in query.filters]) if query.filters else ()
    for name, _ in query.sort:
        if name not in access.granted:
            faults.append(unknown("sort", name))
        elif name not in resource.sorts or name not in access.certain:
            faults.append(Fault("#query/sort", "not_sortable", f"{name} cannot be sorted by."))
    if query.fields is not None:
        faults += [unknown("fields", name) for name in query.fields if name not in access.granted]
    paths = query.include
    included = included_of(paths, authorised.rights, resource, access, query.limit, faults) if paths else ()
    refuse(faults)
    fields = _shown(resource, access, query.fields)
    after = None
    if query.after is not None:
        context = context_of(identified.principal.id, request.path, query)
        named = {name for name, _ in query.sort}
        length = len(query.sort) + sum(1 for name in resource.key if name not in named)
        after = validation.cursors.open(query.after, context, length)
    return ListIntent(authorised, resource, access, query, fields, filters, after, included)


def _shown(resource: Resource, access: Access, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    if wanted is None:
        return access.shown
    return tuple([name for name in resource.fields if name in wanted])


def _key(authorised: Authorised, resource: Resource) -> tuple[Any, ...]:
    """The key in the path; one that no row can have is a missing row."""
    texts = authorised.metered.identified.admitted.keys
    try:
        return tuple(
            [parse_text(resource.fields[name], text, "eq") for name, text in zip(resource.key, texts, strict=True)]
        )
    except ValueError as error:
        raise Refusal(NOT_FOUND) from error


async def _json(authorised: Authorised, absent: bytes = b"") -> tuple[Any, bytes]:
    """The body, and its bytes; `absent` when there are none."""
    data = await body_of(authorised.metered.identified.admitted.request, authorised.route.max_body_bytes) or absent
    # A large document is parsed beside the event loop: a hostile one takes a fifth of a second.
    body = parse(data) if len(data) <= defaults.JSON_INLINE_BYTES else await asyncio.to_thread(parse, data)
    return body, data


async def _service(authorised: Authorised) -> ServiceIntent:
    request, route = authorised.metered.identified.admitted.request, authorised.route
    reject_query(request.query)
    if route.bodies.get(request.method) is BodyKind.FORM:
        return ServiceIntent(authorised, read_form(await body_of(request, route.max_body_bytes)))
    await refuse_body(request)
    return ServiceIntent(authorised, None)


async def _act(authorised: Authorised, once: str | None, validation: Validation) -> ActIntent:
    admitted = authorised.metered.identified.admitted
    request, route = admitted.request, authorised.route
    reject_query(request.query)
    handler = route.handlers[request.method]
    key = () if route.resource is None else _key(authorised, route.resource)
    body, data = None, b""
    if handler.body is not None and route.bodies.get(request.method) is BodyKind.JSON:
        # RFC 9110 §8.3: a request without content needs no Content-Type, so that nothing is what a client may send.
        body, data = await _json(authorised, b"" if handler.body_required else b"{}")
        body = validation.models.handler_body(handler.body, body)
    else:
        await refuse_body(request)
    return ActIntent(authorised, handler, authorised.access, key, body, identify(authorised, once, data))
